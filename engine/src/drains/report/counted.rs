//! What is counted of one port of a drain: connections that ended, SYNs that were refused, and the ordinary time before.

use finwatch_common::{ResetRecord, UnreadRecord};

use super::{
    refused::Refused,
    tally::{Setting, Tally},
};
use crate::{
    drains::membership::{lingering::Lingerer, merge::ClosedConnection},
    known::Known,
    model::Baseline,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Counted {
    /// Inode number of the network namespace; 0 unknown.
    pub(super) netns_inum: u32,
    pub(super) baseline: Baseline,
    refused: Refused,
    /// Every connection of the drain.
    pub(super) whole: Tally,
    /// Those that the process which was signalled, or died, ended itself.
    of_target: Tally,
    /// Connections established after T0 and ended by new processes.
    pub(super) by_new: u64,
    /// Connections that the server made to itself.
    pub(super) own_calls: u64,
}

// === impl Counted ===

impl Counted {
    /// Nothing yet.
    pub(crate) fn new(netns_inum: u32, baseline: Baseline, refused: Refused) -> Self {
        Self {
            netns_inum,
            baseline,
            refused,
            whole: Tally::default(),
            of_target: Tally::default(),
            by_new: 0,
            own_calls: 0,
        }
    }

    /// Takes a connection that ended; `of_target`: by the hand of the process that was signalled, or died.
    pub(crate) fn close(
        &mut self,
        closed: &ClosedConnection,
        setting: Setting,
        owed_at_start: bool,
        of_target: bool,
        known: &Known<'_>,
    ) {
        for tally in self.tallies(of_target) {
            tally.close(closed, setting, owed_at_start, known);
        }
    }

    /// Takes an RST that came after its connection was told.
    pub(crate) fn late(
        &mut self,
        reset: &ResetRecord,
        lingerer: Option<&Lingerer>,
        of_target: bool,
        known: &Known<'_>,
    ) {
        for tally in self.tallies(of_target) {
            tally.late(reset, lingerer, known);
        }
    }

    /// Takes what a program never read of a connection that was told before.
    pub(crate) fn never_read(
        &mut self,
        unread: &UnreadRecord,
        lingerer: &Lingerer,
        of_target: bool,
        known: &Known<'_>,
    ) {
        for tally in self.tallies(of_target) {
            tally.never_read(unread, lingerer, known);
        }
    }

    /// A new process ended a connection; `younger`: one that was established after T0.
    pub(crate) fn close_by_new(&mut self, younger: bool) {
        self.by_new += u64::from(younger);
    }

    /// The server had called itself.
    pub(crate) fn close_own_call(&mut self) {
        self.own_calls += 1;
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.whole.absorb(other.whole);
        self.by_new += other.by_new;
        self.own_calls += other.own_calls;
    }

    /// Leaves only what the signalled process ended itself.
    pub(crate) fn keep_only_target(&mut self) {
        self.whole = std::mem::take(&mut self.of_target);
        self.by_new = 0;
    }

    /// Takes that a process which goes on serving is no old one.
    pub(crate) fn forget_opened(&mut self) {
        self.whole.opened_after = 0;
        self.whole.last_opened_ns = None;
    }

    /// How many SYNs were refused.
    pub(crate) fn refused(&self) -> &Refused {
        &self.refused
    }

    /// The same, to be told of readings.
    pub(crate) fn refused_mut(&mut self) -> &mut Refused {
        &mut self.refused
    }

    /// When the last connection ended.
    pub(crate) fn last_close_ns(&self) -> Option<u64> {
        self.whole.last_close_ns
    }

    /// Ended connections that were established before the drain.
    pub(crate) fn older(&self) -> u64 {
        self.whole.older
    }

    /// Nothing ended, and no RST was sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.whole.is_empty()
    }

    fn tallies(&mut self, of_target: bool) -> impl Iterator<Item = &mut Tally> {
        let target = of_target.then_some(&mut self.of_target);
        std::iter::once(&mut self.whole).chain(target)
    }
}
