//! What finwatch tells: drains, rollouts, deploy events, findings and verdicts, as plain values. The one
//! format in which they are stored, served and printed; it knows neither kernel nor HTTP nor disk.
//!
//! Times are wall times (RFC 3339, UTC). What is not known is null; readers ignore fields that
//! they do not know, so fields may be added and are never renamed.

mod close;
mod counts;
mod deploy;
mod drain;
mod figures;
mod finding;
mod incident;
mod live;
mod rollout;
mod service;
mod shape;
mod signs;
mod small;
pub mod words;
mod workload;

pub use finwatch_common::{Phase, Role};

pub use close::{Close, Ends, RecentCloses};
pub use counts::{Counts, Cuts, Resets, Unanswered};
pub use deploy::{DeployEvent, DeployStage, Skew, Source, WorkloadRef};
pub use drain::{
    Baseline, Drain, DrainKind, EndedConnection, Exit, Listening, Sender, SignalSeen, Waited,
};
pub use figures::{
    DURATION_BOUNDS_SECS, Durations, RECENT_MAX, RecentRollout, SERVICES_MAX, ServiceFigures,
    StoryFigures,
};
pub use finding::{Finding, Severity, Verdict};
pub use incident::{EndedProcess, IdleTimes, Incident, IncidentCause, IncidentEnd};
pub use live::{ServiceState, Totals};
pub use rollout::{Gap, Growth, GrowthTest, Rollout, RolloutState, Start};
pub use service::{Instance, Service};
pub use shape::{Basis, Shape, ShapeKind};
pub use signs::Signs;
pub use small::{Meaning, SmallQuestions};
pub use workload::{Named, Pod, Workload, WorkloadKind};
