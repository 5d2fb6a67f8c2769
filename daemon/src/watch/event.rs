//! What the stream tells, one value a line: records with their workload, their time of day and their words. As JSON they are
//! written as they stand here, the kind of the line as `event`: fields may be added, never renamed; what is not known is
//! null. They do not know how people see them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use finwatch_common::{
    ExitRecord, Intent, ListenerRecord, Lost, Phase, ResetRecord, Role, SignalRecord, UnreadRecord,
    comm_str, reset_flags,
};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use finwatch_engine::{
    drains::names,
    model::{
        Close, Ends, Pod, Service,
        words::{Word as _, address},
    },
};

/// One line of the stream.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// A connection ended.
    #[serde(serialize_with = "close_line")]
    Close(Box<Close>),
    /// An RST left this host that belongs to no close told here: one that refused a SYN, or came long after the close.
    Reset(Box<Reset>),
    /// A program let go of what it never read, long after the close was told.
    Unread(Box<Unread>),
    /// A listener opened or closed.
    Listener(Box<Listener>),
    /// A process of a service got a signal.
    Signal(Box<Signal>),
    /// A process of a service ended.
    Exit(Box<Exit>),
    /// Records were lost: the stream has a gap.
    Lost(Gap),
}

/// When, and whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Subject {
    /// Time of day.
    #[serde(serialize_with = "nine_digits")]
    pub(super) time: Timestamp,
    /// Who owns the port.
    #[serde(flatten)]
    pub(super) service: Service,
    /// The Kubernetes pod that it runs in.
    #[serde(flatten)]
    pub(super) pod: Pod,
    /// Which side this host was.
    pub(super) role: Role,
    /// What the service was doing.
    pub(super) phase: Phase,
}

/// An RST on its own: one that left long after the close, or that refused a SYN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Reset {
    /// When, and whose.
    #[serde(flatten)]
    pub(super) subject: Subject,
    /// Between whom.
    #[serde(flatten)]
    pub(super) ends: Ends,
    /// Name of its reason.
    pub(super) reset_reason: String,
    /// `late`, where it cut a connection whose close was told before.
    pub(super) cut: Option<&'static str>,
    /// What it threw away.
    pub(super) lost: &'static str,
    /// Bytes of the peer that it threw away.
    pub(super) lost_bytes: u32,
    /// Whether it was sent for a connection that had ended.
    pub(super) mini_socket: bool,
    /// Whether it refused a SYN, as nothing listened on the port; the service is who last did.
    pub(super) refused: bool,
    /// The kernel's number of the socket, if there was one.
    pub(super) cookie: Option<u64>,
}

/// What a program never read of a connection that had ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Unread {
    /// When it let go of it, and whose.
    #[serde(flatten)]
    pub(super) subject: Subject,
    /// Between whom.
    #[serde(flatten)]
    pub(super) ends: Ends,
    /// Why it counts as cut, if it does.
    pub(super) cut: Option<&'static str>,
    /// How much it was.
    pub(super) unread_bytes: u32,
    /// The kernel's number of the socket.
    pub(super) cookie: u64,
}

/// A listener that opened or closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Listener {
    /// When, and whose.
    #[serde(flatten)]
    pub(super) subject: Subject,
    /// Where it listens; the unspecified address is shown as such.
    pub(super) local_address: IpAddr,
    /// Whether it opened.
    pub(super) up: bool,
    /// Whether it closed as its process died.
    pub(super) exited: bool,
    /// The process that did it, if it is known.
    pub(super) pid: Option<u32>,
    /// Connections that waited to be accepted.
    pub(super) backlog: u32,
    /// Most that may wait.
    pub(super) backlog_limit: u32,
    /// The kernel's number of the socket.
    pub(super) cookie: u64,
}

/// A signal to a process of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Signal {
    /// Time of day.
    #[serde(serialize_with = "nine_digits")]
    pub(super) time: Timestamp,
    /// The services that the process belongs to; none when they are not known.
    pub(super) services: Vec<Service>,
    /// Its name.
    pub(super) signal: String,
    /// The process that got it.
    pub(super) pid: u32,
    /// Name of its program.
    pub(super) program: String,
    /// What it is to its services: `owner`, `controller`, `member`.
    pub(super) kinship: &'static str,
    /// The process that sent it; none: the kernel did.
    pub(super) sender_pid: Option<u32>,
    /// Name of the sender's program.
    pub(super) sender_program: Option<String>,
    /// What the process does about it, if that is known.
    pub(super) disposition: Option<&'static str>,
    /// What it asks for.
    pub(super) phase: Phase,
    /// It asks for something, or may.
    #[serde(skip)]
    pub(super) asks: bool,
    /// The process that listens.
    pub(super) instance_pid: u32,
}

/// The end of a process of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Exit {
    /// Time of day.
    #[serde(serialize_with = "nine_digits")]
    pub(super) time: Timestamp,
    /// As in [`Signal`].
    pub(super) services: Vec<Service>,
    /// The process.
    pub(super) pid: u32,
    /// Name of its program.
    pub(super) program: String,
    /// What it was to its services.
    pub(super) kinship: &'static str,
    /// The exit code, when it exited.
    pub(super) code: Option<u8>,
    /// The signal that killed it, when one did.
    pub(super) signal: Option<String>,
    /// The process that listens.
    pub(super) instance_pid: u32,
}

/// Records that were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Gap {
    /// When it was noticed.
    #[serde(serialize_with = "nine_digits")]
    pub(super) time: Timestamp,
    /// What was lost.
    pub(super) kind: GapKind,
    /// How many since the last notice.
    pub(super) count: u64,
}

/// What was lost, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum GapKind {
    /// Closes, as the ring buffer was full.
    #[serde(rename = "close")]
    Closes,
    /// RSTs, as the ring buffer was full.
    #[serde(rename = "reset")]
    Resets,
    /// Listeners, as the ring buffer was full.
    #[serde(rename = "listener")]
    Listeners,
    /// Signals, as the ring buffer was full.
    #[serde(rename = "signal")]
    Signals,
    /// Exits, as the ring buffer was full.
    #[serde(rename = "exit")]
    Exits,
    /// What was never read, as the ring buffer was full.
    #[serde(rename = "unread")]
    Unread,
    /// Records whose bytes were malformed.
    #[serde(rename = "malformed")]
    Malformed,
    /// Connections without a record, as the kernel had no room for it.
    #[serde(rename = "unrecorded")]
    Unrecorded,
}

// === impl Reset ===

impl Reset {
    pub(super) fn new(subject: Subject, record: &ResetRecord, reason: String) -> Self {
        let has = |flag| record.flags & flag != 0;
        let lost = Lost::from_u8(record.lost).unwrap_or(Lost::Nothing);
        Self {
            subject,
            ends: Ends::new(
                address(record.local_addr, record.local_port),
                address(record.remote_addr, record.remote_port),
            ),
            reset_reason: reason,
            cut: has(reset_flags::CUT_LATE).then_some("late"),
            lost: lost.word(),
            lost_bytes: record.lost_bytes,
            mini_socket: has(reset_flags::MINI_SOCKET),
            refused: has(reset_flags::REFUSED),
            cookie: (record.cookie != 0).then_some(record.cookie),
        }
    }
}

// === impl Unread ===

impl Unread {
    pub(super) fn new(subject: Subject, record: &UnreadRecord) -> Self {
        Self {
            subject,
            ends: Ends::new(
                address(record.local_addr, record.local_port),
                address(record.remote_addr, record.remote_port),
            ),
            cut: record.cut().map(|cut| cut.word()),
            unread_bytes: record.unread,
            cookie: record.cookie,
        }
    }
}

// === impl Listener ===

impl Listener {
    pub(super) fn new(subject: Subject, record: &ListenerRecord) -> Self {
        Self {
            subject,
            local_address: Ipv6Addr::from(record.local_addr).to_canonical(),
            up: record.up != 0,
            exited: record.by_exit != 0,
            pid: pid(record.tgid),
            backlog: record.backlog,
            backlog_limit: record.backlog_limit,
            cookie: record.cookie,
        }
    }

    /// Where it listens.
    pub(super) const fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local_address, self.subject.service.port)
    }
}

// === impl Signal ===

impl Signal {
    pub(super) fn new(time: Timestamp, services: Vec<Service>, record: &SignalRecord) -> Self {
        let sender_pid = pid(record.sender_tgid);
        let disposition = names::disposition(record.disposition);
        Self {
            time,
            services,
            signal: names::signal(record.signal),
            pid: record.target.tgid,
            program: comm_str(&record.target_comm).to_owned(),
            kinship: names::kinship(record.kinship),
            sender_pid,
            sender_program: sender_pid.map(|_| comm_str(&record.sender_comm).to_owned()),
            disposition: (!disposition.is_empty()).then_some(disposition),
            phase: record.intent().phase(),
            asks: record.intent() != Intent::Nothing,
            instance_pid: record.instance.tgid,
        }
    }
}

// === impl Exit ===

impl Exit {
    /// `record.status` is a wait status: an exit code above the number of the signal that killed it.
    pub(super) fn new(time: Timestamp, services: Vec<Service>, record: &ExitRecord) -> Self {
        let signal = (record.status & 0x7f) as u8;
        let code = (record.status >> 8) as u8;
        Self {
            time,
            services,
            pid: record.process.tgid,
            program: comm_str(&record.comm).to_owned(),
            kinship: names::kinship(record.kinship),
            code: (signal == 0).then_some(code),
            signal: (signal != 0).then(|| names::signal(signal)),
            instance_pid: record.instance.tgid,
        }
    }
}

fn pid(tgid: u32) -> Option<u32> {
    (tgid != 0).then_some(tgid)
}

// === as JSON ===

/// A close, with what each line of a service begins with, and the names that some of its fields had in this stream before
/// it shared a form with `/v1/closes`: scripts read them.
fn close_line<S: Serializer>(close: &Close, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(serialize_with = "nine_digits")]
        time: Timestamp,
        #[serde(flatten)]
        service: &'a Service,
        #[serde(flatten)]
        close: &'a Close,
        time_wait_substate: Option<&'a str>,
        exited: bool,
        closer_pid: Option<u32>,
    }
    Line {
        time: close.ended_at,
        service: &close.service,
        close,
        time_wait_substate: close.time_wait.as_deref(),
        exited: close.by_exit,
        closer_pid: close.closed_by_pid,
    }
    .serialize(serializer)
}

/// So that every line has the same form.
fn nine_digits<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.9}"))
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
