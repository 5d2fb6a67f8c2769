//! The model of a kernel that plays the scenarios: processes, sockets, phases; records, surveys and tables out of
//! them. Also what the engine would know beside.

use std::collections::{BTreeMap, BTreeSet};

use finwatch_common::{
    CELLS, Cell, CloseRecord, Cut, Evidence, Kinship, Lost, Origin, Outcome, Phase, Process,
    ProcessEntry, RecordHeader, Role, ServiceKey, SurveyRow, TimeWait, close_flags, survey_kind,
};

use super::scenario::{BEGIN_NS, MS, Told};
use crate::want::Want;
use crate::{
    clocks::Clocks,
    input::{Reading, Record},
    known::{Known, Reasons},
    model::{Workload, WorkloadKind},
    services::{Names, Refusals, Smalls, Windows},
};

/// The one namespace.
const NETNS: u64 = 7;
/// The host slept so long before.
const SLEPT_NS: u64 = 500_000 * MS;

/// See the module.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(super) records: Vec<Record>,
    pub(super) lost: u64,
    pub(super) phases: BTreeMap<Process, Phase>,
    pub(super) survey_takes_ns: u64,
    pub(super) surveys_fail: bool,
    /// So many records are lost next.
    pub(super) losing: u64,
    pub(super) refused: u64,
    pub(super) processes: BTreeMap<u32, Proc>,
    pub(super) listeners: BTreeMap<u64, Listener>,
    pub(super) connections: BTreeMap<String, Connection>,
    cookies: u64,
    names: Names,
    reasons: Reasons,
    windows: Windows,
    refusals: Refusals,
    smalls: Smalls,
}

/// A process.
#[derive(Debug, Clone)]
pub(super) struct Proc {
    pub(super) comm: [u8; 16],
    pub(super) start_ns: u64,
    pub(super) parent: u32,
    /// To which instance, and how; none: it serves nothing.
    pub(super) kin: Option<(Process, Kinship)>,
}

/// A socket that listens.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    pub(super) owner: Process,
    pub(super) key: ServiceKey,
    pub(super) holders: BTreeSet<u32>,
    pub(super) backlog: u32,
}

/// A connection.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) cookie: u64,
    pub(super) owner: Process,
    pub(super) key: ServiceKey,
    pub(super) opened_ns: u64,
    /// Who accepted it; 0: it waits.
    pub(super) worker: u32,
    pub(super) asked: u32,
    pub(super) since_read: u32,
    /// Something was sent while an instance was in a phase.
    pub(super) sent_in_phase: bool,
    /// When something was sent last.
    pub(super) sent_ns: u64,
    /// Bytes, so far.
    pub(super) sent: u64,
    pub(super) turns: u32,
    pub(super) unread: u32,
    /// When the last of that came.
    pub(super) came_ns: u64,
    /// The first question had been there for so long when it was read.
    pub(super) waited_ms: u32,
    pub(super) last_read_ns: u64,
    pub(super) closer: u32,
    pub(super) state: State,
    /// The phase of its instance when it was open no more.
    pub(super) left: Option<Phase>,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closing,
    FinWait2,
    Gone,
}

/// How a connection ends.
pub(super) struct End {
    pub(super) origin: Origin,
    pub(super) outcome: Outcome,
    pub(super) time_wait: TimeWait,
    pub(super) flags: u16,
    pub(super) reason: u8,
}

// === impl Kernel ===

impl Kernel {
    pub(super) fn new(_begin_ns: u64) -> Self {
        Self {
            records: Vec::new(),
            lost: 0,
            phases: BTreeMap::new(),
            survey_takes_ns: 3 * MS,
            surveys_fail: false,
            losing: 0,
            refused: 0,
            processes: BTreeMap::new(),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            cookies: 1_000,
            names: Names::default(),
            reasons: Reasons::default(),
            windows: Windows::new(0),
            refusals: Refusals::default(),
            smalls: Smalls::default(),
        }
    }

    pub(super) fn record(&mut self, record: Record) {
        if self.losing > 0 {
            self.losing -= 1;
            self.lost += 1;
        } else {
            self.records.push(record);
        }
    }

    pub(super) fn cookie(&mut self) -> u64 {
        self.cookies += 1;
        self.cookies
    }

    pub(super) fn name(&self, pid: u32) -> Process {
        Process {
            start_ns: self.processes.get(&pid).map_or(0, |p| p.start_ns),
            tgid: pid,
            pad: 0,
        }
    }

    /// The key with the phase of its instance now.
    pub(super) fn phased(&self, key: ServiceKey, owner: &Process) -> ServiceKey {
        key.in_phase(self.phase(owner))
    }

    /// The phase of an instance now.
    pub(super) fn phase(&self, owner: &Process) -> Phase {
        self.phases.get(owner).copied().unwrap_or(Phase::Steady)
    }

    pub(super) fn answer(&self, now_ns: u64, want: Want) -> Told {
        match want {
            Want::Survey { netns } if self.surveys_fail => Told::SurveyFailed(netns),
            Want::Survey { netns } => {
                let (rows, minis) = self.survey(now_ns);
                Told::Survey(netns, now_ns, rows, minis)
            }
            Want::Counters { service } => Told::Counted(vec![service], now_ns, self.refused),
            _ => Told::Processes(self.table()),
        }
    }

    /// A connection ends.
    pub(super) fn ends(&mut self, name: &str, now_ns: u64, end: &End) {
        let phase = self.phase(&self.connections[name].owner);
        let connection = self.connections.get_mut(name).expect("a connection");
        let left = *connection.left.get_or_insert(phase);
        let by_us = matches!(end.origin, Origin::Local | Origin::None)
            && end.outcome != Outcome::ResetReceived;
        // Nothing, or a TLS alert.
        let owed = connection.turns > 0 && matches!(connection.since_read, 0 | 24);
        let unanswered = by_us && owed && connection.asked >= 18;
        let unread = by_us && end.outcome == Outcome::ResetSent && connection.unread >= 18;
        let cut = match (unread, unanswered) {
            (true, _) => Cut::Unread as u8,
            (_, true) => Cut::Unanswered as u8,
            _ => 0xff,
        };
        let mut flags = end.flags;
        if left == Phase::Steady {
            flags |= close_flags::LEFT_STEADY;
        }
        let died_sending = now_ns <= connection.sent_ns + 1_000 * MS;
        if flags & close_flags::BY_EXIT != 0 && connection.since_read > 0 && died_sending {
            flags |= close_flags::SENDING;
        }
        if connection.sent_in_phase {
            flags |= close_flags::SENT_IN_PHASE;
        }
        if !by_us && owed {
            flags |= close_flags::ABANDONED;
        }
        connection.state = match end.time_wait {
            TimeWait::FinWait2 => State::FinWait2,
            TimeWait::None | TimeWait::TimeWait => State::Gone,
        };
        let connection = connection.clone();
        let phase = connection.phase(phase);
        let record = CloseRecord {
            header: header(1, size_of::<CloseRecord>(), now_ns),
            cookie: connection.cookie,
            service: connection.key.in_phase(phase),
            opened_at_ns: connection.opened_ns,
            owner_start_ns: connection.owner.start_ns,
            last_read_ns: connection.last_read_ns,
            bytes_sent: connection.sent,
            bytes_received: u64::from(connection.asked + connection.unread),
            local_addr: v4(10, 0, 0, 1),
            remote_addr: v4(10, 0, 0, 2),
            local_port: connection.key.port,
            remote_port: (connection.cookie % 50_000) as u16 + 10_000,
            owner_tgid: connection.owner.tgid,
            closer_tgid: if by_us { connection.closer } else { 0 },
            turns: connection.turns,
            since_read: connection.since_read,
            asked: connection.asked,
            unread: if end.outcome == Outcome::ResetSent {
                connection.unread
            } else {
                0
            },
            unacked: 0,
            srtt_us: 100,
            retransmits: 0,
            flags,
            sk_err: 0,
            old_state: 0,
            origin: end.origin as u8,
            outcome: end.outcome as u8,
            time_wait: end.time_wait as u8,
            cut,
            evidence: match (by_us && owed, unanswered) {
                (true, true) => Evidence::Silent as u8,
                (true, false) => Evidence::Small as u8,
                _ => 0xff,
            },
            reason: end.reason,
            lost: match connection.unread {
                _ if end.outcome != Outcome::ResetSent => Lost::Nothing as u8,
                0 => Lost::Nothing as u8,
                1..18 => Lost::Goodbye as u8,
                _ => Lost::Data as u8,
            },
            idle_ds: 0,
            waited_cs: (connection.waited_ms / 10) as u16,
        };
        self.record(Record::Close(record));
    }

    fn table(&self) -> Vec<(u32, ProcessEntry)> {
        let entry = |(pid, process): (&u32, &Proc)| {
            let (instance, kinship) = process.kin?;
            let entry = ProcessEntry {
                instance,
                start_ns: process.start_ns,
                born_ns: process.start_ns,
                kinship: kinship as u8,
                pad: [0; 7],
            };
            Some((*pid, entry))
        };
        self.processes.iter().filter_map(entry).collect()
    }

    fn survey(&self, now_ns: u64) -> (Vec<SurveyRow>, Vec<SurveyRow>) {
        let mut rows = Vec::new();
        let mut minis = Vec::new();
        for (cookie, listener) in &self.listeners {
            rows.push(SurveyRow {
                service: self.phased(listener.key, &listener.owner),
                owner: listener.owner,
                cookie: *cookie,
                opened_at_ns: 0,
                a: listener.backlog,
                b: 511,
                kind: survey_kind::LISTENER,
                quiet: 0,
                queued: 0,
                pad: 0,
                waits_ms: 0,
            });
        }
        for c in self.connections.values() {
            let phase = self.phases.contains_key(&c.owner);
            let queued = c.worker == 0 && c.state == State::Open;
            let awaiting = c.turns > 0 && c.since_read == 0 && c.asked >= 18;
            let (kind, a, b) = match c.state {
                State::Open if awaiting => (survey_kind::AWAITING, c.asked, c.since_read),
                State::Open if phase || queued => (survey_kind::OPEN, c.asked, c.since_read),
                State::Closing if phase || c.phase(Phase::Steady) != Phase::Steady => {
                    (survey_kind::CLOSING, 4, 0)
                }
                State::FinWait2 => (survey_kind::FIN_WAIT2, u32::from(c.key.port), 40_000),
                State::Open | State::Closing | State::Gone => continue,
            };
            let mini = c.state == State::FinWait2;
            let mut service = self.phased(c.key, &c.owner);
            let mut owner = c.owner;
            if mini {
                service = ServiceKey::other(Role::Server, Phase::Steady);
                service.netns = NETNS;
                owner = Process::default();
            }
            let row = SurveyRow {
                service,
                owner,
                cookie: c.cookie,
                opened_at_ns: if mini { 0 } else { c.opened_ns },
                a,
                b,
                kind,
                quiet: u8::from(phase && !c.sent_in_phase),
                queued: queued.into(),
                pad: 0,
                waits_ms: match c.unread {
                    0 => 0,
                    _ if queued => ((now_ns - c.came_ns) / MS) as u32 | 1,
                    _ => 0,
                },
            };
            if mini { &mut minis } else { &mut rows }.push(row);
        }
        (rows, minis)
    }
}

impl Connection {
    /// The one that it counts in, while its instance is in `now`: that in which it was open no more, if it was one.
    pub(super) fn phase(&self, now: Phase) -> Phase {
        match self.left {
            None | Some(Phase::Steady) => now,
            Some(left) => left,
        }
    }
}

impl Kernel {
    /// What the engine would know beside.
    pub(super) fn known(&self) -> Known<'_> {
        Known {
            clocks: Clocks {
                wall_zero_ns: -i64::try_from(BEGIN_NS).unwrap(),
                asleep_ns: SLEPT_NS,
            },
            names: &self.names,
            reasons: &self.reasons,
            windows: &self.windows,
            refusals: &self.refusals,
            stream_ports: &[1_883, 3_001],
            smalls: &self.smalls,
        }
    }

    /// A service is met, and named after its program.
    pub(super) fn meet(&mut self, key: &ServiceKey) {
        let unit = format!("{}.service", key.comm());
        self.names.meet(key, 0);
        self.names
            .take(key, Workload::on_host(WorkloadKind::Unit, unit));
    }

    /// Takes a reading of the counters, in which all was refused while the owner of the port was told to end.
    pub(super) fn read(&mut self, services: &[ServiceKey], read_ns: u64, refused: u64) {
        let rows = services.iter().map(|key| {
            let mut row = [0; CELLS];
            row[Cell::REFUSED.index()] = refused;
            (key.in_phase(Phase::Draining), row)
        });
        let reading = Reading {
            read_ns,
            rows: rows.collect(),
            resets: Vec::new(),
        };
        self.refusals.some(services, &reading);
        self.smalls.some(&reading);
    }
}

/// When a process starts that starts now: cut to a tick, as `/proc` shows it.
pub(super) fn started_ns(kernel_ns: u64) -> u64 {
    boot_ns(kernel_ns) / (10 * MS) * (10 * MS)
}

/// Since boot, suspend included.
pub(super) fn boot_ns(kernel_ns: u64) -> u64 {
    kernel_ns.saturating_add(SLEPT_NS)
}

pub(super) fn key(comm: [u8; 16], port: u16) -> ServiceKey {
    let mut key = ServiceKey::other(Role::Server, Phase::Steady);
    key.cgroup = 42;
    key.netns = NETNS;
    key.comm = comm;
    key.port = port;
    key
}

pub(super) fn comm(name: &str) -> [u8; 16] {
    let mut comm = [0; 16];
    for (to, from) in comm.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    comm
}

pub(super) fn header(kind: u32, size: usize, at_ns: u64) -> RecordHeader {
    RecordHeader {
        kind,
        size: size as u32,
        at_ns,
    }
}

pub(super) fn v4(a: u8, b: u8, c: u8, d: u8) -> [u8; 16] {
    std::net::Ipv4Addr::new(a, b, c, d)
        .to_ipv6_mapped()
        .octets()
}
