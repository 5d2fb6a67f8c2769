//! What surveys saw of each service: accept queues, and connections with an open question. A survey of a network
//! namespace replaces the one before; a namespace that is gone is forgotten.

use std::collections::HashMap;

use finwatch_common::{Phase, ServiceKey, SurveyRow, survey_kind};

use crate::bounded::Bounded;

/// Most services remembered of one network namespace.
const SERVICES_MAX: usize = 16_384;

/// What a survey saw of one service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// Connections that wait to be accepted, of all listeners together.
    pub backlog: u64,
    /// Most that may wait.
    pub backlog_limit: u64,
    /// Connections that owe (server) or await (client) an answer.
    pub awaiting: u64,
}

/// The last survey of every network namespace, by its cookie.
#[derive(Debug, Default)]
pub struct Surveys {
    by_netns: HashMap<u64, Bounded<ServiceKey, Surveyed, SERVICES_MAX>>,
}

// === impl Surveys ===

impl Surveys {
    /// Takes the survey of one namespace.
    pub fn replace(&mut self, netns: u64, rows: &[SurveyRow]) {
        let mut services = Bounded::<_, Surveyed, SERVICES_MAX>::default();
        for row in rows {
            let (backlog, backlog_limit, awaiting) = match row.kind {
                survey_kind::LISTENER => (row.a.into(), row.b.into(), 0),
                survey_kind::AWAITING => (0, 0, 1),
                _ => continue,
            };
            let key = row.service.in_phase(Phase::Steady);
            if let Some(seen) = services.admit(key, Surveyed::default) {
                seen.backlog += backlog;
                seen.backlog_limit += backlog_limit;
                seen.awaiting += awaiting;
            }
        }
        self.by_netns.insert(netns, services);
    }

    /// Forgets every namespace but these.
    pub fn retain(&mut self, alive: impl Fn(u64) -> bool) {
        self.by_netns.retain(|netns, _| alive(*netns));
    }

    /// Every service that was seen.
    pub fn iter(&self) -> impl Iterator<Item = (ServiceKey, Surveyed)> {
        self.by_netns
            .values()
            .flat_map(Bounded::iter)
            .map(|(key, seen)| (*key, *seen))
    }
}

// === impl Surveyed ===

impl Surveyed {
    /// Adds another service of the same series.
    pub fn add(&mut self, other: Self) {
        let Self {
            backlog,
            backlog_limit,
            awaiting,
        } = other;
        self.backlog += backlog;
        self.backlog_limit += backlog_limit;
        self.awaiting += awaiting;
    }
}

#[cfg(test)]
mod tests {
    use finwatch_common::Role;

    use super::*;

    fn row(kind: u8, port: u16, a: u32, b: u32) -> SurveyRow {
        let mut service = ServiceKey::other(Role::Server, Phase::Draining);
        service.port = port;
        service.netns = 7;
        SurveyRow {
            service,
            owner: finwatch_common::Process::default(),
            opened_at_ns: 0,
            cookie: 1,
            a,
            b,
            kind,
            quiet: 0,
            queued: 0,
            pad: 0,
            waits_ms: 0,
        }
    }

    #[test]
    fn a_survey_replaces_the_one_before() {
        let mut surveys = Surveys::default();
        surveys.replace(7, &[row(survey_kind::AWAITING, 80, 100, 0)]);
        surveys.replace(
            7,
            &[
                row(survey_kind::LISTENER, 80, 3, 511),
                row(survey_kind::LISTENER, 80, 4, 511),
                row(survey_kind::TIME_WAIT, 80, 1, 2),
            ],
        );
        let seen: Vec<_> = surveys.iter().collect();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].0.phase(), Some(Phase::Steady));
        assert_eq!(
            seen[0].1,
            Surveyed {
                backlog: 7,
                backlog_limit: 1_022,
                awaiting: 0
            }
        );
        surveys.retain(|netns| netns != 7);
        assert_eq!(surveys.iter().count(), 0);
    }
}
