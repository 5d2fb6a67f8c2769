//! What is measured, and by whom.

use std::path::Path;

use clap::ValueEnum;

use super::bpftrace::{COUNT, GUESS};
use super::daemon::Finwatch;
use super::observer::Observer;
use super::tool::{TCPLIFE, TCPSTATES};
use crate::build;
use crate::paths::Paths;

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// How long one waits to see something
    Start,
    /// The daemon's process: idle, and with a thousand services
    Process,
    /// BPF time: of each transition of a socket's life, of each program
    Life,
    /// Throughput at full churn
    Churn,
    /// Throughput of an nginx that answers one request a connection
    Web,
}

/// What the finwatch at hand is called in the tables.
pub(super) const NEW: &str = "finwatch";
/// The one that it is measured against.
pub(super) const OLD: &str = "old";

/// The finwatch at hand, and the one that it is measured against.
pub(super) fn finwatches(paths: &Paths, against: Option<&Path>) -> Vec<Finwatch> {
    let new = Finwatch {
        name: NEW,
        binary: build::daemon_binary(paths),
    };
    let old = against.map(|binary| Finwatch {
        name: OLD,
        binary: binary.to_path_buf(),
    });
    [new].into_iter().chain(old).collect()
}

/// What people know.
pub(super) fn peers() -> Vec<Observer> {
    vec![
        Observer::Bpftrace(&COUNT),
        Observer::Tool(&TCPLIFE),
        Observer::Tool(&TCPSTATES),
    ]
}

/// What people know, and what is as cheap as can be.
pub(super) fn metered_peers() -> Vec<Observer> {
    peers()
        .into_iter()
        .chain([Observer::Bpftrace(&GUESS)])
        .collect()
}
