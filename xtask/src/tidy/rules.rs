//! The rules of tidy. They read lines, not Rust: a rule here must be simple enough for that.

/// A file longer than this is usually two things.
const MAX_LINES: usize = 600;

/// Files that may be longer, each with the reason.
pub(super) const LONG_FILES: &[(&str, &str)] = &[(
    "engine/src/servers/rows.rs",
    "a table, one row a server: data, and no logic",
)];

/// A crate may be named only under these folders or in these files.
struct Confined {
    krate: &'static str,
    to: &'static [&'static str],
}

const CONFINED: &[Confined] = &[
    Confined {
        krate: "aya",
        to: &["daemon/src/probe/", "daemon/src/probe.rs"],
    },
    Confined {
        krate: "aya_log",
        to: &["daemon/src/probe/", "daemon/src/probe.rs"],
    },
    Confined {
        krate: "aya_ebpf",
        to: &["probe-ebpf/"],
    },
    Confined {
        krate: "aya_log_ebpf",
        to: &["probe-ebpf/"],
    },
    Confined {
        krate: "prometheus_client",
        to: &["daemon/src/metrics/", "daemon/src/metrics.rs"],
    },
    Confined {
        krate: "axum",
        to: &["daemon/src/http/", "daemon/src/http.rs"],
    },
    Confined {
        krate: "redb",
        to: &["daemon/src/store/"],
    },
    Confined {
        krate: "kube",
        to: &["daemon/src/kubernetes/"],
    },
    Confined {
        krate: "k8s_openapi",
        to: &["daemon/src/kubernetes/"],
    },
];

/// The pure stages: a recorded input must give the same answer every time.
const PURE: &[&str] = &["engine/src"];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::thread",
    "std::process",
    "tokio::",
    "Instant::now",
    "SystemTime::now",
];

/// Folders of one machine or one person. Spelled in pieces, so that this file passes its own check.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
];

#[derive(Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) text: String,
}

impl Finding {
    pub(super) fn at(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            text: text.into(),
        }
    }

    pub(super) fn whole(path: &str, text: impl Into<String>) -> Self {
        Self::at(path, 1, text)
    }
}

/// Checks one file; `path` is relative to the workspace.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, content) in numbered(text) {
        if let Some(folder) = MACHINE_PATHS
            .iter()
            .find(|folder| names_folder(content, folder))
        {
            findings.push(Finding::at(
                path,
                line,
                format!("`{folder}` exists on one machine only"),
            ));
        }
    }
    if path.ends_with(".rs") {
        check_rust(path, text, &mut findings);
    }
    findings
}

fn check_rust(path: &str, text: &str, findings: &mut Vec<Finding>) {
    if !text.starts_with("//!") {
        findings.push(Finding::whole(
            path,
            "begin the file with `//!`: what it is, and what it does not know",
        ));
    }
    check_length(path, text, findings);
    let pure = PURE.iter().any(|folder| path.starts_with(folder));
    for (line, content) in numbered(text) {
        let code = &code_of(content);
        for Confined { krate, to } in CONFINED {
            let at_home = to.iter().any(|place| path.starts_with(place));
            if !at_home && names_crate(code, krate) {
                findings.push(Finding::at(
                    path,
                    line,
                    format!("`{krate}` may be used only in {}", to.join(", ")),
                ));
            }
        }
        if allows_a_lint(code) {
            findings.push(Finding::at(
                path,
                line,
                "use `#[expect(lint, reason = \"...\")]` in place of allow",
            ));
        }
        if let Some(impure) = IMPURE.iter().find(|impure| pure && code.contains(**impure)) {
            findings.push(Finding::at(
                path,
                line,
                format!("`{impure}` in a stage that must be pure"),
            ));
        }
    }
}

fn check_length(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text.lines().count();
    let listed = LONG_FILES.iter().any(|(file, _)| *file == path);
    if lines > MAX_LINES && !listed {
        findings.push(Finding::at(
            path,
            MAX_LINES + 1,
            format!("{lines} lines, more than {MAX_LINES}: split it, or list it in LONG_FILES with the reason"),
        ));
    }
    if lines <= MAX_LINES && listed {
        findings.push(Finding::whole(
            path,
            "no longer a long file: take it off LONG_FILES",
        ));
    }
}

/// Whether code names the crate itself: as a path's first part or in a `use`, not within another word.
fn names_crate(code: &str, krate: &str) -> bool {
    code.match_indices(krate).any(|(start, _)| {
        let before = &code[..start];
        let after = &code[start + krate.len()..];
        let is_word = !before.ends_with(is_word_part) && !after.starts_with(is_word_part);
        // `::aya::` is the crate, `probe::aya::` is somebody's module.
        let leads = match before.strip_suffix("::") {
            Some(parent) => !parent.ends_with(is_word_part),
            None => true,
        };
        let used =
            ["use", "extern crate"].contains(&before.trim().trim_start_matches("pub").trim_start());
        is_word && leads && (after.starts_with("::") || used)
    })
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn allows_a_lint(code: &str) -> bool {
    let squeezed: String = code.split_whitespace().collect();
    ["#[allow(", "#![allow("]
        .iter()
        .any(|attribute| squeezed.contains(attribute))
        || (squeezed.contains("cfg_attr(") && squeezed.contains(",allow("))
}

/// Whether a line names something in the folder, as an absolute path: `/x/` but neither `a/x/` nor `~/x/`.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(start, _)| {
        let before = &line[..start];
        let after = &line[start + folder.len()..];
        let absolute = !before.ends_with(|c: char| is_word_part(c) || "./~$}*-".contains(c));
        absolute && after.starts_with(is_word_part)
    })
}

/// A line without its comment and without the content of its texts.
fn code_of(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut in_text = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_text => drop(chars.next()),
            '"' if in_text || !code.ends_with('\'') => {
                in_text = !in_text;
                code.push(c);
            }
            '/' if !in_text && chars.peek() == Some(&'/') => break,
            c if !in_text => code.push(c),
            _ => {}
        }
    }
    code
}

pub(super) fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(path: &str, text: &str) -> Vec<String> {
        check(path, text)
            .into_iter()
            .map(|finding| format!("{}: {}", finding.line, finding.text))
            .collect()
    }

    #[test]
    fn a_clean_file_has_no_findings() {
        assert_eq!(
            texts(
                "daemon/src/lib.rs",
                "//! The library.\n\nuse anyhow::Result;\n"
            ),
            [""; 0]
        );
    }

    #[test]
    fn wants_a_head_on_each_file() {
        let findings = texts("daemon/src/lib.rs", "use anyhow::Result;\n");
        assert_eq!(findings.len(), 1);
        assert!(findings[0].contains("begin the file"), "{findings:?}");
    }

    #[test]
    fn confines_crates_to_their_folders() {
        let text = "//! Loads.\nuse aya::Ebpf;\n";
        assert_eq!(texts("daemon/src/probe/load.rs", text), [""; 0]);
        let findings = texts("daemon/src/http/mod.rs", text);
        assert!(
            findings[0].starts_with("2: `aya` may be used only in daemon/src/probe/"),
            "{findings:?}"
        );
        assert_eq!(
            texts(
                "daemon/src/cli/watch.rs",
                "//! X.\nlet x = prometheus_client::registry();\n"
            )
            .len(),
            1
        );
        assert_eq!(
            texts("daemon/src/metrics/mod.rs", "//! X.\nuse axum::Router;\n").len(),
            1
        );
    }

    #[test]
    fn tells_a_crate_from_other_words() {
        assert!(names_crate("use aya::Ebpf;", "aya"));
        assert!(names_crate("let x = ::aya::Ebpf::new();", "aya"));
        assert!(names_crate("use aya as bpf;", "aya"));
        assert!(names_crate("pub use axum;", "axum"));
        assert!(!names_crate("use aya_log::EbpfLogger;", "aya"));
        assert!(!names_crate("let maya = himalaya::peak();", "aya"));
        assert!(!names_crate("use crate::probe::aya::Thing;", "aya"));
    }

    #[test]
    fn a_crate_in_a_comment_is_no_use() {
        assert_eq!(
            texts(
                "daemon/src/lib.rs",
                "//! Only probe imports aya::Ebpf.\n// aya::maps too\n"
            ),
            [""; 0]
        );
    }

    #[test]
    fn a_text_is_no_use() {
        assert_eq!(
            code_of("say(\"uses // \\\" too\", '\"'); // why"),
            "say(\"\", '\"'); "
        );
        assert_eq!(
            texts("daemon/src/lib.rs", "//! X.\nlet x = \"aya::maps\";\n"),
            [""; 0]
        );
    }

    #[test]
    fn refuses_allow_in_every_spelling() {
        for attribute in [
            "#[allow(dead_code)]",
            "#![allow(dead_code)]",
            "#[ allow (dead_code) ]",
            "#[cfg_attr(test, allow(dead_code))]",
        ] {
            let findings = texts("common/src/lib.rs", &format!("//! X.\n{attribute}\n"));
            assert_eq!(findings.len(), 1, "{attribute}");
        }
        assert_eq!(
            texts(
                "common/src/lib.rs",
                "//! X.\n#[expect(dead_code, reason = \"later\")]\n"
            ),
            [""; 0]
        );
    }

    #[test]
    fn finds_folders_of_one_machine() {
        let folder = concat!("/ho", "me/");
        assert_eq!(
            texts("README.md", &format!("cd {folder}me/finwatch\n")).len(),
            1
        );
        assert_eq!(
            texts("docs/x.md", &format!("see `{folder}` of the user\n")),
            [""; 0]
        );
        assert_eq!(texts("docs/x.md", &format!("see lib{folder}x\n")), [""; 0]);
    }

    #[test]
    fn keeps_pure_stages_pure() {
        let text = "//! X.\nlet now = Instant::now();\n";
        assert_eq!(texts("engine/src/drains/mod.rs", text).len(), 1);
        assert_eq!(texts("daemon/src/clock.rs", text), [""; 0]);
    }

    #[test]
    fn reports_a_file_past_the_limit_at_the_first_line_too_many() {
        let text = format!("//! X.\n{}", "\n".repeat(MAX_LINES));
        let findings = check("daemon/src/lib.rs", &text);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, MAX_LINES + 1);
    }
}
