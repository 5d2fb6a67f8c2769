//! Hand-made events for the tests of the stream.

use std::net::Ipv4Addr;

use finwatch_common::{
    CloseRecord, Cut, Disposition, ExitRecord, Intent, KIND_CLOSE, KIND_EXIT, KIND_LISTENER,
    KIND_RESET, KIND_SIGNAL, KIND_UNREAD, Kinship, ListenerRecord, Lost, Origin, Outcome, Phase,
    Process, RecordHeader, ResetRecord, Role, ServiceKey, SignalRecord, TimeWait, UnreadRecord,
    reset_flags,
};
use jiff::Timestamp;

use super::event::{Exit, Listener, Reset, Signal, Subject, Unread};
use finwatch_engine::{
    Clocks, Reasons,
    drains::ClosedConnection,
    model::{Close, Pod, Service, Workload, WorkloadKind},
    tell_close,
};

fn v4(a: u8, b: u8, c: u8, d: u8) -> [u8; 16] {
    Ipv4Addr::new(a, b, c, d).to_ipv6_mapped().octets()
}

fn header(kind: u32, size: usize) -> RecordHeader {
    RecordHeader {
        kind,
        size: u32::try_from(size).unwrap(),
        at_ns: 5_000_000_000,
    }
}

fn service() -> ServiceKey {
    let mut key = ServiceKey::other(Role::Server, Phase::Steady);
    key.cgroup = 4711;
    key.netns = 1;
    key.comm[..5].copy_from_slice(b"nginx");
    key.port = 443;
    key
}

pub(super) fn subject() -> Subject {
    let time: Timestamp = "2026-11-22T16:52:01.123456789Z".parse().unwrap();
    let workload = Workload::on_host(WorkloadKind::Unit, "nginx.service");
    Subject {
        time,
        service: Service::new(workload, 443),
        pod: Pod::default(),
        role: Role::Server,
        phase: Phase::Steady,
    }
}

/// What is told of it at that time.
pub(super) fn told(closed: &ClosedConnection) -> Close {
    let subject = subject();
    let at_ns = i64::try_from(closed.record.header.at_ns).unwrap();
    let clocks = Clocks {
        wall_zero_ns: i64::try_from(subject.time.as_nanosecond()).unwrap() - at_ns,
        asleep_ns: 0,
    };
    let reasons = Reasons::new([(15, "abort_on_close".to_owned())]);
    tell_close(closed, (subject.service, subject.pod), clocks, &reasons)
}

/// A clean close by the server, 1.203 s old, with a TIME_WAIT left here.
pub(super) fn close() -> Close {
    told(&ClosedConnection::from(close_record()))
}

pub(super) fn close_record() -> CloseRecord {
    CloseRecord {
        header: header(KIND_CLOSE, size_of::<CloseRecord>()),
        cookie: 99,
        service: service(),
        opened_at_ns: 5_000_000_000 - 1_203_000_000,
        owner_start_ns: 0,
        last_read_ns: 0,
        bytes_sent: 3_565_158,
        bytes_received: 107,
        local_addr: v4(10, 0, 0, 1),
        remote_addr: v4(10, 0, 0, 5),
        local_port: 443,
        remote_port: 51_234,
        owner_tgid: 300,
        closer_tgid: 301,
        turns: 2,
        since_read: 850,
        asked: 107,
        unread: 0,
        unacked: 0,
        srtt_us: 1_250,
        retransmits: 0,
        flags: 0,
        sk_err: 0,
        old_state: 5,
        origin: Origin::Local as u8,
        outcome: Outcome::Fin as u8,
        time_wait: TimeWait::TimeWait as u8,
        cut: 0xff,
        evidence: 0xff,
        reason: 0,
        lost: Lost::Nothing as u8,
        idle_ds: 0,
        waited_cs: 0,
    }
}

/// An RST of a mini-socket, with or without a request that it threw away.
pub(super) fn reset(cuts: bool) -> Reset {
    let reason = "timewait_socket".to_owned();
    Reset::new(subject(), &reset_record(cuts), reason)
}

pub(super) fn reset_record(cuts: bool) -> ResetRecord {
    ResetRecord {
        header: header(KIND_RESET, size_of::<ResetRecord>()),
        cookie: 99,
        service: service(),
        local_addr: v4(10, 0, 0, 1),
        remote_addr: v4(10, 0, 0, 5),
        local_port: 443,
        remote_port: 51_234,
        lost_bytes: if cuts { 107 } else { 0 },
        flags: reset_flags::MINI_SOCKET | if cuts { reset_flags::CUT_LATE } else { 0 },
        state: 6,
        reason: 9,
        lost: if cuts { Lost::Data } else { Lost::Nothing } as u8,
        pad: 0,
        idle_ds: 0,
    }
}

/// A SYN that nobody listened for.
pub(super) fn refused() -> Reset {
    Reset::new(subject(), &refused_record(), "no_socket".to_owned())
}

pub(super) fn refused_record() -> ResetRecord {
    ResetRecord {
        cookie: 0,
        flags: reset_flags::REFUSED,
        ..reset_record(false)
    }
}

/// A request that the program let go of unread.
pub(super) fn unread() -> Unread {
    Unread::new(subject(), &unread_record())
}

pub(super) fn unread_record() -> UnreadRecord {
    UnreadRecord {
        header: header(KIND_UNREAD, size_of::<UnreadRecord>()),
        cookie: 99,
        service: service(),
        local_addr: v4(10, 0, 0, 1),
        remote_addr: v4(10, 0, 0, 5),
        local_port: 443,
        remote_port: 51_234,
        unread: 107,
        cut: Cut::Unread as u8,
        rest_or_request: 0,
        idle_ds: 0,
        tail: [0; 4],
    }
}

/// A listener that closed.
pub(super) fn listener() -> Listener {
    Listener::new(subject(), &listener_record())
}

pub(super) fn listener_record() -> ListenerRecord {
    ListenerRecord {
        header: header(KIND_LISTENER, size_of::<ListenerRecord>()),
        cookie: 98,
        service: service(),
        start_ns: 1,
        local_addr: v4(0, 0, 0, 0),
        owner_tgid: 0,
        tgid: 300,
        netns_inum: 4_026_531_833,
        backlog: 3,
        backlog_limit: 511,
        up: 0,
        by_exit: 1,
        pad: [0; 2],
    }
}

fn comm(name: &str) -> [u8; 16] {
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name.as_bytes());
    comm
}

fn nginx() -> Process {
    Process {
        start_ns: 1,
        tgid: 300,
        pad: 0,
    }
}

/// A stop that a shell sent to nginx.
pub(super) fn signal() -> Signal {
    let subject = subject();
    Signal::new(subject.time, vec![subject.service], &signal_record())
}

pub(super) fn signal_record() -> SignalRecord {
    SignalRecord {
        header: header(KIND_SIGNAL, size_of::<SignalRecord>()),
        instance: nginx(),
        target: nginx(),
        target_comm: comm("nginx"),
        sender_comm: comm("bash"),
        sender_tgid: 4_700,
        signal: 15,
        disposition: Disposition::Handled as u8,
        kinship: Kinship::Owner as u8,
        intent: Intent::Stop as u8,
    }
}

/// The end of that nginx.
pub(super) fn exit() -> Exit {
    let subject = subject();
    Exit::new(subject.time, vec![subject.service], &exit_record())
}

pub(super) fn exit_record() -> ExitRecord {
    ExitRecord {
        header: header(KIND_EXIT, size_of::<ExitRecord>()),
        instance: nginx(),
        process: nginx(),
        born_ns: 1,
        comm: comm("nginx"),
        status: 0,
        kinship: Kinship::Owner as u8,
        pad: [0; 3],
    }
}
