//! A rollout: a deploy event with the drains, starts and listener changes that belong to it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Counts, Cuts, DeployEvent, Drain, EndedConnection, Finding, Pod, Service, Source, Verdict,
    WorkloadRef,
};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// More may come.
    Running,
    /// Over and judged.
    Ended,
}

/// A service began to listen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Start {
    /// Which.
    pub service: Service,
    /// The Kubernetes pod that it runs in.
    #[serde(flatten)]
    pub pod: Pod,
    /// When.
    pub at: Timestamp,
    /// Process that listens.
    pub pid: u32,
    /// Inode number of its network namespace, as in `/proc/<pid>/ns/net`; 0 unknown.
    #[serde(default)]
    pub netns: u32,
    /// Cookie of the network namespace (`SO_NETNS_COOKIE`), by which it is known; 0 unknown.
    #[serde(default)]
    pub netns_cookie: u64,
}

/// Nobody listened between two owners of a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// Whose port.
    pub service: Service,
    /// From when.
    pub from: Timestamp,
    /// Until when; none: nobody listens yet.
    pub until: Option<Timestamp>,
    /// SYNs refused in that time.
    pub refused: u64,
    /// Inode number of the network namespace, as in `/proc/<pid>/ns/net`; 0 unknown.
    #[serde(default)]
    pub netns: u32,
    /// Cookie of the network namespace (`SO_NETNS_COOKIE`), by which it is known; 0 unknown.
    #[serde(default)]
    pub netns_cookie: u64,
}

/// A count set beside the same service's ordinary minutes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GrowthTest {
    /// Counted during the rollout.
    pub count: u64,
    /// In so many seconds.
    pub secs: f64,
    /// Counted in the baseline.
    pub baseline_count: u64,
    /// In so many seconds.
    pub baseline_secs: f64,
    /// Rate over the baseline's rate; none when the baseline counted nothing.
    pub ratio: Option<f64>,
    /// One-sided exact test (conditional binomial, Przyborowski and Wilenski 1940) that the rate did not grow; none when the
    /// baseline is too thin.
    pub p_value: Option<f64>,
}

/// Growth against the baseline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Growth {
    /// Server-side TIME_WAIT and FIN_WAIT2 mini-sockets created.
    pub time_wait: GrowthTest,
    /// RSTs sent, without goodbyes.
    pub resets: GrowthTest,
    /// RSTs sent, with goodbyes: shown, not judged.
    pub resets_with_goodbyes: GrowthTest,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rollout {
    /// Unique on this node.
    pub id: String,
    /// Who announced it; `signal` when nobody did.
    pub source: Source,
    /// What changes.
    pub workload: WorkloadRef,
    /// To which revision.
    pub revision: Option<String>,
    /// Where to read more.
    pub links: Vec<String>,
    /// The announcements, in their order.
    pub events: Vec<DeployEvent>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// How far it is.
    pub state: RolloutState,
    /// The drains that belong to it.
    pub drains: Vec<Drain>,
    /// Listeners that came.
    pub starts: Vec<Start>,
    /// Times nobody listened.
    pub gaps: Vec<Gap>,
    /// What its services counted from its begin to its end and the last late request, in every phase. SYNs that were refused,
    /// and RSTs that answered a segment for which there was no socket, are in `refused` alone.
    pub counts: Counts,
    /// Of these, what none of its drains counted.
    #[serde(default)]
    pub outside: Counts,
    /// Of the requests `outside` that had no answer, those of services where nobody waits for one: they are not lost.
    #[serde(default)]
    pub outside_unjudged: u64,
    /// Connections of these whose request was lost, at most 5.
    #[serde(default)]
    pub outside_examples: Vec<EndedConnection>,
    /// Growth against the baseline.
    pub growth: Growth,
    /// finwatch was not there for all of it (a restart): it cannot be judged.
    #[serde(default)]
    pub interrupted: bool,
    /// Set once, when it ends; `inconclusive` before.
    pub verdict: Verdict,
    /// Of the rollout as a whole; each drain has its own beside.
    pub findings: Vec<Finding>,
}

// === impl Rollout ===

impl Rollout {
    /// Whether it has ended: its verdict counts from then on.
    pub fn is_over(&self) -> bool {
        self.state == RolloutState::Ended
    }

    /// When the last that was seen of it happened, once it is over: of its drains, starts, gaps and announcements.
    pub fn last_seen_at(&self) -> Option<Timestamp> {
        let over = |drain: &Drain| drain.last_seen_at().or(drain.ended_at);
        let drains = self.drains.iter().filter_map(over);
        let starts = self.starts.iter().map(|start| start.at);
        let gaps = self.gaps.iter().filter_map(|gap| gap.until);
        let events = self.events.iter().map(|event| event.receive_time);
        let last = drains.chain(starts).chain(gaps).chain(events).max();
        self.ended_at
            .filter(|_| self.is_over())
            .map(|ended| last.map_or(ended, |last| last.min(ended)))
    }

    /// Requests that were lost, in its drains and outside of them.
    pub fn lost(&self) -> Cuts {
        let mut lost = self.lost_outside();
        for drain in &self.drains {
            lost.add(&drain.lost());
        }
        lost
    }

    /// Requests that were lost and that none of its drains counted.
    pub fn lost_outside(&self) -> Cuts {
        let cut = self.outside.cut;
        Cuts {
            unanswered: cut.unanswered.saturating_sub(self.outside_unjudged),
            ..cut
        }
    }
}
