//! What one run of a load did. It does not know which.

use std::time::Duration;

use anyhow::Result;

use super::snmp::Snmp;

/// A clock of the caller's that is read around a load's connections.
pub(super) type Clock<'a> = &'a (dyn Fn() -> Result<Duration> + Sync);

/// What one run of a load did.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The servers' ports.
    pub(super) ports: Vec<u16>,
    pub(super) connections: u64,
    /// How they ended, where the load knows.
    pub(super) ends: Option<Ends>,
    pub(super) elapsed: Duration,
    /// CPU time of the clients and servers, with all that the kernel did for them.
    pub(super) cpu: Duration,
    /// How far the caller's clock went between the first and the last connection.
    pub(super) clocked: Duration,
    /// The namespace's own counters over the run.
    pub(super) snmp: Snmp,
}

/// Connections by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) server_first: u64,
    pub(super) client_first: u64,
    /// The client closed with the answer unread.
    pub(super) reset: u64,
}

// === impl Outcome ===

impl Outcome {
    /// Every connection has two ends on this host.
    pub(super) fn sockets(&self) -> u64 {
        2 * self.connections
    }

    pub(super) fn per_second(&self) -> f64 {
        self.connections as f64 / self.elapsed.as_secs_f64()
    }
}

// === impl Ends ===

impl Ends {
    pub(super) fn connections(self) -> u64 {
        let Self {
            server_first,
            client_first,
            reset,
        } = self;
        server_first + client_first + reset
    }

    pub(super) fn add(&mut self, other: Self) {
        let Self {
            server_first,
            client_first,
            reset,
        } = other;
        self.server_first += server_first;
        self.client_first += client_first;
        self.reset += reset;
    }
}
