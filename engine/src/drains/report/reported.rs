//! When a drain was reported last, so that it is judged again only when that can come to something else.

use crate::timing;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    /// When it was reported last as it stands, and how many records were lost by then; none: something changed since.
    last: Option<(u64, u64)>,
    lost_before: u64,
}

// === impl Reported ===

impl Reported {
    /// A drain begins, when so many records had been lost.
    pub(crate) fn begins(&mut self, lost: u64) {
        self.lost_before = lost;
    }

    /// Something of it changed.
    pub(crate) const fn outdated(&mut self) {
        self.last = None;
    }

    /// It was reported as it stands.
    pub(crate) const fn done(&mut self, now_ns: u64, lost: u64) {
        self.last = Some((now_ns, lost));
    }

    /// Whether it is to be reported again: it changed, records were lost, or enough time has passed.
    pub(crate) fn is_due(&self, now_ns: u64, lost: u64) -> bool {
        self.last.is_none_or(|(last_ns, last_lost)| {
            last_lost != lost || now_ns >= last_ns.saturating_add(timing::JUDGED_AGAIN_NS)
        })
    }

    /// Records lost while it lasts, of so many that were lost by now.
    pub(crate) fn lost_since(&self, lost: u64) -> u64 {
        lost.saturating_sub(self.lost_before)
    }

    /// Takes in a drain that may have begun when fewer were lost.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.lost_before = self.lost_before.min(other.lost_before);
    }
}
