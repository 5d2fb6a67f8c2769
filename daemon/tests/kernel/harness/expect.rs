//! What a scenario says must have been counted: every cell it does not name must be zero.

use std::{
    collections::BTreeMap,
    ops::{Add, Mul},
};

pub(crate) use finwatch_common::Lost;
use finwatch_common::{CELLS, Cell, CounterRow, Cut, Evidence, Origin, Outcome};

/// Why an RST was sent: `enum sk_rst_reason`, the values that are the same in 6.12 to 6.18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Reason {
    NoSocket = 1,
    InvalidAck = 2,
    Flags = 6,
    AbortOnData = 8,
    TimeWaitSocket = 9,
    InvalidSyn = 10,
    AbortOnClose = 11,
    AbortOnLinger = 12,
    AbortOnMemory = 13,
    State = 14,
    Keepalive = 15,
}

impl Reason {
    /// Sent by no full socket, so kernels before 6.10 do not trace it.
    pub(crate) fn sent_without_socket(self) -> bool {
        matches!(self, Self::NoSocket | Self::TimeWaitSocket)
    }
}

/// The counts of one role.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub(crate) cells: CounterRow,
    pub(crate) resets: BTreeMap<(Reason, u8), u64>,
    /// Mini-sockets whose substate depends on timing; they come on top of the two cells.
    pub(crate) minis: u64,
}

/// The counts of both roles.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expect {
    pub(crate) server: Side,
    pub(crate) client: Side,
}

/// `count` connections that were opened and still are.
pub(crate) fn opened(count: u64) -> Side {
    Side::default().plus(Cell::OPENED, count)
}

impl Expect {
    /// Only server rows.
    pub(crate) fn server(server: Side) -> Self {
        Self {
            server,
            ..Self::default()
        }
    }

    /// Only client rows.
    pub(crate) fn client(client: Side) -> Self {
        Self {
            client,
            ..Self::default()
        }
    }

    /// Both ends.
    pub(crate) fn both(server: Side, client: Side) -> Self {
        Self { server, client }
    }
}

impl Side {
    /// One connection that was established and ended.
    pub(crate) fn closed(origin: Origin, outcome: Outcome) -> Self {
        opened(1)
            .plus(Cell::LEFT, 1)
            .plus(Cell::closes(origin, outcome), 1)
    }

    /// One connection that ended from ESTABLISHED without a FIN.
    pub(crate) fn broken(outcome: Outcome) -> Self {
        Self::closed(Origin::None, outcome).plus(Cell::ESTAB_RESETS, 1)
    }

    /// One connection that the peer closed and this side reset or lost in CLOSE_WAIT.
    pub(crate) fn broken_in_close_wait(outcome: Outcome) -> Self {
        Self::closed(Origin::Remote, outcome)
            .plus(Cell::ESTAB_RESETS, 1)
            .close_wait()
    }

    /// One connection that the peer closed first, this side next.
    pub(crate) fn passively_closed() -> Self {
        Self::closed(Origin::Remote, Outcome::Fin).close_wait()
    }

    /// A connect() that did not succeed.
    pub(crate) fn connect_failed() -> Self {
        Self::default().plus(Cell::CONNECT_FAILED, 1)
    }

    /// `count` more in a cell.
    pub(crate) fn plus(mut self, cell: Cell, count: u64) -> Self {
        self.cells[cell.index()] += count;
        self
    }

    /// Went through CLOSE_WAIT.
    pub(crate) fn close_wait(self) -> Self {
        self.plus(Cell::CLOSE_WAIT_IN, 1)
            .plus(Cell::CLOSE_WAIT_OUT, 1)
    }

    /// Left a mini-socket in either substate: which one is a race that both outcomes of are right.
    pub(crate) fn mini_socket(mut self) -> Self {
        self.minis += 1;
        self
    }

    /// Left a TIME_WAIT mini-socket.
    pub(crate) fn time_wait(self) -> Self {
        self.plus(Cell::TIME_WAIT, 1)
    }

    /// Left a FIN_WAIT2 mini-socket.
    pub(crate) fn fin_wait2(self) -> Self {
        self.plus(Cell::FIN_WAIT2, 1)
    }

    /// Ended with bytes never read.
    pub(crate) fn unread(self, bytes: u64) -> Self {
        self.plus(Cell::UNREAD, 1).plus(Cell::UNREAD_BYTES, bytes)
    }

    /// Ended with bytes never acknowledged.
    pub(crate) fn unacked(self, bytes: u64) -> Self {
        self.plus(Cell::UNACKED, 1).plus(Cell::UNACKED_BYTES, bytes)
    }

    /// A request was lost.
    pub(crate) fn cut(self, cut: Cut) -> Self {
        self.plus(Cell::cut(cut), 1)
    }

    /// A request was not answered.
    pub(crate) fn unanswered(self, evidence: Evidence) -> Self {
        self.plus(Cell::unanswered(evidence), 1)
    }

    /// The peer gave up.
    pub(crate) fn abandoned(self) -> Self {
        self.plus(Cell::ABANDONED, 1)
    }

    /// Answered before all of its request was read, and reset with the rest.
    pub(crate) fn early(self) -> Self {
        self.plus(Cell::EARLY, 1)
    }

    /// A question under 18 bytes was answered on it.
    pub(crate) fn small_answered(self) -> Self {
        self.plus(Cell::SMALL_ANSWERED, 1)
    }

    /// As few bytes had no answer, or were never read.
    pub(crate) fn small_left(self) -> Self {
        self.plus(Cell::SMALL_LEFT, 1)
    }

    /// As few bytes came after our FIN.
    pub(crate) fn small_late(self) -> Self {
        self.plus(Cell::SMALL_LATE, 1)
    }

    /// The rest of a question was lost, or another request.
    pub(crate) fn rest_or_request(self) -> Self {
        self.plus(Cell::REST_OR_REQUEST, 1)
    }

    /// Ended by the process's death.
    pub(crate) fn by_exit(self) -> Self {
        self.plus(Cell::EXIT, 1)
    }

    /// An RST of the peer ended it in this state.
    pub(crate) fn reset_received(self, state: u8) -> Self {
        self.plus(Cell::resets_received(state).unwrap(), 1)
    }

    /// This host sent an RST.
    pub(crate) fn reset_sent(mut self, reason: Reason, lost: Lost) -> Self {
        *self.resets.entry((reason, lost as u8)).or_default() += 1;
        self
    }
}

impl Default for Side {
    fn default() -> Self {
        Self {
            cells: [0; CELLS],
            resets: BTreeMap::new(),
            minis: 0,
        }
    }
}

impl Add for Side {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        for (sum, more) in self.cells.iter_mut().zip(other.cells) {
            *sum += more;
        }
        for (key, more) in other.resets {
            *self.resets.entry(key).or_default() += more;
        }
        self.minis += other.minis;
        self
    }
}

impl Mul<u64> for Side {
    type Output = Self;

    fn mul(mut self, times: u64) -> Self {
        self.cells.iter_mut().for_each(|cell| *cell *= times);
        self.resets.values_mut().for_each(|count| *count *= times);
        self.minis *= times;
        self
    }
}
