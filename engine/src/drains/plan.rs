//! Says what is to be looked at, and how urgently.

use std::collections::BTreeMap;

use super::{
    Drains,
    asks::Urgency,
    episode::{Episode, Scope},
    port::Port,
};
use crate::want::Want;

// === impl Drains ===

impl Drains {
    /// Says what is to be looked at, and when.
    pub(super) fn plan(&mut self, now_ns: u64) {
        let mut looks: BTreeMap<u64, Urgency> = BTreeMap::new();
        let mut table = Urgency::Lasting(u64::MAX);
        for episode in self.episodes.values() {
            table = table.min(urgency_of_table(episode, now_ns));
            for (key, port) in &episode.ports {
                let urgency = urgency_of_look(episode, port, now_ns);
                let known = looks.entry(key.netns).or_insert(urgency);
                *known = (*known).min(urgency);
            }
        }
        for netns in self.looks.ask(&looks, now_ns) {
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
        for episode in self.episodes.values_mut() {
            for (key, port) in &mut episode.ports {
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

fn urgency_of_look(episode: &Episode, port: &Port, now_ns: u64) -> Urgency {
    if !port.looked_at_all(&episode.since_mono()) {
        return Urgency::First;
    }
    settling_or_lasting(episode, now_ns)
}

fn urgency_of_table(episode: &Episode, now_ns: u64) -> Urgency {
    if episode.since.keys().any(|p| !episode.tabled.contains(p)) && !is_of_process(episode) {
        return Urgency::First;
    }
    settling_or_lasting(episode, now_ns)
}

fn settling_or_lasting(episode: &Episode, now_ns: u64) -> Urgency {
    let ending = episode.last_end_ns > episode.table_ns || episode.target_exit.is_some();
    // What may be a reload is not worth the hurry.
    let doubtful = episode.doubtful && !episode.is_doubtful_reload();
    if episode.gone.is_some() || doubtful || ending {
        Urgency::Settling
    } else {
        Urgency::Lasting(now_ns.saturating_sub(episode.t0_ns()))
    }
}

fn is_of_process(episode: &Episode) -> bool {
    matches!(episode.scope, Scope::Process(_))
}
