//! Requests that servers lose with nobody stopping anything, told to the whole engine by a host that knows its own truth: what was
//! lost, which process ended, how long a connection had been idle.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use finwatch_common::{
    CELLS, Cell, CloseRecord, CounterRow, Cut, Disposition, ExitRecord, Intent, KIND_CLOSE,
    KIND_EXIT, KIND_LISTENER, KIND_RESET, KIND_SIGNAL, KIND_UNREAD, Kinship, ListenerRecord, Lost,
    Origin, Outcome, Phase, Process, ProcessEntry, RecordHeader, ResetRecord, Role, ServiceKey,
    SignalRecord, UnreadRecord, Wire, close_flags, reset_flags, signal,
};

use crate::{
    Change, Clocks, Engine, Moment, Options, Reasons, Remembered, Want,
    diagnoses::JudgeOptions,
    input::{Counters, Input, Reading, Record},
    model::{Drain, Incident, IncidentCause, IncidentEnd, Verdict, Workload, WorkloadKind},
    rollouts::CorrelatorOptions,
    services::{Filter, Limits},
};

const MS: u64 = 1_000_000;
const SECOND_MS: u64 = 1_000;
const STEP_MS: u64 = 100;
const PORT: u16 = 8000;
const MASTER: u32 = 100;
const WORKER: u32 = 101;
const SIBLING: u32 = 102;
const STRANGER: u32 = 200;

/// A master that listens and two workers that serve.
struct Host {
    engine: Engine,
    now_ms: u64,
    row: CounterRow,
    cookies: u64,
    living: BTreeMap<u32, Kinship>,
    incidents: BTreeMap<String, Arc<Incident>>,
    drains: BTreeMap<String, Arc<Drain>>,
    /// What its services are known as.
    kind: WorkloadKind,
}

// === impl Host ===

impl Host {
    fn new() -> Self {
        Self::with(Vec::new(), WorkloadKind::Unit)
    }

    fn with(stream_ports: Vec<u16>, kind: WorkloadKind) -> Self {
        let options = Options {
            limits: Limits {
                servers: 100,
                clients: 100,
                retention_ns: 3_600_000 * MS,
                retired: 10,
                filter: Filter::default(),
            },
            settle_limit: Duration::from_secs(61),
            stream_ports,
            baseline_window: Duration::from_secs(600),
            rollouts: CorrelatorOptions::default(),
            judge: JudgeOptions::default(),
            reasons: Reasons::default(),
            own_tgid: 0,
        };
        let mut host = Self {
            engine: Engine::new(options, &Remembered::default()),
            now_ms: 1_000_000,
            row: [0; CELLS],
            cookies: 0,
            living: BTreeMap::from([
                (MASTER, Kinship::Owner),
                (WORKER, Kinship::Member),
                (SIBLING, Kinship::Member),
            ]),
            incidents: BTreeMap::new(),
            drains: BTreeMap::new(),
            kind,
        };
        host.listen(1);
        host.wait(60 * SECOND_MS);
        host
    }

    fn listen(&mut self, up: u8) {
        self.listen_by(MASTER, up);
    }

    fn listen_by(&mut self, owner: u32, up: u8) {
        let header = self.header::<ListenerRecord>(KIND_LISTENER);
        self.tell(Record::Listener(ListenerRecord {
            header,
            cookie: u64::from(owner),
            service: key(),
            start_ns: process(owner).start_ns,
            local_addr: [0; 16],
            tgid: owner,
            owner_tgid: owner,
            netns_inum: 4_026_531_840,
            backlog: 0,
            backlog_limit: 511,
            up,
            by_exit: 0,
            pad: [0; 2],
        }));
    }

    /// A connection ends, closed by a process, with its request lost or not.
    fn close(&mut self, by: u32, cut: Option<Cut>, flags: u16) {
        self.close_in(key().netns, by, cut, flags);
    }

    /// The same in some network namespace: in another one another instance listens.
    fn close_in(&mut self, netns: u64, by: u32, cut: Option<Cut>, flags: u16) {
        let close = self.closed(netns, by, cut, flags);
        self.tell(Record::Close(close));
    }

    /// What the kernel tells of that.
    fn closed(&mut self, netns: u64, by: u32, cut: Option<Cut>, flags: u16) -> CloseRecord {
        let owner = process(if netns == key().netns {
            MASTER
        } else {
            STRANGER
        });
        self.cookies += 1;
        let mut close = zeroed::<CloseRecord>();
        close.header = self.header::<CloseRecord>(KIND_CLOSE);
        close.cookie = 1_000 + self.cookies;
        close.service = ServiceKey { netns, ..key() };
        close.opened_at_ns = (self.now_ms - 500) * MS;
        (close.owner_start_ns, close.owner_tgid) = (owner.start_ns, owner.tgid);
        close.closer_tgid = by;
        close.turns = 1;
        close.asked = 40;
        close.flags = flags | close_flags::LEFT_STEADY;
        close.origin = Origin::Local as u8;
        close.outcome = Outcome::Fin as u8;
        close.cut = cut.map_or(0xff, |cut| cut as u8);
        close.evidence = 0xff;
        close
    }

    /// A request meets a mini-socket: its connection had been idle for so long when this side closed it.
    fn late(&mut self, idle_ds: u16) {
        self.cookies += 1;
        let mut reset = zeroed::<ResetRecord>();
        reset.header = self.header::<ResetRecord>(KIND_RESET);
        reset.cookie = 1_000 + self.cookies;
        reset.service = key();
        reset.lost_bytes = 40;
        reset.flags = reset_flags::MINI_SOCKET | reset_flags::CUT_LATE;
        reset.lost = Lost::Data as u8;
        reset.idle_ds = idle_ds;
        self.tell(Record::Reset(reset));
    }

    fn exit(&mut self, tgid: u32, code: u32) {
        self.die(tgid, code << 8);
    }

    /// A process ends with this status, as `waitpid` gives it.
    fn die(&mut self, tgid: u32, status: u32) {
        let kinship = self.living.remove(&tgid).expect("it lives");
        let header = self.header::<ExitRecord>(KIND_EXIT);
        self.tell(Record::Exit(ExitRecord {
            header,
            instance: process(MASTER),
            process: process(tgid),
            born_ns: process(tgid).start_ns,
            comm: key().comm,
            status,
            kinship: kinship as u8,
            pad: [0; 3],
        }));
    }

    fn stop(&mut self) {
        self.signal(signal::TERM, Intent::Stop);
    }

    fn signal(&mut self, number: u8, intent: Intent) {
        let mut told = zeroed::<SignalRecord>();
        told.header = self.header::<SignalRecord>(KIND_SIGNAL);
        (told.instance, told.target) = (process(MASTER), process(MASTER));
        told.signal = number;
        told.intent = intent as u8;
        told.disposition = Disposition::Handled as u8;
        self.tell(Record::Signal(told));
    }

    fn refuse(&mut self, clients: u64) {
        self.row[Cell::REFUSED.index()] += clients;
    }

    fn wait(&mut self, length_ms: u64) {
        let end_ms = self.now_ms + length_ms;
        while self.now_ms < end_ms {
            self.now_ms += STEP_MS;
            if self.now_ms.is_multiple_of(5_000) {
                let reading = self.reading();
                self.take(Input::Counters(Counters::Live(&reading)));
            }
            self.take(Input::Tick);
            self.answer();
            for change in self.engine.changes() {
                match change {
                    Change::Incident(incident) => {
                        self.incidents.insert(incident.id.clone(), incident);
                    }
                    Change::Drain(drain) => {
                        self.drains.insert(drain.id.clone(), drain);
                    }
                    Change::Rollout(_) | Change::RolloutReplaced(_) => {}
                }
            }
        }
    }

    /// Answers what the engine wants, as the daemon's tasks do.
    fn answer(&mut self) {
        for want in self.engine.wants() {
            match want {
                Want::Name { service } => {
                    let unit = Workload::on_host(self.kind, "web.service");
                    self.take(Input::Names(&[(service, unit.into())]));
                }
                Want::Counters { service } => {
                    let reading = self.reading();
                    self.take(Input::Counters(Counters::Some {
                        services: &[service],
                        reading: &reading,
                    }));
                }
                Want::Processes => {
                    let table = self.living.iter().map(|(tgid, kin)| {
                        let entry = ProcessEntry {
                            instance: process(MASTER),
                            born_ns: process(*tgid).start_ns,
                            start_ns: process(*tgid).start_ns,
                            kinship: *kin as u8,
                            ..zeroed()
                        };
                        (*tgid, entry)
                    });
                    let table = table.collect::<Vec<_>>();
                    self.take(Input::Processes(&table));
                }
                Want::Survey { netns } => self.take(Input::SurveyFailed { netns }),
                Want::EndPhase { .. }
                | Want::Closes { .. }
                | Want::MiniSockets { .. }
                | Want::Relatives { .. } => {}
            }
        }
    }

    fn reading(&self) -> Reading {
        Reading {
            read_ns: self.now_ms * MS,
            rows: vec![(key(), self.row)],
            resets: Vec::new(),
        }
    }

    fn tell(&mut self, record: Record) {
        self.take(Input::Records(&[record]));
        self.answer();
    }

    fn take(&mut self, input: Input<'_>) {
        let at = Moment {
            kernel_ns: self.now_ms * MS,
            clocks: Clocks::default(),
        };
        self.engine.take(at, input);
    }

    fn header<T>(&self, kind: u32) -> RecordHeader {
        RecordHeader {
            kind,
            size: size_of::<T>() as u32,
            at_ns: self.now_ms * MS,
        }
    }

    /// The only one.
    fn incident(&self) -> &Incident {
        assert_eq!(self.incidents.len(), 1, "{:#?}", self.incidents);
        self.incidents.values().next().expect("one")
    }
}

fn process(tgid: u32) -> Process {
    Process {
        start_ns: u64::from(tgid) * MS,
        tgid,
        pad: 0,
    }
}

fn key() -> ServiceKey {
    let mut key = ServiceKey::other(Role::Server, Phase::Steady);
    (key.cgroup, key.netns, key.port) = (42, 7, PORT);
    key.comm[..8].copy_from_slice(b"gunicorn");
    key
}

fn zeroed<T: Wire>() -> T {
    T::from_bytes(&vec![0; size_of::<T>()]).expect("zeros")
}

fn found(incident: &Incident) -> Vec<&str> {
    let findings = incident.findings.iter();
    findings.map(|finding| finding.diagnosis.as_str()).collect()
}

#[test]
fn a_worker_that_ends_among_its_siblings_is_named_with_what_it_lost() {
    let mut host = Host::new();
    for _ in 0..12 {
        host.close(WORKER, Some(Cut::Unread), 0);
    }
    host.wait(200);
    host.exit(WORKER, 0);
    host.close(WORKER, Some(Cut::Unanswered), close_flags::BY_EXIT);
    host.wait(2 * SECOND_MS);
    let incident = host.incident();
    assert!(!incident.is_over());
    assert_eq!((incident.cut.unread, incident.cut.unanswered), (12, 1));
    host.wait(40 * SECOND_MS);
    let incident = host.incident();
    assert_eq!(incident.ending, Some(IncidentEnd::Quiet));
    assert_eq!(incident.ended_at, Some(incident.last_at));
    assert_eq!(incident.cause, IncidentCause::WorkerRecycled);
    assert_eq!(incident.by_ended_processes, 13);
    let pids: Vec<_> = incident.ended_processes.iter().map(|one| one.pid).collect();
    assert_eq!(pids, [WORKER]);
    assert_eq!(incident.ended_processes[0].exit.code, Some(0));
    assert_eq!(found(incident), ["worker-recycled", "requests-cut"]);
    assert_eq!(incident.verdict, Verdict::Fail);
    assert_eq!(incident.examples.len(), 5);
    assert!(
        incident.findings[0]
            .remedy
            .starts_with("gunicorn: `max_requests`"),
        "{}",
        incident.findings[0].remedy
    );
    assert!(host.drains.is_empty());
}

#[test]
fn one_lost_request_is_chance_and_one_that_died_with_a_process_is_not() {
    let mut host = Host::new();
    host.close(SIBLING, Some(Cut::Unread), 0);
    host.wait(70 * SECOND_MS);
    assert!(host.incidents.is_empty());
    host.close(WORKER, Some(Cut::Unread), 0);
    host.exit(WORKER, 0);
    host.wait(SECOND_MS);
    assert_eq!(host.incident().cause, IncidentCause::WorkerRecycled);
}

#[test]
fn three_within_a_minute_are_one_and_two_a_minute_are_none() {
    let mut host = Host::new();
    for _ in 0..6 {
        host.close(SIBLING, Some(Cut::Unanswered), 0);
        host.wait(31 * SECOND_MS);
    }
    assert!(host.incidents.is_empty(), "two a minute");
    host.wait(60 * SECOND_MS);
    for _ in 0..3 {
        host.close(SIBLING, Some(Cut::Unanswered), 0);
        host.wait(20 * SECOND_MS);
    }
    let incident = host.incident();
    assert_eq!(incident.cut.unanswered, 3);
    assert_eq!(incident.cause, IncidentCause::DroppedByServer);
    assert_eq!(found(incident), ["dropped-by-server", "requests-cut"]);
    assert_eq!(
        incident.findings[0].evidence[0],
        "The server itself closed 3 connections with a request in hand, within 40 s, and goes on."
    );
}

#[test]
fn what_meets_an_idle_timeout_is_told_with_the_time() {
    let mut host = Host::new();
    for idle_ds in [50, 51, 50, 60] {
        host.late(idle_ds);
        host.wait(500);
    }
    host.wait(40 * SECOND_MS);
    let incident = host.incident();
    assert_eq!(incident.cause, IncidentCause::IdleTimeoutRace);
    assert_eq!(found(incident), ["idle-timeout-race", "requests-cut"]);
    assert_eq!(
        incident.findings[0].evidence,
        [
            "4 requests met a connection that this side had just closed, most of them after 5.1 s without data.",
            "The connections had been idle for 5.0 s to 6.0 s.",
        ]
    );
    let idle = incident.idle.expect("known");
    assert_eq!((idle.known, idle.min_secs, idle.max_secs), (4, 5.0, 6.0));
    assert_eq!((incident.cut.late, incident.verdict), (4, Verdict::Fail));
}

#[test]
fn what_was_closed_right_behind_an_answer_is_no_idle_timeout() {
    let mut host = Host::new();
    for _ in 0..4 {
        host.late(0);
    }
    host.wait(SECOND_MS);
    assert_eq!(found(host.incident()), ["keepalive-race", "requests-cut"]);
    let mut host = Host::new();
    for idle_ds in [3, 20, 90, 200] {
        host.late(idle_ds);
    }
    host.wait(SECOND_MS);
    assert_eq!(found(host.incident()), ["keepalive-race", "requests-cut"]);
}

#[test]
fn what_a_stop_or_a_rollout_tells_is_no_incident() {
    let mut host = Host::new();
    host.stop();
    host.wait(STEP_MS);
    for _ in 0..5 {
        host.close(WORKER, Some(Cut::Unread), 0);
    }
    host.wait(SECOND_MS);
    for tgid in [WORKER, SIBLING, MASTER] {
        host.exit(tgid, 0);
    }
    host.listen(0);
    host.wait(5 * SECOND_MS);
    // Nobody listens any more, and clients still come.
    host.refuse(50);
    host.wait(200 * SECOND_MS);
    assert_eq!(host.drains.len(), 1);
    assert!(host.incidents.is_empty(), "{:#?}", host.incidents);
}

#[test]
fn an_incident_gives_way_to_the_rollout_that_begins() {
    let mut host = Host::new();
    for _ in 0..4 {
        host.close(WORKER, Some(Cut::Unread), 0);
    }
    host.wait(2 * SECOND_MS);
    host.stop();
    host.wait(5 * SECOND_MS);
    let incident = host.incident();
    assert_eq!(incident.ending, Some(IncidentEnd::Rollout));
    assert_eq!(incident.cut.total(), 4);
}

/// A rollout counts what came since it began, and an incident what came before, however little.
#[test]
fn what_was_lost_just_before_a_stop_is_told() {
    let mut host = Host::new();
    for _ in 0..4 {
        host.close(SIBLING, Some(Cut::Unread), 0);
    }
    host.now_ms += 1;
    host.stop();
    for tgid in [WORKER, SIBLING, MASTER] {
        host.exit(tgid, 0);
    }
    host.listen(0);
    host.wait(200 * SECOND_MS);
    let incident = host.incident();
    assert_eq!((incident.cut.unread, incident.lost()), (4, 4));
    let drain = host.drains.values().next().expect("the stop");
    assert_eq!(drain.lost().total(), 0);
}

#[test]
fn what_a_drain_took_that_turns_out_to_be_none_is_told_after_all() {
    let mut host = Host::new();
    host.signal(signal::USR1, Intent::Unclear);
    host.wait(2 * SECOND_MS);
    for _ in 0..4 {
        host.close(WORKER, Some(Cut::Unread), 0);
    }
    host.wait(30 * SECOND_MS);
    assert!(host.incidents.is_empty(), "it may be a reload");
    host.wait(90 * SECOND_MS);
    assert!(host.drains.is_empty());
    assert_eq!(host.incident().cut.unread, 4);
}

#[test]
fn clients_that_a_living_server_does_not_listen_to_are_an_incident() {
    let mut host = Host::new();
    host.listen(0);
    host.refuse(2);
    host.wait(10 * SECOND_MS);
    assert!(host.incidents.is_empty(), "two are chance");
    host.refuse(5);
    host.wait(10 * SECOND_MS);
    let incident = host.incident();
    assert_eq!(incident.cause, IncidentCause::Refused);
    assert_eq!((incident.refused, incident.cut.total()), (7, 0));
    assert_eq!(found(incident), ["listener-closed-early"]);
    assert_eq!(incident.verdict, Verdict::Fail);
}

#[test]
fn what_goes_on_is_told_in_parts_and_each_loss_once() {
    let mut host = Host::new();
    let mut lost = 0;
    for _ in 0..150 {
        host.close(SIBLING, Some(Cut::Unread), 0);
        lost += 1;
        host.wait(10 * SECOND_MS);
    }
    host.wait(60 * SECOND_MS);
    let told: u64 = host.incidents.values().map(|one| one.cut.total()).sum();
    assert_eq!(told, lost);
    let endings: Vec<_> = host.incidents.values().map(|one| one.ending).collect();
    let (goes_on, quiet) = (Some(IncidentEnd::GoesOn), Some(IncidentEnd::Quiet));
    assert_eq!(endings, [goes_on, goes_on, quiet]);
}

#[test]
fn two_instances_of_one_name_in_two_network_namespaces_have_each_its_own() {
    let mut host = Host::new();
    for netns in [key().netns, key().netns + 1] {
        for _ in 0..2 {
            host.close_in(netns, SIBLING, Some(Cut::Unread), 0);
        }
    }
    host.wait(2 * SECOND_MS);
    assert!(host.incidents.is_empty(), "two of each are chance");
    for netns in [key().netns, key().netns + 1] {
        host.close_in(netns, SIBLING, Some(Cut::Unread), 0);
    }
    host.wait(2 * SECOND_MS);
    let told = host.incidents.values();
    let told: Vec<_> = told
        .map(|one| (one.netns_cookie, one.cut.unread, one.service.to_string()))
        .collect();
    let service = "unit/web.service:8000".to_owned();
    assert_eq!(told, [(7, 3, service.clone()), (8, 3, service)]);
}

#[test]
fn what_is_lost_in_another_network_namespace_is_not_told_by_the_rollout_of_this_one() {
    let mut host = Host::with(Vec::new(), WorkloadKind::Process);
    host.stop();
    host.wait(STEP_MS);
    for _ in 0..4 {
        host.close_in(key().netns + 1, SIBLING, Some(Cut::Unread), 0);
        host.close(WORKER, Some(Cut::Unread), 0);
    }
    host.wait(2 * SECOND_MS);
    let incident = host.incident();
    assert_eq!((incident.netns_cookie, incident.cut.unread), (8, 4));
}

#[test]
fn clean_closes_are_no_loss() {
    let mut host = Host::new();
    for _ in 0..50 {
        host.close(SIBLING, None, 0);
    }
    host.wait(60 * SECOND_MS);
    assert!(host.incidents.is_empty());
}

#[path = "incidents_anew_tests.rs"]
mod anew;

#[path = "incidents_causes_tests.rs"]
mod causes;

#[path = "incidents_crashes_tests.rs"]
mod crashes;

#[path = "incidents_shapes_tests.rs"]
mod shapes;

#[path = "incidents_deaths_tests.rs"]
mod deaths;
