//! An event that comes after the fact: what was taken for an unannounced rollout becomes the event's. It keeps the id
//! under which the story began.

use jiff::{SignedDuration, Timestamp};

use super::{Correlator, live::Live};
use crate::model::{DeployEvent, Drain};

/// Which drains an event may take.
struct Reach {
    effective: Timestamp,
    received: Timestamp,
    window: SignedDuration,
    /// Only the end of the change was told.
    only_end: bool,
}

// === impl Correlator ===

impl Correlator {
    /// Gives the rollout, which was just announced, the unannounced drains that are its own, and what else nobody has.
    /// Returns whether there were drains.
    pub(super) fn adopt_into(&mut self, at: usize) -> bool {
        let Some(reach) = Reach::of(&self.live[at], self.options.window()) else {
            return false;
        };
        let mut heir = self.live.remove(at);
        let before = heir.rollout.drains.len();
        for mut donor in std::mem::take(&mut self.live) {
            heir.adopt(&mut donor, &reach, true);
            if !self.dissolve(&mut heir, &donor, before == 0) {
                self.live.push(donor);
            }
        }
        for mut donor in self.recent.take_all(|_| true) {
            let took = heir.adopt(&mut donor, &reach, false);
            if self.dissolve(&mut heir, &donor, before == 0) {
                continue;
            }
            if took {
                // What is left of it was told with more in it.
                let told = super::tell::ended(&donor, &self.options);
                self.push_ended(told);
            }
            self.recent.push(donor);
        }
        self.take_loose(&mut heir);
        let adopted = heir.rollout.drains.len() > before;
        if adopted {
            heir.reopen();
        }
        self.live.insert(at.min(self.live.len()), heir);
        adopted
    }

    /// Whether nothing is left of a donor. Its id goes to the heir, if that has told nothing under its own.
    fn dissolve(&mut self, heir: &mut Live, donor: &Live, is_new: bool) -> bool {
        if donor.rollout.source.is_announced() || !donor.rollout.drains.is_empty() {
            return false;
        }
        self.ended.remove(&donor.rollout.id);
        heir.shares.adopt(donor.shares.clone());
        if is_new && heir.rollout.events.len() == 1 && !heir.inherited {
            heir.inherit(donor);
        } else {
            self.replaced.push(donor.rollout.id.clone());
        }
        true
    }
}

// === impl Live ===

impl Live {
    /// Takes from an unannounced rollout what is its own. Returns whether there was something.
    fn adopt(&mut self, donor: &mut Self, reach: &Reach, donor_runs: bool) -> bool {
        if donor.rollout.source.is_announced() {
            return false;
        }
        let workload = self.rollout.workload.clone();
        let (taken, left): (Vec<_>, Vec<_>) = std::mem::take(&mut donor.rollout.drains)
            .into_iter()
            .partition(|drain| workload.means(&drain.service) && reach.takes(drain, donor_runs));
        donor.rollout.drains = left;
        donor.is_told = false;
        if taken.is_empty() {
            return false;
        }
        for drain in taken {
            self.update(drain);
        }
        let (starts, left) = std::mem::take(&mut donor.rollout.starts)
            .into_iter()
            .partition::<Vec<_>, _>(|start| workload.means(&start.service));
        donor.rollout.starts = left;
        for start in starts {
            self.started(start);
        }
        let (gaps, left) = std::mem::take(&mut donor.rollout.gaps)
            .into_iter()
            .partition::<Vec<_>, _>(|gap| workload.means(&gap.service));
        donor.rollout.gaps = left;
        for gap in gaps {
            self.listened_by_nobody(gap);
        }
        true
    }
}

// === impl Reach ===

impl Reach {
    /// The reach of a rollout's newest event; none when a further word on its end takes nothing any more.
    fn of(live: &Live, window: SignedDuration) -> Option<Self> {
        let event = live.rollout.events.last()?;
        let earlier = &live.rollout.events[..live.rollout.events.len() - 1];
        if earlier.iter().any(DeployEvent::ends) {
            return None;
        }
        let begun = earlier.first();
        Some(Self {
            effective: begun.unwrap_or(event).effective_time(),
            received: event.receive_time,
            window,
            only_end: begun.is_none() && event.ends(),
        })
    }

    /// Whether a drain that nobody announced is in it. A word on the end takes in what was before it. A word on the
    /// beginning takes in what still goes on, and of what is over only what began after the time that it gives.
    fn takes(&self, drain: &Drain, donor_runs: bool) -> bool {
        let since_event = drain.started_at.duration_since(self.effective);
        let age = self.received.duration_since(drain.started_at);
        let near =
            since_event.abs() <= self.window || (SignedDuration::ZERO <= age && age <= self.window);
        near && (self.only_end || donor_runs || since_event >= SignedDuration::ZERO)
    }
}
