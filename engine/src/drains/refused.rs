//! SYNs that were refused on a port since a drain began, as the kernel's counter tells them.

use finwatch_common::ServiceKey;

use super::{World, instances::Instances};

/// Between two readings of the counter while a drain lasts.
const BETWEEN_NS: u64 = 1_000_000_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Refused {
    /// Only those are read that were refused in the phase which the kernel set at T0: then it does not matter how late.
    phased: bool,
    /// The counter at T0.
    before: u64,
    now: u64,
    read_ns: u64,
    at_close: u64,
    /// Between the end of a listener and the next one.
    in_gaps: u64,
    at_end: Option<u64>,
}

// === impl Refused ===

impl Refused {
    /// From now on; `phased`: since T0, of which the kernel knows.
    pub(super) fn since(
        key: &ServiceKey,
        phased: bool,
        instances: &Instances,
        world: &mut dyn World,
    ) -> Self {
        Self {
            phased,
            before: if phased {
                instances.refused_before(key)
            } else {
                world.refused(key)
            },
            now: 0,
            read_ns: 0,
            at_close: 0,
            in_gaps: 0,
            at_end: None,
        }
    }

    /// Reads the counter, when that was not done a moment ago.
    pub(super) fn look(&mut self, key: &ServiceKey, now_ns: u64, world: &mut dyn World) {
        if now_ns >= self.read_ns.saturating_add(BETWEEN_NS) {
            self.read_ns = now_ns;
            self.read(key, world);
        }
    }

    /// The last listening socket closed.
    pub(super) fn listeners_closed(&mut self, key: &ServiceKey, world: &mut dyn World) {
        self.read(key, world);
        self.at_close = self.now;
    }

    /// A socket listens after the last one had closed.
    pub(super) fn listens_again(&mut self, key: &ServiceKey, world: &mut dyn World) {
        self.read(key, world);
        self.in_gaps += self.now.saturating_sub(self.at_close);
    }

    /// The last old process ended.
    pub(super) fn processes_ended(&mut self, key: &ServiceKey, world: &mut dyn World) {
        self.read(key, world);
        self.at_end = Some(self.now);
    }

    /// Refused so far, at the last reading.
    pub(super) fn so_far(&self) -> u64 {
        self.now
    }

    /// Refused after the last listener had closed and before another one came, or, if it is `closed` for good, before the last
    /// process ended.
    pub(super) fn while_running(&self, closed: bool) -> u64 {
        let until = self.at_end.unwrap_or(self.now);
        let last = until.saturating_sub(self.at_close);
        self.in_gaps + if closed { last } else { 0 }
    }

    fn read(&mut self, key: &ServiceKey, world: &mut dyn World) {
        let counted = if self.phased {
            world.refused_ending(key)
        } else {
            world.refused(key)
        };
        self.now = counted.saturating_sub(self.before).max(self.now);
    }
}
