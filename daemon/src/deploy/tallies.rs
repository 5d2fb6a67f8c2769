//! How many events came, by source and by what became of them. Counters only; `finwatch_deploy_events_total` shows
//! them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use finwatch_engine::model::Source;

/// What became of an event, or of a request that should have been one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Passed on.
    Accepted,
    /// Known already, and not passed on again.
    Duplicate,
    /// Understood, and nothing that begins or ends a change.
    Ignored,
    /// Without the right token or signature.
    Unauthorized,
    /// Not understood.
    Malformed,
    /// Too many bytes.
    TooLarge,
    /// Refused for want of room in the queue.
    Overloaded,
}

/// The counters.
#[derive(Debug, Default)]
pub struct Tallies([[AtomicU64; Outcome::ALL.len()]; Source::ALL.len()]);

// === impl Outcome ===

impl Outcome {
    /// Every outcome, in the order of the declaration.
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Ignored,
        Self::Unauthorized,
        Self::Malformed,
        Self::TooLarge,
        Self::Overloaded,
    ];

    /// As in labels and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::Unauthorized => "unauthorized",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
        }
    }
}

// === impl Tallies ===

impl Tallies {
    /// Every counter, zeroes included; of signals there are none, as they do not come this way.
    pub fn each(&self) -> impl Iterator<Item = (Source, Outcome, u64)> + '_ {
        Source::ALL
            .into_iter()
            .filter(|source| *source != Source::Signal)
            .flat_map(move |source| {
                Outcome::ALL
                    .into_iter()
                    .map(move |outcome| (source, outcome, self.get(source, outcome)))
            })
    }

    /// One counter.
    pub fn get(&self, source: Source, outcome: Outcome) -> u64 {
        self.cell(source, outcome).load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, source: Source, outcome: Outcome) {
        self.cell(source, outcome).fetch_add(1, Ordering::Relaxed);
    }

    fn cell(&self, source: Source, outcome: Outcome) -> &AtomicU64 {
        // Both enums are fieldless and counted from zero, in the order of their `ALL`.
        &self.0[source as usize][outcome as usize]
    }
}
