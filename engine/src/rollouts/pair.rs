//! Which deploy events tell of the same change, and which were heard before.

use std::cmp::Reverse;

use jiff::SignedDuration;

use super::{Correlator, live::Live};
use crate::bounded::Bounded;
use crate::model::{DeployEvent, DeployStage, Source};

/// Most events that are remembered as heard.
const HEARD_MAX: usize = 4_096;

type Name = (Source, String, DeployStage);

/// Events that were heard. The intake knows most of them by then; a restart of a sender may bring them again.
#[derive(Debug, Default)]
pub(super) struct Heard {
    known: Bounded<Name, (), HEARD_MAX>,
}

// === impl Heard ===

impl Heard {
    /// Whether the event was not heard before; from now on it was.
    pub(super) fn is_new(&mut self, event: &DeployEvent) -> bool {
        let name = (event.source, event.id.clone(), event.stage);
        let is_new = !self.known.contains(&name);
        self.known.insert(name, ());
        is_new
    }
}

/// How well an event fits a rollout; the greater, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    /// Its sender named it so before.
    by_id: bool,
    /// Its sender has said when this one began, and not yet when it ended.
    is_owed: bool,
    /// How far from its beginning.
    away: Reverse<SignedDuration>,
}

// === impl Correlator ===

impl Correlator {
    /// The id of the rollout of whose change the event tells, one that runs or one that ended. Where several may be meant,
    /// as they are of one revision, it is the one that the event fits best.
    pub(super) fn change_of(&self, event: &DeployEvent) -> Option<String> {
        let window = self.options.window();
        let all = self.live.iter().chain(self.recent.iter());
        all.filter(|live| !self.has_another_end(live, event))
            .filter_map(|live| Some((live.fit(event, window)?, live)))
            .max_by_key(|(fit, _)| *fit)
            .map(|(_, live)| live.rollout.id.clone())
    }

    /// Whether the event is a further end by a sender who tells ends alone, and something that nobody announced happened
    /// since this rollout was over: then it is the end of that.
    fn has_another_end(&self, live: &Live, event: &DeployEvent) -> bool {
        let Some(ended_at) = live.rollout.ended_at else {
            return false;
        };
        let happened = |other: &Live| {
            !other.rollout.source.is_announced()
                && other.rollout.started_at > ended_at
                && other
                    .rollout
                    .drains
                    .iter()
                    .any(|drain| event.workload.means(&drain.service))
        };
        event.ends()
            && live.heard(event.source, DeployEvent::ends)
            && !live.heard(event.source, DeployEvent::begins)
            && self.live.iter().chain(self.recent.iter()).any(happened)
    }
}

// === impl Live ===

impl Live {
    /// How well the event fits this rollout's change: by its id, as the other half of a pair, or as another sender's
    /// word for it; none when it tells of another.
    fn fit(&self, event: &DeployEvent, window: SignedDuration) -> Option<Fit> {
        if !self.rollout.source.is_announced() {
            return None;
        }
        let by_id = |heard: &DeployEvent| heard.source == event.source && heard.id == event.id;
        let by_id = self.rollout.events.iter().any(by_id);
        let since_begin = event
            .effective_time()
            .duration_since(self.rollout.started_at);
        (by_id || self.may_mean(event, window)).then(|| Fit {
            by_id,
            is_owed: event.ends()
                && self.heard(event.source, DeployEvent::begins)
                && !self.heard(event.source, DeployEvent::ends),
            away: Reverse(match event.stage {
                DeployStage::Started => since_begin.abs(),
                // What ended before this one began did not end it.
                _ if since_begin.is_negative() => SignedDuration::MAX,
                _ => since_begin,
            }),
        })
    }

    /// Whether the event, under another id, may tell of this change.
    fn may_mean(&self, event: &DeployEvent, window: SignedDuration) -> bool {
        let apart = event.receive_time.duration_since(self.last_sign()).abs();
        if apart > window
            || !self.rollout.workload.is_same(&event.workload)
            || self.is_begun_again(event)
        {
            return false;
        }
        match (&self.rollout.revision, &event.revision) {
            (Some(ours), Some(theirs)) => ours == theirs,
            // Without a revision a word belongs to what has no end yet.
            _ => !self.is_finished(),
        }
    }

    /// Whether the event begins a change after the end of this one, be it of the same revision. A sender who has begun
    /// this one begins another once it has ended. One who has not may only be late: then the time that it gives is before
    /// the end, or the end was a moment ago.
    fn is_begun_again(&self, event: &DeployEvent) -> bool {
        let ended_at = self.rollout.ended_at.or(self.superseded_at());
        if !event.begins() || !(self.is_finished() || ended_at.is_some()) {
            return false;
        }
        self.heard(event.source, DeployEvent::begins)
            || ended_at.is_some_and(|ended_at| event.effective_time() > ended_at)
    }

    /// Whether this sender has said such a thing of it.
    fn heard(&self, source: Source, what: impl Fn(&DeployEvent) -> bool) -> bool {
        let events = &self.rollout.events;
        events
            .iter()
            .any(|event| event.source == source && what(event))
    }

    /// The event begins another change: if it is one of the same workload, this one has ended.
    pub(super) fn give_way_to(&mut self, event: &DeployEvent) {
        if event.begins()
            && self.rollout.source.is_announced()
            && self.rollout.workload.is_same(&event.workload)
        {
            self.supersede(event.effective_time());
        }
    }
}
