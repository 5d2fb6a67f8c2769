//! Connections whose story goes on after their close was told: their mini-socket may still answer a late request, or a
//! program holds them and what it never read.
//! And the other way round: RSTs that were sent before the close they belong to.

use std::collections::{HashMap, VecDeque};

use crate::timing;
use finwatch_common::{Origin, Outcome, ResetRecord, ServiceKey};

/// Most connections remembered (about 12 MiB).
pub(crate) const LINGERING_MAX: usize = 131_072;
/// Most RSTs that wait for the close they belong to.
pub(crate) const EARLY_MAX: usize = 1_024;

/// A connection that left a mini-socket in FIN_WAIT2, or that a program holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lingerer {
    /// Which drain it counted in.
    pub(crate) draining: u64,
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
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Lingering {
    by_cookie: HashMap<u64, Lingerer>,
    order: VecDeque<(u64, u64)>,
    bitten: u64,
}

/// RSTs that came before the close of the same cookie.
#[derive(Debug, Default)]
pub(crate) struct Early {
    held: VecDeque<ResetRecord>,
}

// === impl Lingering ===

impl Lingering {
    /// Remembers a connection that ended at `at_ns`.
    pub(crate) fn insert(&mut self, cookie: u64, at_ns: u64, lingerer: Lingerer) {
        while let Some((oldest_ns, oldest)) = self.order.front().copied() {
            let full = self.order.len() >= LINGERING_MAX;
            let over = oldest_ns.saturating_add(timing::MINI_SOCKET_GONE_NS) < at_ns;
            if !full && !over {
                break;
            }
            self.bitten += u64::from(full && !over && self.by_cookie.contains_key(&oldest));
            self.by_cookie.remove(&oldest);
            self.order.pop_front();
        }
        self.by_cookie.insert(cookie, lingerer);
        self.order.push_back((at_ns, cookie));
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
            if lingerer.draining == from {
                lingerer.draining = to;
            }
        }
    }

    /// Forgets a drain's connections.
    pub(crate) fn forget(&mut self, draining: u64) {
        self.by_cookie
            .retain(|_, lingerer| lingerer.draining != draining);
        self.order
            .retain(|(_, cookie)| self.by_cookie.contains_key(cookie));
    }

    /// How often the bound pushed out one that could still draw an RST.
    pub(crate) fn bitten(&self) -> u64 {
        self.bitten
    }
}

// === impl Early ===

impl Early {
    /// Keeps an RST whose connection has not ended yet.
    pub(crate) fn keep(&mut self, reset: ResetRecord) {
        if self.held.len() >= EARLY_MAX {
            self.held.pop_front();
        }
        self.held.push_back(reset);
    }

    /// The RST that this close was waited for with.
    pub(crate) fn take(&mut self, cookie: u64) -> Option<ResetRecord> {
        let at = self.held.iter().position(|r| r.cookie == cookie)?;
        self.held.remove(at)
    }
}
