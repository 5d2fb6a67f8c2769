//! The processes that hold the connections: this command, started again. A server forks workers, as many as are needed to hold
//! all; of clients there are several. They hold until their standard input ends.

use anyhow::Result;

use super::{clients, room, server};

/// What the benchmark starts itself as; not for people.
#[derive(clap::Args)]
pub(crate) struct Args {
    side: Side,
    port: u16,
    /// Connections at most
    connections: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Side {
    Server,
    Client,
}

/// The name of the task that each of them is.
pub(crate) const COMMAND: &str = "bench-crowd";

pub(crate) fn run(args: &Args) -> Result<()> {
    let Args {
        side,
        port,
        connections,
    } = *args;
    room::allow_files()?;
    match side {
        Side::Server => server::run(port, connections),
        Side::Client => clients::run(port, connections),
    }
}

// === impl Side ===

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}
