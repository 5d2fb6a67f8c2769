//! The connections that ended last, kept for those who ask what just happened.

use std::collections::VecDeque;

use finwatch_common::{Origin, Outcome, ResetRecord, Role, TimeWait, UnreadRecord, close_flags};
use jiff::Timestamp;

use crate::{
    clocks::Clocks,
    drains::ClosedConnection,
    known::{Known, Reasons},
    model::{
        Close, Ends, Pod, RecentCloses, Service,
        words::{Word as _, address, substate},
    },
};

/// Most that are kept, at about 250 bytes each; older ones go.
const RECENT_MAX: usize = 1_024;
/// Whoever asks may ask again: for so long all of them are told.
const ASKED_NS: u64 = 60_000_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Closes {
    recent: VecDeque<ClosedConnection>,
    /// When somebody last asked, on the kernel's clock.
    asked_ns: Option<u64>,
    /// Since when all are told: at first, all are, but of those before nobody knows.
    complete_since: Option<Timestamp>,
}

impl Closes {
    pub(crate) fn push(&mut self, closed: ClosedConnection) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(closed);
    }

    /// Somebody looks at them, and may again.
    pub(crate) const fn ask(&mut self, now_ns: u64) {
        self.asked_ns = Some(now_ns);
    }

    /// Whether whoever asked last may still be looking.
    pub(crate) fn are_asked_for(&self, now_ns: u64) -> bool {
        self.asked_ns
            .is_some_and(|asked_ns| now_ns.saturating_sub(asked_ns) < ASKED_NS)
    }

    /// All are told from now on, or no longer.
    pub(crate) fn tell_all(&mut self, all: bool, now: Timestamp) {
        self.complete_since = all.then_some(now);
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
        let mut newest = self.recent.iter_mut().rev().take(count);
        newest.find(|closed| closed.record.cookie == cookie)
    }

    /// What is told of each, newest first.
    pub(crate) fn tell(&self, known: &Known<'_>) -> RecentCloses {
        let told = self.recent.iter().rev().map(|closed| {
            let of = &closed.record.service;
            let whose = (known.service(of), known.pod(of));
            tell_close(closed, whose, known.clocks, known.reasons)
        });
        RecentCloses {
            closes: told.collect(),
            complete_since: self.complete_since,
        }
    }
}

/// What is told of a close that was of this service in this pod, by the best names that are known.
pub fn tell_close(
    closed: &ClosedConnection,
    (service, pod): (Service, Pod),
    clocks: Clocks,
    reasons: &Reasons,
) -> Close {
    let ClosedConnection {
        record,
        origin,
        outcome,
        time_wait,
        time_wait_overflowed,
        reset_reason,
        lost,
        lost_bytes,
        cut,
        small_late: _,
    } = closed;
    let has = |flag| record.flags & flag != 0;
    let pid = |tgid| (tgid != 0).then_some(tgid);
    let preexisting = has(close_flags::PREEXISTING);
    // A socket that is older than the programs has no time of its beginning.
    let opened_at_ns = (record.opened_at_ns != 0).then_some(record.opened_at_ns);
    Close {
        ended_at: clocks.wall(record.header.at_ns),
        opened_at: opened_at_ns.map(|at_ns| clocks.wall(at_ns)),
        duration_seconds: opened_at_ns
            .map(|at_ns| record.header.at_ns.saturating_sub(at_ns) as f64 / 1e9),
        service,
        pod,
        role: record.service.role().unwrap_or(Role::Server),
        phase: record.service.phase().unwrap_or_default(),
        ends: Ends::new(
            address(record.local_addr, record.local_port),
            address(record.remote_addr, record.remote_port),
        ),
        origin: origin.word().to_owned(),
        outcome: outcome.word().to_owned(),
        time_wait: substate(*time_wait).map(str::to_owned),
        time_wait_side: side(closed).to_owned(),
        time_wait_overflowed: *time_wait_overflowed,
        cut: cut.map(|cut| cut.word().to_owned()),
        evidence: record.evidence().map(|evidence| evidence.word().to_owned()),
        reset_reason: reset_reason.map(|reason| reasons.name(reason)),
        lost: lost.word().to_owned(),
        lost_bytes: *lost_bytes,
        bytes_received: record.bytes_received,
        bytes_sent: record.bytes_sent,
        unread_bytes: record.unread,
        unacked_bytes: record.unacked,
        by_exit: has(close_flags::BY_EXIT),
        abandoned: has(close_flags::ABANDONED),
        answered_early: has(close_flags::EARLY),
        never_accepted: has(close_flags::NEVER_ACCEPTED),
        preexisting,
        turns: (!preexisting).then_some(record.turns),
        rtt_seconds: (record.srtt_us != 0).then(|| f64::from(record.srtt_us) / 1e6),
        retransmits: record.retransmits,
        owner_pid: pid(record.owner_tgid),
        closed_by_pid: pid(record.closer_tgid),
        cookie: record.cookie,
    }
}

/// Who holds the TIME_WAIT. The peer's is not seen: after a clean end, whoever sent the first FIN has one.
fn side(closed: &ClosedConnection) -> &'static str {
    let ours = closed.time_wait != TimeWait::None;
    let clean = closed.outcome == Outcome::Fin;
    match closed.origin {
        Origin::Both if clean && ours => "both",
        Origin::Remote | Origin::Both if clean && !ours => "peer",
        _ if ours => "here",
        _ => "none",
    }
}
