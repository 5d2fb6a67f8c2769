//! Says what is to be looked at, and how urgently.

use std::collections::BTreeMap;

use super::{
    Drains,
    draining::{Draining, Scope},
    port::Port,
    schedule::Urgency,
};
use crate::want::Want;

// === impl Drains ===

impl Drains {
    /// Says what is to be looked at, and when.
    pub(super) fn plan(&mut self, now_ns: u64) {
        let mut surveys: BTreeMap<u64, Urgency> = BTreeMap::new();
        let mut table = Urgency::Lasting(u64::MAX);
        for draining in self.drainings.values() {
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
        self.plan_counters(now_ns);
    }

    /// Says whose rows are to be read.
    pub(super) fn plan_counters(&mut self, now_ns: u64) {
        for draining in self.drainings.values_mut() {
            for (key, port) in &mut draining.ports {
                if port.refusals().asks(now_ns) {
                    self.wanted.insert(Want::Counters { service: *key });
                }
            }
        }
        for service in self.starts.asks(now_ns) {
            self.wanted.insert(Want::Counters { service });
        }
    }
}

fn urgency_of_survey(draining: &Draining, port: &Port, now_ns: u64) -> Urgency {
    if !port.all_surveyed(&draining.since_mono()) {
        return Urgency::First;
    }
    settling_or_lasting(draining, now_ns)
}

fn urgency_of_table(draining: &Draining, now_ns: u64) -> Urgency {
    if draining.since.keys().any(|p| !draining.tabled.contains(p)) && !is_of_process(draining) {
        return Urgency::First;
    }
    settling_or_lasting(draining, now_ns)
}

fn settling_or_lasting(draining: &Draining, now_ns: u64) -> Urgency {
    let ending = draining.last_end_ns > draining.table_ns || draining.target_exit.is_some();
    // What may be a reload is not worth the hurry.
    let doubtful = draining.doubtful && !draining.is_doubtful_reload();
    if draining.gone.is_some() || doubtful || ending {
        Urgency::Settling
    } else {
        Urgency::Lasting(now_ns.saturating_sub(draining.t0_ns()))
    }
}

fn is_of_process(draining: &Draining) -> bool {
    matches!(draining.scope, Scope::Process(_))
}
