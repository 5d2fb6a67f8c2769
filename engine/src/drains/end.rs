//! How drains end: told, forgotten, and their room given back.

use super::{
    CONNECTIONS_MAX, Drains, ENDED_MAX, Want, World,
    episode::{Episode, Over, Scope},
    port::Port,
    tell::{self, Telling},
};
use crate::model::DrainKind;

/// Most wishes kept until they are asked for.
const WANTED_MAX: usize = 8_192;

// === impl Drains ===

impl Drains {
    /// Ends an episode and tells it.
    pub(super) fn end(&mut self, id: u64, now_ns: u64, world: &mut dyn World) {
        if let Some(episode) = self.episodes.get_mut(&id)
            && episode.kind == DrainKind::Reload
            && matches!(episode.gone, Some((_, Over::Nothing)))
        {
            episode.ports.values_mut().for_each(Port::forget_opened);
        }
        if let Some(episode) = self.episodes.get_mut(&id) {
            for (key, port) in &mut episode.ports {
                port.read_refused(key, u64::MAX, world);
                self.instances.note_refused(key, world.refused_ending(key));
            }
        }
        if let Some(episode) = self.episodes.get(&id) {
            let told = tell::tell(episode, &self.telling(episode, now_ns, true), world);
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
