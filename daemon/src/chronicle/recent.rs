//! The connections that ended last, kept for those who ask what just happened.

use std::collections::VecDeque;

use finwatch_common::{ResetRecord, Role, UnreadRecord, close_flags};

use finwatch_engine::{
    drains::ClosedConnection,
    model::{
        self, RecentClose,
        words::{Word as _, address, substate},
    },
};

/// Most that are kept, at about 250 bytes each; older ones go.
const RECENT_MAX: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RecentCloses(VecDeque<ClosedConnection>);

impl RecentCloses {
    pub(super) fn push(&mut self, closed: ClosedConnection) {
        if self.0.len() >= RECENT_MAX {
            self.0.pop_front();
        }
        self.0.push_back(closed);
    }

    /// An RST came after the close; of one long past it says nothing new.
    pub(super) fn reset(&mut self, reset: &ResetRecord) {
        const BACK: usize = 64;
        if let Some(closed) = self.newest(BACK, reset.cookie) {
            closed.add(reset);
        }
    }

    /// A program let go of what it never read, some time after the close.
    pub(super) fn unread(&mut self, unread: &UnreadRecord) {
        if let Some(closed) = self.newest(RECENT_MAX, unread.cookie) {
            closed.add_unread(unread);
        }
    }

    /// The connection, if it is one of the `count` newest.
    fn newest(&mut self, count: usize, cookie: u64) -> Option<&mut ClosedConnection> {
        let mut newest = self.0.iter_mut().rev().take(count);
        newest.find(|closed| closed.record.cookie == cookie)
    }

    /// Newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ClosedConnection> {
        self.0.iter().rev()
    }
}

/// What is told of a close. `service`: whose it was; `reason`: of the RST that this host sent; `wall`: of a
/// kernel stamp.
pub(super) fn tell(
    closed: &ClosedConnection,
    service: model::Service,
    reason: Option<String>,
    wall: impl Fn(u64) -> jiff::Timestamp,
) -> RecentClose {
    let record = &closed.record;
    let has = |flag| record.flags & flag != 0;
    RecentClose {
        ended_at: wall(record.header.at_ns),
        opened_at: (record.opened_at_ns != 0).then(|| wall(record.opened_at_ns)),
        service,
        role: record.service.role().unwrap_or(Role::Server),
        phase: record.service.phase().unwrap_or_default(),
        peer: address(record.remote_addr, record.remote_port).map(|peer| peer.to_string()),
        origin: closed.origin.word().to_owned(),
        outcome: closed.outcome.word().to_owned(),
        time_wait: substate(closed.time_wait).map(str::to_owned),
        cut: closed.cut.map(|cut| cut.word().to_owned()),
        reset_reason: reason,
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
