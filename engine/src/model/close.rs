//! A connection that ended: the one form in which it is remembered, served under `/v1/closes` and printed by
//! `finwatch watch -o json`.

use std::net::SocketAddr;

use finwatch_common::{Phase, Role};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Pod, Service};

/// The connections that ended last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecentCloses {
    /// Newest first; as many as are remembered.
    pub closes: Vec<Close>,
    /// Since when all that ended are among them, as far as they are remembered; none: those that ended as they should in ordinary time are only a
    /// sample. The others are always there.
    pub complete_since: Option<Timestamp>,
}

/// A connection that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Close {
    /// When it ended.
    pub ended_at: Timestamp,
    /// When it was established, if that is known.
    pub opened_at: Option<Timestamp>,
    /// From established to ended, if that is known.
    #[serde(default)]
    pub duration_seconds: Option<f64>,
    /// Whose it was.
    pub service: Service,
    /// The Kubernetes pod that this end of it was in.
    #[serde(flatten)]
    pub pod: Pod,
    /// Which side this host was.
    pub role: Role,
    /// What the service was doing.
    pub phase: Phase,
    /// Between whom it was.
    #[serde(flatten)]
    pub ends: Ends,
    /// Who sent the first FIN: `local`, `remote`, `both`, `none`.
    pub origin: String,
    /// `fin`, `reset_sent`, `reset_received`, `timeout`, `unknown`.
    pub outcome: String,
    /// The mini-socket that it left here: `time_wait`, `fin_wait2`, or none.
    pub time_wait: Option<String>,
    /// Who holds its TIME_WAIT: `here`, `peer`, `both` (the FINs crossed), `none`.
    #[serde(default = "nobody")]
    pub time_wait_side: String,
    /// Whether a mini-socket belonged here and the kernel's table had no room for it.
    #[serde(default)]
    pub time_wait_overflowed: bool,
    /// `unanswered`, `unread`, `late`, or none.
    pub cut: Option<String>,
    /// Of a request that had no answer: what was written since it was read: nothing (`silent`), only a TLS alert
    /// (`alert`); or `small`: it was too small to be surely one. None where nothing was owed.
    #[serde(default)]
    pub evidence: Option<String>,
    /// Reason of the RST that this host sent, snake_case.
    pub reset_reason: Option<String>,
    /// What that RST threw away: `nothing`, `goodbye`, `data`.
    pub lost: String,
    /// Bytes of the peer that it threw away.
    #[serde(default)]
    pub lost_bytes: u32,
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
    /// Whether it was answered before all of its request was read, and reset with the rest.
    #[serde(default)]
    pub answered_early: bool,
    /// Whether no program ever accepted it.
    #[serde(default)]
    pub never_accepted: bool,
    /// Whether it is older than the programs: its duration and turns are not known.
    #[serde(default)]
    pub preexisting: bool,
    /// Turns of the conversation: the peer asks, this side answers. None where they are not known.
    #[serde(default)]
    pub turns: Option<u32>,
    /// Smoothed round-trip time, if the kernel measured one.
    #[serde(default)]
    pub rtt_seconds: Option<f64>,
    /// Segments sent again.
    #[serde(default)]
    pub retransmits: u32,
    /// Process that owned the socket, if it is known.
    #[serde(default)]
    pub owner_pid: Option<u32>,
    /// Process that ended it; none when the peer or a timer did.
    pub closed_by_pid: Option<u32>,
    /// The kernel's number of the socket (`SO_COOKIE`), unique until the next boot.
    #[serde(default)]
    pub cookie: u64,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Ends {
    /// This host's address, if it is known.
    pub local_address: Option<String>,
    /// This host's port.
    pub local_port: Option<u16>,
    /// The peer's address and port, if they are known.
    pub peer: Option<String>,
    /// The peer's address alone.
    pub peer_address: Option<String>,
    /// The peer's port alone.
    pub peer_port: Option<u16>,
}

// === impl Ends ===

impl Ends {
    /// Of a connection between these.
    pub fn new(local: Option<SocketAddr>, peer: Option<SocketAddr>) -> Self {
        let ip = |end: SocketAddr| end.ip().to_string();
        Self {
            local_address: local.map(ip),
            local_port: local.map(|end| end.port()),
            peer: peer.map(|end| end.to_string()),
            peer_address: peer.map(ip),
            peer_port: peer.map(|end| end.port()),
        }
    }
}

/// The word for it, where an older version did not say.
fn nobody() -> String {
    "none".to_owned()
}
