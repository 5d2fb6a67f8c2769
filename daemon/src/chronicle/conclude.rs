//! The end of a round of work: what ended is judged, told to the books and the history, and correlated.

use std::sync::atomic::Ordering;

use super::{Chronicle, Desk, now};
use crate::accounts::Kernel;
use finwatch_engine::diagnoses::{JudgeOptions, judge};

/// Most ended rollouts that may still be added to.
const COUNTED_MAX: usize = 256;

impl<K: Kernel> Chronicle<K> {
    /// Judges what ended, tells it to the books and the history, and correlates.
    pub(super) fn conclude(&self) -> bool {
        let wall_now = now();
        let options = JudgeOptions {
            now: Some(wall_now),
            ..JudgeOptions::default()
        };
        let mut desk = self.desk();
        self.with_drains(&mut desk, |drains, names, now_ns| {
            drains.tick(now_ns, names);
        });
        let mut ended = desk.drains.ended();
        let mut running = Vec::new();
        self.with_drains(&mut desk, |drains, names, now_ns| {
            running = drains.running(now_ns, names);
        });
        let Desk {
            drains,
            correlator,
            begun,
            counted,
            ..
        } = &mut *desk;
        for start in drains.started() {
            correlator.start(start);
        }
        for gap in drains.gaps() {
            correlator.gap(gap);
        }
        for drain in &mut running {
            judge(drain, &options);
            if begun.insert(drain.id.clone()) {
                self.accounts.story().drain_began(drain);
            }
            self.history.keep_drain(drain.clone(), wall_now);
            correlator.drain(drain.clone());
        }
        for drain in &mut ended {
            judge(drain, &options);
            tracing::info!(
                drain = drain.id,
                service = %drain.service,
                kind = drain.kind.as_str(),
                verdict = drain.verdict.as_str(),
                cut = drain.counts.cut.total(),
                "drain ended"
            );
            begun.remove(&drain.id);
            self.accounts.story().drain_ended(drain);
            self.history.keep_drain(drain.clone(), wall_now);
            correlator.drain(drain.clone());
        }
        correlator.tick(wall_now);
        for id in correlator.replaced() {
            self.history.forget_rollout(&id);
        }
        for rollout in correlator.running() {
            self.accounts.story().rollout_seen(&rollout);
            self.history.keep_rollout(rollout, wall_now);
        }
        for rollout in correlator.ended() {
            tracing::info!(
                rollout = rollout.id,
                verdict = rollout.verdict.as_str(),
                "rollout ended"
            );
            let mut book = self.accounts.story();
            if counted.contains(&rollout.id) {
                book.rollout_seen(&rollout);
            } else {
                book.rollout_ended(&rollout);
                if counted.len() >= COUNTED_MAX {
                    counted.pop_front();
                }
                counted.push_back(rollout.id.clone());
            }
            drop(book);
            self.history.keep_rollout(rollout, wall_now);
        }
        let busy = drains.is_busy();
        self.busy.store(busy, Ordering::Relaxed);
        desk.running = running;
        busy
    }
}
