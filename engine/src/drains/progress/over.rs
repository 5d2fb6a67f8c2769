//! How far a drain is: whether it concerns the whole instance, whether its processes are gone, and whether all
//! that they left behind has settled.

use std::collections::BTreeMap;

use finwatch_common::{Intent, Kinship, Phase, Process, ServiceKey, SignalRecord, signal::KILL};

use crate::drains::{
    draining::{Draining, Over, Scope},
    membership::instances::Instances,
};
use crate::{model::DrainKind, timing};

/// Surveys that must agree that others listen.
const SURVEYS_LISTENING: u32 = 2;
/// Surveys that may fail before a namespace counts as gone.
const SURVEYS_FAILED: u32 = 3;

/// What is to be done with a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It goes on.
    Stay,
    /// It was none.
    Drop,
    /// It is over.
    End,
}

// === impl Draining ===

impl Draining {
    /// What is to be done at this time.
    pub(crate) fn progress(
        &mut self,
        now_ns: u64,
        settle_limit_ns: u64,
        instances: &Instances,
    ) -> Step {
        if self.gone.is_none() {
            let doubtful = self.doubtful;
            if let Some(step) = self.resolve_doubt(now_ns, instances) {
                return step;
            }
            self.gone = self.find_gone(now_ns, instances);
            if self.gone.is_some() || self.doubtful != doubtful {
                self.touch();
            }
        }
        match self.gone {
            Some(gone) if self.is_settled(now_ns, gone, settle_limit_ns) => Step::End,
            _ => Step::Stay,
        }
    }

    /// Whether it will be told, and as what it is now: a worker's death may turn out to be a part of its instance's.
    pub(crate) fn is_certain(&self, now_ns: u64) -> bool {
        let of_one = matches!(self.scope, Scope::Process(_));
        let young = now_ns < self.t0_ns().saturating_add(timing::ONE_HAND_NS);
        !(self.doubtful || of_one && young)
    }

    /// Whether it began with a signal at which the kernel set the instance's phase.
    pub(crate) fn is_phased(&self) -> bool {
        let signal = self.signal.as_ref();
        signal.is_some_and(|signal| signal.intent().phase() != Phase::Steady)
    }

    /// Whether a stop is what this reload does to the instance itself: its controller was asked to reload, and stops the
    /// one that another instance follows.
    pub(crate) fn is_of_reload(&self, stop: &SignalRecord) -> bool {
        self.kind == DrainKind::Reload
            && self.asked_controller()
            && stop.intent() == Intent::Stop
            && stop.kinship == Kinship::Owner as u8
            && stop.sender_tgid == self.target.tgid
    }

    /// From when on a survey can tell whether others listen in the target's stead.
    pub(crate) fn listeners_tell_from_ns(&self) -> Option<u64> {
        self.target_exit
            .map(|exit| exit.header.at_ns.saturating_add(timing::CLOSING_NS))
    }

    /// Whether a SIGKILL had come by then.
    pub(crate) fn was_killed(&self, at_ns: u64) -> bool {
        let mut signals = self.signal.iter().chain(&self.further);
        signals.any(|s| s.signal == KILL && s.header.at_ns <= at_ns)
    }

    /// Whether something happened that a reload does: new processes came to stay, old ones ended in order, a controller stopped
    /// the one who serves, or somebody opened a listener.
    pub(crate) fn is_shown_to_reload(&self, instances: &Instances) -> bool {
        // A helper that was forked for the moment is gone by then.
        let new_stay = self.table_ns >= self.t0_ns().saturating_add(timing::ONE_HAND_NS)
            && self.has_successors(instances);
        let stopped = self.further.iter().any(|signal| self.is_of_reload(signal));
        new_stay || stopped || self.listener_came || !self.nobody_ended()
    }

    /// A signal that may have asked for a reload did not if nothing showed it in time.
    fn resolve_doubtful_reload(&mut self, now_ns: u64, instances: &Instances) -> Option<Step> {
        if self.is_shown_to_reload(instances) {
            self.doubtful = false;
            return None;
        }
        let over = now_ns >= self.t0_ns().saturating_add(timing::RELOAD_WORKERS_NS);
        Some(if over { Step::Drop } else { Step::Stay })
    }

    /// A death is one process's affair as long as others go on listening.
    fn resolve_doubt(&mut self, now_ns: u64, instances: &Instances) -> Option<Step> {
        if self.is_doubtful_reload() {
            return self.resolve_doubtful_reload(now_ns, instances);
        }
        if self.scope != Scope::Instance {
            return None;
        }
        let Some(exit) = self.target_exit else {
            let early = now_ns < self.t0_ns().saturating_add(timing::DOUBT_NS);
            let alive = self.nobody_ended() && !self.nobody_left(instances);
            return (self.doubtful && (early || alive)).then_some(Step::Stay);
        };
        let ended_ns = exit.header.at_ns;
        let by_controller = exit.kinship == Kinship::Controller as u8;
        let tabled = self.table_ns > ended_ns;
        let others = self.since.keys().any(|instance| {
            // A controller may be a mere supervisor, unless it holds the socket.
            instances.processes(instance).any(|(tgid, kin)| {
                let holds = kin.kinship != Kinship::Controller || self.surveys_listening > 0;
                tgid != self.target.tgid && holds
            })
        });
        let wait_ns = if self.doubtful { 0 } else { timing::OTHERS_NS };
        let listening = self.surveys_listening >= SURVEYS_LISTENING;
        let siblings_end = self.since.len() > 1;
        if tabled
            && others
            && listening
            && !siblings_end
            && self.only_target_ended()
            && now_ns >= ended_ns.saturating_add(wait_ns)
        {
            let meant_nothing = by_controller || (self.signal.is_none() && exit.status == 0);
            if meant_nothing && self.doubtful {
                return Some(Step::Drop);
            }
            if !by_controller {
                self.narrow();
                return None;
            }
        }
        if !self.doubtful {
            return None;
        }
        let closed = self.ports.values().any(|p| p.listened)
            && self
                .ports
                .iter()
                .all(|(key, port)| !port.listened || !self.listens(key, instances));
        let late = now_ns >= ended_ns.saturating_add(timing::DOUBT_NS);
        if closed || late || (tabled && !others) {
            self.doubtful = false;
            return None;
        }
        Some(Step::Stay)
    }

    /// The drain is about one process only: the rest of the instance goes on.
    fn narrow(&mut self) {
        self.touch();
        self.scope = Scope::Process(self.target.tgid);
        self.doubtful = false;
        let ended = self.target_exit.map(|exit| exit.header.at_ns);
        self.old = BTreeMap::from([(self.target.tgid, ended)]);
        self.new.clear();
        self.exit = self.target_exit;
        self.last_end_ns = ended.unwrap_or(self.last_end_ns);
        for port in self.ports.values_mut() {
            port.keep_only_target();
        }
    }

    fn find_gone(&self, now_ns: u64, instances: &Instances) -> Option<(u64, Over)> {
        let t0_ns = self.t0_ns();
        let tabled = self.since.keys().all(|p| self.tabled.contains(p));
        let all_ended = !self.old.is_empty() && self.old.values().all(Option::is_some);
        let late = self.last_end_ns.saturating_add(timing::TABLE_LATE_NS) <= now_ns;
        if let Scope::Process(_) = self.scope {
            return all_ended.then_some((self.last_end_ns, Over::Ended));
        }
        if all_ended && (tabled || late) {
            return Some((self.last_end_ns.max(t0_ns), Over::Ended));
        }
        if self.nobody_left(instances) {
            return Some((self.table_ns, Over::Ended));
        }
        match self.kind {
            DrainKind::Reload => self.find_nothing_replaced(t0_ns, instances),
            _ => self
                .find_lived_on()
                .or_else(|| self.find_left_behind(now_ns))
                .or_else(|| self.find_quiet(now_ns))
                .or_else(|| self.find_ignored(t0_ns, now_ns)),
        }
    }

    /// The old workers ended, the owner did not, and it still listens with new ones some time later.
    fn find_lived_on(&self) -> Option<(u64, Over)> {
        if self.scope != Scope::Instance {
            return None;
        }
        let is_owner = |tgid: &u32| self.since.keys().any(|p| p.tgid == *tgid);
        let workers = || self.old.iter().filter(|(tgid, _)| !is_owner(tgid));
        let owners = || self.old.iter().filter(|(tgid, _)| is_owner(tgid));
        let last_ns = workers().map(|(_, ended)| *ended).max()??;
        let replaced = workers().all(|(_, ended)| ended.is_some())
            && owners().any(|(_, ended)| ended.is_none())
            && !self.new.is_empty();
        let listening = self.ports.values().any(|port| {
            port.is_listening() && port.surveyed_ns() > last_ns.saturating_add(timing::OTHERS_NS)
        });
        (replaced && listening).then_some((last_ns, Over::LivedOn))
    }

    /// A controller was told to stop and ended alone: those that it started, whom nobody told, go on serving. One that the
    /// signal killed could not hand it on. One that ended itself may have done so over a pipe, and its workers may listen
    /// while they finish: they go on if they serve who comes now, or are there for long.
    fn find_left_behind(&self, now_ns: u64) -> Option<(u64, Over)> {
        let exit = self.target_exit?;
        let ended_ns = exit.header.at_ns;
        let alone = self.scope == Scope::Instance
            && exit.kinship == Kinship::Controller as u8
            && !self.others_told
            && self.table_ns > ended_ns
            && !self.old.is_empty()
            && self.nobody_ended();
        let killed = exit.status & 0x7f != 0;
        let serve = self.served_ns >= ended_ns.saturating_add(timing::SERVES_NS);
        let wait_ns = if killed || serve {
            timing::OTHERS_NS
        } else {
            timing::LEFT_BEHIND_NS
        };
        let listening = self.surveys_listening >= SURVEYS_LISTENING
            && self.ports.values().all(|port| port.is_listening());
        (alone && listening && now_ns >= ended_ns.saturating_add(wait_ns))
            .then_some((ended_ns, Over::LivedOn))
    }

    fn find_quiet(&self, now_ns: u64) -> Option<(u64, Over)> {
        let since_ns = self.quiet_ns?;
        (now_ns >= since_ns.saturating_add(timing::QUIET_NS)).then_some((since_ns, Over::Quiet))
    }

    fn find_ignored(&self, t0_ns: u64, now_ns: u64) -> Option<(u64, Over)> {
        let over = now_ns >= t0_ns.saturating_add(timing::IGNORED_NS);
        let listening = self.ports.values().all(|port| port.is_listening());
        (over && listening && self.nobody_ended()).then_some((now_ns, Over::Nothing))
    }

    fn find_nothing_replaced(&self, t0_ns: u64, instances: &Instances) -> Option<(u64, Over)> {
        // A controller that was asked has the one who serves replaced by another instance.
        let single = self.single && !self.asked_controller();
        let limit_ns = if single {
            timing::RELOAD_NS
        } else {
            timing::RELOAD_WORKERS_NS
        };
        let until_ns = t0_ns.saturating_add(limit_ns);
        let stopped = self.further.iter().any(|signal| self.is_of_reload(signal));
        let nothing = self.table_ns >= until_ns && !self.has_successors(instances) && !stopped;
        let itself = single && self.owner_serves;
        (self.nobody_ended() && (nothing || itself)).then_some((until_ns, Over::Nothing))
    }

    fn is_settled(&self, now_ns: u64, (gone_ns, over): (u64, Over), limit_ns: u64) -> bool {
        let last_close_ns = self.ports.values().filter_map(|p| p.whole.last_close_ns);
        let last_ns = last_close_ns.max().unwrap_or(0).max(gone_ns);
        if now_ns < last_ns.saturating_add(timing::HOLD_NS + timing::READER_NS) {
            return now_ns
                >= gone_ns.saturating_add(limit_ns.max(timing::HOLD_NS + timing::READER_NS));
        }
        if over == Over::Nothing
            || self.surveys_failed >= SURVEYS_FAILED
            || now_ns >= gone_ns.saturating_add(limit_ns)
        {
            return true;
        }
        let nobody_serves = self.scope == Scope::Instance && over == Over::Ended;
        self.ports.values().all(|port| {
            port.is_settled() && !(nobody_serves && port.is_open() && !port.is_listening())
        })
    }

    /// It began with a signal for a controller, which did not hand it on.
    fn asked_controller(&self) -> bool {
        let asked = self.signal.iter().chain(&self.further);
        let mut reloads = asked.filter(|s| matches!(s.intent(), Intent::Reload | Intent::Unclear));
        self.signal.is_some() && reloads.all(|s| s.kinship == Kinship::Controller as u8)
    }

    /// New processes are there. Helpers that ended, or run another program by now, serve nobody.
    fn has_successors(&self, instances: &Instances) -> bool {
        let is_new = |(tgid, _)| self.new.contains(&tgid);
        let one = |instance: &Process| instances.processes(instance).any(is_new);
        self.since.keys().any(one)
    }

    fn nobody_ended(&self) -> bool {
        self.old.values().all(Option::is_none)
    }

    /// No table since T0 knows a process of it, and so no record tells of an end: it was lost, or the process was dead
    /// before the first table.
    fn nobody_left(&self, instances: &Instances) -> bool {
        let tabled = self.since.keys().all(|p| self.tabled.contains(p));
        let nobody = |instance: &Process| instances.processes(instance).next().is_none();
        self.old.is_empty() && tabled && self.since.keys().all(nobody)
    }

    fn only_target_ended(&self) -> bool {
        let ended = |(tgid, at): (&u32, &Option<u64>)| at.is_none() || *tgid == self.target.tgid;
        self.old.iter().all(ended)
    }

    fn listens(&self, key: &ServiceKey, instances: &Instances) -> bool {
        let one = |instance: &Process| instances.listening(instance, key) > 0;
        self.since.keys().any(one)
    }
}
