//! What a cluster could leave behind on the host: looked at before and after, and to be the same.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::node::SYSCTLS;
use crate::shell;

/// Each thing that was looked at, and what was seen.
pub(super) struct Traces(Vec<(&'static str, String)>);

// === impl Traces ===

impl Traces {
    pub(super) fn look() -> Self {
        let mut seen = vec![
            ("mounts", read("/proc/self/mounts")),
            ("network devices", names("/sys/class/net")),
            ("named network namespaces", named_namespaces()),
            ("routes", run(Command::new("ip").args(["route", "show"]))),
            (
                "rules of the packet filter",
                run(Command::new("nft").args(["list", "ruleset"])),
            ),
            ("forwarding", read("/proc/sys/net/ipv4/ip_forward")),
        ];
        for sysctl in SYSCTLS {
            seen.push((sysctl, read(&format!("/proc/sys/{sysctl}"))));
        }
        for folder in ["/var/lib", "/var/log", "/run", "/etc", "/opt"] {
            seen.push((folder, names(folder)));
        }
        Self(seen)
    }

    /// Fails with what is there now and was not before, or has another value.
    pub(super) fn compare(&self, after: &Self) -> Result<()> {
        let Self(before) = self;
        let new: Vec<_> = before
            .iter()
            .zip(&after.0)
            .flat_map(|((what, before), (_, after))| {
                let old: Vec<_> = before.lines().collect();
                let new = after
                    .lines()
                    .filter(move |line| !old.contains(line) && !is_anothers(line));
                new.map(move |line| format!("{what}: {line}"))
            })
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        bail!("the host has what it had not before: {}", new.join("; "));
    }
}

/// Whether it is a network namespace that somebody else has named meanwhile, as people and tests do: a pod's has a name of its own kind.
fn is_anothers(line: &str) -> bool {
    line.contains("/run/netns/") && !line.contains("/run/netns/cni-")
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn names(folder: impl AsRef<Path>) -> String {
    let Ok(entries) = folder.as_ref().read_dir() else {
        return String::new();
    };
    let mut names: Vec<_> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.join("\n")
}

/// Those of pods.
fn named_namespaces() -> String {
    let names = names("/run/netns");
    let pods = names.lines().filter(|name| name.starts_with("cni-"));
    pods.collect::<Vec<_>>().join("\n")
}

fn run(command: &mut Command) -> String {
    shell::read(command).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Traces {
        Traces(vec![("mounts", text.to_owned())])
    }

    #[test]
    fn tells_what_is_new_and_a_clusters() {
        let before = seen("a\nb");
        before.compare(&seen("b")).unwrap();
        before
            .compare(&seen("a\nb\nnsfs /run/netns/mine nsfs"))
            .unwrap();
        for new in ["c", "nsfs /run/netns/cni-1 nsfs"] {
            let error = before.compare(&seen(new)).unwrap_err();
            assert!(
                error.to_string().ends_with(&format!("mounts: {new}")),
                "{error}"
            );
        }
    }
}
