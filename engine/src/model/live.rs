//! What a service does now: told without being kept.

use finwatch_common::{Phase, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cuts, Service, Shape};

/// Counted since the service's series began, over all phases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Totals {
    /// Connections established.
    pub opened: u64,
    /// Connections ended.
    pub closes: u64,
    /// Connections on which a request was lost.
    pub cut: Cuts,
    /// SYNs answered with RST as nothing listened.
    pub refused: u64,
}

/// A service as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceState {
    /// Which.
    pub service: Service,
    /// Which side this host is.
    pub role: Role,
    /// What it is doing.
    pub phase: Phase,
    /// Sockets that listen.
    pub listeners: u64,
    /// Connections open.
    pub open: u64,
    /// Of these, how many owed (server) or awaited (client) an answer at the last survey; never more than are open now.
    pub awaiting: u64,
    /// Of these, how many the peer has closed and this side has not.
    pub close_wait: u64,
    /// Live mini-sockets in substate TIME_WAIT.
    pub time_wait: u64,
    /// Live mini-sockets in substate FIN_WAIT2.
    pub fin_wait2: u64,
    /// Connections that waited to be accepted at the last survey.
    pub backlog: u64,
    /// Most that may wait.
    pub backlog_limit: u64,
    /// Since the service's series began.
    pub totals: Totals,
    /// What kind of conversation its ordinary connections show.
    #[serde(default)]
    pub shape: Shape,
}
