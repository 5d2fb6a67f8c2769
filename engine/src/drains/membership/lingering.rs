//! Connections whose story goes on after their close was told: their mini-socket may still answer a late request, or a
//! program holds them and what it never read.
//! And the other way round: RSTs that were sent before the close they belong to, and connections that ended a moment ago.

use finwatch_common::{Origin, Outcome, Phase, ResetRecord, ServiceKey};

use super::merge::ClosedConnection;
use crate::{
    bounded::{Bounded, Queue},
    timing,
};

/// Most connections remembered (about 12 MiB).
const LINGERING_MAX: usize = 131_072;
/// Most RSTs that wait for the close they belong to.
const EARLY_MAX: usize = 1_024;
/// Most connections remembered that ended a moment ago: a survey that began before may still show them.
const RECENT_MAX: usize = 32_768;

/// A connection that left a mini-socket in FIN_WAIT2, or that a program holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lingerer {
    /// Which drain it counted in.
    pub(crate) drain: u64,
    /// Which port of it.
    pub(crate) key: ServiceKey,
    /// When it was established; 0 unknown.
    pub(crate) opened_at_ns: u64,
    /// When it ended.
    pub(crate) ended_at_ns: u64,
    /// Process that ended it.
    pub(crate) closer_tgid: u32,
    /// Who sent the first FIN.
    pub(crate) origin: Origin,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// A request was lost on it by then.
    pub(crate) cut: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    by_cookie: Bounded<u64, Lingerer, LINGERING_MAX>,
}

/// RSTs that came before the close of the same cookie.
#[derive(Debug, Default)]
pub(crate) struct Early {
    held: Queue<ResetRecord, EARLY_MAX>,
}

/// Connections that ended a moment ago, by cookie.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    cookies: Bounded<u64, (), RECENT_MAX>,
}

// === impl Lingerer ===

impl Lingerer {
    /// A connection that was told as ended.
    pub(crate) fn of(closed: &ClosedConnection, drain: u64) -> Self {
        let record = &closed.record;
        Self {
            drain,
            key: record.service.in_phase(Phase::Steady),
            opened_at_ns: record.opened_at_ns,
            ended_at_ns: record.header.at_ns,
            closer_tgid: record.closer_tgid,
            origin: closed.origin,
            outcome: closed.outcome,
            cut: closed.cut.is_some(),
        }
    }
}

// === impl Lingering ===

impl Lingering {
    /// Remembers a connection that ended now.
    pub(crate) fn insert(&mut self, cookie: u64, lingerer: Lingerer) {
        let now_ns = lingerer.ended_at_ns;
        self.by_cookie.expire(|_, earlier| {
            earlier
                .ended_at_ns
                .saturating_add(timing::MINI_SOCKET_GONE_NS)
                < now_ns
        });
        self.by_cookie.insert(cookie, lingerer);
    }

    /// The connection of a cookie.
    pub(crate) fn get(&self, cookie: u64) -> Option<&Lingerer> {
        self.by_cookie.get(&cookie)
    }

    /// Takes a connection out: a mini-socket sends one RST only, and a socket is let go of once.
    pub(crate) fn take(&mut self, cookie: u64) -> Option<Lingerer> {
        self.by_cookie.remove(&cookie)
    }

    /// Gives everything of one drain to another.
    pub(crate) fn hand_over(&mut self, from: u64, to: u64) {
        for lingerer in self.by_cookie.values_mut() {
            if lingerer.drain == from {
                lingerer.drain = to;
            }
        }
    }

    /// Forgets a drain's connections.
    pub(crate) fn forget(&mut self, drain: u64) {
        self.by_cookie.retain(|_, lingerer| lingerer.drain != drain);
    }

    /// How often the bound pushed out one that could still draw an RST.
    pub(crate) fn bitten(&self) -> u64 {
        self.by_cookie.bitten()
    }
}

// === impl Early ===

impl Early {
    /// Keeps an RST whose connection has not ended yet.
    pub(crate) fn keep(&mut self, reset: ResetRecord) {
        self.held.push(reset);
    }

    /// The RST that this close was waited for with.
    pub(crate) fn take(&mut self, cookie: u64) -> Option<ResetRecord> {
        self.held.take(|reset| reset.cookie == cookie)
    }
}

// === impl Recent ===

impl Recent {
    /// A connection ended.
    pub(crate) fn insert(&mut self, cookie: u64) {
        if !self.cookies.contains(&cookie) {
            self.cookies.insert(cookie, ());
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.cookies.clear();
    }

    /// Whether a connection is one of them.
    pub(crate) fn contains(&self, cookie: u64) -> bool {
        self.cookies.contains(&cookie)
    }
}
