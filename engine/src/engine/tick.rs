//! What the engine does as time passes: what is due is looked for, and what changed is judged and told.

use std::{collections::HashSet, sync::Arc};

use super::{COUNTED_MAX, Engine, Parts};
use crate::{
    clocks::Moment,
    diagnoses::{JudgeOptions, judge},
    model::Service,
    snapshot::Change,
    want::Want,
};

impl Engine {
    /// Time passes: what is due is looked for, what changed is judged and told, and what is over ends.
    pub(super) fn tick(&mut self, at: Moment) {
        let now_ns = at.kernel_ns;
        self.urgent = false;
        for instance in self.relatives.take_due(now_ns) {
            self.wants.push(Want::Relatives { instance });
        }
        for service in self.names.give_up(now_ns) {
            self.ledger.named(&service, &self.names);
        }
        let Parts { drains, known, .. } = self.parts();
        drains.tick(now_ns, &known);
        self.tell_accounts();
        for start in self.drains.started() {
            self.rollouts.start(start);
        }
        for ended in self.drains.gaps() {
            let (from_ns, until_ns) = (ended.from_ns, ended.until_ns);
            self.ledger.gap(&ended.key, until_ns - from_ns);
            self.windows
                .pause(&self.names.labels(&ended.key), from_ns, until_ns);
            self.rollouts.gap(ended.gap);
        }
        self.tell_running(at);
        self.tell_ended(at);
        self.tell_rollouts(at);
        self.tell_incidents(now_ns);
        self.accounting
            .tick(now_ns, &mut self.drains, &mut self.rollouts);
    }

    fn judge_options(&self, at: Moment) -> JudgeOptions {
        JudgeOptions {
            now: Some(at.wall()),
            ..self.options.judge.clone()
        }
    }

    fn tell_running(&mut self, at: Moment) {
        let options = self.judge_options(at);
        let Parts { drains, known, .. } = self.parts();
        let changed = drains.changed(at.kernel_ns, &known);
        for (id, drains) in changed {
            let mut told = Vec::with_capacity(drains.len());
            for mut drain in drains {
                judge(&mut drain, &options);
                self.figures.judged += 1;
                if self.begun.insert(drain.id.clone()) || !self.story.awaits(&drain) {
                    Arc::make_mut(&mut self.story).drain_began(&drain);
                }
                self.rollouts.drain(drain.clone());
                let is_of_change = self.rollouts.is_of_change(&drain.id);
                self.incidents.drain(&drain, is_of_change, at.wall());
                let drain = Arc::new(drain);
                self.changes.push(Change::Drain(Arc::clone(&drain)));
                told.push(drain);
            }
            self.running.insert(id, told);
            self.stale = true;
        }
        let lasting = self.running.len();
        self.running.retain(|id, _| self.drains.is_running(*id));
        self.stale |= self.running.len() != lasting;
    }

    fn tell_ended(&mut self, at: Moment) {
        let options = self.judge_options(at);
        for mut drain in self.drains.ended() {
            judge(&mut drain, &options);
            self.figures.judged += 1;
            self.begun.remove(&drain.id);
            Arc::make_mut(&mut self.story).drain_ended(&drain);
            self.rollouts.drain(drain.clone());
            let is_of_change = self.rollouts.is_of_change(&drain.id);
            self.incidents.drain(&drain, is_of_change, at.wall());
            self.changes.push(Change::Drain(Arc::new(drain)));
            self.stale = true;
        }
    }

    fn tell_rollouts(&mut self, at: Moment) {
        self.rollouts.tick(at.wall());
        for id in self.rollouts.replaced() {
            self.changes.push(Change::RolloutReplaced(id));
        }
        for rollout in self.rollouts.changed() {
            Arc::make_mut(&mut self.story).rollout_seen(&rollout);
            let rollout = Arc::new(rollout);
            self.changes.push(Change::Rollout(Arc::clone(&rollout)));
            self.rolling.insert(rollout.id.clone(), rollout);
            self.stale = true;
        }
        let running: HashSet<&str> = self.rollouts.running_ids().collect();
        let lasting = self.rolling.len();
        self.rolling.retain(|id, _| running.contains(id.as_str()));
        self.stale |= self.rolling.len() != lasting;
        for rollout in self.rollouts.ended() {
            let story = Arc::make_mut(&mut self.story);
            if self.counted.contains(&rollout.id) {
                story.rollout_seen(&rollout);
            } else {
                story.rollout_ended(&rollout);
                if self.counted.len() >= COUNTED_MAX {
                    self.counted.pop_front();
                }
                self.counted.push_back(rollout.id.clone());
            }
            self.changes.push(Change::Rollout(Arc::new(rollout)));
            self.stale = true;
        }
    }

    /// What was lost with nobody stopping or changing anything.
    fn tell_incidents(&mut self, now_ns: u64) {
        let Parts {
            drains,
            rollouts,
            incidents,
            known,
            ..
        } = self.parts();
        let is_told = |service: &Service, netns, at| rollouts.tells_of(service, netns, at);
        incidents.tick(now_ns, drains, is_told, &known);
        let changed = incidents.changed(&known);
        let over = incidents.over();
        self.stale |= !changed.is_empty() || !over.is_empty();
        for incident in changed {
            Arc::make_mut(&mut self.story).incident_began(&incident);
            let incident = Arc::new(incident);
            self.changes.push(Change::Incident(Arc::clone(&incident)));
            self.lasting.insert(incident.id.clone(), incident);
        }
        for incident in over {
            self.lasting.remove(&incident.id);
            Arc::make_mut(&mut self.story).incident_ended(&incident);
            self.changes.push(Change::Incident(Arc::new(incident)));
        }
    }
}
