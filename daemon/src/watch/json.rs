//! The stream for scripts: one JSON object a line. Fields may be added, never renamed; what is not known is
//! null.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use finwatch_common::{close_flags, comm_str, reset_flags};
use jiff::Timestamp;
use serde::Serialize;

use super::event::{Close, Event, Exit, Gap, Listener, Reset, Signal, Subject, Unread};
use finwatch_engine::{
    drains::names,
    model::words::{Word as _, substate},
};

/// Writes one object and a newline.
pub(super) fn write_event(out: &mut impl Write, event: &Event) -> io::Result<()> {
    let wire = match event {
        Event::Close(close) => WireEvent::Close(WireClose::from(&**close)),
        Event::Reset(reset) => WireEvent::Reset(WireReset::from(&**reset)),
        Event::Unread(unread) => WireEvent::Unread(WireUnread::from(&**unread)),
        Event::Listener(listener) => WireEvent::Listener(WireListener::from(&**listener)),
        Event::Signal(signal) => WireEvent::Signal(WireSignal::from(&**signal)),
        Event::Exit(exit) => WireEvent::Exit(WireExit::from(&**exit)),
        Event::Lost(gap) => WireEvent::Lost(WireGap::from(gap)),
    };
    serde_json::to_writer(&mut *out, &wire)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum WireEvent<'a> {
    Close(WireClose<'a>),
    Reset(WireReset<'a>),
    Unread(WireUnread<'a>),
    Listener(WireListener<'a>),
    Signal(WireSignal<'a>),
    Exit(WireExit<'a>),
    Lost(WireGap),
}

#[derive(Serialize)]
struct WireSubject<'a> {
    time: String,
    workload_namespace: &'a str,
    workload_kind: &'a str,
    workload: &'a str,
    port: u16,
    role: &'a str,
    phase: &'a str,
}

#[derive(Serialize)]
struct WireEnds {
    local_address: Option<String>,
    local_port: Option<u16>,
    peer_address: Option<String>,
    peer_port: Option<u16>,
}

#[derive(Serialize)]
struct WireClose<'a> {
    #[serde(flatten)]
    subject: WireSubject<'a>,
    #[serde(flatten)]
    ends: WireEnds,
    duration_seconds: Option<f64>,
    bytes_received: u64,
    bytes_sent: u64,
    origin: &'a str,
    outcome: &'a str,
    time_wait: &'a str,
    time_wait_substate: Option<&'a str>,
    time_wait_overflowed: bool,
    cut: Option<&'a str>,
    evidence: Option<&'a str>,
    reset_reason: Option<&'a str>,
    lost: &'a str,
    lost_bytes: u32,
    unread_bytes: u32,
    unacked_bytes: u32,
    abandoned: bool,
    exited: bool,
    never_accepted: bool,
    preexisting: bool,
    turns: Option<u32>,
    rtt_seconds: Option<f64>,
    retransmits: u32,
    owner_pid: Option<u32>,
    closer_pid: Option<u32>,
    cookie: u64,
}

#[derive(Serialize)]
struct WireReset<'a> {
    #[serde(flatten)]
    subject: WireSubject<'a>,
    #[serde(flatten)]
    ends: WireEnds,
    reset_reason: &'a str,
    cut: Option<&'a str>,
    lost: &'a str,
    lost_bytes: u32,
    mini_socket: bool,
    cookie: Option<u64>,
}

#[derive(Serialize)]
struct WireUnread<'a> {
    #[serde(flatten)]
    subject: WireSubject<'a>,
    #[serde(flatten)]
    ends: WireEnds,
    cut: Option<&'a str>,
    unread_bytes: u32,
    cookie: u64,
}

#[derive(Serialize)]
struct WireListener<'a> {
    #[serde(flatten)]
    subject: WireSubject<'a>,
    local_address: String,
    up: bool,
    exited: bool,
    pid: Option<u32>,
    backlog: u32,
    backlog_limit: u32,
    cookie: u64,
}

#[derive(Serialize)]
struct WireSignal<'a> {
    time: String,
    services: Vec<WireService<'a>>,
    signal: String,
    pid: u32,
    program: &'a str,
    kinship: &'a str,
    sender_pid: Option<u32>,
    sender_program: Option<&'a str>,
    disposition: Option<&'a str>,
    phase: &'a str,
    instance_pid: u32,
}

#[derive(Serialize)]
struct WireExit<'a> {
    time: String,
    services: Vec<WireService<'a>>,
    pid: u32,
    program: &'a str,
    kinship: &'a str,
    code: Option<u8>,
    signal: Option<String>,
    instance_pid: u32,
}

#[derive(Serialize)]
struct WireService<'a> {
    workload_namespace: &'a str,
    workload_kind: &'a str,
    workload: &'a str,
    port: u16,
}

#[derive(Serialize)]
struct WireGap {
    time: String,
    kind: &'static str,
    count: u64,
}

impl<'a> From<&'a Subject> for WireSubject<'a> {
    fn from(subject: &'a Subject) -> Self {
        let Subject {
            time,
            workload,
            port,
            role,
            phase,
        } = subject;
        Self {
            time: rfc3339(*time),
            workload_namespace: &workload.namespace,
            workload_kind: workload.kind.as_str(),
            workload: &workload.name,
            port: *port,
            role: role.word(),
            phase: phase.word(),
        }
    }
}

impl WireEnds {
    fn new(local: Option<SocketAddr>, peer: Option<SocketAddr>) -> Self {
        let ip = |end: Option<SocketAddr>| end.map(|end| end.ip().to_string());
        Self {
            local_address: ip(local),
            local_port: local.map(|end| end.port()),
            peer_address: ip(peer),
            peer_port: peer.map(|end| end.port()),
        }
    }
}

impl<'a> From<&'a Close> for WireClose<'a> {
    fn from(close: &'a Close) -> Self {
        let Close {
            subject,
            connection,
            reset_reason,
        } = close;
        let record = &connection.record;
        Self {
            subject: subject.into(),
            ends: WireEnds::new(close.local(), close.peer()),
            duration_seconds: close.duration_ns().map(|nanos| nanos as f64 / 1e9),
            bytes_received: record.bytes_received,
            bytes_sent: record.bytes_sent,
            origin: connection.origin.word(),
            outcome: connection.outcome.word(),
            time_wait: close.time_wait().word(),
            time_wait_substate: substate(connection.time_wait),
            time_wait_overflowed: connection.time_wait_overflowed,
            cut: connection.cut.map(|cut| cut.word()),
            evidence: record.evidence().map(|evidence| evidence.word()),
            reset_reason: reset_reason.as_deref(),
            lost: connection.lost.word(),
            lost_bytes: connection.lost_bytes,
            unread_bytes: record.unread,
            unacked_bytes: record.unacked,
            abandoned: close.has(close_flags::ABANDONED),
            exited: close.has(close_flags::BY_EXIT),
            never_accepted: close.has(close_flags::NEVER_ACCEPTED),
            preexisting: close.is_preexisting(),
            turns: (!close.is_preexisting()).then_some(record.turns),
            rtt_seconds: (record.srtt_us != 0).then(|| f64::from(record.srtt_us) / 1e6),
            retransmits: record.retransmits,
            owner_pid: pid(record.owner_tgid),
            closer_pid: pid(record.closer_tgid),
            cookie: record.cookie,
        }
    }
}

impl<'a> From<&'a Reset> for WireReset<'a> {
    fn from(reset: &'a Reset) -> Self {
        let Reset {
            subject,
            record,
            reason,
        } = reset;
        Self {
            subject: subject.into(),
            ends: WireEnds::new(reset.local(), reset.peer()),
            reset_reason: reason,
            cut: reset.cuts().then_some("late"),
            lost: reset.lost().word(),
            lost_bytes: record.lost_bytes,
            mini_socket: reset.has(reset_flags::MINI_SOCKET),
            cookie: (record.cookie != 0).then_some(record.cookie),
        }
    }
}

impl<'a> From<&'a Unread> for WireUnread<'a> {
    fn from(unread: &'a Unread) -> Self {
        let Unread { subject, record } = unread;
        Self {
            subject: subject.into(),
            ends: WireEnds::new(unread.local(), unread.peer()),
            cut: record.cut().map(|cut| cut.word()),
            unread_bytes: record.unread,
            cookie: record.cookie,
        }
    }
}

impl<'a> From<&'a Listener> for WireListener<'a> {
    fn from(listener: &'a Listener) -> Self {
        let Listener { subject, record } = listener;
        Self {
            subject: subject.into(),
            local_address: listener.local().ip().to_string(),
            up: record.up != 0,
            exited: record.by_exit != 0,
            pid: pid(record.tgid),
            backlog: record.backlog,
            backlog_limit: record.backlog_limit,
            cookie: record.cookie,
        }
    }
}

impl<'a> From<&'a Signal> for WireSignal<'a> {
    fn from(signal: &'a Signal) -> Self {
        let Signal {
            time,
            services,
            record,
        } = signal;
        let sent_by_process = record.sender_tgid != 0;
        let disposition = names::disposition(record.disposition);
        Self {
            time: rfc3339(*time),
            services: services.iter().map(WireService::from).collect(),
            signal: names::signal(record.signal),
            pid: record.target.tgid,
            program: comm_str(&record.target_comm),
            kinship: names::kinship(record.kinship),
            sender_pid: pid(record.sender_tgid),
            sender_program: sent_by_process.then(|| comm_str(&record.sender_comm)),
            disposition: (!disposition.is_empty()).then_some(disposition),
            phase: signal.phase().word(),
            instance_pid: record.instance.tgid,
        }
    }
}

impl<'a> From<&'a Exit> for WireExit<'a> {
    fn from(exit: &'a Exit) -> Self {
        let Exit {
            time,
            services,
            record,
        } = exit;
        Self {
            time: rfc3339(*time),
            services: services.iter().map(WireService::from).collect(),
            pid: record.process.tgid,
            program: comm_str(&record.comm),
            kinship: names::kinship(record.kinship),
            code: exit.code(),
            signal: exit.signal().map(names::signal),
            instance_pid: record.instance.tgid,
        }
    }
}

impl<'a> From<&'a Subject> for WireService<'a> {
    fn from(subject: &'a Subject) -> Self {
        Self {
            workload_namespace: &subject.workload.namespace,
            workload_kind: subject.workload.kind.as_str(),
            workload: &subject.workload.name,
            port: subject.port,
        }
    }
}

impl From<&Gap> for WireGap {
    fn from(gap: &Gap) -> Self {
        let Gap { time, kind, count } = gap;
        Self {
            time: rfc3339(*time),
            kind: kind.word(),
            count: *count,
        }
    }
}

fn pid(tgid: u32) -> Option<u32> {
    (tgid != 0).then_some(tgid)
}

/// With all nine digits, so that every line has the same form.
fn rfc3339(time: Timestamp) -> String {
    format!("{time:.9}")
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
