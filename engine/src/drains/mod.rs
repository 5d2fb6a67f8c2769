//! The drains: records, surveys and tables of processes in, one drain of one service instance out, with its facts and
//! without a verdict. Pure: no I/O, no clock, nothing that can fail; the same input gives the same drains.
//!
//! Four rooms: what begins one is in `detect`, whose processes and connections are its own in `membership`, when it is over
//! in `progress`, how it is told in `report`. Each has state that is its own, of which `draining.rs` composes one drain, and
//! rules that read a whole drain; `lasting.rs` holds those that last, and `schedule.rs` says what they want looked at. State
//! imports no rules, and nothing here imports this file's [`Drains`].
//!
//! Feed [`Input::Lost`] before each tick: what was lost by then marks every drain that lasts.

mod accounts;
mod detect;
mod draining;
mod goodbye;
mod lasting;
mod listeners;
mod losses;
mod membership;
mod port;
mod progress;
mod report;
mod schedule;
mod starts;

use std::collections::BTreeSet;

use finwatch_common::{
    CloseRecord, ExitRecord, Process, ProcessEntry, Role, ServiceKey, SurveyRow, close_flags,
};

use self::{
    detect::begin::Detector,
    draining::Draining,
    lasting::Lasting,
    listeners::Listeners,
    membership::{connections::Connections, instances::Instances},
    progress::{over::Step, surveys::Survey},
    report::reports::Reports,
    schedule::Schedule,
    starts::{EndedGap, Starts},
};

use self::accounts::Late;
pub(crate) use self::accounts::Sum;
pub(crate) use self::detect::cause::kind_of_exit;
pub(crate) use self::losses::Loss;
pub use self::{
    membership::{
        late::late_in_steady_time,
        merge::{ClosedConnection, HELD_MAX, Merger},
    },
    report::names,
};
use crate::{input::Record, known::Known, model as story, timing, want::Want};

/// What the drains are told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'a> {
    /// A record of the ring.
    Record(&'a Record),
    /// The kernel's whole table of processes, as it is now.
    Processes(&'a [(u32, ProcessEntry)]),
    /// A survey of one namespace that began at `began_ns`.
    Survey {
        /// Cookie of the namespace.
        netns: u64,
        /// When it began, on the clock of the records.
        began_ns: u64,
        /// Sockets.
        rows: &'a [SurveyRow],
        /// Mini-sockets; `None`: nobody looked at them.
        minis: Option<&'a [SurveyRow]>,
    },
    /// A survey failed.
    SurveyFailed {
        /// Cookie of the namespace.
        netns: u64,
    },
    /// The rows were read again, as [`Known`] tells: of all services, or of `services` alone.
    Counted {
        /// None: of all.
        services: Option<&'a [ServiceKey]>,
    },
    /// The rows could not be read.
    CountersFailed,
    /// Records that were lost in the kernel so far.
    Lost {
        /// Of all kinds, since the start.
        total: u64,
    },
}

/// How often a bound kept something out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bitten {
    /// Drains that were not told, as too many lasted or waited.
    pub drains: u64,
    /// Instances, ports, listeners and processes that were not learnt.
    pub instances: u64,
    /// Connections in FIN_WAIT2 that were forgotten before their time.
    pub connections: u64,
    /// Starts, gaps and ports without a listener that were forgotten.
    pub starts: u64,
    /// Closes that were told before the RST that may belong to them.
    pub held_closes: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Drains {
    settle_limit_ns: u64,
    instances: Instances,
    connections: Connections,
    detector: Detector,
    lasting: Lasting,
    starts: Starts,
    schedule: Schedule,
    reports: Reports,
    lost_total: u64,
}

// === impl Drains ===

impl Drains {
    /// One that knows nobody yet; its drains wait for late requests so long after the last old process.
    pub(crate) fn new(settle_limit_ns: u64) -> Self {
        Self {
            settle_limit_ns,
            instances: Instances::default(),
            connections: Connections::default(),
            detector: Detector::default(),
            lasting: Lasting::default(),
            starts: Starts::default(),
            schedule: Schedule::default(),
            reports: Reports::default(),
            lost_total: 0,
        }
    }

    /// Takes what happened.
    pub(crate) fn take(&mut self, now_ns: u64, input: Input<'_>, known: &Known<'_>) {
        let Self {
            instances,
            connections,
            lasting,
            starts,
            schedule,
            ..
        } = self;
        match input {
            Input::Record(Record::Close(close)) => return self.on_close(close, known),
            Input::Record(Record::Reset(reset)) => return connections.reset(reset, lasting, known),
            Input::Record(Record::Unread(unread)) => {
                return connections.unread(unread, lasting, known);
            }
            Input::Record(Record::Listener(listener)) => {
                self.listeners().record(listener, now_ns, known);
                let Self {
                    lasting, starts, ..
                } = self;
                return self.schedule.plan_counters(lasting, starts, now_ns);
            }
            Input::Record(Record::Signal(signal)) => {
                lasting.hear(signal.header.at_ns);
                let begun = self.detector.signal(signal, lasting, instances, known);
                self.begin(begun, known);
            }
            Input::Record(Record::Exit(exit)) => self.on_exit(exit, now_ns, known),
            Input::Processes(table) => {
                schedule.table_answered(now_ns);
                instances.table(table, |instance| lasting.concern(instance));
                for draining in lasting.iter_mut() {
                    draining.table(instances, now_ns);
                }
            }
            Input::Survey {
                netns,
                began_ns,
                rows,
                minis,
            } => {
                if minis.is_some() {
                    schedule.survey_answered(netns, now_ns);
                }
                let survey = Survey {
                    netns,
                    began_ns,
                    rows,
                    minis: minis.unwrap_or_default(),
                };
                self.on_survey(&survey, minis.is_some(), now_ns, known);
            }
            Input::SurveyFailed { netns } => {
                schedule.survey_answered(netns, now_ns);
                lasting.iter_mut().for_each(|d| d.survey_failed(netns));
            }
            Input::Counted { services } => {
                lasting.counted(services, known);
                starts.counted(known);
            }
            Input::CountersFailed => {
                for port in lasting.iter_mut().flat_map(|d| d.ports.values_mut()) {
                    port.counted.refused_mut().cannot_be_read(now_ns);
                }
                starts.cannot_be_counted(known);
            }
            Input::Lost { total } => {
                self.lost_total = self.lost_total.max(total);
                return;
            }
        }
        self.plan(now_ns);
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self, now_ns: u64, known: &Known<'_>) {
        let Self {
            instances,
            connections,
            lasting,
            starts,
            ..
        } = self;
        connections.tick(now_ns, lasting, instances, known);
        starts.tick(now_ns, known);
        let lost = self.lost();
        for id in self.lasting.ids() {
            let Some(draining) = self.lasting.get_mut(id) else {
                continue;
            };
            let step = draining.progress(now_ns, self.settle_limit_ns, &self.instances);
            if draining.is_replaced_now(now_ns) {
                self.lasting.replaced(id);
            }
            let Some(draining) = self.lasting.get_mut(id) else {
                continue;
            };
            match step {
                Step::End if draining.has_answers(now_ns, known) => {
                    let instances = &mut self.instances;
                    self.reports.end(draining, instances, lost, now_ns, known);
                    self.connections.losses_mut().told(id);
                    self.lasting.forget(id);
                }
                Step::Drop => self.lasting.forget(id),
                Step::Stay | Step::End => {}
            }
        }
        let lasting = &self.lasting;
        let losses = self.connections.losses_mut();
        losses.give_back(|drain| lasting.has(drain));
        self.find_room();
        self.plan(now_ns);
    }

    /// What others must do, since the last call.
    pub(crate) fn wants(&mut self) -> Vec<Want> {
        self.schedule.take(&mut self.lasting)
    }

    /// Whether an instance is known to listen anywhere.
    pub(crate) fn knows(&self, instance: Process) -> bool {
        !self.instances.ports(&instance).is_empty()
    }

    /// Whether the process that an instance is named by has ended, and others may serve in its stead.
    pub(crate) fn owner_gone(&self, instance: Process) -> bool {
        self.instances.owner_gone(&self.instances.resolve(instance))
    }

    /// Whether anything lasts, told or not yet told.
    pub(crate) fn is_busy(&self) -> bool {
        !self.lasting.is_empty()
    }

    /// Drains that last and of which something changed, as they stand, by the id that those of one instance share. What is told
    /// here is told among the ended ones too. Each comes again after a while without a change: some findings only need time.
    pub(crate) fn changed(
        &mut self,
        now_ns: u64,
        known: &Known<'_>,
    ) -> Vec<(u64, Vec<story::Drain>)> {
        let lost = self.lost();
        self.reports.changed(&mut self.lasting, lost, now_ns, known)
    }

    /// Whether what was told under this id lasts.
    pub(crate) fn is_running(&self, id: u64) -> bool {
        self.lasting.has(id)
    }

    /// From now on it is accounted for all that servers count.
    pub(crate) fn open_accounts(&mut self, since_ns: u64) {
        self.connections.accounts_mut().open(since_ns);
    }

    /// Nobody asks for accounts any more, but of services that a drain may begin with and that are `wanted`.
    pub(crate) fn trim_accounts(&mut self, now_ns: u64, wanted: impl Fn(&ServiceKey) -> bool) {
        let since_ns = now_ns.saturating_sub(timing::ACCOUNT_NS);
        self.connections.accounts_mut().retain(since_ns, wanted);
    }

    /// Nothing is accounted for any more.
    pub(crate) fn close_accounts(&mut self) {
        self.connections.accounts_mut().close();
    }

    /// Services that are `ready` and whose accounts changed since the last call.
    pub(crate) fn accounts(
        &mut self,
        ready: impl Fn(&ServiceKey) -> bool,
        known: &Known<'_>,
    ) -> Vec<Sum> {
        self.connections.accounts_mut().changed(ready, known)
    }

    /// What came since the last call to connections that had been told and that no drain took.
    pub(crate) fn late_outside(&mut self) -> Vec<Late> {
        self.connections.accounts_mut().take_late()
    }

    /// Requests that servers lost in their ordinary time since the last call, and that no drain tells.
    pub(crate) fn lost_outside(&mut self) -> Vec<Loss> {
        self.connections.losses_mut().take()
    }

    /// Whether a drain lasts that has to do with a service, told or not.
    pub(crate) fn concern(&self, key: &ServiceKey) -> bool {
        let mut drains = self.lasting.iter();
        drains.any(|(_, draining)| draining.ports.contains_key(key))
    }

    /// The services of an instance, by whatever name it goes.
    pub(crate) fn services_of(&self, instance: Process) -> Vec<ServiceKey> {
        self.instances.ports(&self.instances.resolve(instance))
    }

    /// Whether anybody listens on a service's port.
    pub(crate) fn is_listened(&self, key: &ServiceKey) -> bool {
        self.instances.is_up(key)
    }

    /// Whether one who listened as this service lives.
    pub(crate) fn is_served(&self, key: &ServiceKey) -> bool {
        self.instances.is_served(key)
    }

    /// Whether anything is kept of what a service counted.
    pub(crate) fn accounts_for(&self, key: &ServiceKey) -> bool {
        self.connections.accounts().has(key)
    }

    /// Inode number of a network namespace, by its cookie; 0 where nobody is known to listen.
    pub(crate) fn netns_inum(&self, netns: u64) -> u32 {
        self.instances.netns_inum_of(netns)
    }

    /// Services that anybody here may yet tell of.
    pub(crate) fn services(&self) -> BTreeSet<ServiceKey> {
        let served = self.instances.services();
        let draining = self
            .lasting
            .iter()
            .flat_map(|(_, d)| d.ports.keys().copied());
        served.chain(draining).collect()
    }

    /// A service is nobody's here: neither who listens as it nor what drains of it is told.
    pub(crate) fn forget(&mut self, key: &ServiceKey, now_ns: u64) {
        for cookie in self.instances.forget(key, now_ns) {
            self.starts.lost(cookie);
        }
        for id in self.lasting.ids() {
            let draining = self.lasting.get_mut(id);
            let gone = draining.is_some_and(|draining| {
                draining.ports.remove(key).is_some() && draining.ports.is_empty()
            });
            if gone {
                self.lasting.forget(id);
            }
        }
    }

    /// Forgets what was refused on ports of services that nobody knows any more: their counters begin anew.
    pub(crate) fn retain_refused(&mut self, known: impl Fn(&ServiceKey) -> bool) {
        self.instances.retain_refused(known);
    }

    /// Drains that ended since the last call.
    pub(crate) fn ended(&mut self) -> Vec<story::Drain> {
        self.reports.take_ended()
    }

    /// Listeners that came since the last call.
    pub(crate) fn started(&mut self) -> Vec<story::Start> {
        self.starts.take_started()
    }

    /// Times in which nobody listened, that ended since the last call.
    pub(crate) fn gaps(&mut self) -> Vec<EndedGap> {
        self.starts.take_gaps()
    }

    /// How often a bound kept something out.
    pub(crate) fn bitten(&self) -> Bitten {
        Bitten {
            drains: self.lasting.bitten() + self.reports.bitten(),
            instances: self.instances.bitten(),
            connections: self.lasting.lingering().bitten()
                + self.connections.accounts().bitten()
                + self.connections.losses().bitten(),
            starts: self.starts.bitten(),
            held_closes: self.connections.told_early(),
        }
    }

    /// Whether anybody asks for connections that ended as they should.
    pub(crate) fn want_closes(&self) -> bool {
        self.connections.are_wanted(&self.lasting) || self.detector.expects_deaths()
    }

    fn on_close(&mut self, close: &CloseRecord, known: &Known<'_>) {
        // In steady time nobody asks for others; a busy server's closes cost nothing here.
        if !self.want_closes() && close.cut().is_none() {
            return;
        }
        if close.service.role() != Some(Role::Server) {
            return self.connections.own_call(close, &self.instances);
        }
        if close.flags & close_flags::BY_EXIT != 0 && close.closer_tgid != 0 {
            let at_ns = close.header.at_ns;
            let begun = self.detector.death(close.closer_tgid, at_ns, known);
            self.begin(begun, known);
        }
        self.connections
            .close(close, &mut self.lasting, &self.instances, known);
    }

    fn on_exit(&mut self, exit: &ExitRecord, now_ns: u64, known: &Known<'_>) {
        self.lasting.hear(exit.header.at_ns);
        let instance = self.instances.resolve(exit.instance);
        self.instances.exited(&instance, exit.process.tgid);
        let begun = self.detector.exit(
            exit,
            instance,
            &mut self.lasting,
            &self.instances,
            now_ns,
            known,
        );
        self.begin(begun, known);
    }

    /// Takes a survey; one that was not `wanted` for the drains' sake tells of listeners only.
    fn on_survey(&mut self, survey: &Survey<'_>, wanted: bool, now_ns: u64, known: &Known<'_>) {
        self.listeners().survey(survey, now_ns, known);
        self.find_room();
        if wanted {
            let recent = self.connections.recent();
            let instances = &self.instances;
            survey.tell(&mut self.lasting, recent, instances, now_ns, known);
        }
    }

    fn begin(&mut self, begun: Option<Draining>, known: &Known<'_>) {
        let lost = self.lost();
        if let Some(draining) = begun {
            self.open_accounts(draining.members.t0_ns());
            self.lasting.open(draining, lost, &self.instances, known);
        }
    }

    fn listeners(&mut self) -> Listeners<'_> {
        Listeners {
            instances: &mut self.instances,
            starts: &mut self.starts,
            lasting: &mut self.lasting,
        }
    }

    fn plan(&mut self, now_ns: u64) {
        self.schedule
            .plan(&mut self.lasting, &mut self.starts, now_ns);
    }

    /// Records that never came, or came too late to be of use.
    fn lost(&self) -> u64 {
        self.lost_total
            .saturating_add(self.connections.told_early())
    }

    fn find_room(&mut self) {
        self.lasting.find_room();
        if self.lasting.is_empty() {
            self.connections.forget_recent();
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::tests::scenario;
