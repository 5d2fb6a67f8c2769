//! What the stream shows: records with their workload, their time of day and their reasons by name. Plain
//! values; they do not know how they are printed.

use std::net::{Ipv6Addr, SocketAddr};

use finwatch_common::{
    ExitRecord, Intent, Kinship, ListenerRecord, Lost, Origin, Outcome, Phase, ResetRecord, Role,
    ServiceKey, SignalRecord, TimeWait, UnreadRecord, close_flags, reset_flags,
};
use jiff::Timestamp;

use finwatch_engine::{
    drains::ClosedConnection,
    model::{
        Workload,
        words::{Word, address},
    },
};

/// One line of the stream.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A connection ended.
    Close(Box<Close>),
    /// An RST left this host that belongs to no close told here.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    /// Time of day.
    pub(super) time: Timestamp,
    /// Who owns the port.
    pub(super) workload: Workload,
    /// Local port of a server, remote port of a client.
    pub(super) port: u16,
    /// Which side this host was.
    pub(super) role: Role,
    /// What the service was doing.
    pub(super) phase: Phase,
}

/// The end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Close {
    /// When, and whose.
    pub(super) subject: Subject,
    /// The record, joined with its RSTs.
    pub(super) connection: ClosedConnection,
    /// Name of the reason of the RST that this host sent.
    pub(super) reset_reason: Option<String>,
}

/// An RST on its own: one that left long after the close.
#[derive(Debug, Clone)]
pub(super) struct Reset {
    /// When, and whose.
    pub(super) subject: Subject,
    /// As the kernel wrote it.
    pub(super) record: ResetRecord,
    /// Name of its reason.
    pub(super) reason: String,
}

/// What a program never read of a connection that had ended.
#[derive(Debug, Clone)]
pub(super) struct Unread {
    /// When it let go of it, and whose.
    pub(super) subject: Subject,
    /// As the kernel wrote it.
    pub(super) record: UnreadRecord,
}

/// A listener that opened or closed.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    /// When, and whose.
    pub(super) subject: Subject,
    /// As the kernel wrote it.
    pub(super) record: ListenerRecord,
}

/// A signal to a process of a service.
#[derive(Debug, Clone)]
pub(super) struct Signal {
    /// Time of day.
    pub(super) time: Timestamp,
    /// The services that the process belongs to, each with that time; none when they are not known.
    pub(super) services: Vec<Subject>,
    /// As the kernel wrote it.
    pub(super) record: SignalRecord,
}

/// The end of a process of a service.
#[derive(Debug, Clone)]
pub(super) struct Exit {
    /// Time of day.
    pub(super) time: Timestamp,
    /// As in [`Signal`].
    pub(super) services: Vec<Subject>,
    /// As the kernel wrote it.
    pub(super) record: ExitRecord,
}

/// Records that were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// When it was noticed.
    pub(super) time: Timestamp,
    /// What was lost.
    pub(super) kind: GapKind,
    /// How many since the last notice.
    pub(super) count: u64,
}

/// What was lost, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GapKind {
    /// Closes, as the ring buffer was full.
    Closes,
    /// RSTs, as the ring buffer was full.
    Resets,
    /// Listeners, as the ring buffer was full.
    Listeners,
    /// Signals, as the ring buffer was full.
    Signals,
    /// Exits, as the ring buffer was full.
    Exits,
    /// What was never read, as the ring buffer was full.
    Unread,
    /// Records whose bytes were malformed.
    Malformed,
    /// Connections without a record, as the kernel had no room for it.
    Unrecorded,
}

/// Which side holds the TIME_WAIT of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// This host.
    Here,
    /// The peer.
    Peer,
    /// Both: the two FINs crossed.
    Both,
    /// Neither.
    None,
}

// === impl Subject ===

impl Subject {
    /// `None` when the key is not one that a program of this version writes.
    pub(super) fn new(key: &ServiceKey, time: Timestamp, workload: Workload) -> Option<Self> {
        Some(Self {
            time,
            workload,
            port: key.port,
            role: key.role()?,
            phase: key.phase()?,
        })
    }
}

// === impl Close ===

impl Close {
    /// Nanoseconds from established to closed; `None` when the connection is older than the programs.
    pub(super) fn duration_ns(&self) -> Option<u64> {
        let record = &self.connection.record;
        (record.opened_at_ns != 0).then(|| record.header.at_ns.saturating_sub(record.opened_at_ns))
    }

    /// Which side holds the TIME_WAIT.
    pub(super) fn time_wait(&self) -> Side {
        let ours = self.connection.time_wait != TimeWait::None;
        let clean = self.connection.outcome == Outcome::Fin;
        match self.connection.origin {
            Origin::Both if clean && ours => Side::Both,
            Origin::Remote | Origin::Both if clean && !ours => Side::Peer,
            _ if ours => Side::Here,
            _ => Side::None,
        }
    }

    /// The peer's end; `None` when it is not known.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        let record = &self.connection.record;
        address(record.remote_addr, record.remote_port)
    }

    /// This host's end; `None` when it is not known.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        let record = &self.connection.record;
        address(record.local_addr, record.local_port)
    }

    /// Whether one of [`close_flags`] is set.
    pub(super) fn has(&self, flag: u16) -> bool {
        self.connection.record.flags & flag != 0
    }

    /// Whether turns, bytes and times since the establishment are not to be trusted.
    pub(super) fn is_preexisting(&self) -> bool {
        self.has(close_flags::PREEXISTING)
    }
}

// === impl Reset ===

impl Reset {
    /// The peer's end; `None` when it is not known.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        address(self.record.remote_addr, self.record.remote_port)
    }

    /// This host's end; `None` when it is not known.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        address(self.record.local_addr, self.record.local_port)
    }

    /// Whether one of [`reset_flags`] is set.
    pub(super) fn has(&self, flag: u16) -> bool {
        self.record.flags & flag != 0
    }

    /// Whether it cut a connection whose close was told before.
    pub(super) fn cuts(&self) -> bool {
        self.has(reset_flags::CUT_LATE)
    }

    /// What it threw away.
    pub(super) fn lost(&self) -> Lost {
        Lost::from_u8(self.record.lost).unwrap_or(Lost::Nothing)
    }
}

// === impl Unread ===

impl Unread {
    /// The peer's end; `None` when it is not known.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        address(self.record.remote_addr, self.record.remote_port)
    }

    /// This host's end; `None` when it is not known.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        address(self.record.local_addr, self.record.local_port)
    }
}

// === impl Listener ===

impl Listener {
    /// Where it listens; the unspecified address is shown as such.
    pub(super) fn local(&self) -> SocketAddr {
        let ip = Ipv6Addr::from(self.record.local_addr).to_canonical();
        SocketAddr::new(ip, self.subject.port)
    }
}

// === impl Signal ===

impl Signal {
    /// The phase that it asks for.
    pub(super) fn phase(&self) -> Phase {
        self.record.intent().phase()
    }

    /// Whether it asks for anything, or may.
    pub(super) fn asks(&self) -> bool {
        self.record.intent() != Intent::Nothing
    }
}

// === impl Exit ===

impl Exit {
    /// Whether it was one of several workers.
    pub(super) fn is_members(&self) -> bool {
        self.record.kinship == Kinship::Member as u8
    }

    /// The exit code, when it exited.
    pub(super) fn code(&self) -> Option<u8> {
        (self.record.status & 0x7f == 0).then_some((self.record.status >> 8) as u8)
    }

    /// The signal that killed it, when one did.
    pub(super) fn signal(&self) -> Option<u8> {
        let signal = (self.record.status & 0x7f) as u8;
        (signal != 0).then_some(signal)
    }
}

// === impl Gap ===

impl GapKind {
    /// The word of scripts.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Closes => "close",
            Self::Resets => "reset",
            Self::Listeners => "listener",
            Self::Signals => "signal",
            Self::Exits => "exit",
            Self::Unread => "unread",
            Self::Malformed => "malformed",
            Self::Unrecorded => "unrecorded",
        }
    }

    /// The words for people.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Closes => "closes lost: the ring buffer was full",
            Self::Resets => "RSTs lost: the ring buffer was full",
            Self::Listeners => "listener changes lost: the ring buffer was full",
            Self::Signals => "signals lost: the ring buffer was full",
            Self::Exits => "exits lost: the ring buffer was full",
            Self::Unread => "unread requests lost: the ring buffer was full",
            Self::Malformed => "records rejected: their bytes were malformed",
            Self::Unrecorded => "connections not followed: the kernel had no room for their record",
        }
    }
}

impl Word for Side {
    fn word(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Peer => "peer",
            Self::Both => "both",
            Self::None => "none",
        }
    }
}
