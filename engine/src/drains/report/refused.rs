//! SYNs that were refused on a port since a drain began, as readings of the kernel's counter tell them. What happens is noted
//! when it is told, and given its number by the next reading: while somebody listens nobody is refused, so the last
//! reading before a listener's end tells what was counted until then, and the first one after the next listener's
//! coming what was refused in between.
//!
//! Drains of one port may last at once. Each SYN is told by one of them only: by the one that began last of those that count
//! its phase.

use finwatch_common::{PHASES, Phase, ServiceKey};

use crate::drains::membership::instances::Instances;
use crate::{known::Known, services, timing};

/// See the module.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Only those count that were refused in the phase which the kernel set at T0: then it does not matter how late the
    /// counter is read.
    phased: bool,
    /// The counter at the last reading, or at T0; none: no reading has told it yet.
    last: Option<services::Refused>,
    now: u64,
    /// When the reading was made that told `now`.
    read_ns: u64,
    /// A reading was asked for, then.
    asked_ns: Option<u64>,
    /// A reading that was made since then is needed.
    needed_ns: Option<u64>,
    /// When the last listener closed.
    at_close: u64,
    /// Another one came since; how many were refused until then is not known yet.
    listens_again: bool,
    /// Between the end of a listener and the next one.
    in_gaps: u64,
    /// The last old process ended; how many were refused until then is not known yet.
    ended: bool,
    at_end: Option<u64>,
}

// === impl Refused ===

impl Refused {
    /// From now on; `phased`: since T0, of which the kernel knows.
    pub(crate) fn since(
        key: &ServiceKey,
        t0_ns: u64,
        phased: bool,
        instances: &Instances,
        known: &Known<'_>,
    ) -> Self {
        let last = if phased {
            Some(instances.refused_before(key))
        } else {
            known.refused_by(key, t0_ns)
        };
        Self {
            phased,
            last,
            now: 0,
            read_ns: 0,
            asked_ns: None,
            needed_ns: Some(t0_ns),
            at_close: 0,
            listens_again: false,
            in_gaps: 0,
            ended: false,
            at_end: None,
        }
    }

    /// Whether a reading is to be asked for now: one is needed, or the last one is old. Then it counts as asked for.
    pub(crate) fn asks(&mut self, now_ns: u64) -> bool {
        let waits = self
            .asked_ns
            .is_some_and(|asked_ns| now_ns < asked_ns.saturating_add(timing::ANSWER_NS));
        let old = now_ns >= self.read_ns.saturating_add(timing::REFUSED_NS);
        let asks = !waits && (self.needed_ns.is_some() || old);
        if asks {
            self.asked_ns = Some(now_ns);
        }
        asks
    }

    /// A reading was made: it tells what waits for a number, unless it was made before that happened. `taken`: drains that began
    /// later tell what was refused in these phases; what this one tells is added.
    pub(crate) fn read(&mut self, refused: services::Refused, taken: &mut [bool; PHASES]) {
        let services::Refused { read_ns, .. } = refused;
        if read_ns < self.read_ns {
            return;
        }
        let last = self.last.get_or_insert(refused);
        for (phase, taken) in taken.iter_mut().enumerate() {
            let (now, last) = (refused.by_phase[phase], &mut last.by_phase[phase]);
            let more = now.saturating_sub(*last);
            *last = now.max(*last);
            let counts = !(self.phased && phase == Phase::Steady as usize);
            if counts && !*taken {
                self.now += more;
                *taken = true;
            }
        }
        self.told(read_ns);
    }

    /// What another drain of the port was told already is none of this one's.
    pub(crate) fn leave_to(&mut self, other: &Self) {
        if let (Some(last), Some(theirs)) = (&mut self.last, &other.last) {
            for (last, theirs) in last.by_phase.iter_mut().zip(theirs.by_phase) {
                *last = theirs.max(*last);
            }
        }
    }

    /// The counter cannot be read: what it told last must do.
    pub(crate) fn cannot_be_read(&mut self, now_ns: u64) {
        self.told(now_ns);
    }

    /// The last listening socket closed.
    pub(crate) fn listeners_closed(&mut self) {
        if !self.listens_again {
            self.at_close = self.now;
        }
    }

    /// A socket listens after the last one had closed.
    pub(crate) fn listens_again(&mut self, now_ns: u64) {
        self.listens_again = true;
        self.need(now_ns);
    }

    /// The last old process ended.
    pub(crate) fn processes_ended(&mut self, now_ns: u64) {
        self.ended = true;
        self.need(now_ns);
    }

    /// A reading is needed that is made from now on.
    pub(crate) fn need(&mut self, now_ns: u64) {
        self.needed_ns = self.needed_ns.max(Some(now_ns));
        self.asked_ns = None;
    }

    /// Whether a reading was made since then.
    pub(crate) fn was_read_since(&self, since_ns: u64) -> bool {
        self.read_ns >= since_ns
    }

    /// Refused so far, at the last reading.
    pub(crate) fn so_far(&self) -> u64 {
        self.now
    }

    /// Refused after the last listener had closed and before another one came, or, if it is `closed` for good, before the last
    /// process ended.
    pub(crate) fn while_running(&self, closed: bool) -> u64 {
        let until = self.at_end.unwrap_or(self.now);
        let last = until.saturating_sub(self.at_close);
        self.in_gaps + if closed { last } else { 0 }
    }

    fn told(&mut self, read_ns: u64) {
        self.read_ns = read_ns;
        if self.needed_ns.is_some_and(|needed_ns| read_ns < needed_ns) {
            return;
        }
        self.needed_ns = None;
        self.asked_ns = None;
        if std::mem::take(&mut self.listens_again) {
            self.in_gaps += self.now.saturating_sub(self.at_close);
            self.at_close = self.now;
        }
        if std::mem::take(&mut self.ended) {
            self.at_end = Some(self.now);
        }
    }
}
