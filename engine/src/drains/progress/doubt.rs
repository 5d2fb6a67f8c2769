//! Doubts: whether a death, or the end of a controller, concerns the whole instance or one process only, and whether a signal
//! of unclear meaning asked for a reload.

use finwatch_common::{Kinship, Process, ServiceKey};

use super::over::Step;
use crate::{
    drains::{
        draining::Draining,
        membership::{instances::Instances, members::Scope},
    },
    timing,
};

// === impl Draining ===

impl Draining {
    /// Whether something happened that a reload does: new processes came to stay, old ones ended in order, a controller stopped
    /// the one who serves, or somebody opened a listener.
    pub(in crate::drains) fn is_shown_to_reload(&self, instances: &Instances) -> bool {
        // A helper that was forked for the moment is gone by then.
        let new_stay = self.members.table_ns()
            >= self.members.t0_ns().saturating_add(timing::ONE_HAND_NS)
            && self.members.has_successors(instances);
        let stopped = self.cause.has_stopped_by_reload();
        new_stay || stopped || self.progress.listener_came || !self.members.nobody_ended()
    }

    /// A signal that may have asked for a reload did not if nothing showed it in time.
    fn resolve_doubtful_reload(&mut self, now_ns: u64, instances: &Instances) -> Option<Step> {
        if self.is_shown_to_reload(instances) {
            self.cause.is_clear_now();
            return None;
        }
        let over = now_ns
            >= self
                .members
                .t0_ns()
                .saturating_add(timing::RELOAD_WORKERS_NS);
        Some(if over { Step::Drop } else { Step::Stay })
    }

    /// A death is one process's affair as long as others go on listening.
    pub(super) fn resolve_doubt(&mut self, now_ns: u64, instances: &Instances) -> Option<Step> {
        if self.cause.is_doubtful_reload() {
            return self.resolve_doubtful_reload(now_ns, instances);
        }
        if self.members.scope() != Scope::Instance {
            return None;
        }
        let Some(exit) = self.cause.target_exit() else {
            let early = now_ns < self.members.t0_ns().saturating_add(timing::DOUBT_NS);
            let alive = self.members.nobody_ended() && !self.members.nobody_left(instances);
            return (self.cause.is_doubtful() && (early || alive)).then_some(Step::Stay);
        };
        let ended_ns = exit.header.at_ns;
        let by_controller = exit.kinship == Kinship::Controller as u8;
        let tabled = self.members.table_ns() > ended_ns;
        let others = self.members.instances().any(|instance| {
            // A controller may be a mere supervisor, unless it holds the socket.
            instances.processes(instance).any(|(tgid, kin)| {
                let holds =
                    kin.kinship != Kinship::Controller || self.progress.surveys_listening > 0;
                tgid != self.cause.target() && holds && !self.members.excludes(tgid)
            })
        });
        let wait_ns = if self.cause.is_doubtful() {
            0
        } else {
            timing::OTHERS_NS
        };
        let listening = self.progress.others_listen();
        let siblings_end = self.members.instances().count() > 1;
        if tabled
            && others
            && listening
            && !siblings_end
            && self.members.only_ended(self.cause.target())
            && now_ns >= ended_ns.saturating_add(wait_ns)
        {
            let meant_nothing =
                by_controller || (self.cause.signal().is_none() && exit.status == 0);
            if meant_nothing && self.cause.is_doubtful() {
                return Some(Step::Drop);
            }
            if !by_controller {
                self.narrow();
                return None;
            }
        }
        if !self.cause.is_doubtful() {
            return None;
        }
        let closed = self.ports.values().any(|p| p.seen.listened())
            && self
                .ports
                .iter()
                .all(|(key, port)| !port.seen.listened() || !self.listens(key, instances));
        let late = now_ns >= ended_ns.saturating_add(timing::DOUBT_NS);
        if closed || late || (tabled && !others) {
            self.cause.is_clear_now();
            return None;
        }
        Some(Step::Stay)
    }

    fn listens(&self, key: &ServiceKey, instances: &Instances) -> bool {
        let one = |instance: &Process| instances.listening(instance, key) > 0;
        self.members.instances().any(one)
    }
}
