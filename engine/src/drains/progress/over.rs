//! When a drain is over: whether its processes are gone, and whether all that they left behind has settled.

use finwatch_common::{Kinship, Process};

use crate::{
    drains::{
        draining::Draining,
        membership::{
            instances::Instances,
            members::{Gone, Over, Scope},
        },
        port::Port,
    },
    known::Known,
    model::DrainKind,
    timing,
};

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
    pub(in crate::drains) fn progress(
        &mut self,
        now_ns: u64,
        settle_limit_ns: u64,
        instances: &Instances,
    ) -> Step {
        if self.members.is_running() {
            let doubtful = self.cause.is_doubtful();
            if let Some(step) = self.resolve_doubt(now_ns, instances) {
                return step;
            }
            let gone = self.find_gone(now_ns, instances);
            if let Some(gone) = gone {
                self.members.are_gone(gone);
            }
            if gone.is_some() || self.cause.is_doubtful() != doubtful {
                self.reported.outdated();
            }
        }
        if let Some(gone) = self.members.gone() {
            let ports = self.ports.values_mut();
            ports
                .filter(|port| port.waiting.is_served_since(gone.since_ns))
                .for_each(|port| port.waiting.taken_up(now_ns));
        }
        if self.nobody_follows(instances) {
            self.cause.all_ended();
        }
        match self.members.gone() {
            Some(gone) if self.is_settled(now_ns, gone, settle_limit_ns) => Step::End,
            _ => Step::Stay,
        }
    }

    /// Whether all is there to tell it as ended: its services have names, and how many SYNs they refused was read after all
    /// else was over, or nobody answers.
    pub(in crate::drains) fn has_answers(&mut self, now_ns: u64, known: &Known<'_>) -> bool {
        let ports = &mut self.ports;
        let over_ns = *self.progress.over_ns.get_or_insert_with(|| {
            ports
                .values_mut()
                .for_each(|port| port.counted.refused_mut().need(now_ns));
            now_ns
        });
        let late = now_ns >= over_ns.saturating_add(timing::ANSWER_NS);
        ports.iter().all(|(key, port)| {
            (late || port.counted.refused().was_read_since(over_ns)) && !known.names.is_pending(key)
        })
    }

    /// Whether the kernel's phase of its instances is over as of now, while the drain itself may wait for late requests yet: the old
    /// processes are gone, have had time to close their sockets, and somebody listens in their stead. Where nobody does,
    /// SYNs may be refused for as long as it is told.
    pub(in crate::drains) fn is_replaced_now(&mut self, now_ns: u64) -> bool {
        let Some(gone) = self.members.gone() else {
            return false;
        };
        let closed_ns = gone
            .since_ns
            .max(self.progress.died_ns)
            .saturating_add(timing::CLOSING_NS);
        // The record of a listener's end may be lost, or late: of those who all ended only a survey tells.
        let told_ns = match self.members.is_stop() && gone.over == Over::Ended {
            true => closed_ns,
            false => 0,
        };
        let listens = |port: &Port| {
            let seen = &port.seen;
            let told = seen.surveyed_ns() >= told_ns;
            let taken_up = self.is_taken_up(now_ns, gone, port);
            seen.is_listening() && seen.closed().is_none() && told && taken_up
        };
        let replaced = now_ns >= closed_ns && self.ports.values().all(listens);
        let news = replaced && self.progress.replaced_ns.is_none();
        if news {
            self.progress.replaced_ns = Some(now_ns);
            self.keep_older();
        }
        news
    }

    /// From now on surveys do not show what is open: what others opened is none of its own.
    fn keep_older(&mut self) {
        let since = self.members.since_mono();
        let last_ns = since.into_values().max().unwrap_or_default();
        for port in self.ports.values_mut() {
            port.seen.keep_older(last_ns);
        }
    }

    /// Whether the old processes ended, those who start others too, and nobody came in their stead.
    fn nobody_follows(&self, instances: &Instances) -> bool {
        let ended = self.members.gone().is_some_and(|g| g.over == Over::Ended);
        let is_gone = |instance: &Process| instances.owner_gone(instance);
        ended
            && self.members.instances().all(is_gone)
            && !self.progress.listener_came
            && !self.members.has_successors(instances)
            && !self.cause.has_stopped_by_reload()
    }

    fn find_gone(&self, now_ns: u64, instances: &Instances) -> Option<Gone> {
        let t0_ns = self.members.t0_ns();
        let all_ended = self.members.all_ended();
        let last_end_ns = self.members.last_end_ns();
        if self.members.is_of_one() {
            return all_ended.then_some(Gone::since(last_end_ns, Over::Ended));
        }
        if all_ended && self.members.ends_are_known(now_ns) {
            return Some(Gone::since(last_end_ns.max(t0_ns), Over::Ended));
        }
        if self.members.nobody_left(instances) {
            return Some(Gone::since(self.members.table_ns(), Over::Ended));
        }
        match self.cause.kind() {
            DrainKind::Reload => self.find_nothing_replaced(t0_ns, instances),
            _ => self
                .find_lived_on()
                .or_else(|| self.find_left_behind(now_ns))
                .or_else(|| self.find_quiet(now_ns))
                .or_else(|| self.find_ignored(t0_ns, now_ns)),
        }
    }

    /// The old workers ended, the owner did not, and it still listens with new ones some time later.
    fn find_lived_on(&self) -> Option<Gone> {
        if self.members.scope() != Scope::Instance {
            return None;
        }
        let last_ns = self.members.replaced_ns()?;
        let listening = self.ports.values().any(|port| {
            port.seen.is_listening()
                && port.seen.surveyed_ns() > last_ns.saturating_add(timing::OTHERS_NS)
        });
        listening.then_some(Gone::since(last_ns, Over::LivedOn))
    }

    /// A controller was told to stop and ended alone: those that it started, whom nobody told, go on serving. One that the
    /// signal killed could not hand it on. One that ended itself may have done so over a pipe, and its workers may listen
    /// while they finish: they go on if they serve who comes now, or are there for long.
    fn find_left_behind(&self, now_ns: u64) -> Option<Gone> {
        let exit = self.cause.target_exit()?;
        let ended_ns = exit.header.at_ns;
        let alone = self.members.scope() == Scope::Instance
            && exit.kinship == Kinship::Controller as u8
            && !self.cause.others_were_told()
            && self.members.table_ns() > ended_ns
            && !self.members.knows_no_old()
            && self.members.nobody_ended();
        let killed = exit.status & 0x7f != 0;
        let serve = self.progress.served_ns >= ended_ns.saturating_add(timing::SERVES_NS);
        let wait_ns = if killed || serve {
            timing::OTHERS_NS
        } else {
            timing::LEFT_BEHIND_NS
        };
        let listening = self.progress.others_listen()
            && self.ports.values().all(|port| port.seen.is_listening());
        (alone && listening && now_ns >= ended_ns.saturating_add(wait_ns))
            .then_some(Gone::since(ended_ns, Over::LivedOn))
    }

    fn find_quiet(&self, now_ns: u64) -> Option<Gone> {
        let since_ns = self.progress.quiet_ns?;
        (now_ns >= since_ns.saturating_add(timing::QUIET_NS))
            .then_some(Gone::since(since_ns, Over::Quiet))
    }

    fn find_ignored(&self, t0_ns: u64, now_ns: u64) -> Option<Gone> {
        let over = now_ns >= t0_ns.saturating_add(timing::IGNORED_NS);
        let listening = self.ports.values().all(|port| port.seen.is_listening());
        (over && listening && self.members.nobody_ended())
            .then_some(Gone::since(now_ns, Over::Nothing))
    }

    fn find_nothing_replaced(&self, t0_ns: u64, instances: &Instances) -> Option<Gone> {
        // A controller that was asked has the one who serves replaced by another instance.
        let single = self.members.is_single() && !self.cause.asked_controller();
        let limit_ns = if single {
            timing::RELOAD_NS
        } else {
            timing::RELOAD_WORKERS_NS
        };
        let until_ns = t0_ns.saturating_add(limit_ns);
        let stopped = self.cause.has_stopped_by_reload();
        let nothing = self.members.table_ns() >= until_ns
            && !self.members.has_successors(instances)
            && !stopped;
        let itself = single && self.progress.owner_serves;
        (self.members.nobody_ended() && (nothing || itself))
            .then_some(Gone::since(until_ns, Over::Nothing))
    }

    /// Whether nobody hangs in an accept queue, and whoever holds the listening socket of the one who is gone has served somebody, or
    /// has had nobody to serve.
    fn is_taken_up(&self, now_ns: u64, gone: Gone, port: &Port) -> bool {
        let handed_over = self.members.is_stop()
            && gone.over == Over::Ended
            && port.seen.is_listening()
            && port.seen.closed().is_none();
        let late = now_ns >= gone.since_ns.saturating_add(timing::TAKEN_UP_NS);
        let hang = port.waiting.waits_ns().is_some();
        port.waiting.was_taken_up() || (!hang && (!handed_over || late))
    }

    fn is_settled(&self, now_ns: u64, gone: Gone, limit_ns: u64) -> bool {
        let last_close_ns = self
            .ports
            .values()
            .filter_map(|p| p.counted.last_close_ns());
        let last_ns = last_close_ns.max().unwrap_or(0).max(gone.since_ns);
        if now_ns < last_ns.saturating_add(timing::HOLD_NS + timing::READER_NS) {
            return now_ns
                >= gone
                    .since_ns
                    .saturating_add(limit_ns.max(timing::HOLD_NS + timing::READER_NS));
        }
        if gone.over == Over::Nothing
            || self.progress.surveys_failed >= SURVEYS_FAILED
            || now_ns >= gone.since_ns.saturating_add(limit_ns)
        {
            return true;
        }
        let nobody_serves = self.members.scope() == Scope::Instance && gone.over == Over::Ended;
        self.ports.values().all(|port| {
            port.seen.is_settled()
                && self.is_taken_up(now_ns, gone, port)
                && !(nobody_serves && port.seen.is_open() && !port.seen.is_listening())
        })
    }
}
