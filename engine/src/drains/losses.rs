//! Requests that servers lost in their ordinary time, each on a connection of its own, and that no drain tells. It holds back
//! what a drain took until that is told: a drain that turns out to be none gives it back.

use finwatch_common::{
    Cut, Phase, Process, ResetRecord, Role, ServiceKey, UnreadRecord, close_flags, reset_flags,
};

use super::{membership::merge::ClosedConnection, report::examples};
use crate::{bounded::Queue, known::Known, model::EndedConnection};

/// Most that wait to be asked for, and most that drains hold.
const LOSSES_MAX: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Losses {
    outside: Queue<Loss, LOSSES_MAX>,
    /// With the drain that took it.
    taken: Queue<(u64, Loss), LOSSES_MAX>,
}

/// A request that was lost.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Loss {
    /// On which service, phase steady.
    pub(crate) key: ServiceKey,
    /// When, on the kernel's clock.
    pub(crate) at_ns: u64,
    /// How.
    pub(crate) cut: Cut,
    /// The process that closed the connection; 0 unknown.
    pub(crate) closer: u32,
    /// It closed it by dying.
    pub(crate) by_exit: bool,
    /// Whose listener accepted it; its number is 0 where that is not known.
    pub(crate) owner: Process,
    /// For how many tenths of a second it had been idle when this side closed it; 0: not at rest, or unknown.
    pub(crate) idle_ds: u16,
    /// The connection.
    pub(crate) example: EndedConnection,
}

// === impl Losses ===

impl Losses {
    /// A connection ended; `taken`: by this drain.
    pub(super) fn closed(
        &mut self,
        closed: &ClosedConnection,
        taken: Option<u64>,
        known: &Known<'_>,
    ) {
        let record = &closed.record;
        let Some(cut) = closed.cut.filter(|_| is_steady(&record.service)) else {
            return;
        };
        let loss = Loss {
            key: record.service,
            at_ns: record.header.at_ns,
            cut,
            closer: record.closer_tgid,
            by_exit: record.flags & close_flags::BY_EXIT != 0,
            owner: Process {
                start_ns: record.owner_start_ns,
                tgid: record.owner_tgid,
                pad: 0,
            },
            idle_ds: record.idle_ds,
            example: examples::closed(closed, known),
        };
        match taken {
            Some(drain) => drop(self.taken.push((drain, loss))),
            None => drop(self.outside.push(loss)),
        }
    }

    /// An RST answered a request on a connection that had been told as ended, and that no drain knows.
    pub(super) fn late(&mut self, reset: &ResetRecord, known: &Known<'_>) {
        if is_late(reset) && is_steady(&reset.service) {
            self.outside.push(Loss {
                key: reset.service,
                at_ns: reset.header.at_ns,
                cut: Cut::Late,
                closer: 0,
                by_exit: false,
                owner: Process::default(),
                idle_ds: reset.idle_ds,
                example: examples::late(reset, None, known),
            });
        }
    }

    /// A program let go of a request that it had not read, on a connection that no drain knows.
    pub(super) fn never_read(&mut self, unread: &UnreadRecord, known: &Known<'_>) {
        let Some(cut) = unread.cut().filter(|_| is_steady(&unread.service)) else {
            return;
        };
        self.outside.push(Loss {
            key: unread.service,
            at_ns: unread.header.at_ns,
            cut,
            closer: 0,
            by_exit: false,
            owner: Process::default(),
            idle_ds: unread.idle_ds,
            example: examples::never_read(unread, None, known),
        });
    }

    /// A drain is told, with what it took.
    pub(super) fn told(&mut self, drain: u64) {
        self.taken.retain(|(by, _)| *by != drain);
    }

    /// Drains that do not last any more and were not told were none.
    pub(super) fn give_back(&mut self, lasts: impl Fn(u64) -> bool) {
        for (_, loss) in self.taken.take_all(|(drain, _)| !lasts(*drain)) {
            self.outside.push(loss);
        }
    }

    /// What no drain took since this was last asked.
    pub(super) fn take(&mut self) -> Vec<Loss> {
        self.outside.take_all(|_| true)
    }

    /// How often there was no room for one.
    pub(super) fn bitten(&self) -> u64 {
        self.outside.bitten() + self.taken.bitten()
    }
}

/// Whether an RST tells of a request that was lost.
const fn is_late(reset: &ResetRecord) -> bool {
    reset.flags & reset_flags::CUT_LATE != 0
}

fn is_steady(service: &ServiceKey) -> bool {
    service.role() == Some(Role::Server) && service.phase() == Some(Phase::Steady)
}
