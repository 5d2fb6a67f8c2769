//! The cells of a counter row. One row a service and phase; every cell only ever grows.

use crate::{
    record::{Cut, Evidence, Origin, Outcome},
    tcp,
};

/// A counter row: one `u64` a [`Cell`], on each CPU.
pub type CounterRow = [u64; CELLS];

/// Index of one counter in a [`CounterRow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Cell(u16);

/// Number of cells in a row.
pub const CELLS: usize = Cell::REST_OR_REQUEST.index() + 1;

impl Cell {
    /// Reached ESTABLISHED (or, with TCP Fast Open, was closed before).
    pub const OPENED: Self = Self(0);
    /// Was established before the programs were attached.
    pub const SEEDED: Self = Self(1);
    /// Left ESTABLISHED or CLOSE_WAIT; `OPENED + SEEDED - LEFT` is the kernel's CurrEstab.
    pub const LEFT: Self = Self(2);
    /// Passive: a child of the listener failed before it was established.
    pub const EMBRYONIC_FAILED: Self = Self(3);
    /// Active: the connection failed before it was established (refused, timed out, given up).
    pub const CONNECT_FAILED: Self = Self(4);
    /// (ESTABLISHED or CLOSE_WAIT) -> CLOSE: what the kernel counts in EstabResets.
    pub const ESTAB_RESETS: Self = Self(5);
    /// A reset ended FIN_WAIT1 after our close(); it is known with [`Cell::AMBIGUOUS_FW1_SENT`]
    /// whether the peer sent it or this host did, answering data.
    pub const AMBIGUOUS_FW1: Self = Self(6);
    /// Of [`Cell::AMBIGUOUS_FW1`]: this host sent the RST.
    pub const AMBIGUOUS_FW1_SENT: Self = Self(7);
    /// As [`Cell::AMBIGUOUS_FW1`], in FIN_WAIT2.
    pub const AMBIGUOUS_FW2: Self = Self(8);
    /// Of [`Cell::AMBIGUOUS_FW2`]: this host sent the RST.
    pub const AMBIGUOUS_FW2_SENT: Self = Self(9);
    /// Ended where a mini-socket belongs, and none was there.
    pub const NO_MINI_SOCKET: Self = Self(10);
    /// Of [`Cell::NO_MINI_SOCKET`]: because an RST was sent instead (TCPAbortOnData); the rest is
    /// TCPTimeWaitOverflow.
    pub const NO_MINI_SOCKET_SENT: Self = Self(11);
    /// A TIME_WAIT mini-socket was left.
    pub const TIME_WAIT: Self = Self(12);
    /// A FIN_WAIT2 mini-socket was left.
    pub const FIN_WAIT2: Self = Self(13);
    /// Closing transitions judged: the peer left while its request had no answer.
    pub const ABANDONED: Self = Self(14);
    /// Ended with received data the program never read: connections.
    pub const UNREAD: Self = Self(15);
    /// The same: bytes.
    pub const UNREAD_BYTES: Self = Self(16);
    /// Ended with sent data the peer never acknowledged: connections.
    pub const UNACKED: Self = Self(17);
    /// The same: bytes.
    pub const UNACKED_BYTES: Self = Self(18);
    /// Ended from this side because the process died.
    pub const EXIT: Self = Self(19);
    /// SYNs answered with RST because nothing listened.
    pub const REFUSED: Self = Self(20);
    /// Established, never accepted, dropped with the listener.
    pub const ACCEPT_QUEUE_DROPPED: Self = Self(21);
    /// Entered CLOSE_WAIT.
    pub const CLOSE_WAIT_IN: Self = Self(22);
    /// Left CLOSE_WAIT.
    pub const CLOSE_WAIT_OUT: Self = Self(23);
    /// Began to listen.
    pub const LISTEN_UP: Self = Self(24);
    /// Stopped listening.
    pub const LISTEN_DOWN: Self = Self(25);

    /// A simultaneous close left no mini-socket (TCPTimeWaitOverflow).
    pub const NO_MINI_SOCKET_BOTH: Self = Self(26);

    const CLOSES: u16 = 27;
    const RESETS_RECEIVED: u16 = Self::CLOSES + (Origin::COUNT * Outcome::COUNT) as u16;
    const CUT: u16 = Self::RESETS_RECEIVED + RESET_STATES as u16;
    const UNANSWERED: u16 = Self::CUT + Cut::COUNT as u16;

    // What came later stands behind, so that a row of an earlier layout is the beginning of one of a later.

    /// Answered before all of the question was read, and reset with the rest of it unread.
    pub const EARLY: Self = Self(Self::UNANSWERED + Evidence::COUNT as u16);
    /// Ended with payload received and none sent: connections that were never answered.
    pub const NEVER_ANSWERED: Self = Self(Self::EARLY.0 + 1);
    /// Ended with payload sent and none received: connections that never asked.
    pub const NEVER_ASKED: Self = Self(Self::EARLY.0 + 2);
    /// Ended with no payload at all.
    pub const NO_PAYLOAD: Self = Self(Self::EARLY.0 + 3);
    /// Server: the first question lay unread for [`crate::WAITED_MS`] and longer. Counted when it is read, in the phase in which the
    /// connection was established.
    pub const WAITED: Self = Self(Self::EARLY.0 + 4);
    /// Server, ended: connections on which a question under 18 bytes, of a size that no protocol's control frames have where such a
    /// protocol may be spoken, was answered.
    pub const SMALL_ANSWERED: Self = Self(Self::EARLY.0 + 5);
    /// Server, ended by this side: the last that came was as small, it had no answer or was never read, and the peer was still there
    /// when it saw our end. Not counted as cut, as nothing on the connection tells whether it was a question.
    pub const SMALL_LEFT: Self = Self(Self::EARLY.0 + 6);
    /// Server: the same of what came after our FIN and drew an RST.
    pub const SMALL_LATE: Self = Self(Self::EARLY.0 + 7);
    /// Server: data was lost behind the answer to a question that had come in several parts, and that this side closed upon at
    /// once: the rest of that question, or another request. Not counted as cut.
    pub const REST_OR_REQUEST: Self = Self(Self::EARLY.0 + 8);

    /// Connections ended with this origin and outcome.
    pub const fn closes(origin: Origin, outcome: Outcome) -> Self {
        Self(Self::CLOSES + origin as u16 * Outcome::COUNT as u16 + outcome as u16)
    }

    /// RSTs received in this TCP state ([`tcp::ESTABLISHED`] and so on), or
    /// `None` for a state in which no connection can end by one.
    pub const fn resets_received(tcp_state: u8) -> Option<Self> {
        let slot = match tcp_state {
            tcp::ESTABLISHED => 0,
            tcp::SYN_SENT => 1,
            tcp::SYN_RECV => 2,
            tcp::FIN_WAIT1 => 3,
            tcp::FIN_WAIT2 => 4,
            tcp::CLOSE_WAIT => 5,
            tcp::LAST_ACK => 6,
            tcp::CLOSING => 7,
            _ => return None,
        };
        Some(Self(Self::RESETS_RECEIVED + slot))
    }

    /// Connections on which a client's request was lost, by the first cause.
    pub const fn cut(cut: Cut) -> Self {
        Self(Self::CUT + cut as u16)
    }

    /// Closing transitions that left a request unanswered, by evidence.
    pub const fn unanswered(evidence: Evidence) -> Self {
        Self(Self::UNANSWERED + evidence as u16)
    }

    /// Position in a [`CounterRow`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// TCP states in which an RST can end a connection.
const RESET_STATES: usize = 8;
