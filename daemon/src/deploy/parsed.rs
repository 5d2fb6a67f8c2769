//! What a parser makes of a request: an event that only lacks the time it came, or something to be ignored.

use jiff::{SignedDuration, Timestamp};

use finwatch_engine::model::{DeployEvent, DeployStage, Skew, Source, WorkloadRef};

/// What a parser found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parsed {
    /// An event.
    Event(Draft),
    /// Nothing that begins or ends a change; the reason is told to the sender.
    Ignored(Ignored),
}

/// Understood, and not an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ignored {
    pub(super) source: Source,
    pub(super) id: String,
    pub(super) reason: String,
    /// The sender only asked whether somebody is there.
    pub(super) ping: bool,
}

/// An event that only lacks the time it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    /// The sender's name for the change; none: the intake makes one up.
    pub(super) id: Option<String>,
    /// Further names of this one message, by which a second delivery is known.
    pub(super) delivery: Option<String>,
    pub(super) source: Source,
    pub(super) stage: DeployStage,
    pub(super) workload: WorkloadRef,
    pub(super) revision: Option<String>,
    pub(super) links: Vec<String>,
    pub(super) time: Option<Timestamp>,
}

// === impl Parsed ===

impl Parsed {
    pub(super) fn ignored(
        source: Source,
        id: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Ignored(Ignored {
            source,
            id: id.into(),
            reason: reason.into(),
            ping: false,
        })
    }
}

// === impl Draft ===

impl Draft {
    /// The event, now that it has come. Without a time of its own it happened when it came.
    pub(super) fn received(
        self,
        id: String,
        receive_time: Timestamp,
        tolerance: SignedDuration,
    ) -> DeployEvent {
        let Self {
            id: _,
            delivery: _,
            source,
            stage,
            workload,
            revision,
            links,
            time,
        } = self;
        let event_time = time.unwrap_or(receive_time);
        DeployEvent {
            id,
            source,
            stage,
            workload,
            revision,
            links,
            event_time,
            receive_time,
            skew: skew(event_time, receive_time, tolerance),
        }
    }
}

fn skew(event_time: Timestamp, receive_time: Timestamp, tolerance: SignedDuration) -> Skew {
    let age = receive_time.duration_since(event_time);
    if age > tolerance {
        Skew::Late
    } else if age < -tolerance {
        Skew::Future
    } else {
        Skew::None
    }
}
