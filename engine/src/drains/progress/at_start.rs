//! What was open when a drain began: told by the first survey, by what ended before it, and by nothing else.

use std::collections::{BTreeMap, HashMap};

use finwatch_common::{
    CloseRecord, Cut, Evidence, Phase, Process, SurveyRow, close_flags, survey_kind,
};

use super::port_survey::{PortSurvey, is_open};
use crate::{
    drains::{goodbye, report::tally::Setting},
    timing,
};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct AtStart {
    /// When the first survey of each instance began.
    surveyed_ns: BTreeMap<Process, u64>,
    late: bool,
    /// Those that have not ended, by cookie.
    open: HashMap<u64, Opened>,
    /// Ended before the first survey was taken in, until that tells which of them it had seen.
    before_survey: HashMap<u64, Ended>,
    /// Ended; or beyond the bound.
    uncounted: u64,
    /// Of these, how many owed an answer.
    uncounted_owed: u64,
    /// The first survey saw them, there was no room to remember them, and they have not ended.
    beyond: u64,
}

/// A connection that was open at T0. 24 bytes: there may be very many.
#[derive(Debug, Clone, Copy)]
struct Opened {
    /// When it was established.
    at_ns: u64,
    owed: bool,
    /// The last survey saw it open, and it has not ended since.
    is_open: bool,
    seen: (u8, u32, u32),
    /// A later survey found it changed.
    busy: bool,
    /// A later survey found a new request.
    asked: bool,
}

/// How many are open, of those that were at T0.
#[derive(Debug, Default)]
pub(super) struct StillOpen {
    pub(super) all: u64,
    /// No survey saw them change, and they owed nothing at T0.
    pub(super) idle: u64,
    /// A survey saw a request that was not there at T0.
    pub(super) asked: u64,
}

#[derive(Debug, Clone, Copy)]
struct Ended {
    owner: Process,
    owed: bool,
}

// === impl AtStart ===

impl AtStart {
    /// Connections open at T0.
    pub(super) fn count(&self) -> u64 {
        (self.open.len() + self.before_survey.len()) as u64 + self.uncounted
    }

    /// How many of them owed an answer; none when no survey was taken in time. Where nobody could look before all was over, because
    /// the network namespace went with its last process, each connection's own end tells, if T0 was the death itself.
    pub(super) fn count_owed(&self, since: &BTreeMap<Process, u64>, all_over: bool) -> Option<u64> {
        let owed = self.open.values().filter(|c| c.owed).count() as u64;
        let ended_owed = self.before_survey.values().filter(|c| c.owed).count() as u64;
        let told = if self.all_surveyed(since) {
            !self.late
        } else {
            all_over
        };
        told.then_some(owed + ended_owed + self.uncounted_owed)
    }

    /// Whether a connection owed an answer at the first survey.
    pub(super) fn owed(&self, cookie: u64) -> bool {
        self.open.get(&cookie).is_some_and(|c| c.owed)
    }

    /// Whether it is one of those that are remembered.
    pub(super) fn has(&self, cookie: u64) -> bool {
        self.open.contains_key(&cookie)
    }

    /// Of those that were open at T0, what the last survey and the ends since tell.
    pub(super) fn still_open(&self) -> StillOpen {
        let mut still = StillOpen::default();
        for connection in self.open.values().filter(|c| c.is_open) {
            still.all += 1;
            still.idle += u64::from(!connection.busy && !connection.owed);
            still.asked += u64::from(connection.asked);
        }
        still
    }

    /// When each was established that is still open.
    pub(super) fn still_open_since(&self) -> impl Iterator<Item = u64> {
        let open = self.open.values().filter(|c| c.is_open);
        open.map(|connection| connection.at_ns)
    }

    /// A connection is open no more; its story is told later. Whether it was one of those that are remembered.
    pub(super) fn is_over(&mut self, cookie: u64) -> bool {
        let known = self.open.get_mut(&cookie);
        known.map(|connection| connection.is_open = false).is_some()
    }

    /// What is open of these is nobody's whom the drain is about; `keeps` says of which that is not so, by when they were established.
    pub(super) fn forget_open(&mut self, keeps: impl Fn(u64) -> bool) {
        for connection in self.open.values_mut() {
            connection.is_open &= keeps(connection.at_ns);
        }
    }

    /// Whether each instance was looked at since its drain began.
    pub(super) fn all_surveyed(&self, since: &BTreeMap<Process, u64>) -> bool {
        since.keys().all(|p| self.surveyed_ns.contains_key(p))
    }

    /// Connections remembered.
    pub(super) fn remembered(&self) -> usize {
        self.open.len() + self.before_survey.len()
    }

    /// A connection was none of the drain's.
    pub(super) fn forget(&mut self, cookie: u64) {
        self.open.remove(&cookie);
    }

    /// Connections that were told of elsewhere.
    pub(super) fn add(&mut self, connections: u64) {
        self.uncounted += connections;
    }

    /// A connection of before T0 ended.
    pub(super) fn ended(
        &mut self,
        record: &CloseRecord,
        owner: Process,
        setting: Setting,
        room: &mut usize,
    ) {
        if was_closing(record, setting.replaced) {
            return;
        }
        let owed = owed_until_the_end(record, setting.since_ns);
        if let Some(known) = self.open.remove(&record.cookie) {
            *room += 1;
            self.uncounted += 1;
            // The survey may have come between the server's goodbye and its end.
            self.uncounted_owed += u64::from(known.owed || owed);
            return;
        }
        if !self.surveyed_ns.contains_key(&owner) && *room > 0 {
            *room -= 1;
            let ended = Ended { owner, owed };
            self.before_survey.insert(record.cookie, ended);
            return;
        }
        if self.beyond > 0 {
            // Nearly all that are not known are those that there was no room for.
            self.beyond -= 1;
            return;
        }
        // A survey takes its time: a connection may end when it has begun and before it comes by.
        self.uncounted += 1;
        self.uncounted_owed += u64::from(owed);
    }

    /// Takes a survey.
    pub(super) fn surveyed(&mut self, survey: &PortSurvey<'_>, room: &mut usize) {
        let is_new = |since: (&Process, &u64), known: &BTreeMap<Process, u64>| {
            *since.1 <= survey.began_ns && !known.contains_key(since.0)
        };
        let first: BTreeMap<Process, u64> = survey
            .since
            .iter()
            .filter(|since| is_new(*since, &self.surveyed_ns))
            .map(|(instance, since_ns)| (*instance, *since_ns))
            .collect();
        self.forget_open(|_| false);
        for (owner, row) in survey.rows.iter().filter(|(_, row)| is_open(row)) {
            let seen = (row.kind, row.a, row.b);
            let is_open = survey.since.contains_key(owner) && !(survey.ended)(row.cookie);
            if let Some(known) = self.open.get_mut(&row.cookie) {
                known.see(seen);
                known.is_open = is_open;
                continue;
            }
            let Some(since_ns) = first.get(owner) else {
                continue;
            };
            if row.opened_at_ns > *since_ns {
                continue;
            }
            let owed = owes(row);
            if *room == 0 {
                self.uncounted += 1;
                self.uncounted_owed += u64::from(owed);
                self.beyond += 1;
                continue;
            }
            *room -= 1;
            let connection = Opened {
                at_ns: row.opened_at_ns,
                owed,
                is_open,
                seen,
                busy: false,
                asked: false,
            };
            self.open.insert(row.cookie, connection);
        }
        for (instance, since_ns) in &first {
            self.late |= survey.began_ns > since_ns.saturating_add(timing::SURVEY_LATE_NS);
            self.surveyed_ns.insert(*instance, survey.began_ns);
        }
        let (open, mut uncounted, mut uncounted_owed) = (&self.open, 0, 0);
        self.before_survey.retain(|cookie, ended| {
            if !first.contains_key(&ended.owner) {
                return true;
            }
            *room += 1;
            if !open.contains_key(cookie) {
                uncounted += 1;
                uncounted_owed += u64::from(ended.owed);
            }
            false
        });
        self.uncounted += uncounted;
        self.uncounted_owed += uncounted_owed;
    }
}

// === impl Opened ===

impl Opened {
    fn see(&mut self, now: (u8, u32, u32)) {
        let (kind, asked, _) = self.seen;
        let begun = kind == survey_kind::OPEN && now.0 == survey_kind::AWAITING;
        self.asked |= begun || asked != now.1;
        self.busy |= self.seen != now;
        self.seen = now;
    }
}

/// Whether a request waits for its answer. Servers of HTTP/2 and WebSockets say their goodbye at T0, before any survey: nothing but that is
/// no answer, but what was sent before T0 is.
fn owes(row: &SurveyRow) -> bool {
    row.kind == survey_kind::AWAITING || goodbye::is_all(row.a, row.b, row.quiet == 0)
}

/// Whether it was closing at T0. Of an instance that was in no phase to its end, that is not known; one whose phase was over by
/// then, as others serve, had been in it.
fn was_closing(record: &CloseRecord, replaced: bool) -> bool {
    let was_in_phase = replaced || record.service.phase() != Some(Phase::Steady);
    record.flags & close_flags::LEFT_STEADY != 0 && was_in_phase
}

/// Whether the request that was read before T0 never got its answer.
fn owed_until_the_end(record: &CloseRecord, since_ns: u64) -> bool {
    let unanswered = record.cut() == Some(Cut::Unanswered)
        || matches!(record.evidence(), Some(Evidence::Silent | Evidence::Alert))
        || record.flags & close_flags::ABANDONED != 0;
    (unanswered && record.last_read_ns <= since_ns)
        || goodbye::is_close_frame_since(record, since_ns)
}
