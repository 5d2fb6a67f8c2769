//! Reads `/proc/<pid>/mountinfo`. It knows the format, and nothing of what the mounts are for.

use std::{fs, io, path::PathBuf};

/// One line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// What of the file system is mounted: `/` when all of it.
    pub(crate) root: String,
    /// Where.
    pub(crate) point: PathBuf,
    /// Type of the file system, such as `cgroup2`.
    pub(crate) fs_type: String,
}

/// The mounts that the process `pid` (or `self`) sees.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn of(pid: &str) -> io::Result<Vec<Mount>> {
    // Mount points are bytes; one that is not UTF-8 must not hide the others.
    let bytes = fs::read(format!("/proc/{pid}/mountinfo"))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(parse).collect())
}

/// `31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw`
fn parse(line: &str) -> Option<Mount> {
    // The optional fields end at a lone dash; before it, the fields are fixed.
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    Some(Mount {
        root: unescape(before.next()?),
        point: PathBuf::from(unescape(before.next()?)),
        fs_type: after.split(' ').next()?.to_owned(),
    })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let octal = rest.get(at + 1..at + 4);
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_and_escapes() {
        let line =
            r"41 31 0:38 /a /sys/fs/my\040cgroup rw,nosuid shared:9 master:1 - cgroup2 none rw";
        let want = Mount {
            root: "/a".to_owned(),
            point: PathBuf::from("/sys/fs/my cgroup"),
            fs_type: "cgroup2".to_owned(),
        };
        assert_eq!(parse(line), Some(want));
        let nsfs = "9 8 0:4 net:[4026532200] /run/netns/a rw shared:1 - nsfs nsfs rw";
        assert_eq!(parse(nsfs).unwrap().root, "net:[4026532200]");
    }

    #[test]
    fn broken_lines_are_skipped() {
        for line in ["", "1 2 3", "1 2 0:1 / - tmpfs", r"1 2 0:1 \9 - x y"] {
            assert_eq!(parse(line), None, "{line}");
        }
        assert_eq!(unescape(r"a\04"), r"a\04");
        assert_eq!(unescape(r"\134\"), r"\\");
    }

    #[test]
    fn this_process_has_a_proc() {
        let mounts = of("self").unwrap();
        assert!(mounts.iter().any(|mount| mount.fs_type == "proc"));
    }
}
