//! The tools of Debian's libbpf-tools that people watch connections with: each writes a line an event.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{bpf, daemon::create, sys, tracefs};
use crate::paths::Paths;

/// A program of that package.
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// Where a line has the two ports, in words from its end.
    ports: [usize; 2],
    /// A line is the end of a socket that was opened.
    are_ends: bool,
}

/// A line for each end of a connection that closed.
pub(super) const TCPLIFE: Tool = Tool {
    name: "tcplife",
    ports: [3, 5],
    are_ends: true,
};

/// A line for each transition.
pub(super) const TCPSTATES: Tool = Tool {
    name: "tcpstates",
    ports: [4, 6],
    are_ends: false,
};

/// What a tool wrote of a load.
pub(super) struct Lines {
    pub(super) count: u64,
    /// They are sockets' ends.
    pub(super) are_ends: bool,
}

pub(super) struct Running {
    child: Child,
    tool: &'static Tool,
    written: PathBuf,
}

const STARTED_WITHIN: Duration = Duration::from_secs(10);

// === impl Tool ===

impl Tool {
    fn is_of(&self, line: &str, ports: &[u16]) -> bool {
        let word = |nth| line.split_whitespace().rev().nth(nth);
        let port = |nth| word(nth).and_then(|word| word.parse::<u16>().ok());
        let is_ours = |nth: usize| port(nth).is_some_and(|port| ports.contains(&port));
        self.ports.into_iter().any(is_ours)
    }
}

// === impl Running ===

impl Running {
    pub(super) fn start(paths: &Paths, tool: &'static Tool) -> Result<Self> {
        let Tool { name, .. } = *tool;
        let folder = paths.target.join("bench");
        let written = folder.join(name);
        let log = folder.join(format!("{name}.log"));
        let mut command = Command::new(name);
        command
            .stdin(Stdio::null())
            .stdout(create(&written)?)
            .stderr(create(&log)?);
        tracefs::provide(&mut command)?;
        let child = command
            .spawn()
            .with_context(|| format!("run {name}, of the Debian package libbpf-tools"))?;
        let mut running = Self {
            child,
            tool,
            written,
        };
        running
            .wait_until_attached()
            .with_context(|| format!("start {name}; its log is {}", log.display()))?;
        Ok(running)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it, and counts the lines that it wrote of sockets with one of these ports.
    pub(super) fn stop(mut self, ports: &[u16]) -> Result<Lines> {
        let Tool { name, are_ends, .. } = *self.tool;
        sys::signal(self.child.id(), libc::SIGINT)?;
        let status = self.child.wait().context("wait for the tool's end")?;
        if !status.success() {
            bail!("stop {name}: {status}");
        }
        let file = File::open(&self.written)
            .with_context(|| format!("read {}", self.written.display()))?;
        let mut count = 0;
        for line in BufReader::new(file).lines() {
            let line = line.with_context(|| format!("read what {name} wrote"))?;
            count += u64::from(self.tool.is_of(&line, ports));
        }
        fs::remove_file(&self.written)
            .with_context(|| format!("remove {}", self.written.display()))?;
        Ok(Lines { count, are_ends })
    }

    /// It does not say when it is.
    fn wait_until_attached(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("look after the tool")? {
                bail!("it ended: {status}");
            }
            if bpf::is_attached(self.child.id())? {
                // What it reads the events from comes after the programs.
                thread::sleep(Duration::from_millis(300));
                return Ok(());
            }
            if start.elapsed() > STARTED_WITHIN {
                bail!("nothing is attached after {STARTED_WITHIN:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    /// Also when a measurement failed; does nothing to a process that has ended.
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_of_the_load_by_its_ports() {
        let head =
            "PID     COMM             LADDR           LPORT RADDR           RPORT TX_KB  RX_KB  MS";
        let server = "7900    a b              127.0.0.1       7901  127.0.0.1       36508 0.00   0.00   0.06";
        let client = "11259   python3          127.0.0.1       36508 127.0.0.1       7901  0.00   0.00   0.13";
        let is_of = |line, port| TCPLIFE.is_of(line, &[port]);
        assert!(is_of(server, 7901) && is_of(client, 7901));
        assert!(!is_of(server, 7900) && !is_of(head, 7901));

        let line =
            "ffff8881 11 python3 127.0.0.1 7901  127.0.0.1 36508 FIN_WAIT1 -> FIN_WAIT2  0.010";
        assert!(TCPSTATES.is_of(line, &[7901]) && TCPSTATES.is_of(line, &[36508]));
        assert!(!TCPSTATES.is_of(line, &[11]));
    }
}
