//! The drains: records, surveys and tables of processes in, one drain of one service instance out, with its facts and
//! without a verdict. Pure: no I/O, no clock, nothing that can fail; the same input gives the same drains.
//!
//! Feed [`Input::Lost`] before each tick: what was lost by then marks every drain that lasts.

mod detect;
mod draining;
mod membership;
mod plan;
mod port;
mod progress;
mod report;
mod schedule;
mod starts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use finwatch_common::{ListenerRecord, Process, ProcessEntry, ServiceKey, SurveyRow};

use self::{
    detect::deaths::Deaths,
    draining::Draining,
    membership::{
        instances::Instances,
        lingering::{Early, Lingering},
        own_calls::OwnCalls,
    },
    port::ListenersClosed,
    progress::{over::Step, surveys},
    report::tell,
    schedule::Requests,
    starts::Starts,
};

pub use self::{
    membership::{
        late::late_in_steady_time,
        merge::{ClosedConnection, HELD_MAX, Merger},
    },
    report::names,
};
use crate::{input::Record, known::Known, model as story, want::Want};

/// Most drains that last at once, each over all ports of an instance.
const DRAININGS_MAX: usize = 256;
/// Most connections remembered of all drains together: open at T0, or open now (about 20 MiB).
const CONNECTIONS_MAX: usize = 262_144;
/// Most drains kept until they are asked for; the oldest give way.
const ENDED_MAX: usize = 1_024;

/// How drains are told.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How long a drain waits for late requests after the last old process.
    pub settle_limit_ns: u64,
    /// Ports where turns are not judged.
    pub stream_ports: Vec<u16>,
}

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
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Drains {
    options: Options,
    instances: Instances,
    drainings: BTreeMap<u64, Draining>,
    next: u64,
    merger: Merger,
    lingering: Lingering,
    early: Early,
    own_calls: OwnCalls,
    recent: surveys::Recent,
    deaths: Deaths,
    starts: Starts,
    surveys: Requests,
    tables: Requests,
    wanted: BTreeSet<Want>,
    ended: VecDeque<story::Drain>,
    /// How many more connections may be remembered.
    room: usize,
    lost_total: u64,
    /// Closes told before the RST that they wait for.
    told_early: u64,
    drains_bitten: u64,
}

// === impl Drains ===

impl Drains {
    /// One that knows nobody yet.
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            instances: Instances::default(),
            drainings: BTreeMap::new(),
            next: 0,
            merger: Merger::new(),
            lingering: Lingering::default(),
            early: Early::default(),
            own_calls: OwnCalls::default(),
            recent: surveys::Recent::default(),
            deaths: Deaths::default(),
            starts: Starts::default(),
            surveys: Requests::default(),
            tables: Requests::default(),
            wanted: BTreeSet::new(),
            ended: VecDeque::new(),
            room: CONNECTIONS_MAX,
            lost_total: 0,
            told_early: 0,
            drains_bitten: 0,
        }
    }

    /// Takes what happened.
    pub(crate) fn take(&mut self, now_ns: u64, input: Input<'_>, known: &Known<'_>) {
        match input {
            Input::Record(Record::Close(close)) => return self.on_close(close, known),
            Input::Record(Record::Reset(reset)) => return self.on_reset(reset, known),
            Input::Record(Record::Unread(unread)) => return self.on_unread(unread, known),
            Input::Record(Record::Listener(listener)) => {
                self.on_listener(listener, now_ns, known);
                return self.plan_counters(now_ns);
            }
            Input::Record(Record::Signal(signal)) => self.on_signal(signal, known),
            Input::Record(Record::Exit(exit)) => self.on_exit(exit, now_ns, known),
            Input::Processes(table) => self.on_table(table, now_ns),
            Input::Survey {
                netns,
                began_ns,
                rows,
                minis,
            } => {
                let survey = surveys::Survey {
                    netns,
                    began_ns,
                    rows,
                    minis,
                };
                self.on_survey(&survey, now_ns, known);
            }
            Input::SurveyFailed { netns } => self.on_survey_failed(netns),
            Input::Counted { services } => self.on_counted(services, known),
            Input::CountersFailed => self.on_counters_failed(now_ns, known),
            Input::Lost { total } => {
                self.lost_total = self.lost_total.max(total);
                return;
            }
        }
        self.plan(now_ns);
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self, now_ns: u64, known: &Known<'_>) {
        self.tell_due(now_ns, known);
        let ids: Vec<u64> = self.drainings.keys().copied().collect();
        for id in ids {
            let Some(draining) = self.drainings.get_mut(&id) else {
                continue;
            };
            match draining.progress(now_ns, self.options.settle_limit_ns, &self.instances) {
                Step::Stay => {}
                Step::Drop => self.forget_draining(id),
                Step::End => {
                    if draining.is_told_all(now_ns, known) {
                        self.end(id, now_ns, known);
                    }
                }
            }
        }
        self.starts.tick(now_ns, known);
        self.find_room();
        self.plan(now_ns);
    }

    /// What others must do, since the last call.
    pub(crate) fn wants(&mut self) -> Vec<Want> {
        std::mem::take(&mut self.wanted).into_iter().collect()
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
        !self.drainings.is_empty()
    }

    /// Drains that last and of which something changed, as they stand, by the drain that they are of. What is told here is
    /// told among the ended ones too, by the same id. Each comes again after a while without a change: some findings only
    /// need time.
    pub(crate) fn changed(
        &mut self,
        now_ns: u64,
        known: &Known<'_>,
    ) -> Vec<(u64, Vec<story::Drain>)> {
        let lost = self.lost();
        let due = |e: &Draining| e.is_certain(now_ns) && e.is_due(now_ns, lost);
        let ids: Vec<u64> = self
            .drainings
            .iter()
            .filter(|(_, draining)| due(draining))
            .map(|(id, _)| *id)
            .collect();
        let mut told = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(draining) = self.drainings.get(&id) else {
                continue;
            };
            let drains = tell::tell(draining, &self.telling(draining, now_ns, false), known);
            told.push((id, drains));
            if let Some(draining) = self.drainings.get_mut(&id) {
                draining.told(now_ns, lost);
            }
        }
        told
    }

    /// Whether a drain that was told lasts.
    pub(crate) fn is_running(&self, draining: u64) -> bool {
        self.drainings.contains_key(&draining)
    }

    /// Services that anybody here may yet tell of.
    pub(crate) fn services(&self) -> BTreeSet<ServiceKey> {
        let served = self.instances.services();
        let draining = self
            .drainings
            .values()
            .flat_map(|e| e.ports.keys().copied());
        served.chain(draining).collect()
    }

    /// Drains that ended since the last call.
    pub(crate) fn ended(&mut self) -> Vec<story::Drain> {
        std::mem::take(&mut self.ended).into()
    }

    /// Listeners that came since the last call.
    pub(crate) fn started(&mut self) -> Vec<story::Start> {
        self.starts.take_started()
    }

    /// Times in which nobody listened, that ended since the last call, each with the service that had listened before it.
    pub(crate) fn gaps(&mut self) -> Vec<(ServiceKey, story::Gap)> {
        self.starts.take_gaps()
    }

    /// How often a bound kept something out.
    pub(crate) fn bitten(&self) -> Bitten {
        Bitten {
            drains: self.drains_bitten,
            instances: self.instances.bitten(),
            connections: self.lingering.bitten(),
            starts: self.starts.bitten(),
        }
    }

    fn on_listener(&mut self, record: &ListenerRecord, now_ns: u64, known: &Known<'_>) {
        let key = record.service.in_phase(finwatch_common::Phase::Steady);
        let at_ns = record.header.at_ns;
        if record.up != 0 {
            let owner = self.instances.resolve(Process {
                start_ns: record.start_ns,
                tgid: record.owner_tgid,
                pad: 0,
            });
            let came = self
                .instances
                .listen(record.cookie, owner, key, record.netns_inum, at_ns);
            if let Some(came) = came {
                for draining in self.drainings.values_mut() {
                    draining.listener_came |=
                        draining.ports.contains_key(&key) && at_ns > draining.t0_ns();
                }
                self.starts.came(came, owner, &key, at_ns, now_ns, known);
                self.listens_again(owner, &key, at_ns, now_ns);
            }
            return;
        }
        let Some(went) = self.instances.unlisten(record.cookie, at_ns) else {
            return;
        };
        self.starts.went(record.cookie, &went, at_ns, known);
        if !went.last_of_instance {
            return;
        }
        for draining in self.drainings.values_mut() {
            let others = draining
                .since
                .keys()
                .any(|instance| self.instances.listening(instance, &key) > 0);
            if others || !draining.is_told_of(&went.owner, at_ns) {
                continue;
            }
            draining.touch();
            if let Some(port) = draining.ports.get_mut(&key) {
                let closed = ListenersClosed {
                    at_ns,
                    by_exit: record.by_exit != 0,
                    taken_over: !went.last_of_port,
                };
                port.listeners_closed(closed);
                port.backlog = record.backlog;
            }
        }
    }

    /// An instance listens: one that had closed its listener on that port in a drain opened it anew.
    fn listens_again(&mut self, owner: Process, key: &ServiceKey, at_ns: u64, now_ns: u64) {
        for draining in self.drainings.values_mut() {
            if draining.is_told_of(&owner, at_ns)
                && let Some(port) = draining.ports.get_mut(key)
            {
                port.listens_again(now_ns);
                draining.touch();
            }
        }
    }

    /// The rows were read again: what waits for a number gets it.
    fn on_counted(&mut self, services: Option<&[ServiceKey]>, known: &Known<'_>) {
        let is_meant = |key: &ServiceKey| services.is_none_or(|services| services.contains(key));
        for draining in self.drainings.values_mut() {
            let mut news = false;
            for (key, port) in &mut draining.ports {
                if let Some(refused) = known.refused(key).filter(|_| is_meant(key)) {
                    let before = port.refused();
                    port.refusals().read(refused);
                    news |= port.refused() != before;
                }
            }
            if news {
                draining.touch();
            }
        }
        self.starts.counted(known);
    }

    /// They cannot be read: nobody waits any longer.
    fn on_counters_failed(&mut self, now_ns: u64, known: &Known<'_>) {
        for draining in self.drainings.values_mut() {
            for port in draining.ports.values_mut() {
                port.refusals().cannot_be_read(now_ns);
            }
        }
        self.starts.cannot_be_counted(known);
    }

    fn on_table(&mut self, table: &[(u32, ProcessEntry)], now_ns: u64) {
        self.tables.answered(0);
        let drainings = &self.drainings;
        self.instances.table(table, |instance| {
            drainings.values().any(|e| e.since.contains_key(instance))
        });
        for draining in self.drainings.values_mut() {
            draining.table(&self.instances, now_ns);
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::tests::scenario;
