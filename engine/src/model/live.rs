//! What a service does now, and the connections that ended last: what is told without being kept.

use finwatch_common::{Phase, Role};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cuts, Service};

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
    /// Of these, how many owed (server) or awaited (client) an answer at the last survey.
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
}

/// A connection that ended lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecentClose {
    /// When it ended.
    pub ended_at: Timestamp,
    /// When it was established, if that is known.
    pub opened_at: Option<Timestamp>,
    /// Whose it was.
    pub service: Service,
    /// Which side this host was.
    pub role: Role,
    /// What the service was doing.
    pub phase: Phase,
    /// The peer's address and port, if they are known.
    pub peer: Option<String>,
    /// Who sent the first FIN: `local`, `remote`, `both`, `none`.
    pub origin: String,
    /// `fin`, `reset_sent`, `reset_received`, `timeout`, `unknown`.
    pub outcome: String,
    /// The mini-socket that it left here: `time_wait`, `fin_wait2`, or none.
    pub time_wait: Option<String>,
    /// `unanswered`, `unread`, `late`, or none.
    pub cut: Option<String>,
    /// Reason of the RST that this host sent, snake_case.
    pub reset_reason: Option<String>,
    /// What that RST threw away: `nothing`, `goodbye`, `data`.
    pub lost: String,
    /// Bytes that came from the peer.
    pub bytes_received: u64,
    /// Bytes that went to the peer.
    pub bytes_sent: u64,
    /// Bytes received and never read.
    pub unread_bytes: u32,
    /// Bytes sent and never acknowledged.
    pub unacked_bytes: u32,
    /// Whether it ended because the process died.
    pub by_exit: bool,
    /// Whether the peer left while its request had no answer.
    pub abandoned: bool,
    /// Process that ended it; none when the peer or a timer did.
    pub closed_by_pid: Option<u32>,
}
