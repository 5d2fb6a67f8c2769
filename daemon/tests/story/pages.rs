//! Completions and manual pages: there are some for everything, and those who read them can.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use super::commands::{finwatch, run};

const COMMANDS: [&str; 12] = [
    "daemon",
    "watch",
    "services",
    "drains",
    "rollouts",
    "verdict",
    "deploy",
    "config",
    "doctor",
    "explain",
    "completions",
    "man",
];

#[test]
fn every_shell_gets_completions_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&mut finwatch(&["completions", shell]));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{shell}");
        for word in COMMANDS.iter().chain(&["fail-on-warn", "stream-ports"]) {
            assert!(ran.out.contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(run(&mut finwatch(&["completions", "dos"])).code, 2);
}

#[test]
fn bash_takes_its_completions() {
    let script = run(&mut finwatch(&["completions", "bash"])).out;
    let mut bash = Command::new("bash")
        .args(["--noprofile", "--norc"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash");
    let asked = "
COMP_WORDS=(finwatch rollouts show --o); COMP_CWORD=3
_finwatch finwatch --o show
printf '%s\\n' \"${COMPREPLY[@]}\"
";
    let mut input = bash.stdin.take().expect("its input");
    input.write_all(script.as_bytes()).expect("written");
    input.write_all(asked.as_bytes()).expect("written");
    drop(input);
    let output = bash.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!((said.trim(), complaints.as_ref()), ("--output", ""));
}

#[test]
fn every_command_has_a_manual_page_of_sound_markup() {
    let directory = tempfile::tempdir().expect("a directory");
    let pages = directory.path().join("man1");
    let ran = run(finwatch(&["man", "--directory"]).arg(&pages));
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
    let mut wanted: Vec<String> = COMMANDS.map(|name| format!("finwatch-{name}.1")).to_vec();
    for name in [
        "",
        "-rollouts-show",
        "-drains-show",
        "-deploy-start",
        "-deploy-finish",
        "-config-check",
    ] {
        wanted.push(format!("finwatch{name}.1"));
    }
    for name in wanted {
        let page = fs::read_to_string(pages.join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        check_markup(&name, &page);
    }
    let first = run(&mut finwatch(&["man"]));
    assert_eq!(first.code, 0);
    check_markup("finwatch.1", &first.out);
}

/// Every request and every escape is one that man(7) has, and the sections that readers look for are there.
fn check_markup(name: &str, page: &str) {
    const REQUESTS: [&str; 10] = [
        ".TH", ".SH", ".TP", ".RS", ".RE", ".br", ".ie", ".el", ".nf", ".fi",
    ];
    for (number, line) in page.lines().enumerate() {
        if line.starts_with('.') {
            let request = line.split_whitespace().next().unwrap_or_default();
            let known =
                REQUESTS.contains(&request) || [".IP", ".PP", ".sp", ".\\\""].contains(&request);
            assert!(known, "{name}:{}: {line}", number + 1);
        }
        let mut rest = line;
        while let Some(at) = rest.find('\\') {
            let escape = &rest[at + 1..];
            let known = [
                "fB", "fI", "fR", "-", "&", "*(Aq", "(aq", "(bu", "n(.g", "\\", "\"",
            ];
            assert!(
                known.iter().any(|known| escape.starts_with(known)),
                "{name}:{}: {line}",
                number + 1
            );
            rest = &escape[1..];
        }
    }
    for section in [".TH ", ".SH NAME\n", ".SH SYNOPSIS\n", ".SH DESCRIPTION\n"] {
        assert!(page.contains(section), "{name} has no {section}");
    }
}
