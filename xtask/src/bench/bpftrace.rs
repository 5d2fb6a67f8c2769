//! The bpftrace script as a child of the benchmark, and what it counted.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{bpf, daemon::create, sys, tracefs};
use crate::paths::Paths;

pub(super) struct Bpftrace {
    child: Child,
    out: BufReader<ChildStdout>,
}

/// What the script counted on a load's ports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) opened: u64,
    pub(super) ended: u64,
    pub(super) resets_sent: u64,
}

/// A script of this folder.
pub(super) struct Script {
    pub(super) name: &'static str,
    text: &'static str,
}

/// The same counts as finwatch's.
pub(super) const COUNT: Script = Script {
    name: "count.bt",
    text: include_str!("count.bt"),
};

/// As cheap as can be: guesses in place of memory.
pub(super) const GUESS: Script = Script {
    name: "guess.bt",
    text: include_str!("guess.bt"),
};

// === impl Script ===

impl Script {
    /// Writes it, and `more` behind it.
    pub(super) fn write_with(&self, file: &Path, more: &str) -> Result<()> {
        let Self { text, .. } = self;
        let mut to = create(file)?;
        to.write_all(text.as_bytes())
            .and_then(|()| to.write_all(more.as_bytes()))
            .with_context(|| format!("write {}", file.display()))
    }
}

/// bpftrace with a script, and with the tracepoints that it looks up by name.
pub(super) fn command(script: &Path) -> Result<Command> {
    let mut command = Command::new("bpftrace");
    command.arg(script).stdin(Stdio::null());
    tracefs::provide(&mut command)?;
    Ok(command)
}

// === impl Bpftrace ===

impl Bpftrace {
    pub(super) fn start(paths: &Paths, script: &Script) -> Result<Self> {
        let folder = paths.target.join("bench");
        let log = folder.join("bpftrace.log");
        let errors = create(&log)?;
        let file = folder.join(script.name);
        script.write_with(&file, "")?;
        let mut child = command(&file)?
            .args(["-f", "json"])
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context("run bpftrace, a Debian package (`cargo xtask bench` installs it)")?;
        let out = child.stdout.take().context("read what bpftrace prints")?;
        let mut bpftrace = Self {
            child,
            out: BufReader::new(out),
        };
        bpftrace
            .wait_until_attached()
            .with_context(|| format!("start bpftrace; its log is {}", log.display()))?;
        Ok(bpftrace)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it; it prints its counts then, of which those of these ports are returned.
    pub(super) fn stop(mut self, ports: &[u16]) -> Result<Counted> {
        sys::signal(self.child.id(), libc::SIGINT)?;
        let mut printed = String::new();
        self.out
            .read_to_string(&mut printed)
            .context("read what bpftrace counted")?;
        let status = self.child.wait().context("wait for bpftrace's end")?;
        if !status.success() {
            bail!("stop bpftrace: {status}");
        }
        counted(&printed, ports)
    }

    fn wait_until_attached(&mut self) -> Result<()> {
        let mut line = String::new();
        while !line.contains("attached_probes") {
            line.clear();
            if self.out.read_line(&mut line)? == 0 {
                bail!("bpftrace ended before it attached its programs");
            }
        }
        // It says so just before it loads and attaches them.
        thread::sleep(Duration::from_secs(1));
        if let Some(status) = self.child.try_wait().context("look after bpftrace")? {
            bail!("bpftrace ended: {status}");
        }
        bpf::total_of(self.child.id())?;
        Ok(())
    }
}

impl Drop for Bpftrace {
    /// Also when a measurement failed; does nothing to a process that has ended.
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn counted(printed: &str, ports: &[u16]) -> Result<Counted> {
    let mut counted = Counted::default();
    for line in printed.lines().filter(|line| !line.trim().is_empty()) {
        let said: Value =
            serde_json::from_str(line).with_context(|| format!("read bpftrace's line `{line}`"))?;
        for (name, value) in said["data"].as_object().into_iter().flatten() {
            match name.as_str() {
                "@opened" => counted.opened += on_ports(value, ports),
                "@ended" => counted.ended += on_ports(value, ports),
                "@resets_sent" => counted.resets_sent += value.as_u64().unwrap_or(0),
                _ => {}
            }
        }
    }
    Ok(counted)
}

/// The sum of a table whose keys begin with one of these ports: `{"7900,1": 5}`.
fn on_ports(table: &Value, ports: &[u16]) -> u64 {
    let is_ours = |key: &str| {
        let port = key.split(',').next();
        ports
            .iter()
            .any(|ours| port == Some(ours.to_string().as_str()))
    };
    table
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| is_ours(key))
        .filter_map(|(_, count)| count.as_u64())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_counts_of_the_loads_ports() {
        let printed = r#"
{"type": "map", "data": {"@opened": {"7900,0": 5, "7900,1": 6, "79,1": 9}}}
{"type": "map", "data": {"@ended": {"7900,1,9": 4}}}
{"type": "map", "data": {"@resets_sent": 3}}
"#;
        assert_eq!(
            counted(printed, &[7_900, 7_901]).expect("well formed"),
            Counted {
                opened: 11,
                ended: 4,
                resets_sent: 3
            }
        );
    }
}
