//! Who may watch a load: nobody, a finwatch, a script of bpftrace, a tool of Debian's libbpf-tools. One that did not
//! attach, or that saw nothing, is an error: it would look as if it cost nothing.

use anyhow::{Result, ensure};

use super::bpftrace::{Bpftrace, Counted, Script};
use super::daemon::{Daemon, Finwatch, Scrape};
use super::tool::{Lines, Running, Tool};
use crate::paths::Paths;

pub(super) enum Observer {
    Nothing,
    Finwatch(Finwatch),
    Bpftrace(&'static Script),
    Tool(&'static Tool),
}

/// One that watches.
pub(super) enum Attached {
    Nothing,
    Finwatch(Daemon),
    Bpftrace(Bpftrace),
    Tool(Running),
}

/// What it saw.
pub(super) enum Seen {
    Nothing,
    Finwatch(Scrape),
    Bpftrace(Counted),
    Tool(Lines),
}

// === impl Observer ===

impl Observer {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Finwatch(finwatch) => finwatch.name,
            Self::Bpftrace(script) => script.name,
            Self::Tool(tool) => tool.name,
        }
    }

    pub(super) fn attach(&self, paths: &Paths) -> Result<Attached> {
        Ok(match self {
            Self::Nothing => Attached::Nothing,
            Self::Finwatch(finwatch) => Attached::Finwatch(Daemon::start(paths, finwatch, &[])?),
            Self::Bpftrace(script) => Attached::Bpftrace(Bpftrace::start(paths, script)?),
            Self::Tool(tool) => Attached::Tool(Running::start(paths, tool)?),
        })
    }
}

// === impl Attached ===

impl Attached {
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Nothing => None,
            Self::Finwatch(daemon) => Some(daemon.pid()),
            Self::Bpftrace(bpftrace) => Some(bpftrace.pid()),
            Self::Tool(running) => Some(running.pid()),
        }
    }

    /// Ends it, and says what it saw; nothing at all of a load on these ports is an error.
    pub(super) fn finish(self, ports: &[u16]) -> Result<Seen> {
        let (seen, events) = match self {
            Self::Nothing => return Ok(Seen::Nothing),
            Self::Finwatch(daemon) => {
                let scrape = daemon.last_scrape()?;
                daemon.stop()?;
                let opened = scrape.on_ports(ports, "finwatch_tcp_opened_total", &[]);
                (Seen::Finwatch(scrape), opened)
            }
            Self::Bpftrace(bpftrace) => {
                let counted = bpftrace.stop(ports)?;
                let opened = counted.opened;
                (Seen::Bpftrace(counted), opened)
            }
            Self::Tool(running) => {
                let lines = running.stop(ports)?;
                let count = lines.count;
                (Seen::Tool(lines), count)
            }
        };
        ensure!(
            events > 0,
            "an observer saw nothing of the load: it was not attached"
        );
        Ok(seen)
    }
}
