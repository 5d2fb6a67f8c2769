//! The engine: one owner of all that is known. It takes inputs, says what it wants, and tells what came of it. It does no
//! I/O, reads no clock and waits for nobody.

mod named;
mod tick;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use finwatch_common::{Kinship, Process, Role, ServiceKey, SurveyRow, survey_kind};

use crate::{
    accounting::Accounting,
    clocks::{Clocks, Moment},
    closes::Closes,
    diagnoses::JudgeOptions,
    drains::{self, ClosedConnection, Drains, late_in_steady_time},
    elsewhere::Elsewhere,
    incidents::Incidents,
    input::{Counters, Input, Reading, Record, Survey},
    known::{Known, Reasons},
    model::{
        DeployEvent, Drain, Incident, RecentCloses, Rollout, ServiceState, Shape, StoryFigures,
    },
    relatives::Relatives,
    rollouts::{Correlator, CorrelatorOptions, LateClose, Rounds},
    services::{
        self, Gauges, Ledger, Limits, Names, Refusals, SeriesLabels, Smalls, Surveys, TimeWaits,
        View, Windows,
    },
    snapshot::{Bounds, Change, EngineFigures, Namespaces, Snapshot},
    want::Want,
};

/// Most ended rollouts that may still be added to.
const COUNTED_MAX: usize = 256;

/// How the engine is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many series are shown and kept.
    pub limits: Limits,
    /// How long a drain waits for late requests after the last old process.
    pub settle_limit: Duration,
    /// Ports where turns are not judged.
    pub stream_ports: Vec<u16>,
    /// How much ordinary time is kept of each service.
    pub baseline_window: Duration,
    /// How rollouts are put together.
    pub rollouts: CorrelatorOptions,
    /// How strictly drains are judged.
    pub judge: JudgeOptions,
    /// Names of the kernel's reset reasons.
    pub reasons: Reasons,
    /// The process whose own stop is no drain, as its end could not be told; 0: none.
    pub own_tgid: u32,
}

/// What an earlier run left in the history.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Drains that were under way when it ended.
    pub interrupted_drains: Vec<Drain>,
    /// Rollouts that were under way when it ended.
    pub interrupted_rollouts: Vec<Rollout>,
    /// Rollouts that are to be shown again.
    pub last_rollouts: Vec<Rollout>,
    /// Incidents that were under way when it ended.
    pub interrupted_incidents: Vec<Incident>,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    options: Options,
    clocks: Clocks,
    ledger: Ledger,
    names: Names,
    elsewhere: Elsewhere,
    refusals: Refusals,
    smalls: Smalls,
    surveys: Surveys,
    time_waits: TimeWaits,
    windows: Windows,
    drains: Drains,
    /// Drains that last, as they were told last, by the id that those of one instance share.
    running: BTreeMap<u64, Vec<Arc<Drain>>>,
    /// Ids of the running drains that were counted as begun.
    begun: HashSet<String>,
    accounting: Accounting,
    rollouts: Correlator,
    /// Rollouts that run, as they were told last, by id.
    rolling: BTreeMap<String, Arc<Rollout>>,
    incidents: Incidents,
    /// Incidents that last, as they were told last, by id.
    lasting: BTreeMap<String, Arc<Incident>>,
    rounds: Rounds,
    /// Rollouts that were counted as ended; one that is added to later is not counted again.
    counted: VecDeque<String>,
    story: Arc<StoryFigures>,
    closes: Closes,
    /// Whether all closes are told.
    all_closes: bool,
    now_ns: u64,
    relatives: Relatives,
    wants: Vec<Want>,
    changes: Vec<Change>,
    figures: EngineFigures,
    /// Something happened that should be looked at while it lasts.
    urgent: bool,
    snapshot: Arc<Snapshot>,
    stale: bool,
}

/// See [`Engine::parts`].
struct Parts<'a> {
    drains: &'a mut Drains,
    rollouts: &'a mut Correlator,
    incidents: &'a mut Incidents,
    wants: &'a mut Vec<Want>,
    known: Known<'a>,
}

// === impl Engine ===

impl Engine {
    /// One that knows nothing but what an earlier run left.
    pub fn new(options: Options, remembered: &Remembered) -> Self {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let mut story = StoryFigures::default();
        for drain in &remembered.interrupted_drains {
            story.drain_ended(drain);
        }
        for rollout in &remembered.interrupted_rollouts {
            story.rollout_ended(rollout);
        }
        for rollout in &remembered.last_rollouts {
            story.rollout_seen(rollout);
        }
        for incident in &remembered.interrupted_incidents {
            story.incident_ended(incident);
        }
        Self {
            clocks: Clocks::default(),
            ledger: Ledger::new(options.limits.clone()),
            names: Names::default(),
            elsewhere: Elsewhere::default(),
            refusals: Refusals::default(),
            smalls: Smalls::default(),
            surveys: Surveys::default(),
            time_waits: TimeWaits::default(),
            windows: Windows::new(nanos(options.baseline_window)),
            drains: Drains::new(nanos(options.settle_limit)),
            running: BTreeMap::new(),
            begun: HashSet::new(),
            accounting: Accounting::default(),
            rollouts: Correlator::new(options.rollouts.clone()),
            rolling: BTreeMap::new(),
            incidents: Incidents::default(),
            lasting: BTreeMap::new(),
            rounds: Rounds::default(),
            counted: VecDeque::new(),
            story: Arc::new(story),
            closes: Closes::default(),
            all_closes: true,
            now_ns: 0,
            relatives: Relatives::default(),
            wants: Vec::new(),
            changes: Vec::new(),
            figures: EngineFigures::default(),
            urgent: false,
            snapshot: Arc::default(),
            stale: true,
            options,
        }
    }

    /// Takes what happened. Returns every service as it is now where that was read.
    pub fn take(&mut self, at: Moment, input: Input<'_>) -> Option<View> {
        self.clocks = at.clocks;
        let now_ns = at.kernel_ns;
        self.now_ns = now_ns;
        match input {
            Input::Records(records) => self.on_records(records, now_ns),
            Input::Lost { total } => self.tell_drains(now_ns, drains::Input::Lost { total }),
            Input::Counters(counters) => return self.on_counters(counters, at),
            Input::Survey(survey) => self.on_survey(&survey, now_ns),
            Input::SurveyFailed { netns } => {
                self.tell_drains(now_ns, drains::Input::SurveyFailed { netns });
            }
            Input::MiniSockets { netns, rows } => self.time_waits.surveyed(netns, rows, now_ns),
            Input::Namespaces { alive, refused } => self.on_namespaces(alive, refused),
            Input::Processes(table) => {
                self.tell_drains(now_ns, drains::Input::Processes(table));
            }
            Input::Names(names) => self.on_names(names),
            Input::Elsewhere(services) => self.on_elsewhere(services, now_ns),
            Input::Deploy(event) => self.on_deploy(event, now_ns),
            Input::Tick => self.tick(at),
        }
        None
    }

    /// What is wanted since the last call.
    pub fn wants(&mut self) -> Vec<Want> {
        self.wants.extend(self.drains.wants());
        let all = self.drains.want_closes() || self.closes.are_asked_for(self.now_ns);
        if all != self.all_closes {
            self.all_closes = all;
            self.closes.tell_all(all, self.clocks.wall(self.now_ns));
            self.wants.push(Want::Closes { all });
        }
        let unasked = self.names.take_unasked();
        self.wants
            .extend(unasked.into_iter().map(|service| Want::Name { service }));
        std::mem::take(&mut self.wants)
    }

    /// What is to be kept since the last call.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// What everybody may look at.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        let busy = self.is_busy();
        if self.stale || self.snapshot.busy != busy {
            self.stale = false;
            let mut drains: Vec<_> = self.running.values().flatten().cloned().collect();
            drains.sort_by_key(|drain| std::cmp::Reverse(drain.started_at));
            let mut rollouts: Vec<_> = self.rolling.values().cloned().collect();
            rollouts.sort_by_key(|rollout| std::cmp::Reverse(rollout.started_at));
            let mut incidents: Vec<_> = self.lasting.values().cloned().collect();
            incidents.sort_by_key(|incident| std::cmp::Reverse(incident.started_at));
            self.snapshot = Arc::new(Snapshot {
                drains,
                rollouts,
                incidents,
                figures: Arc::clone(&self.story),
                busy,
            });
        }
        Arc::clone(&self.snapshot)
    }

    /// Whether something drains, or may be about to.
    pub fn is_busy(&self) -> bool {
        self.urgent || self.drains.is_busy()
    }

    /// Whether something happened since the last tick that should be looked at while it lasts.
    pub const fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Figures about itself.
    pub fn figures(&self) -> EngineFigures {
        EngineFigures {
            names_pending: self.names.pending() as u64,
            bounds: Bounds {
                drains: self.drains.bitten(),
                rollouts: self.rollouts.left_out(),
                incidents: self.incidents.bitten(),
                baselines: self.windows.left_out() + self.smalls.left_out(),
                names: self.names.left_out(),
            },
            ..self.figures
        }
    }

    /// Whether a name was asked for since then, on the kernel's clock, that has not come.
    pub fn names_asked_since(&self, since_ns: u64) -> bool {
        self.names.asked_since(since_ns)
    }

    /// Names of reset reasons.
    pub const fn reasons(&self) -> &Reasons {
        &self.options.reasons
    }

    /// The state of every service of a view.
    pub fn states(&self, view: &View) -> Vec<ServiceState> {
        let running: Vec<_> = self.running.values().flatten().cloned().collect();
        let known = self.known();
        let keys = self.names.keys();
        let programs: HashMap<SeriesLabels, &str> = keys
            .map(|key| (self.names.labels(key), key.comm()))
            .collect();
        let shape = |labels: &SeriesLabels| match labels.role {
            Role::Server => {
                let program = programs.get(labels).copied().unwrap_or_default();
                let ordinary = self.windows.ordinary(labels);
                known.shape(labels.port, program, &ordinary.counts)
            }
            // What it holds is told of who serves it.
            Role::Client => Shape::default(),
        };
        services::states(view, &running, shape)
    }

    /// The connections that ended last, newest first. For a while, all are told then.
    pub fn closes(&mut self, at: Moment) -> RecentCloses {
        self.clocks = at.clocks;
        self.now_ns = at.kernel_ns;
        self.closes.ask(self.now_ns);
        self.closes.tell(&self.known())
    }

    fn known(&self) -> Known<'_> {
        Known {
            clocks: self.clocks,
            names: &self.names,
            reasons: &self.options.reasons,
            windows: &self.windows,
            refusals: &self.refusals,
            stream_ports: &self.options.stream_ports,
            smalls: &self.smalls,
        }
    }

    fn tell_drains(&mut self, now_ns: u64, input: drains::Input<'_>) {
        let Parts { drains, known, .. } = self.parts();
        drains.take(now_ns, input, &known);
    }

    fn tell_accounts(&mut self) {
        let Parts {
            drains,
            rollouts,
            known,
            ..
        } = self.parts();
        Accounting::tell(drains, rollouts, &known);
    }

    /// What tells and is told, and what it may know beside.
    fn parts(&mut self) -> Parts<'_> {
        let known = Known {
            clocks: self.clocks,
            names: &self.names,
            reasons: &self.options.reasons,
            windows: &self.windows,
            refusals: &self.refusals,
            stream_ports: &self.options.stream_ports,
            smalls: &self.smalls,
        };
        Parts {
            drains: &mut self.drains,
            rollouts: &mut self.rollouts,
            incidents: &mut self.incidents,
            wants: &mut self.wants,
            known,
        }
    }

    fn on_records(&mut self, records: &[Record], now_ns: u64) {
        for record in records {
            self.figures.records[kind(record)] += 1;
            if !self.is_own_stop(record) && !self.elsewhere.tells(record) {
                self.on_record(record, now_ns);
            }
        }
    }

    fn on_record(&mut self, record: &Record, now_ns: u64) {
        if let Some(late) = late_in_steady_time(record) {
            self.names.meet(&late.service, now_ns);
            self.rollouts.late_close(&LateClose {
                service: self.names.service(&late.service),
                at: self.clocks.wall(late.at_ns),
                idle_secs: (late.idle_ds > 0).then(|| f64::from(late.idle_ds) / 10.0),
            });
        }
        match record {
            Record::Listener(listener) => {
                self.ledger.meet(&listener.service, now_ns, &mut self.names);
                if listener.up == 1 {
                    self.urgent = true;
                    self.names.ask_again(&listener.service);
                    let owner = Process {
                        start_ns: listener.start_ns,
                        tgid: listener.owner_tgid,
                        pad: 0,
                    };
                    self.relatives.look_for(owner, now_ns);
                }
            }
            Record::Exit(exit) => {
                self.urgent = true;
                let services = self.drains.services_of(exit.instance);
                self.incidents.exit(exit, services);
                // What it listened on may have been handed to others, who are known by nothing else.
                let owner = exit.kinship == Kinship::Owner as u8;
                if owner || self.drains.owner_gone(exit.instance) {
                    self.relatives.look_for(exit.instance, now_ns);
                }
            }
            Record::Signal(_) => self.urgent = true,
            Record::Close(close) => {
                self.names.meet(&close.service, now_ns);
                self.closes.push(ClosedConnection::from(*close));
            }
            Record::Reset(reset) => self.closes.reset(reset),
            Record::Unread(unread) => self.closes.unread(unread),
        }
        self.tell_drains(now_ns, drains::Input::Record(record));
    }

    /// A signal for this very process. Its drain could not be told: it is gone before the drain ends, and each start would find
    /// a rollout of it that nobody asked for, and no verdict in it.
    fn is_own_stop(&self, record: &Record) -> bool {
        matches!(record, Record::Signal(signal)
            if signal.instance.tgid == self.options.own_tgid && self.options.own_tgid != 0)
    }

    fn on_counters(&mut self, counters: Counters<'_>, at: Moment) -> Option<View> {
        let now_ns = at.kernel_ns;
        match counters {
            Counters::Live(live) => {
                let live = &*self.elsewhere.less(live);
                self.refusals.live(live);
                self.smalls.live(live);
                let view = self.view(live, now_ns);
                self.windows.look(now_ns, &view.series);
                self.rounds
                    .tell(&view, now_ns, at.wall(), &self.windows, &mut self.rollouts);
                self.tell_counted(now_ns, None);
                Some(view)
            }
            Counters::Emptied(emptied) => {
                let here = self.elsewhere.less(emptied);
                self.elsewhere.retain(emptied);
                let emptied = &*here;
                self.refusals.rotated(emptied);
                self.smalls.rotated(emptied);
                self.ledger.absorb(emptied, now_ns, &mut self.names);
                self.ledger.retire(now_ns);
                self.time_waits.rotated(emptied, now_ns);
                self.forget_unknown();
                self.tell_counted(now_ns, None);
                None
            }
            Counters::Some { services, reading } => {
                self.refusals.some(services, reading);
                self.smalls.some(reading);
                // What waited for it may be over.
                self.urgent = true;
                self.tell_counted(now_ns, Some(services));
                None
            }
            Counters::Failed => {
                self.figures.failed_readings += 1;
                self.tell_drains(now_ns, drains::Input::CountersFailed);
                None
            }
        }
    }

    /// Refused SYNs are known by this reading.
    fn tell_counted(&mut self, now_ns: u64, services: Option<&[ServiceKey]>) {
        self.tell_drains(now_ns, drains::Input::Counted { services });
        let Parts {
            rollouts, known, ..
        } = self.parts();
        Accounting::counted(rollouts, &known);
    }

    /// Every service as a reading shows it.
    fn view(&mut self, live: &Reading, now_ns: u64) -> View {
        let Self {
            ledger,
            names,
            surveys,
            time_waits,
            ..
        } = self;
        time_waits.observe(live, now_ns);
        let surveyed = surveys.iter().map(|(key, surveyed)| {
            let gauges = Gauges {
                surveyed,
                ..Gauges::default()
            };
            (key, gauges)
        });
        let mini_sockets = time_waits.iter(now_ns).map(|(key, mini_sockets)| {
            let gauges = Gauges {
                mini_sockets,
                ..Gauges::default()
            };
            (key, gauges)
        });
        ledger.view(live, surveyed.chain(mini_sockets), now_ns, names)
    }

    /// What nobody knows any more needs no name.
    fn forget_unknown(&mut self) {
        let Self {
            ledger,
            names,
            refusals,
            smalls,
            drains,
            ..
        } = self;
        let served = drains.services();
        let known = |key: &ServiceKey| ledger.knows(key) || served.contains(key);
        names.retain(known);
        refusals.retain(known);
        smalls.retain(known);
        drains.retain_refused(known);
    }

    fn on_survey(&mut self, survey: &Survey<'_>, now_ns: u64) {
        let Survey {
            netns,
            began_ns,
            rows,
            minis,
            mini_sockets,
        } = *survey;
        let rows = &*self.elsewhere.less_of(rows);
        for row in rows.iter().filter(|row| is_listener(row)) {
            self.ledger.meet(&row.service, now_ns, &mut self.names);
            if minis.is_none() && !self.drains.knows(row.owner) {
                self.relatives.look_for(row.owner, now_ns);
            }
        }
        let survey = drains::Input::Survey {
            netns,
            began_ns,
            rows,
            minis,
        };
        self.tell_drains(now_ns, survey);
        if minis.is_some() {
            return;
        }
        self.surveys.replace(netns, rows);
        if let Some(count) = mini_sockets {
            self.time_waits.actual(netns, count);
        }
        if self.time_waits.wants_survey(netns, now_ns) {
            self.wants.push(Want::MiniSockets { netns });
        }
    }

    fn on_namespaces(&mut self, alive: &[u64], refused: u64) {
        self.surveys.retain(|netns| alive.contains(&netns));
        self.time_waits.retain(|netns| alive.contains(&netns));
        self.figures.namespaces = Namespaces {
            surveyed: alive.len() as u64,
            refused,
        };
    }

    /// A change was announced: from now on everything that its services count is its own.
    fn on_deploy(&mut self, event: &DeployEvent, now_ns: u64) {
        self.drains.open_accounts(now_ns);
        self.tell_accounts();
        self.rollouts.event(event.clone());
        self.urgent = true;
        let Parts {
            rollouts,
            wants,
            known,
            ..
        } = self.parts();
        Accounting::announced(rollouts, &known, wants);
    }
}

/// Position of a record's kind in the figures.
const fn kind(record: &Record) -> usize {
    match record {
        Record::Close(_) => 0,
        Record::Reset(_) => 1,
        Record::Listener(_) => 2,
        Record::Signal(_) => 3,
        Record::Exit(_) => 4,
        Record::Unread(_) => 5,
    }
}

const fn is_listener(row: &SurveyRow) -> bool {
    row.kind == survey_kind::LISTENER
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
