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
            ("named network namespaces", names("/run/netns")),
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
                let new = after.lines().filter(move |line| !old.contains(line));
                new.map(move |line| format!("{what}: {line}"))
            })
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        bail!("the host has what it had not before: {}", new.join("; "));
    }
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

fn run(command: &mut Command) -> String {
    shell::read(command).unwrap_or_default()
}
