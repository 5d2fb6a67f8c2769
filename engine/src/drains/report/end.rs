//! How drains end: told, forgotten, and their room given back.

use crate::drains::{
    CONNECTIONS_MAX, Drains, ENDED_MAX,
    draining::{Draining, Over, Scope},
    port::Port,
    report::tell::{self, Telling},
};
use crate::want::Want;
use crate::{known::Known, model::DrainKind, timing};

/// Most wishes kept until they are asked for.
const WANTED_MAX: usize = 8_192;

// === impl Draining ===

impl Draining {
    /// Whether it can be told as ended: its services have names, and how many SYNs they refused was read after all else
    /// was over, or nobody answers.
    pub(crate) fn is_told_all(&mut self, now_ns: u64, known: &Known<'_>) -> bool {
        let over_ns = *self.over_ns.get_or_insert_with(|| {
            self.ports
                .values_mut()
                .for_each(|port| port.refusals().need(now_ns));
            now_ns
        });
        let late = now_ns >= over_ns.saturating_add(timing::ANSWER_NS);
        self.ports.iter_mut().all(|(key, port)| {
            (late || port.refusals().was_read_since(over_ns)) && !known.names.is_pending(key)
        })
    }
}

// === impl Drains ===

impl Drains {
    /// Ends a drain and tells it.
    pub(crate) fn end(&mut self, id: u64, now_ns: u64, known: &Known<'_>) {
        if let Some(draining) = self.drainings.get_mut(&id)
            && draining.kind == DrainKind::Reload
            && matches!(draining.gone, Some((_, Over::Nothing)))
        {
            draining.ports.values_mut().for_each(Port::forget_opened);
        }
        if let Some(draining) = self.drainings.get_mut(&id) {
            for (key, port) in &mut draining.ports {
                if let Some(refused) = known.refused(key) {
                    port.refusals().read(refused);
                    self.instances.note_refused(key, refused.ending());
                }
            }
        }
        if let Some(draining) = self.drainings.get(&id) {
            // It was over when only answers were waited for.
            let over_ns = draining.over_ns.unwrap_or(now_ns);
            let told = tell::tell(draining, &self.telling(draining, over_ns, true), known);
            for drain in told {
                if self.ended.len() >= ENDED_MAX {
                    self.ended.pop_front();
                    self.drains_bitten += 1;
                }
                self.ended.push_back(drain);
            }
        }
        self.forget_draining(id);
    }

    /// Forgets a drain; the kernel's phase ends with the last one of an instance.
    pub(crate) fn forget_draining(&mut self, id: u64) {
        let Some(draining) = self.drainings.remove(&id) else {
            return;
        };
        self.lingering.forget(id);
        for instance in draining.since.into_keys() {
            let others = self
                .drainings
                .values()
                .any(|e| e.since.contains_key(&instance) && !is_of_process(e));
            if !others && self.wanted.len() < WANTED_MAX {
                self.wanted.insert(Want::EndPhase { instance });
            }
        }
    }

    pub(in crate::drains) fn telling(&self, draining: &Draining, now_ns: u64, ended: bool) -> Telling<'_> {
        Telling {
            now_ns,
            options: &self.options,
            records_lost: self.lost().saturating_sub(draining.lost_before),
            ended,
        }
    }

    /// Records that never came, or came too late to be of use.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_total.saturating_add(self.told_early)
    }

    pub(crate) fn find_room(&mut self) {
        let ports = self.drainings.values().flat_map(|e| e.ports.values());
        let remembered: usize = ports.map(Port::remembered).sum();
        self.room = CONNECTIONS_MAX.saturating_sub(remembered);
        if self.drainings.is_empty() {
            self.recent.clear();
        }
    }
}

fn is_of_process(draining: &Draining) -> bool {
    matches!(draining.scope, Scope::Process(_))
}
