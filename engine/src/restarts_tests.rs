//! A unit that is stopped and started again, as a service manager does it: each start is another process, and may be in
//! another cgroup, under the same name on the same port. Told to the whole engine by a host that knows its own truth.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use finwatch_common::{
    CELLS, Cell, CounterRow, Disposition, ExitRecord, Intent, KIND_EXIT, KIND_LISTENER,
    KIND_SIGNAL, Kinship, ListenerRecord, Origin, Outcome, Phase, Process, ProcessEntry,
    RecordHeader, Role, ServiceKey, SignalRecord, SurveyRow, signal, survey_kind,
};

use crate::{
    Change, Clocks, Engine, Moment, Options, Reasons, Remembered, Want,
    diagnoses::JudgeOptions,
    input::{Counters, Input, Reading, Record, Survey},
    model::{Drain, Workload, WorkloadKind},
    rollouts::CorrelatorOptions,
    services::{Filter, Limits},
};

const MS: u64 = 1_000_000;
const NETNS: u64 = 7;
const PORT: u16 = 80;
/// Between two looks of whoever does something.
const STEP_MS: u64 = 20;
const UNIT: &str = "web.service";

/// A process that listens.
#[derive(Clone, Copy)]
struct Server {
    process: Process,
    key: ServiceKey,
    cookie: u64,
}

/// The host, and what became of it.
struct Host {
    engine: Engine,
    now_ms: u64,
    rows: BTreeMap<ServiceKey, CounterRow>,
    /// Who listens now.
    server: Option<Server>,
    /// Whoever listened last, whose refused SYNs are.
    owner: Option<Server>,
    phases: BTreeMap<Process, Phase>,
    started: u32,
    drains: BTreeMap<String, Arc<Drain>>,
}

// === impl Host ===

impl Host {
    fn new() -> Self {
        let options = Options {
            limits: Limits {
                servers: 100,
                clients: 100,
                retention_ns: 3_600_000 * MS,
                retired: 10,
                filter: Filter::default(),
            },
            settle_limit: Duration::from_secs(61),
            stream_ports: Vec::new(),
            baseline_window: Duration::from_secs(600),
            rollouts: CorrelatorOptions::default(),
            judge: JudgeOptions::default(),
            reasons: Reasons::default(),
            own_tgid: 0,
        };
        Self {
            engine: Engine::new(options, &Remembered::default()),
            now_ms: 1_000_000,
            rows: BTreeMap::new(),
            server: None,
            owner: None,
            phases: BTreeMap::new(),
            started: 0,
            drains: BTreeMap::new(),
        }
    }

    /// A process starts in a cgroup, and listens.
    fn start(&mut self, cgroup: u64) {
        self.started += 1;
        let mut key = ServiceKey::other(Role::Server, Phase::Steady);
        (key.cgroup, key.netns, key.port) = (cgroup, NETNS, PORT);
        key.comm[..3].copy_from_slice(b"web");
        let process = Process {
            start_ns: self.now_ms * MS,
            tgid: 100 + self.started,
            pad: 0,
        };
        let cookie = u64::from(self.started);
        let server = Server {
            process,
            key,
            cookie,
        };
        (self.server, self.owner) = (Some(server), Some(server));
        self.count(Cell::LISTEN_UP, 1);
        self.tell_listener(server, 1);
    }

    /// It is told to stop, and is gone.
    fn stop(&mut self) {
        let Some(server) = self.server.take() else {
            panic!("nobody is there to be stopped");
        };
        let process = server.process;
        self.phases.insert(process, Phase::Draining);
        let bytes = vec![0; size_of::<SignalRecord>()];
        let mut told = <SignalRecord as finwatch_common::Wire>::from_bytes(&bytes).unwrap();
        told.header = self.header(KIND_SIGNAL, size_of::<SignalRecord>());
        (told.instance, told.target) = (process, process);
        told.signal = signal::TERM;
        told.intent = Intent::Stop as u8;
        told.disposition = Disposition::Handled as u8;
        self.tell(Record::Signal(told));
        self.wait(STEP_MS);
        self.tell(Record::Exit(ExitRecord {
            header: self.header(KIND_EXIT, size_of::<ExitRecord>()),
            instance: process,
            process,
            born_ns: process.start_ns,
            comm: server.key.comm,
            status: 0,
            kinship: Kinship::Owner as u8,
            pad: [0; 3],
        }));
        self.count(Cell::LISTEN_DOWN, 1);
        self.tell_listener(server, 0);
    }

    /// Clients that come, are answered, and are hung up on.
    fn serve(&mut self, clients: u64) {
        self.count(Cell::OPENED, clients);
        self.count(Cell::LEFT, clients);
        self.count(Cell::closes(Origin::Local, Outcome::Fin), clients);
        self.count(Cell::TIME_WAIT, clients);
    }

    /// Clients that nobody listens to.
    fn refuse(&mut self, clients: u64) {
        assert!(self.server.is_none(), "somebody listens");
        self.count(Cell::REFUSED, clients);
    }

    /// Time passes.
    fn wait(&mut self, length_ms: u64) {
        let end_ms = self.now_ms + length_ms;
        while self.now_ms < end_ms {
            self.now_ms += STEP_MS;
            if self.now_ms.is_multiple_of(5_000) {
                let reading = self.reading(|_| true);
                self.take(Input::Counters(Counters::Live(&reading)));
            }
            if self.now_ms.is_multiple_of(60_000) {
                let emptied = self.reading(|_| true);
                self.take(Input::Counters(Counters::Emptied(&emptied)));
                self.rows.clear();
            }
            if self.now_ms.is_multiple_of(100) {
                self.take(Input::Tick);
            }
            self.answer();
            for change in self.engine.changes() {
                if let Change::Drain(drain) = change {
                    self.drains.insert(drain.id.clone(), drain);
                }
            }
        }
    }

    /// Drains that ended, the first one first.
    fn drains(&self) -> Vec<&Drain> {
        let mut drains: Vec<_> = self.drains.values().map(AsRef::as_ref).collect();
        drains.sort_by_key(|drain| drain.started_at);
        assert!(drains.iter().all(|drain| drain.ended_at.is_some()));
        drains
    }

    /// Counts as the kernel would: for whoever listened last, in the phase that it is in.
    fn count(&mut self, cell: Cell, more: u64) {
        let owner = self.owner.expect("somebody listened");
        let phase = self.phases.get(&owner.process).copied();
        let key = owner.key.in_phase(phase.unwrap_or_default());
        self.rows.entry(key).or_insert([0; CELLS])[cell.index()] += more;
    }

    fn tell(&mut self, record: Record) {
        self.take(Input::Records(&[record]));
    }

    fn tell_listener(&mut self, server: Server, up: u8) {
        self.tell(Record::Listener(ListenerRecord {
            header: self.header(KIND_LISTENER, size_of::<ListenerRecord>()),
            cookie: server.cookie,
            service: server.key,
            start_ns: server.process.start_ns,
            local_addr: [0; 16],
            tgid: server.process.tgid,
            owner_tgid: server.process.tgid,
            netns_inum: 4_026_531_840,
            backlog: 0,
            backlog_limit: 511,
            up,
            by_exit: 1 - up,
            pad: [0; 2],
        }));
        self.answer();
    }

    fn answer(&mut self) {
        for want in self.engine.wants() {
            match want {
                Want::EndPhase { instance, .. } => {
                    self.phases.remove(&instance);
                }
                Want::Survey { netns } => {
                    let rows: Vec<_> = self.server.iter().map(Server::row).collect();
                    self.take(Input::Survey(Survey {
                        netns,
                        began_ns: self.now_ms * MS,
                        rows: &rows,
                        minis: Some(&[]),
                        mini_sockets: None,
                    }));
                }
                Want::Processes => {
                    let table: Vec<_> = self.server.iter().map(Server::entry).collect();
                    self.take(Input::Processes(&table));
                }
                Want::Counters { service } => {
                    let reading = self.reading(|key| key.in_phase(Phase::Steady) == service);
                    self.take(Input::Counters(Counters::Some {
                        services: &[service],
                        reading: &reading,
                    }));
                }
                Want::Name { service } => {
                    let unit = Workload::on_host(WorkloadKind::Unit, UNIT);
                    self.take(Input::Names(&[(service, unit.into())]));
                }
                Want::Closes { .. } | Want::MiniSockets { .. } | Want::Relatives { .. } => {}
            }
        }
    }

    fn reading(&self, of: impl Fn(&ServiceKey) -> bool) -> Reading {
        let rows = self.rows.iter().filter(|(key, _)| of(key));
        Reading {
            read_ns: self.now_ms * MS,
            rows: rows.map(|(key, row)| (*key, *row)).collect(),
            resets: Vec::new(),
        }
    }

    fn take(&mut self, input: Input<'_>) {
        let at = Moment {
            kernel_ns: self.now_ms * MS,
            clocks: Clocks::default(),
        };
        self.engine.take(at, input);
    }

    fn header(&self, kind: u32, size: usize) -> RecordHeader {
        RecordHeader {
            kind,
            size: size as u32,
            at_ns: self.now_ms * MS,
        }
    }
}

// === impl Server ===

impl Server {
    fn entry(&self) -> (u32, ProcessEntry) {
        let entry = ProcessEntry {
            instance: self.process,
            start_ns: self.process.start_ns,
            born_ns: self.process.start_ns,
            kinship: Kinship::Owner as u8,
            pad: [0; 7],
        };
        (self.process.tgid, entry)
    }

    fn row(&self) -> SurveyRow {
        SurveyRow {
            service: self.key,
            owner: self.process,
            cookie: self.cookie,
            opened_at_ns: 0,
            a: 0,
            b: 511,
            kind: survey_kind::LISTENER,
            quiet: 0,
            queued: 0,
            pad: 0,
            waits_ms: 0,
        }
    }
}

/// Three starts, each in its cgroup, with `pause_ms` between; after each end so many clients are refused.
fn refused_after_each_stop(cgroups: [u64; 3], refused: [u64; 3], pause_ms: u64) {
    let mut host = Host::new();
    for (cgroup, refused) in cgroups.into_iter().zip(refused) {
        host.start(cgroup);
        host.wait(1_500);
        host.serve(3);
        host.stop();
        host.refuse(refused);
        host.wait(pause_ms);
    }
    host.wait(80_000);
    let told: Vec<u64> = host
        .drains()
        .iter()
        .map(|drain| drain.counts.refused)
        .collect();
    assert_eq!(told, refused, "pauses of {pause_ms} ms");
}

#[test]
fn each_stop_tells_who_was_refused_after_it_in_cgroups_of_their_own() {
    for pause_ms in [300, 500, 3_000, 70_000] {
        refused_after_each_stop([1, 2, 3], [5, 5, 5], pause_ms);
        refused_after_each_stop([1, 2, 3], [5, 0, 2], pause_ms);
    }
}

#[test]
fn each_stop_tells_who_was_refused_after_it_in_one_cgroup() {
    // The first pauses are over before the drain before them is.
    for pause_ms in [300, 500, 3_000, 70_000] {
        refused_after_each_stop([1, 1, 1], [5, 5, 5], pause_ms);
        refused_after_each_stop([1, 1, 1], [5, 0, 2], pause_ms);
    }
}

/// Up for twelve seconds, with a client a second that is hung up on; down for a minute; up and served again.
fn baseline_after_a_minute_down(cgroups: [u64; 2]) {
    let mut host = Host::new();
    for cgroup in cgroups {
        host.start(cgroup);
        for _ in 0..12 {
            host.wait(1_000);
            host.serve(1);
        }
        host.stop();
        host.wait(60_000);
    }
    host.wait(80_000);
    let second = host.drains()[1];
    let baseline = &second.baseline;
    let rate = baseline.counts.time_wait as f64 / baseline.window_secs;
    assert!(
        baseline.window_secs > 5.0 && baseline.window_secs <= 24.0,
        "it was there for 24 s: {baseline:?}"
    );
    assert!((0.8..1.3).contains(&rate), "one a second: {baseline:?}");
}

#[test]
fn the_minute_in_which_a_unit_is_down_is_none_of_its_ordinary_time() {
    baseline_after_a_minute_down([1, 2]);
    baseline_after_a_minute_down([1, 1]);
}
