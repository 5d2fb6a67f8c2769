//! The connections that ended last, kept for those who ask what just happened.

use std::collections::VecDeque;

use finwatch_common::{ResetRecord, Role, UnreadRecord, close_flags};

use crate::{
    drains::ClosedConnection,
    known::Known,
    model::{
        RecentClose,
        words::{Word as _, address, substate},
    },
};

/// Most that are kept, at about 250 bytes each; older ones go.
const RECENT_MAX: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Closes(VecDeque<ClosedConnection>);

impl Closes {
    pub(crate) fn push(&mut self, closed: ClosedConnection) {
        if self.0.len() >= RECENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(closed);
    }

    /// An RST came after the close; of one long past it says nothing new.
    pub(crate) fn reset(&mut self, reset: &ResetRecord) {
        const BACK: usize = 64;
        if let Some(closed) = self.newest(BACK, reset.cookie) {
            closed.add(reset);
        }
    }

    /// A program let go of what it never read, some time after the close.
    pub(crate) fn unread(&mut self, unread: &UnreadRecord) {
        if let Some(closed) = self.newest(RECENT_MAX, unread.cookie) {
            closed.add_unread(unread);
        }
    }

    /// The connection, if it is one of the `count` newest.
    fn newest(&mut self, count: usize, cookie: u64) -> Option<&mut ClosedConnection> {
        let mut newest = self.0.iter_mut().rev().take(count);
        newest.find(|closed| closed.record.cookie == cookie)
    }

    /// What is told of each, newest first.
    pub(crate) fn tell(&self, known: &Known<'_>) -> Vec<RecentClose> {
        self.0
            .iter()
            .rev()
            .map(|closed| tell(closed, known))
            .collect()
    }
}

/// What is told of a close.
fn tell(closed: &ClosedConnection, known: &Known<'_>) -> RecentClose {
    let record = &closed.record;
    let has = |flag| record.flags & flag != 0;
    RecentClose {
        ended_at: known.wall(record.header.at_ns),
        opened_at: (record.opened_at_ns != 0).then(|| known.wall(record.opened_at_ns)),
        service: known.service(&record.service),
        role: record.service.role().unwrap_or(Role::Server),
        phase: record.service.phase().unwrap_or_default(),
        peer: address(record.remote_addr, record.remote_port).map(|peer| peer.to_string()),
        origin: closed.origin.word().to_owned(),
        outcome: closed.outcome.word().to_owned(),
        time_wait: substate(closed.time_wait).map(str::to_owned),
        cut: closed.cut.map(|cut| cut.word().to_owned()),
        reset_reason: closed.reset_reason.map(|reason| known.reason(reason)),
        lost: closed.lost.word().to_owned(),
        bytes_received: record.bytes_received,
        bytes_sent: record.bytes_sent,
        unread_bytes: record.unread,
        unacked_bytes: record.unacked,
        by_exit: has(close_flags::BY_EXIT),
        abandoned: has(close_flags::ABANDONED),
        closed_by_pid: (record.closer_tgid != 0).then_some(record.closer_tgid),
    }
}
