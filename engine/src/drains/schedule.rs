//! What the drains want looked at, and how often: at once when one begins, often while one settles, seldom while one
//! drags on. Never again before the last answer came.

use std::collections::{BTreeMap, BTreeSet};

use super::{draining::Draining, lasting::Lasting, port::Port, starts::Starts};
use crate::{timing, want::Want};

/// Most surveys that may be unanswered at once.
const SURVEYS_MAX: usize = 16;

/// What is wanted, until it is asked for.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// By namespace.
    surveys: Requests,
    /// Of the one table.
    tables: Requests,
    wanted: BTreeSet<Want>,
}

/// How urgently a drain wants a survey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// There was none yet.
    First,
    /// It settles, or it is not clear what it is.
    Settling,
    /// Somebody waits to be accepted, since so many nanoseconds.
    Waiting(u64),
    /// It lasts, since so many nanoseconds.
    Lasting(u64),
}

/// Questions of one kind, by whom they concern.
#[derive(Debug, Default)]
struct Requests {
    asked: BTreeMap<u64, Asked>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    at_ns: u64,
    open: bool,
    /// How long the last answer took.
    took_ns: u64,
}

// === impl Schedule ===

impl Schedule {
    /// Says what is to be surveyed and read, and when.
    pub(super) fn plan(&mut self, lasting: &mut Lasting, starts: &mut Starts, now_ns: u64) {
        let mut surveys: BTreeMap<u64, Urgency> = BTreeMap::new();
        let mut table = Urgency::Lasting(u64::MAX);
        for (_, draining) in lasting.iter() {
            table = table.min(urgency_of_table(draining, now_ns));
            for (key, port) in &draining.ports {
                let urgency = urgency_of_survey(draining, port, now_ns);
                let known = surveys.entry(key.netns).or_insert(urgency);
                *known = (*known).min(urgency);
            }
        }
        for netns in self.surveys.ask(&surveys, now_ns) {
            self.wanted.insert(Want::Survey { netns });
        }
        let tables = BTreeMap::from([(0, table)]);
        if !self.tables.ask(&tables, now_ns).is_empty() {
            self.wanted.insert(Want::Processes);
        }
        self.plan_counters(lasting, starts, now_ns);
    }

    /// Says whose rows are to be read.
    pub(super) fn plan_counters(
        &mut self,
        lasting: &mut Lasting,
        starts: &mut Starts,
        now_ns: u64,
    ) {
        for draining in lasting.iter_mut() {
            for (key, port) in &mut draining.ports {
                if port.counted.refused_mut().asks(now_ns) {
                    self.wanted.insert(Want::Counters { service: *key });
                }
            }
        }
        for service in starts.asks(now_ns) {
            self.wanted.insert(Want::Counters { service });
        }
    }

    /// A survey of a namespace was made, or failed.
    pub(super) fn survey_answered(&mut self, netns: u64, now_ns: u64) {
        self.surveys.answered(netns, now_ns);
    }

    /// The table of processes was read.
    pub(super) fn table_answered(&mut self, now_ns: u64) {
        self.tables.answered(0, now_ns);
    }

    /// What is wanted since the last call, the ends of phases first.
    pub(super) fn take(&mut self, lasting: &mut Lasting) -> Vec<Want> {
        let (phases, heard_ns) = lasting.take_phases_over();
        let phases = phases.into_iter();
        let ends = phases.map(|instance| Want::EndPhase { instance, heard_ns });
        ends.chain(std::mem::take(&mut self.wanted)).collect()
    }
}

// === impl Requests ===

impl Requests {
    /// Which of those that are wanted are asked now, the most urgent first. Others are forgotten.
    fn ask(&mut self, wanted: &BTreeMap<u64, Urgency>, now_ns: u64) -> Vec<u64> {
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
            let asked = self.asked.entry(*whom).or_insert(Asked {
                at_ns: now_ns,
                open: true,
                took_ns: 0,
            });
            (asked.at_ns, asked.open) = (now_ns, true);
        }
        due.into_iter().map(|(_, whom)| whom).collect()
    }

    /// An answer came.
    fn answered(&mut self, whom: u64, now_ns: u64) {
        if let Some(asked) = self.asked.get_mut(&whom).filter(|asked| asked.open) {
            asked.open = false;
            asked.took_ns = now_ns.saturating_sub(asked.at_ns);
        }
    }

    fn is_due(&self, whom: u64, urgency: Urgency, now_ns: u64) -> bool {
        let Some(asked) = self.asked.get(&whom) else {
            return true;
        };
        let share = match urgency {
            Urgency::First => 0,
            Urgency::Settling => timing::SETTLING_SHARE,
            Urgency::Waiting(_) | Urgency::Lasting(_) => timing::LASTING_SHARE,
        };
        let interval_ns = match urgency {
            Urgency::First => 0,
            Urgency::Settling => timing::SURVEY_SETTLING_NS,
            // How long it was is known by the surveys alone: to a tenth of it.
            Urgency::Waiting(waits_ns) => {
                (waits_ns / 10).clamp(timing::SURVEY_SETTLING_NS, timing::SURVEY_SELDOM_NS)
            }
            Urgency::Lasting(age_ns) => {
                (age_ns / 10).clamp(timing::SURVEY_OFTEN_NS, timing::SURVEY_SELDOM_NS)
            }
        };
        let interval_ns = interval_ns.max(asked.took_ns.saturating_mul(share));
        !asked.is_open(now_ns) && asked.at_ns.saturating_add(interval_ns) <= now_ns
    }
}

impl Asked {
    fn is_open(self, now_ns: u64) -> bool {
        self.open && self.at_ns.saturating_add(timing::SURVEY_ANSWER_NS) > now_ns
    }
}

fn urgency_of_survey(draining: &Draining, port: &Port, now_ns: u64) -> Urgency {
    if !port.seen.all_surveyed(&draining.members.since_mono()) {
        return Urgency::First;
    }
    let urgency = settling_or_lasting(draining, now_ns);
    match port.waiting.waits_ns() {
        Some(waits_ns) => urgency.min(Urgency::Waiting(waits_ns)),
        None => urgency,
    }
}

fn urgency_of_table(draining: &Draining, now_ns: u64) -> Urgency {
    if !draining.members.all_tabled() && !draining.members.is_of_one() {
        return Urgency::First;
    }
    settling_or_lasting(draining, now_ns)
}

fn settling_or_lasting(draining: &Draining, now_ns: u64) -> Urgency {
    let ending = draining.members.last_end_ns() > draining.members.table_ns()
        || draining.cause.target_exit().is_some();
    // What may be a reload is not worth the hurry.
    let doubtful = draining.cause.is_doubtful() && !draining.cause.is_doubtful_reload();
    if !draining.members.is_running() || doubtful || ending {
        Urgency::Settling
    } else {
        Urgency::Lasting(now_ns.saturating_sub(draining.members.t0_ns()))
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
        asks.answered(7, 2 * SECOND);
        assert_eq!(asks.ask(&wanted(Urgency::First), 2 * SECOND), [7]);
        assert_eq!(
            asks.ask(&wanted(Urgency::First), 32 * SECOND),
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
            asks.answered(7, at * SECOND);
        }
        assert!((100..250).contains(&surveys), "{surveys} in an hour");
    }

    #[test]
    fn the_longer_looks_take_the_rarer_they_are() {
        let mut asks = Requests::default();
        asks.ask(&wanted(Urgency::First), SECOND);
        asks.answered(7, 3 * SECOND);
        for (urgency, seconds) in [(Urgency::Settling, 9), (Urgency::Lasting(SECOND), 21)] {
            let mut asks = Requests {
                asked: asks.asked.clone(),
            };
            assert!(
                asks.ask(&wanted(urgency), (seconds * SECOND) - 1)
                    .is_empty()
            );
            assert_eq!(asks.ask(&wanted(urgency), seconds * SECOND), [7]);
        }
        assert_eq!(asks.ask(&wanted(Urgency::First), 4 * SECOND), [7]);
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
        asks.answered(99, SECOND);
        asks.answered(0, SECOND);
        wanted.remove(&99);
        assert_eq!(asks.ask(&wanted, SECOND + 1).len(), 2);
    }
}
