//! The connections from outside: opened by two processes, held, and ended. Whatever goes wrong, both processes end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::clients;
use super::crowd::{self, Side};
use super::place::Place;
use crate::bench::sys;

/// Below the ephemeral ports.
pub(super) const PORT: u16 = 7_870;

/// Connections that are open, and those who hold them.
pub(super) struct Holders {
    server: Holder,
    clients: Vec<Holder>,
    /// How many are open.
    pub(super) connections: u64,
    /// What it took to open them.
    pub(super) took: Duration,
}

struct Holder {
    side: Side,
    child: Child,
    says: BufReader<ChildStdout>,
}

// === impl Holders ===

impl Holders {
    /// Opens so many connections in a network namespace, or fewer where memory is short.
    pub(super) fn open(place: &Place, connections: u64, each: u64) -> Result<Self> {
        place.within(|| {
            let mut server = Holder::start(Side::Server, connections)?;
            server.hear()?;
            let start = Instant::now();
            let mut clients = Vec::new();
            let mut opened = 0;
            while opened < connections {
                let wanted = each.min(connections - opened);
                let mut client = Holder::start(Side::Client, wanted)?;
                let more = client.hear_count()?;
                clients.push(client);
                opened += more;
                if more < wanted {
                    break;
                }
            }
            Ok(Self {
                server,
                clients,
                connections: opened,
                took: start.elapsed(),
            })
        })
    }

    /// The process that listens.
    pub(super) fn server_pid(&self) -> u32 {
        self.server.child.id()
    }

    /// Tells the server to stop: it accepts nobody any more, and goes on holding.
    pub(super) fn stop_server(&self) -> Result<()> {
        sys::signal(self.server_pid(), libc::SIGTERM)
    }

    /// The server ends its side of every connection by its own end, and then the clients.
    pub(super) fn end(self) -> Result<()> {
        let Self {
            server, clients, ..
        } = self;
        server.end("")?;
        clients.into_iter().try_for_each(|client| client.end(""))
    }

    /// Ends all by RSTs, so that no mini-sockets are left.
    pub(super) fn reset(self) -> Result<()> {
        let Self {
            server, clients, ..
        } = self;
        clients
            .into_iter()
            .try_for_each(|client| client.end(clients::RESET))?;
        server.end("")
    }
}

// === impl Holder ===

impl Holder {
    fn start(side: Side, connections: u64) -> Result<Self> {
        let this = std::env::current_exe().context("find this program")?;
        let mut child = Command::new(this)
            .args([crowd::COMMAND, side.name()])
            .args([PORT.to_string(), connections.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start the {} of many connections", side.name()))?;
        let says = child.stdout.take().context("hear the process")?;
        Ok(Self {
            side,
            child,
            says: BufReader::new(says),
        })
    }

    fn hear(&mut self) -> Result<String> {
        let mut line = String::new();
        let name = self.side.name();
        self.says
            .read_line(&mut line)
            .with_context(|| format!("hear the {name}"))?;
        ensure!(!line.is_empty(), "the {name} of many connections failed");
        Ok(line.trim().to_owned())
    }

    fn hear_count(&mut self) -> Result<u64> {
        let said = self.hear()?;
        said.parse()
            .with_context(|| format!("read how many connections are open in {said}"))
    }

    /// Says a last word to the process, and waits until it, and its connections, are gone.
    fn end(mut self, word: &str) -> Result<()> {
        let name = self.side.name();
        let mut stdin = self.child.stdin.take().context("tell the process")?;
        writeln!(stdin, "{word}").with_context(|| format!("tell the {name} to end"))?;
        drop(stdin);
        let status = self
            .child
            .wait()
            .with_context(|| format!("wait for the {name}'s end"))?;
        ensure!(status.success(), "end the {name}: {status}");
        Ok(())
    }
}

impl Drop for Holder {
    /// Also when a measurement failed; does nothing to a process that has ended.
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
