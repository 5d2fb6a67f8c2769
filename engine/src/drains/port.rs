//! One port of a drain: what is seen of it, what is counted, and who waited. It is told which connections are its own.

use finwatch_common::{CloseRecord, Process, ServiceKey};

use super::{
    membership::{instances::Instances, merge::ClosedConnection},
    progress::{
        seen::{ListenersClosed, Seen},
        waiting::Waiting,
    },
    report::{counted::Counted, refused::Refused, tally::Setting},
};
use crate::known::Known;

/// See the module.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) seen: Seen,
    pub(super) counted: Counted,
    pub(super) waiting: Waiting,
}

// === impl Port ===

impl Port {
    /// A port as it is when the drain begins. `phased`: with a signal that set the phase in the kernel.
    pub(super) fn new(
        key: &ServiceKey,
        instance: &Process,
        t0_ns: u64,
        phased: bool,
        instances: &Instances,
        known: &Known<'_>,
    ) -> Self {
        Self {
            seen: Seen::new(instances.listening(instance, key) > 0),
            counted: Counted::new(
                instances.netns_inum(instance),
                known.baseline(key, t0_ns),
                Refused::since(key, t0_ns, phased, instances, known),
            ),
            waiting: Waiting::default(),
        }
    }

    /// Takes a connection that ended; `of_target`: by the hand of the process that was signalled, or died. `room` is how many more may be remembered.
    pub(super) fn close(
        &mut self,
        closed: &ClosedConnection,
        owner: Process,
        setting: Setting,
        of_target: bool,
        room: &mut usize,
        known: &Known<'_>,
    ) {
        let owed = self.seen.close(&closed.record, owner, setting, room);
        self.counted.close(closed, setting, owed, of_target, known);
    }

    /// A new process ended the connection: it is none of the drain's.
    pub(super) fn close_by_new(&mut self, record: &CloseRecord, since_ns: u64) {
        self.seen.disown(record.cookie);
        self.counted.close_by_new(record.opened_at_ns > since_ns);
    }

    /// The server had called itself: no client's connection ended.
    pub(super) fn close_own_call(&mut self, record: &CloseRecord) {
        self.seen.close_own_call(record);
        self.counted.close_own_call();
    }

    /// Adds a port of another drain, which this one takes in.
    pub(super) fn absorb(&mut self, other: Self) {
        self.seen.absorb(&other.seen, other.counted.older());
        self.waiting.absorb(&other.waiting);
        self.counted.absorb(other.counted);
    }

    /// Leaves only what the signalled process ended itself.
    pub(super) fn keep_only_target(&mut self) {
        self.seen.forget_all();
        self.counted.keep_only_target();
    }

    /// Takes that a process which goes on serving is no old one.
    pub(super) fn forget_opened(&mut self) {
        self.seen.forget_open();
        self.counted.forget_opened();
    }

    /// The last listening socket closed, when so many connections waited to be accepted.
    pub(super) fn listeners_closed(&mut self, closed: ListenersClosed, backlog: u32) {
        self.counted.refused_mut().listeners_closed();
        self.seen.listeners_closed(closed, backlog);
    }

    /// A socket of those whose last one had closed listens.
    pub(super) fn listens_again(&mut self, now_ns: u64) {
        if self.seen.listens_again() {
            self.counted.refused_mut().listens_again(now_ns);
        }
    }

    /// SYNs refused after the last listener had closed and before another one came or the last process ended, at `end_ns` or
    /// later.
    pub(super) fn refused_while_running(&self, end_ns: u64) -> u64 {
        let closed_early = self.seen.closed_early(end_ns);
        self.counted.refused().while_running(closed_early)
    }

    /// Whether there is anything to tell.
    pub(super) fn is_told(&self) -> bool {
        self.seen.is_told() || !self.counted.is_empty()
    }
}
