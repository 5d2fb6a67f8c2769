//! What the read API is told.

use std::ops::ControlFlow;

use jiff::Timestamp;

use super::{Chronicle, names::wall, recent, services};
use crate::{accounts::Kernel, http::Story};
use finwatch_engine::model::{Drain, RecentClose, Rollout, ServiceState};

impl<K: Kernel> Story for Chronicle<K> {
    fn services(&self) -> Vec<ServiceState> {
        let view = self.accounts.view();
        services::tell(&view, &self.desk().running)
    }

    fn drains(&self, visit: &mut dyn FnMut(Drain) -> ControlFlow<()>) {
        let running = self.desk().running.clone();
        for drain in newest_first(running, |drain| drain.started_at) {
            if visit(drain).is_break() {
                return;
            }
        }
        self.history.drains(visit);
    }

    fn rollouts(&self, visit: &mut dyn FnMut(Rollout) -> ControlFlow<()>) {
        let running = self.desk().correlator.running();
        for rollout in newest_first(running, |rollout| rollout.started_at) {
            if visit(rollout).is_break() {
                return;
            }
        }
        self.history.rollouts(visit);
    }

    fn closes(&self) -> Vec<RecentClose> {
        let desk = self.desk();
        desk.recent
            .iter()
            .map(|closed| {
                let service = self.accounts.service(&closed.record.service);
                let reason = closed
                    .reset_reason
                    .map(|reason| self.accounts.reset_reason(reason));
                recent::tell(closed, service, reason, wall)
            })
            .collect()
    }
}

fn newest_first<T>(mut told: Vec<T>, started_at: impl Fn(&T) -> Timestamp) -> Vec<T> {
    told.sort_by_key(|one| std::cmp::Reverse(started_at(one)));
    told
}
