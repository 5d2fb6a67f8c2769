//! Who waited to be taken up on one port around a drain: clients whose first question lay unread for long, mostly as nobody accepted
//! them. Whose connections they are in the end does not matter: a successor that accepts late lets the same clients hang.
//!
//! Surveys show who waits in an accept queue, and since when; the end of a connection tells how long its first question had waited
//! until it was read. Both are told as "at least".

use std::collections::HashSet;

use finwatch_common::{CloseRecord, SurveyRow, WAITED_MS, close_flags};

use crate::{bounded::Bounded, model::Waited, timing};

/// Most connections remembered of one port that waited for long.
const WAITERS_MAX: usize = 16_384;
/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Those that waited for long, by cookie.
    waiters: Bounded<u64, Waiter, WAITERS_MAX>,
    /// How long the one had waited that did so longest at the last survey, among those that had not been accepted then.
    longest_now_ms: u32,
    /// Those that had waited for long at the last survey, and do still as far as is known.
    still: HashSet<u64>,
    /// When the last survey began.
    surveyed_ns: u64,
    /// When the last connection was established that somebody accepted and answered.
    served_ns: u64,
    /// Since when it is known that somebody is served in the stead of those who are gone.
    taken_up_ns: Option<u64>,
}

/// One connection that waited.
#[derive(Debug, Clone, Copy, Default)]
struct Waiter {
    /// For so long at least.
    ms: u32,
    /// It ended, and nobody had answered.
    unserved: bool,
}

/// In which time somebody waits on a drain's account, on the clock of the records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around {
    /// It began then; for long is only who waited for long since then.
    pub(crate) since_ns: u64,
    /// Whoever came later came to others.
    pub(crate) until_ns: u64,
}

// === impl Waiting ===

impl Waiting {
    /// Takes a survey: the rows of everybody's connections on the port.
    pub(super) fn surveyed(&mut self, began_ns: u64, rows: &[&SurveyRow], around: Around) {
        if began_ns < self.surveyed_ns {
            return;
        }
        self.surveyed_ns = began_ns;
        self.longest_now_ms = 0;
        self.still.clear();
        for row in rows
            .iter()
            .filter(|row| row.opened_at_ns <= around.until_ns)
        {
            self.longest_now_ms = self.longest_now_ms.max(row.waits_ms);
            if row.queued == 0 {
                self.served_ns = self.served_ns.max(row.opened_at_ns);
            }
            if around.counts(began_ns, row.waits_ms) {
                self.still.insert(row.cookie);
                self.waited(row.cookie, row.waits_ms);
            }
        }
    }

    /// A connection on the port ended.
    pub(crate) fn ended(&mut self, record: &CloseRecord, around: Around) {
        self.still.remove(&record.cookie);
        let accepted = record.flags & close_flags::NEVER_ACCEPTED == 0;
        if accepted && record.bytes_sent > 0 {
            self.served_ns = self.served_ns.max(record.opened_at_ns);
        }
        let read_ns = record.opened_at_ns + u64::from(record.waited_ms()) * MS;
        if record.opened_at_ns <= around.until_ns && around.counts(read_ns, record.waited_ms()) {
            self.waited(record.cookie, record.waited_ms());
        }
        if let Some(waiter) = self.waiters.get_mut(&record.cookie) {
            waiter.unserved = !accepted || record.flags & close_flags::ABANDONED != 0;
        }
    }

    /// Adds what another drain saw of the port, which this one takes in.
    pub(crate) fn absorb(&mut self, other: &Self) {
        for (cookie, waiter) in other.waiters.iter() {
            self.waited(*cookie, waiter.ms);
        }
    }

    /// For how long somebody has waited, by the last survey, if that is worth a closer look.
    pub(crate) fn waits_ns(&self) -> Option<u64> {
        let waits_ns = u64::from(self.longest_now_ms) * MS;
        (waits_ns >= timing::WAITS_NS).then_some(waits_ns)
    }

    /// Whether somebody was served who came after that time.
    pub(super) fn is_served_since(&self, since_ns: u64) -> bool {
        self.served_ns > since_ns
    }

    /// Somebody is served in the stead of those who are gone, as is known from now on.
    pub(super) fn taken_up(&mut self, now_ns: u64) {
        self.taken_up_ns.get_or_insert(now_ns);
    }

    /// Whether somebody is served in their stead, and a survey has told since then who waits nevertheless.
    pub(super) fn was_taken_up(&self) -> bool {
        let surveyed_ns = self.surveyed_ns;
        self.taken_up_ns
            .is_some_and(|since_ns| surveyed_ns >= since_ns)
    }

    /// What there is to tell.
    pub(crate) fn told(&self) -> Waited {
        let waiters = || self.waiters.iter().map(|(_, waiter)| waiter);
        Waited {
            long: waiters().count() as u64,
            longest_secs: f64::from(waiters().map(|w| w.ms).max().unwrap_or(0)) / 1e3,
            unserved: waiters().filter(|w| w.unserved).count() as u64,
            still: self.still.len() as u64,
        }
    }

    fn waited(&mut self, cookie: u64, ms: u32) {
        if let Some(waiter) = self.waiters.admit(cookie, Waiter::default) {
            waiter.ms = waiter.ms.max(ms);
        }
    }
}

// === impl Around ===

impl Around {
    /// Whether a wait of that length, which went on until then or longer, was a long one on the drain's account.
    fn counts(self, until_ns: u64, ms: u32) -> bool {
        let since_t0_ns = until_ns.saturating_sub(self.since_ns);
        let ms_ns = u64::from(ms) * MS;
        ms_ns.min(since_t0_ns) >= u64::from(WAITED_MS) * MS
    }
}

#[cfg(test)]
mod tests {
    use finwatch_common::{Phase, Process, Role, ServiceKey, Wire, survey_kind};

    use super::*;

    const SECOND: u64 = 1_000 * MS;
    /// It began ten seconds in, and whoever came twenty seconds later came to others.
    const AROUND: Around = Around {
        since_ns: 10 * SECOND,
        until_ns: 30 * SECOND,
    };

    /// Nobody has accepted it yet; it asked, and waits for so long.
    fn queued(opened_secs: u64, waits_ms: u32) -> SurveyRow {
        SurveyRow {
            service: ServiceKey::other(Role::Server, Phase::Draining),
            owner: Process::default(),
            cookie: 1,
            opened_at_ns: opened_secs * SECOND,
            a: 0,
            b: 0,
            kind: survey_kind::OPEN,
            quiet: 0,
            queued: 1,
            pad: 0,
            waits_ms,
        }
    }

    /// So many of them waited, the longest for so long, and so many do still.
    fn looked(looks: &[(u64, SurveyRow)]) -> (u64, f64, u64) {
        let mut waiting = Waiting::default();
        for (at_secs, row) in looks {
            waiting.surveyed(at_secs * SECOND, &[row], AROUND);
        }
        let told = waiting.told();
        (told.long, told.longest_secs, told.still)
    }

    #[test]
    fn only_what_was_waited_since_it_began_and_by_who_came_to_it_counts() {
        assert_eq!(looked(&[(14, queued(12, 2_000))]), (1, 2.0, 1));
        let hardly_begun = [(10, queued(5, 5_000))];
        assert_eq!(looked(&hardly_begun), (0, 0.0, 0));
        let others = [(34, queued(31, 3_000))];
        assert_eq!(looked(&others), (0, 0.0, 0));
    }

    #[test]
    fn a_survey_that_began_before_the_last_one_tells_nothing() {
        let looks = [(15, queued(12, 3_000)), (14, queued(31, 0))];
        assert_eq!(looked(&looks), (1, 3.0, 1));
    }

    #[test]
    fn who_gave_up_waited_in_vain_though_somebody_accepted() {
        let zeros = vec![0; size_of::<CloseRecord>()];
        let mut close = CloseRecord::from_bytes(&zeros).expect("zeros");
        (close.cookie, close.opened_at_ns) = (1, 12 * SECOND);
        close.waited_cs = 300;
        for (flags, unserved) in [(0, 0), (close_flags::ABANDONED, 1)] {
            close.flags = flags;
            let mut waiting = Waiting::default();
            waiting.ended(&close, AROUND);
            assert_eq!(
                (waiting.told().long, waiting.told().unserved),
                (1, unserved)
            );
        }
    }

    #[test]
    fn who_waited_for_a_drain_that_is_taken_in_waited_for_this_one() {
        let mut of_both = Waiting::default();
        let mut other = Waiting::default();
        other.surveyed(14 * SECOND, &[&queued(12, 2_000)], AROUND);
        of_both.absorb(&other);
        let told = of_both.told();
        assert_eq!((told.long, told.longest_secs), (1, 2.0));
    }
}
