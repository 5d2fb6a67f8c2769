//! What the drains want looked at, and how often: at once when one begins, often while one settles, seldom while one
//! drags on. Never again before the last answer came.

use crate::timing;
use std::collections::BTreeMap;

/// Most surveys that may be unanswered at once.
pub(super) const SURVEYS_MAX: usize = 16;

/// How urgently a drain wants a survey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// There was none yet.
    First,
    /// It settles, or it is not clear what it is.
    Settling,
    /// It lasts, since so many nanoseconds.
    Lasting(u64),
}

/// Questions of one kind, by whom they concern.
#[derive(Debug, Default)]
pub(super) struct Requests {
    asked: BTreeMap<u64, Asked>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    at_ns: u64,
    open: bool,
}

// === impl Asks ===

impl Requests {
    /// Which of those that are wanted are asked now, the most urgent first. Others are forgotten.
    pub(super) fn ask(&mut self, wanted: &BTreeMap<u64, Urgency>, now_ns: u64) -> Vec<u64> {
        self.asked.retain(|whom, _| wanted.contains_key(whom));
        let mut due: Vec<(Urgency, u64)> = wanted
            .iter()
            .filter(|(whom, urgency)| self.is_due(**whom, **urgency, now_ns))
            .map(|(whom, urgency)| (*urgency, *whom))
            .collect();
        due.sort_unstable();
        let open = self.asked.values().filter(|a| a.is_open(now_ns)).count();
        due.truncate(SURVEYS_MAX.saturating_sub(open));
        for (_, whom) in &due {
            let asked = Asked {
                at_ns: now_ns,
                open: true,
            };
            self.asked.insert(*whom, asked);
        }
        due.into_iter().map(|(_, whom)| whom).collect()
    }

    /// An answer came.
    pub(super) fn answered(&mut self, whom: u64) {
        if let Some(asked) = self.asked.get_mut(&whom) {
            asked.open = false;
        }
    }

    fn is_due(&self, whom: u64, urgency: Urgency, now_ns: u64) -> bool {
        let Some(asked) = self.asked.get(&whom) else {
            return true;
        };
        let interval_ns = match urgency {
            Urgency::First => 0,
            Urgency::Settling => timing::SURVEY_SETTLING_NS,
            Urgency::Lasting(age_ns) => {
                (age_ns / 10).clamp(timing::SURVEY_OFTEN_NS, timing::SURVEY_SELDOM_NS)
            }
        };
        !asked.is_open(now_ns) && asked.at_ns.saturating_add(interval_ns) <= now_ns
    }
}

impl Asked {
    fn is_open(self, now_ns: u64) -> bool {
        self.open && self.at_ns.saturating_add(timing::ANSWER_NS) > now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn wanted(urgency: Urgency) -> BTreeMap<u64, Urgency> {
        BTreeMap::from([(7, urgency)])
    }

    #[test]
    fn a_question_is_not_repeated_before_its_answer() {
        let mut asks = Requests::default();
        assert_eq!(asks.ask(&wanted(Urgency::First), SECOND), [7]);
        assert!(asks.ask(&wanted(Urgency::First), 2 * SECOND).is_empty());
        asks.answered(7);
        assert_eq!(asks.ask(&wanted(Urgency::First), 2 * SECOND), [7]);
        assert_eq!(
            asks.ask(&wanted(Urgency::First), 7 * SECOND),
            [7],
            "lost answers are asked for again"
        );
    }

    #[test]
    fn the_older_a_drain_the_rarer_its_looks() {
        let mut asks = Requests::default();
        let mut surveys = 0;
        for at in 0..3_600_u64 {
            surveys += asks
                .ask(&wanted(Urgency::Lasting(at * SECOND)), at * SECOND)
                .len();
            asks.answered(7);
        }
        assert!((100..250).contains(&surveys), "{surveys} in an hour");
    }

    #[test]
    fn no_more_than_so_many_at_once_and_the_urgent_first() {
        let mut asks = Requests::default();
        let mut wanted: BTreeMap<u64, Urgency> =
            (0..100).map(|n| (n, Urgency::Lasting(SECOND))).collect();
        wanted.insert(99, Urgency::First);
        let asked = asks.ask(&wanted, SECOND);
        assert_eq!((asked.len(), asked[0]), (SURVEYS_MAX, 99));
        assert!(asks.ask(&wanted, SECOND).is_empty());
        asks.answered(99);
        asks.answered(0);
        wanted.remove(&99);
        assert_eq!(asks.ask(&wanted, SECOND + 1).len(), 2);
    }
}
