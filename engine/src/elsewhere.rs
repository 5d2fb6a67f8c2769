//! Services of other nodes: several nodes of a cluster may share one kernel, and each finwatch tells of its own node alone.
//! What concerns another's service is left out before anybody here learns of it. Who says so is not its concern.

use std::borrow::Cow;

use finwatch_common::{Phase, ServiceKey, SurveyRow};

use crate::{
    bounded::Bounded,
    input::{Reading, Record},
    services::KEYS_MAX,
};

/// See the module. One that was forgotten is asked for anew when it is seen again.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    services: Bounded<ServiceKey, (), KEYS_MAX>,
}

// === impl Elsewhere ===

impl Elsewhere {
    /// A service is another node's.
    pub(crate) fn add(&mut self, service: &ServiceKey) {
        self.services.insert(service.in_phase(Phase::Steady), ());
    }

    /// Whether what a record tells is another node's.
    pub(crate) fn tells(&self, record: &Record) -> bool {
        // Signals and exits name instances, of which nobody knows when their listeners are left out.
        record.service().is_some_and(|service| self.has(service))
    }

    /// What a reading holds of this node.
    pub(crate) fn less<'a>(&self, reading: &'a Reading) -> Cow<'a, Reading> {
        if self.services.is_empty() {
            return Cow::Borrowed(reading);
        }
        let rows = reading.rows.iter().filter(|(of, _)| !self.has(of));
        let resets = reading
            .resets
            .iter()
            .filter(|(of, _)| !self.has(&of.service));
        Cow::Owned(Reading {
            read_ns: reading.read_ns,
            rows: rows.copied().collect(),
            resets: resets.copied().collect(),
        })
    }

    /// What a survey shows of this node.
    pub(crate) fn less_of<'a>(&self, rows: &'a [SurveyRow]) -> Cow<'a, [SurveyRow]> {
        if self.services.is_empty() {
            return Cow::Borrowed(rows);
        }
        let here = rows.iter().filter(|row| !self.has(&row.service));
        Cow::Owned(here.copied().collect())
    }

    /// Forgets services of which the kernel has no rows any more.
    pub(crate) fn retain(&mut self, emptied: &Reading) {
        if self.services.is_empty() {
            return;
        }
        let steady = |(of, _): &(ServiceKey, _)| of.in_phase(Phase::Steady);
        let counted: std::collections::HashSet<_> = emptied.rows.iter().map(steady).collect();
        self.services
            .retain(|service, ()| counted.contains(service));
    }

    fn has(&self, service: &ServiceKey) -> bool {
        !self.services.is_empty() && self.services.contains(&service.in_phase(Phase::Steady))
    }
}
