//! How the watch stands: what is told of it on /metrics. Written by the watch alone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// See the module.
#[derive(Debug, Default)]
pub struct Heard {
    connected: AtomicBool,
    /// Milliseconds since the epoch; 0: nothing yet.
    last_ms: AtomicU64,
    lists: AtomicU64,
    failures: AtomicU64,
}

/// How it stands at one moment.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct HeardFigures {
    /// The API server has answered, and has not failed since.
    pub connected: bool,
    /// When it was heard last, a bookmark included: milliseconds since the epoch; none: not yet.
    pub last_ms: Option<u64>,
    /// How often all pods were listed; only grows.
    pub lists: u64,
    /// How often a list or a watch was refused, or nobody answered; only grows.
    pub failures: u64,
}

// === impl Heard ===

impl Heard {
    /// It as it stands now.
    pub fn figures(&self) -> HeardFigures {
        let last_ms = self.last_ms.load(Relaxed);
        HeardFigures {
            connected: self.connected.load(Relaxed),
            last_ms: (last_ms != 0).then_some(last_ms),
            lists: self.lists.load(Relaxed),
            failures: self.failures.load(Relaxed),
        }
    }

    /// An answer came, or a piece of one. Returns whether that is news.
    #[cfg(feature = "kubernetes")]
    pub(super) fn answer(&self) -> bool {
        let now_ms = crate::clock::moment().wall().as_millisecond();
        self.last_ms.store(now_ms.unsigned_abs(), Relaxed);
        !self.connected.swap(true, Relaxed)
    }

    /// All pods were listed.
    #[cfg(feature = "kubernetes")]
    pub(super) fn list(&self) {
        self.lists.fetch_add(1, Relaxed);
    }

    /// It failed. Returns whether it had worked before.
    #[cfg(feature = "kubernetes")]
    pub(super) fn failure(&self) -> bool {
        self.failures.fetch_add(1, Relaxed);
        self.connected.swap(false, Relaxed)
    }
}
