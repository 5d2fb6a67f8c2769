//! An incident: requests that a service lost with nobody stopping or changing it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cuts, EndedConnection, Exit, Finding, Pod, Service, Verdict};

/// What most of it came of, as far as that is known.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentCause {
    /// A process of the service ended while others went on.
    WorkerRecycled,
    /// A process of the service crashed, exited with a code other than 0, or was killed with no stop before, while others went on.
    WorkerCrashed,
    /// This side closed connections that had been idle for a constant time, and requests crossed its FIN.
    IdleTimeoutRace,
    /// The server closed connections itself, with requests of clients unanswered.
    DroppedByServer,
    /// Nobody listened for a while, though the process ran.
    Refused,
    /// None of these.
    #[default]
    Unknown,
}

/// How it was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentEnd {
    /// Nothing more was lost for a while.
    Quiet,
    /// A rollout of the workload began, which tells what follows.
    Rollout,
    /// It lasts for long: what follows is told as another one.
    GoesOn,
    /// finwatch was restarted.
    Interrupted,
}

/// A process of the service that ended with no stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedProcess {
    /// Its process id.
    pub pid: u32,
    /// Its name (`comm`).
    pub program: String,
    /// How it ended.
    pub exit: Exit,
}

/// For how long connections had been idle when this side closed them, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdleTimes {
    /// Of how many that is known.
    pub known: u64,
    /// The shortest.
    pub min_secs: f64,
    /// Half of them had been idle for less.
    pub median_secs: f64,
    /// The longest.
    pub max_secs: f64,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Incident {
    /// Unique on this node.
    pub id: String,
    /// Whose clients lost something.
    pub service: Service,
    /// Name of the program (`comm`) that served them.
    pub program: String,
    /// Inode number of the network namespace that it served them in, as in `/proc/<pid>/ns/net`; 0 unknown. What is lost by the
    /// same service in two of them is two incidents.
    #[serde(default)]
    pub netns: u32,
    /// Cookie of the network namespace (`SO_NETNS_COOKIE`), by which it is known; 0 unknown.
    #[serde(default)]
    pub netns_cookie: u64,
    /// The drain of the process that crashed or was killed. It tells everything, and its rollout counts what stands here: who
    /// sums up counts one of them. None where no drain tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<String>,
    /// The Kubernetes pod that it runs in.
    #[serde(flatten)]
    pub pod: Pod,
    /// When the first request was lost.
    pub started_at: Timestamp,
    /// When the last one was.
    pub last_at: Timestamp,
    /// When it was over: when the last one was lost; none while it lasts.
    pub ended_at: Option<Timestamp>,
    /// How it was over; none while it lasts.
    pub ending: Option<IncidentEnd>,
    /// What most of it came of.
    pub cause: IncidentCause,
    /// Connections on which a request was lost.
    pub cut: Cuts,
    /// SYNs that were refused while the process ran.
    pub refused: u64,
    /// Of `cut`, those that came of the end of a process.
    pub by_ended_processes: u64,
    /// Processes of the service that ended with no stop by then, the first few.
    pub ended_processes: Vec<EndedProcess>,
    /// Whether somebody listened on the port by then.
    pub listened: bool,
    /// Of requests that came too late: for how long their connections had been idle, where that is known.
    pub idle: Option<IdleTimes>,
    /// Connections that lost a request, the first few.
    pub examples: Vec<EndedConnection>,
    /// What there is to say of it, what others follow from first.
    pub findings: Vec<Finding>,
    /// As of a drain; set while it lasts too.
    pub verdict: Verdict,
}

// === impl IncidentCause ===

impl IncidentCause {
    /// Every cause.
    pub const ALL: [Self; 6] = [
        Self::WorkerRecycled,
        Self::WorkerCrashed,
        Self::IdleTimeoutRace,
        Self::DroppedByServer,
        Self::Refused,
        Self::Unknown,
    ];

    /// As in labels and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkerRecycled => "worker-recycled",
            Self::WorkerCrashed => "worker-crashed",
            Self::IdleTimeoutRace => "idle-timeout-race",
            Self::DroppedByServer => "dropped-by-server",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

// === impl Incident ===

impl Incident {
    /// Whether it is over.
    pub const fn is_over(&self) -> bool {
        self.ended_at.is_some()
    }

    /// Requests that were lost, and clients that were refused.
    pub const fn lost(&self) -> u64 {
        self.cut.total() + self.refused
    }
}
