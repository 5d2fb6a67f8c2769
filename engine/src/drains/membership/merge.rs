//! Joins a close with the RSTs that belong to it: a connection's last RST may leave after the close was
//! recorded, so a close is held for a moment before its story is told. It knows neither clocks (the caller
//! says what time it is) nor workloads.

use std::collections::{HashMap, VecDeque};

use crate::timing;
use finwatch_common::{
    CloseRecord, Cut, Lost, Origin, Outcome, ResetRecord, TimeWait, UnreadRecord, close_flags,
    reset_flags,
};

/// Most closes held at once (about 2 MiB). When more come, the oldest are told early and counted.
pub const HELD_MAX: usize = 8_192;

/// The end of one connection with everything that is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedConnection {
    /// What the kernel wrote at the close.
    pub record: CloseRecord,
    /// Who sent the first FIN.
    pub origin: Origin,
    /// How it ended, with [`close_flags::AMBIGUOUS`] and [`close_flags::NO_MINI_SOCKET`] settled.
    pub outcome: Outcome,
    /// The mini-socket it left here.
    pub time_wait: TimeWait,
    /// A mini-socket belonged here, none was left, and no RST explains it: the table was full.
    pub time_wait_overflowed: bool,
    /// `enum sk_rst_reason` of the RST that this host sent, if it sent one.
    pub reset_reason: Option<u8>,
    /// What bytes of the peer an RST threw away.
    pub lost: Lost,
    /// How many bytes these were.
    pub lost_bytes: u32,
    /// Why it counts as cut, if it does.
    pub cut: Option<Cut>,
    /// See [`reset_flags::SMALL_LATE`].
    pub small_late: bool,
}

/// Closes that wait for their RSTs.
#[derive(Debug, Default)]
pub struct Merger {
    held: VecDeque<ClosedConnection>,
    /// Number of the first of `held`; numbers only grow, so an entry keeps its number while others leave.
    first: u64,
    by_cookie: HashMap<u64, u64>,
    told_early: u64,
}

impl Merger {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a close; `tell` gets the oldest one when too many are held.
    pub fn close(&mut self, record: CloseRecord, tell: impl FnMut(ClosedConnection)) {
        if self.held.len() >= HELD_MAX {
            self.told_early += 1;
            self.pop(tell);
        }
        self.by_cookie
            .insert(record.cookie, self.first + self.held.len() as u64);
        self.held.push_back(ClosedConnection::from(record));
    }

    /// Takes an RST; false when no held close is its own (nobody's socket sent it, a mini-socket did later, or
    /// the connection is still open).
    pub fn reset(&mut self, reset: &ResetRecord) -> bool {
        let closed = self.held(reset.cookie);
        let found = closed.is_some();
        if let Some(closed) = closed {
            closed.add(reset);
        }
        found
    }

    /// Takes what a program never read; false when no held close is its own (the program held it for longer).
    pub fn unread(&mut self, unread: &UnreadRecord) -> bool {
        let closed = self.held(unread.cookie);
        let found = closed.is_some();
        if let Some(closed) = closed {
            closed.add_unread(unread);
        }
        found
    }

    /// Tells every close whose hold is over, oldest first.
    pub fn due(&mut self, now_ns: u64, mut tell: impl FnMut(ClosedConnection)) {
        while let Some(oldest) = self.held.front()
            && oldest.record.header.at_ns.saturating_add(timing::HOLD_NS) <= now_ns
        {
            self.pop(&mut tell);
        }
    }

    /// Tells everything that is held, at the end of the stream.
    pub fn flush(&mut self, mut tell: impl FnMut(ClosedConnection)) {
        while !self.held.is_empty() {
            self.pop(&mut tell);
        }
    }

    /// Closes told before their hold was over, as too many were held.
    pub fn told_early(&self) -> u64 {
        self.told_early
    }

    fn held(&mut self, cookie: u64) -> Option<&mut ClosedConnection> {
        let at = self.by_cookie.get(&cookie)?.checked_sub(self.first)?;
        self.held.get_mut(usize::try_from(at).ok()?)
    }

    fn pop(&mut self, mut tell: impl FnMut(ClosedConnection)) {
        if let Some(closed) = self.held.pop_front() {
            // A cookie that came twice points to its later close, which stays.
            if self.by_cookie.get(&closed.record.cookie) == Some(&self.first) {
                self.by_cookie.remove(&closed.record.cookie);
            }
            self.first += 1;
            tell(closed);
        }
    }
}

// === impl ClosedConnection ===

impl From<CloseRecord> for ClosedConnection {
    /// The story as long as no RST adds to it. Bytes out of range, which decoding refuses, read as unknown.
    fn from(record: CloseRecord) -> Self {
        let has = |flag| record.flags & flag != 0;
        let outcome = if has(close_flags::AMBIGUOUS) {
            Outcome::ResetReceived
        } else if has(close_flags::NO_MINI_SOCKET) {
            Outcome::Fin
        } else {
            Outcome::from_u8(record.outcome).unwrap_or(Outcome::Unknown)
        };
        Self {
            record,
            origin: Origin::from_u8(record.origin).unwrap_or(Origin::None),
            outcome,
            time_wait: TimeWait::from_u8(record.time_wait).unwrap_or(TimeWait::None),
            time_wait_overflowed: has(close_flags::NO_MINI_SOCKET),
            reset_reason: (record.reason != 0).then_some(record.reason),
            lost: Lost::from_u8(record.lost).unwrap_or(Lost::Nothing),
            lost_bytes: 0,
            cut: record.cut(),
            small_late: false,
        }
    }
}

impl ClosedConnection {
    /// Adds an RST that this host sent to the connection.
    pub fn add(&mut self, reset: &ResetRecord) {
        if reset.flags & reset_flags::SETTLES != 0 || self.time_wait_overflowed {
            self.outcome = Outcome::ResetSent;
            self.time_wait_overflowed = false;
        }
        if self.reset_reason.is_none() {
            self.reset_reason = Some(reset.reason);
        }
        self.lost = self
            .lost
            .max(Lost::from_u8(reset.lost).unwrap_or(Lost::Nothing));
        self.lost_bytes = self.lost_bytes.saturating_add(reset.lost_bytes);
        if reset.flags & reset_flags::EARLY != 0 {
            self.record.flags |= close_flags::EARLY;
        }
        if reset.flags & reset_flags::REST_OR_REQUEST != 0 {
            self.record.flags |= close_flags::REST_OR_REQUEST;
        }
        self.small_late |= reset.flags & reset_flags::SMALL_LATE != 0;
        if reset.flags & reset_flags::CUT_LATE != 0 {
            self.cut = self.cut.or(Some(Cut::Late));
        }
    }

    /// Whether its story may go on: its mini-socket may answer a late request, or a program holds it and has not read all.
    pub(crate) fn lingers(&self) -> bool {
        let answers_late = self.time_wait == TimeWait::FinWait2 && self.reset_reason.is_none();
        // Bytes that are known to be unread were told when it was let go of.
        let held = self.record.flags & close_flags::HELD != 0 && self.record.unread == 0;
        answers_late || held
    }

    /// Adds what the program never read, told when it let go of the socket.
    pub fn add_unread(&mut self, unread: &UnreadRecord) {
        self.record.unread = unread.unread;
        if unread.rest_or_request != 0 {
            self.record.flags |= close_flags::REST_OR_REQUEST;
        }
        self.cut = self.cut.or(unread.cut());
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
