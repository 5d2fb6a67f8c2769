//! Signs of a drain that its counts do not show: when things happened, and which of two things happened to the same
//! connection. Each is empty where nobody looked, and a diagnosis that needs it then keeps silent.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Signs {
    /// When the first of its connections ended after T0.
    pub first_close_at: Option<Timestamp>,
    /// When a request was last read on a connection that is older than T0.
    pub last_asked_at: Option<Timestamp>,
    /// SYNs refused after its last listener had closed, while a process of it still ran.
    pub refused_while_running: u64,
    /// Of the closes by death, those on which a request was lost.
    pub by_exit_cut: u64,
    /// Of the closes by death, those on which this side's RST threw away what it had sent: see `truncated`.
    pub by_exit_truncated: u64,
    /// Of the closes by death, those whose answer had been under way for a second and more: data was sent within the second before,
    /// and the last question was read earlier.
    pub by_exit_answering: u64,
    /// Connections that ended by this side's RST with more sent and never acknowledged than a TLS alert (31 bytes), or than a
    /// GOAWAY where nobody had asked.
    pub truncated: u64,
    /// Connections open when a SIGKILL came.
    pub open_at_kill: Option<u64>,
    /// Of these, how many had carried nothing since T0.
    pub open_at_kill_idle: Option<u64>,
}
