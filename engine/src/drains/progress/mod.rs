//! How far a drain is: what surveys show of it, whether its processes are gone, and whether all that they left behind
//! has settled.

mod at_start;
mod doubt;
pub(crate) mod over;
mod port_survey;
pub(crate) mod seen;
pub(crate) mod surveys;
pub(crate) mod waiting;

use finwatch_common::{CloseRecord, Process, close_flags};

use crate::timing;

/// Surveys that must agree that others listen.
const SURVEYS_LISTENING: u32 = 2;

/// What was observed of a drain as a whole that tells whether it is over.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Somebody opened a listening socket on one of its ports.
    listener_came: bool,
    /// The owner served a connection that came long after the signal.
    owner_serves: bool,
    /// When the last connection was established that its processes accepted, answered and closed.
    served_ns: u64,
    /// Surveys since the target ended that found the port still listened on.
    surveys_listening: u32,
    /// Surveys that failed since the processes are gone.
    surveys_failed: u32,
    /// Since when surveys find neither a listener nor a connection.
    quiet_ns: Option<u64>,
    /// Since when nothing is waited for but answers.
    over_ns: Option<u64>,
    /// When the last connection ended by the death of a process.
    died_ns: u64,
    /// Since when others serve in the old processes' stead, and what they do is no part of it.
    replaced_ns: Option<u64>,
}

// === impl Progress ===

impl Progress {
    /// Somebody opened a listening socket on one of its ports after T0.
    pub(crate) fn listener_came(&mut self) {
        self.listener_came = true;
    }

    /// A connection of `owner`, for whom the drain began at `since_ns`, was closed: it tells who still serves.
    pub(crate) fn closed(&mut self, record: &CloseRecord, owner: &Process, since_ns: u64) {
        self.owner_serves |= record.closer_tgid == owner.tgid
            && record.opened_at_ns >= since_ns.saturating_add(timing::RELOAD_NS);
        if record.flags & close_flags::BY_EXIT != 0 {
            self.died_ns = self.died_ns.max(record.header.at_ns);
        }
        let accepted = record.flags & close_flags::NEVER_ACCEPTED == 0;
        if record.closer_tgid != 0 && record.bytes_sent > 0 && accepted {
            self.served_ns = self.served_ns.max(record.opened_at_ns);
        }
    }

    /// A survey of one of its namespaces failed while all that is left has to settle.
    pub(crate) fn survey_failed(&mut self) {
        self.surveys_failed += 1;
    }

    /// Whether others serve in the old processes' stead.
    pub(crate) fn is_replaced(&self) -> bool {
        self.replaced_ns.is_some()
    }

    /// Whether others served in the old processes' stead by then.
    pub(crate) fn was_replaced_by(&self, at_ns: u64) -> bool {
        self.replaced_ns.is_some_and(|since_ns| at_ns >= since_ns)
    }

    /// A further signal sets the phase in the kernel anew.
    pub(crate) fn phase_begins_anew(&mut self) {
        self.replaced_ns = None;
    }

    /// Whether enough surveys agree that others listen in the target's stead.
    fn others_listen(&self) -> bool {
        self.surveys_listening >= SURVEYS_LISTENING
    }

    /// Since when nothing is waited for but answers.
    pub(crate) fn over_ns(&self) -> Option<u64> {
        self.over_ns
    }
}
