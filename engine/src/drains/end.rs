//! How drains end: told, forgotten, and their room given back.

use super::{
    CONNECTIONS_MAX, Drains, ENDED_MAX,
    episode::{Episode, Over, Scope},
    port::Port,
    tell::{self, Telling},
};
use crate::want::Want;
use crate::{known::Known, model::DrainKind, timing};

/// Most wishes kept until they are asked for.
const WANTED_MAX: usize = 8_192;

// === impl Episode ===

impl Episode {
    /// Whether it can be told as ended: its services have names, and how many SYNs they refused was read after all else
    /// was over, or nobody answers.
    pub(super) fn is_told_all(&mut self, now_ns: u64, known: &Known<'_>) -> bool {
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
    /// Ends an episode and tells it.
    pub(super) fn end(&mut self, id: u64, now_ns: u64, known: &Known<'_>) {
        if let Some(episode) = self.episodes.get_mut(&id)
            && episode.kind == DrainKind::Reload
            && matches!(episode.gone, Some((_, Over::Nothing)))
        {
            episode.ports.values_mut().for_each(Port::forget_opened);
        }
        if let Some(episode) = self.episodes.get_mut(&id) {
            for (key, port) in &mut episode.ports {
                if let Some(refused) = known.refused(key) {
                    port.refusals().read(refused);
                    self.instances.note_refused(key, refused.ending());
                }
            }
        }
        if let Some(episode) = self.episodes.get(&id) {
            // It was over when only answers were waited for.
            let over_ns = episode.over_ns.unwrap_or(now_ns);
            let told = tell::tell(episode, &self.telling(episode, over_ns, true), known);
            for drain in told {
                if self.ended.len() >= ENDED_MAX {
                    self.ended.pop_front();
                    self.drains_bitten += 1;
                }
                self.ended.push_back(drain);
            }
        }
        self.close_episode(id);
    }

    /// Forgets an episode; the kernel's phase ends with the last one of an instance.
    pub(super) fn close_episode(&mut self, id: u64) {
        let Some(episode) = self.episodes.remove(&id) else {
            return;
        };
        self.lefts.forget(id);
        for instance in episode.since.into_keys() {
            let others = self
                .episodes
                .values()
                .any(|e| e.since.contains_key(&instance) && !is_of_process(e));
            if !others && self.wanted.len() < WANTED_MAX {
                self.wanted.insert(Want::EndPhase { instance });
            }
        }
    }

    pub(super) fn telling(&self, episode: &Episode, now_ns: u64, ended: bool) -> Telling<'_> {
        Telling {
            now_ns,
            options: &self.options,
            records_lost: self.lost().saturating_sub(episode.lost_before),
            ended,
        }
    }

    /// Records that never came, or came too late to be of use.
    pub(super) fn lost(&self) -> u64 {
        self.lost_total.saturating_add(self.told_early)
    }

    pub(super) fn find_room(&mut self) {
        let ports = self.episodes.values().flat_map(|e| e.ports.values());
        let remembered: usize = ports.map(Port::remembered).sum();
        self.room = CONNECTIONS_MAX.saturating_sub(remembered);
        if self.episodes.is_empty() {
            self.recent.clear();
        }
    }
}

fn is_of_process(episode: &Episode) -> bool {
    matches!(episode.scope, Scope::Process(_))
}
