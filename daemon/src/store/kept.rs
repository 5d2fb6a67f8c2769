//! What drains, rollouts and incidents have in common for whoever keeps them: where they are found, whether they are
//! over, and how one is closed that nobody will ever finish.

use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use finwatch_engine::model::{Drain, Incident, IncidentEnd, Rollout, RolloutState, Verdict};

/// Start time in microseconds and id: the order of the history.
pub(super) type Key = (i64, String);

/// A value that is kept.
pub(super) trait Kept: Clone + PartialEq + Serialize + DeserializeOwned {
    /// What several are called.
    const CALLED: &'static str;
    /// Table of those that are over.
    const ENDED: &'static str;
    /// Table of those that are not.
    const RUNNING: &'static str;

    fn id(&self) -> &str;
    fn started_at(&self) -> Timestamp;
    fn is_ended(&self) -> bool;

    /// Closes it at `now` as one that was not seen to its end. What was counted stays as it is, so that a
    /// request that is known to be cut stays known.
    fn interrupt(&mut self, now: Timestamp);

    fn key(&self) -> Key {
        (self.started_at().as_microsecond(), self.id().to_owned())
    }
}

impl Kept for Drain {
    const CALLED: &'static str = "drains";
    const ENDED: &'static str = "drains";
    const RUNNING: &'static str = "running_drains";

    fn id(&self) -> &str {
        &self.id
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }

    fn is_ended(&self) -> bool {
        self.ended_at.is_some()
    }

    fn interrupt(&mut self, now: Timestamp) {
        self.ended_at = Some(now.max(self.started_at));
        self.interrupted = true;
        self.verdict = Verdict::Inconclusive;
    }
}

impl Kept for Rollout {
    const CALLED: &'static str = "rollouts";
    const ENDED: &'static str = "rollouts";
    const RUNNING: &'static str = "running_rollouts";

    fn id(&self) -> &str {
        &self.id
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }

    fn is_ended(&self) -> bool {
        self.state == RolloutState::Ended
    }

    fn interrupt(&mut self, now: Timestamp) {
        self.ended_at = Some(now.max(self.started_at));
        self.state = RolloutState::Ended;
        self.interrupted = true;
        self.verdict = Verdict::Inconclusive;
        for drain in self.drains.iter_mut().filter(|drain| !drain.is_ended()) {
            drain.interrupt(now);
        }
    }
}

impl Kept for Incident {
    const CALLED: &'static str = "incidents";
    const ENDED: &'static str = "incidents";
    const RUNNING: &'static str = "running_incidents";

    fn id(&self) -> &str {
        &self.id
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }

    fn is_ended(&self) -> bool {
        self.is_over()
    }

    /// What is known of it stays judged: nothing that was not seen makes up for what was lost.
    fn interrupt(&mut self, _: Timestamp) {
        self.ended_at = Some(self.last_at);
        self.ending = Some(IncidentEnd::Interrupted);
    }
}
