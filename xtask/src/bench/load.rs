//! What is watched: churn of the benchmark's own, or a real web server. It does not know who watches.

use std::time::Duration;

use anyhow::Result;

use super::outcome::{Clock, Outcome};
use super::{churn, web};
use crate::paths::Paths;

/// A load; it is bounded in time.
#[derive(Clone, Copy)]
pub(super) enum Load {
    Churn,
    Web,
}

// === impl Load ===

impl Load {
    /// Runs it for about `time`, in a new network namespace.
    pub(super) fn run(self, paths: &Paths, time: Duration) -> Result<Outcome> {
        self.run_by(&|| Ok(Duration::ZERO), paths, time)
    }

    /// As [`Load::run`], with a clock that is read around its connections.
    pub(super) fn run_by(self, clock: Clock<'_>, paths: &Paths, time: Duration) -> Result<Outcome> {
        match self {
            Self::Churn => churn::run(clock, time),
            Self::Web => web::run(clock, paths, time),
        }
    }

    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Churn => "full churn",
            Self::Web => "nginx answers one request a connection",
        }
    }
}
