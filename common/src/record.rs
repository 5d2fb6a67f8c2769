//! Records of the ring buffer. A record tells a story; the truth is in the counter rows.

use crate::{Lost, ServiceKey, Wire, WireError};

/// Who sent the first FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Origin {
    /// This side.
    Local = 0,
    /// The peer.
    Remote = 1,
    /// Both at once (RFC 9293 section 3.6, simultaneous close).
    Both = 2,
    /// The connection ended without a FIN.
    None = 3,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// Cleanly, by FINs.
    Fin = 0,
    /// This host sent an RST.
    ResetSent = 1,
    /// The peer sent an RST.
    ResetReceived = 2,
    /// Retransmissions, probes or keepalives had no answer.
    Timeout = 3,
    /// None of these was seen: the network namespace was torn down under the connection.
    Unknown = 4,
}

/// Why a connection counts as cut: a client's request was really lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Cut {
    /// The request was read, and not answered.
    Unanswered = 0,
    /// The request was received, and never read.
    Unread = 1,
    /// The request came after our FIN, and was answered by an RST, or thrown away unanswered by a program that lingers.
    Late = 2,
}

/// What shows that a request had no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Evidence {
    /// Not a byte was written after the request was read.
    Silent = 0,
    /// Only a TLS alert was written.
    Alert = 1,
    /// The request was under 18 bytes: it may be a control frame.
    Small = 2,
}

/// The mini-socket a connection left on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TimeWait {
    /// None.
    None = 0,
    /// In substate TIME_WAIT: the peer's FIN was seen.
    TimeWait = 1,
    /// In substate FIN_WAIT2: the peer's FIN is still to come.
    FinWait2 = 2,
}

macro_rules! wire_enum {
    ($name:ident { $($variant:ident),+ $(,)? }) => {
        impl $name {
            /// Every value, in wire order.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant),+];
            /// Number of values.
            pub const COUNT: usize = [$(Self::$variant),+].len();

            /// Decodes the wire value.
            pub const fn from_u8(value: u8) -> Option<Self> {
                $(if value == Self::$variant as u8 { return Some(Self::$variant); })+
                None
            }
        }
    };
}

wire_enum!(Origin {
    Local,
    Remote,
    Both,
    None
});
wire_enum!(Outcome {
    Fin,
    ResetSent,
    ResetReceived,
    Timeout,
    Unknown
});
wire_enum!(Cut {
    Unanswered,
    Unread,
    Late
});
wire_enum!(Evidence {
    Silent,
    Alert,
    Small
});
wire_enum!(TimeWait {
    None,
    TimeWait,
    FinWait2
});

/// [`RecordHeader::kind`] of a [`CloseRecord`].
pub const KIND_CLOSE: u32 = 1;
/// [`RecordHeader::kind`] of a [`ResetRecord`].
pub const KIND_RESET: u32 = 2;
/// [`RecordHeader::kind`] of a [`ListenerRecord`].
pub const KIND_LISTENER: u32 = 3;

/// In an optional enumeration's byte: none.
pub(crate) const NONE: u8 = 0xff;

/// How every record begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct RecordHeader {
    /// One of the `KIND_` constants.
    pub kind: u32,
    /// Length of the whole record in bytes.
    pub size: u32,
    /// `bpf_ktime_get_ns` (CLOCK_MONOTONIC), nanoseconds.
    pub at_ns: u64,
}

// SAFETY: repr(C), 4+4+8 = 16 bytes without padding, integers only.
unsafe impl Wire for RecordHeader {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}

/// Bits of [`CloseRecord::flags`].
pub mod close_flags {
    /// The socket was there before the programs were attached: its duration and turns are unknown.
    pub const PREEXISTING: u16 = 1 << 0;
    /// The process died (`PF_EXITING`) at the closing transition.
    pub const BY_EXIT: u16 = 1 << 1;
    /// Established, but never accepted.
    pub const NEVER_ACCEPTED: u16 = 1 << 2;
    /// Whether the peer's RST or ours ended it is told by a [`super::ResetRecord`] that follows; none: the peer's.
    pub const AMBIGUOUS: u16 = 1 << 3;
    /// The peer left while its request had no answer.
    pub const ABANDONED: u16 = 1 << 4;
    /// A mini-socket belongs here and none was left, unless a [`super::ResetRecord`] follows.
    pub const NO_MINI_SOCKET: u16 = 1 << 5;
    /// The listener was not known: the role was told by the port alone.
    pub const ROLE_BY_PORT: u16 = 1 << 6;
    /// Of [`BY_EXIT`]: data was sent within the second before the death.
    pub const SENDING: u16 = 1 << 7;
    /// No longer open (ESTABLISHED or CLOSE_WAIT) when its instance began to drain or reload, or that did neither.
    pub const LEFT_STEADY: u16 = 1 << 8;
    /// A program holds it still: what it never reads is told by an [`crate::UnreadRecord`] that follows, not here.
    pub const HELD: u16 = 1 << 9;
    /// Answered before all of its question was read, and reset with the rest of it unread.
    pub const EARLY: u16 = 1 << 10;
    /// Data was sent since its instance began to drain or reload, or up to two ticks of the kernel's clock before.
    pub const SENT_IN_PHASE: u16 = 1 << 11;
    /// The peer sent one message after another, each in a segment of its own, and never had an answer: whoever waits for one sends
    /// nothing more, and one long question fills its segments.
    pub const MESSAGES: u16 = 1 << 12;
    /// Counted by [`crate::Cell::SMALL_ANSWERED`].
    pub const SMALL_ANSWERED: u16 = 1 << 13;
    /// Counted by [`crate::Cell::SMALL_LEFT`].
    pub const SMALL_LEFT: u16 = 1 << 14;
    /// Counted by [`crate::Cell::REST_OR_REQUEST`].
    pub const REST_OR_REQUEST: u16 = 1 << 15;
}

/// The end of one connection, with its evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct CloseRecord {
    /// `kind` is [`KIND_CLOSE`].
    pub header: RecordHeader,
    /// Socket cookie.
    pub cookie: u64,
    /// Whose connection it was, and the phase at its end.
    pub service: ServiceKey,
    /// When it was established, on the clock of the header; 0 unknown.
    pub opened_at_ns: u64,
    /// Start time of the process `owner_tgid`, nanoseconds since boot; 0 unknown.
    pub owner_start_ns: u64,
    /// When the program last read from it while any instance was draining or reloading, on the clock of the header; 0: not
    /// in such a time.
    pub last_read_ns: u64,
    /// Payload sent, without retransmissions.
    pub bytes_sent: u64,
    /// Payload received.
    pub bytes_received: u64,
    /// IPv6, or v4-mapped.
    pub local_addr: [u8; 16],
    /// IPv6, or v4-mapped.
    pub remote_addr: [u8; 16],
    /// Host byte order.
    pub local_port: u16,
    /// Host byte order.
    pub remote_port: u16,
    /// Process that listened or connected; 0 unknown.
    pub owner_tgid: u32,
    /// Process that ended it; 0 when the peer or a timer did.
    pub closer_tgid: u32,
    /// Turns of the conversation (saturating).
    pub turns: u32,
    /// Bytes written since the last read, at the first closing transition.
    pub since_read: u32,
    /// Bytes the peer asked in the turn that was judged.
    pub asked: u32,
    /// Received bytes the program never read.
    pub unread: u32,
    /// Sent bytes the peer never acknowledged.
    pub unacked: u32,
    /// Smoothed round-trip time, microseconds.
    pub srtt_us: u32,
    /// Segments retransmitted over the connection's life.
    pub retransmits: u32,
    /// `close_flags`.
    pub flags: u16,
    /// `sk->sk_err` at the end: an errno, or 0.
    pub sk_err: u16,
    /// TCP state that the connection left for CLOSE.
    pub old_state: u8,
    /// An [`Origin`].
    pub origin: u8,
    /// An [`Outcome`].
    pub outcome: u8,
    /// A [`TimeWait`].
    pub time_wait: u8,
    /// A [`Cut`], or 0xff.
    pub cut: u8,
    /// An [`Evidence`], or 0xff.
    pub evidence: u8,
    /// RST reason known by then (`enum sk_rst_reason`; from 128 on inferred), or 0.
    pub reason: u8,
    /// A [`Lost`].
    pub lost: u8,
    /// For how many tenths of a second no data had come or gone when this side closed it; 0: it was not at rest then, or that is
    /// not known.
    pub idle_ds: u16,
    /// Server: for how long the last bytes of the first question had been there when the program read them, hundredths of a second
    /// (saturating); 0 when it never read, and where the beginning was not seen.
    pub waited_cs: u16,
}

/// Of connections that ended as they should, so many are told by one, where not all are asked for: the first of a service's on
/// each CPU, then each that comes so many later.
pub const CLEAN_CLOSES_SAMPLE: u64 = 64;

/// Whose first question lay unread for so many milliseconds waited to be taken up: [`crate::Cell::WAITED`] counts these.
pub const WAITED_MS: u32 = 1_000;

impl CloseRecord {
    /// See `waited_cs`, in milliseconds.
    pub const fn waited_ms(&self) -> u32 {
        self.waited_cs as u32 * 10
    }

    /// Why the connection counts as cut, if it does.
    pub const fn cut(&self) -> Option<Cut> {
        Cut::from_u8(self.cut)
    }

    /// What shows that a request had no answer, if anything does.
    pub const fn evidence(&self) -> Option<Evidence> {
        Evidence::from_u8(self.evidence)
    }
}

// SAFETY: repr(C); the assertion below holds the size to the sum of the fields; integers only.
unsafe impl Wire for CloseRecord {
    fn check(&self) -> Result<(), WireError> {
        self.service.check()?;
        let fields = [
            (
                "origin",
                self.origin,
                Origin::from_u8(self.origin).is_some(),
            ),
            (
                "outcome",
                self.outcome,
                Outcome::from_u8(self.outcome).is_some(),
            ),
            (
                "time_wait",
                self.time_wait,
                TimeWait::from_u8(self.time_wait).is_some(),
            ),
            ("cut", self.cut, self.cut == NONE || self.cut().is_some()),
            (
                "evidence",
                self.evidence,
                self.evidence == NONE || self.evidence().is_some(),
            ),
            ("lost", self.lost, Lost::from_u8(self.lost).is_some()),
        ];
        for (field, value, ok) in fields {
            if !ok {
                return Err(WireError::Value {
                    field,
                    value: value.into(),
                });
            }
        }
        Ok(())
    }
}

/// Bits of [`ResetRecord::flags`].
pub mod reset_flags {
    /// It settles the [`super::close_flags::AMBIGUOUS`] close of the same cookie: this host sent the RST.
    pub const SETTLES: u16 = 1 << 0;
    /// It makes the connection of the same cookie a cut one, by cause `late`.
    pub const CUT_LATE: u16 = 1 << 1;
    /// A mini-socket (FIN_WAIT2) sent it.
    pub const MINI_SOCKET: u16 = 1 << 3;
    /// It answered the rest of a question that had its answer already: none was lost by it.
    pub const EARLY: u16 = 1 << 4;
    /// It refused a SYN, as nothing listened: `service` is who last did. Told only where [`crate::Features::tell_refused`] is set.
    pub const REFUSED: u16 = 1 << 5;
    /// Counted by [`crate::Cell::SMALL_LATE`].
    pub const SMALL_LATE: u16 = 1 << 6;
    /// Counted by [`crate::Cell::REST_OR_REQUEST`].
    pub const REST_OR_REQUEST: u16 = 1 << 7;
}

/// An RST that this host sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct ResetRecord {
    /// `kind` is [`KIND_RESET`].
    pub header: RecordHeader,
    /// Socket cookie; 0 when no socket sent it.
    pub cookie: u64,
    /// Who is charged with it.
    pub service: ServiceKey,
    /// IPv6, or v4-mapped; zeros when unknown.
    pub local_addr: [u8; 16],
    /// IPv6, or v4-mapped; zeros when unknown.
    pub remote_addr: [u8; 16],
    /// Host byte order.
    pub local_port: u16,
    /// Host byte order.
    pub remote_port: u16,
    /// Payload of the segment it answered, or what was thrown away unread.
    pub lost_bytes: u32,
    /// `reset_flags`.
    pub flags: u16,
    /// TCP state of the sender.
    pub state: u8,
    /// `enum sk_rst_reason`; from 128 on inferred.
    pub reason: u8,
    /// A [`Lost`].
    pub lost: u8,
    /// Always zero.
    pub pad: u8,
    /// As [`CloseRecord::idle_ds`] of the connection that it was sent on.
    pub idle_ds: u16,
}

// SAFETY: repr(C); the assertion below holds the size to the sum of the fields; integers only.
unsafe impl Wire for ResetRecord {
    fn check(&self) -> Result<(), WireError> {
        self.service.check()?;
        match Lost::from_u8(self.lost) {
            Some(_) => Ok(()),
            None => Err(WireError::Value {
                field: "lost",
                value: self.lost.into(),
            }),
        }
    }
}

/// A listener that opened or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct ListenerRecord {
    /// `kind` is [`KIND_LISTENER`].
    pub header: RecordHeader,
    /// Socket cookie.
    pub cookie: u64,
    /// Who listens.
    pub service: ServiceKey,
    /// Start time of the process `owner_tgid` (`task->start_boottime`), nanoseconds since boot; 0 unknown.
    pub start_ns: u64,
    /// IPv6, or v4-mapped.
    pub local_addr: [u8; 16],
    /// Process that called `listen()`, or that closed the last descriptor; 0 unknown.
    pub tgid: u32,
    /// The instance: process that called `listen()`, or the one whose family that process belongs to; 0 unknown.
    pub owner_tgid: u32,
    /// Inode number of the network namespace.
    pub netns_inum: u32,
    /// Connections that waited to be accepted.
    pub backlog: u32,
    /// Most that may wait.
    pub backlog_limit: u32,
    /// 1 opened, 0 closed.
    pub up: u8,
    /// 1 when the process was dying (`PF_EXITING`).
    pub by_exit: u8,
    /// Always zero.
    pub pad: [u8; 2],
}

// SAFETY: repr(C); the assertion below holds the size to the sum of the fields; integers only.
unsafe impl Wire for ListenerRecord {
    fn check(&self) -> Result<(), WireError> {
        self.service.check()?;
        if self.up > 1 {
            return Err(WireError::Value {
                field: "up",
                value: self.up.into(),
            });
        }
        Ok(())
    }
}

const _: () = assert!(size_of::<RecordHeader>() == 16);
const _: () = assert!(size_of::<CloseRecord>() == 16 + 8 + 40 + 5 * 8 + 32 + 4 + 9 * 4 + 4 + 8 + 4);
const _: () = assert!(size_of::<ResetRecord>() == 16 + 8 + 40 + 32 + 4 + 4 + 2 + 3 + 3);
const _: () = assert!(size_of::<ListenerRecord>() == 16 + 8 + 40 + 8 + 16 + 5 * 4 + 4);
