//! Where the kernel's story and the deploy events meet: drains become findings and verdicts, drains and events become
//! rollouts. Pure like the tracker: no I/O, no clock, nothing that can fail, and the same input gives the same output.

pub mod diagnoses;
mod growth;
mod judge;
mod rollouts;
mod span;

pub use growth::{BASELINE_MIN_SECS, test as growth_test};
pub use judge::{JudgeOptions, judge};
pub use rollouts::{Correlator, CorrelatorOptions, LateClose, Look};

#[cfg(test)]
#[path = "story_tests.rs"]
mod story_tests;
