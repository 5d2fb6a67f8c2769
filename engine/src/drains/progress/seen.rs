//! What is known of one port as it stands: whether anybody listens, what waits to be accepted, what was open when the drain
//! began, and what is open now. It does not know how connections ended.

use std::collections::{BTreeMap, HashMap, HashSet};

use finwatch_common::{CloseRecord, Process, close_flags, survey_kind};

use super::{
    at_start::AtStart,
    port_survey::{PortSurvey, is_open},
};
use crate::{drains::report::tally::Setting, timing};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// A socket of the instance listened while the drain lasted.
    listened: bool,
    /// When the last one closed.
    closed: Option<ListenersClosed>,
    backlog_at_start: Option<u32>,
    backlog: u32,
    /// Connections that the server made to itself and did not accept.
    own_calls_waiting: u32,
    start: AtStart,
    /// When each other connection was established that was open at the last survey and has not ended since.
    younger: HashMap<u64, u64>,
    /// Connections that were open at the last survey and have not ended since, and that there was no room to remember.
    beyond: u64,
    last: LastSurvey,
}

/// The last listening socket of an instance is closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListenersClosed {
    /// When, on the clock of the records.
    pub(crate) at_ns: u64,
    /// By the end of its process.
    pub(crate) by_exit: bool,
    /// Somebody else listens on the port.
    pub(crate) taken_over: bool,
}

/// What the last survey showed.
#[derive(Debug, Default)]
struct LastSurvey {
    began_ns: u64,
    listening: bool,
    open: u64,
    /// Connections that were closing at the first survey after the end of the processes and have not ended.
    closing: Option<HashSet<u64>>,
    /// When the first of the surveys began that found nothing that can still change, without a break until the last.
    settled_ns: Option<u64>,
}

// === impl Seen ===

impl Seen {
    /// Whether its instance listens is all that is known when a drain begins.
    pub(crate) fn new(listens: bool) -> Self {
        Self {
            listened: listens,
            ..Self::default()
        }
    }

    /// Whether a sibling listens there.
    pub(crate) fn joined(&mut self, listens: bool) {
        self.listened |= listens;
    }

    /// The last listening socket closed, when so many connections waited to be accepted.
    pub(crate) fn listeners_closed(&mut self, closed: ListenersClosed, backlog: u32) {
        self.closed = Some(closed);
        self.backlog = backlog;
    }

    /// A socket listens; whether the last one had closed.
    pub(crate) fn listens_again(&mut self) -> bool {
        self.closed.take().is_some()
    }

    /// A connection ended; its story is told later.
    pub(crate) fn ended(&mut self, cookie: u64) {
        if !self.start.is_over(cookie) && self.younger.remove(&cookie).is_none() {
            self.beyond = self.beyond.saturating_sub(1);
        }
    }

    /// A connection of the drain ended; whether it owed an answer at T0. `room` is how many more may be remembered.
    pub(crate) fn close(
        &mut self,
        record: &CloseRecord,
        owner: Process,
        setting: Setting,
        room: &mut usize,
    ) -> bool {
        let owed_at_start = self.start.owed(record.cookie);
        if record.opened_at_ns <= setting.since_ns {
            self.start.ended(record, owner, setting, room);
        }
        owed_at_start
    }

    /// A connection that ended was none of the drain's.
    pub(crate) fn disown(&mut self, cookie: u64) {
        self.start.forget(cookie);
    }

    /// The server had called itself: no client's connection ended.
    pub(crate) fn close_own_call(&mut self, record: &CloseRecord) {
        self.disown(record.cookie);
        if record.flags & close_flags::NEVER_ACCEPTED != 0 {
            self.own_calls_waiting += 1;
        }
    }

    /// Takes in a port of another drain, of which so many connections ended that were open when it began.
    pub(crate) fn absorb(&mut self, other: &Self, older: u64) {
        self.start.add(older);
        self.own_calls_waiting += other.own_calls_waiting;
    }

    /// Nobody knows which connections are those of the one process that is meant now, and its listeners are the others'.
    pub(crate) fn forget_all(&mut self) {
        self.forget_open();
        self.closed = None;
        self.start = AtStart::default();
    }

    /// What is open is nobody's whom the drain is about.
    pub(crate) fn forget_open(&mut self) {
        self.start.forget_open(|_| false);
        self.younger.clear();
        self.beyond = 0;
    }

    /// Only what was established by then is of the drain.
    pub(crate) fn keep_older(&mut self, since_ns: u64) {
        self.start.forget_open(|at_ns| at_ns <= since_ns);
        self.younger.retain(|_, at_ns| *at_ns <= since_ns);
    }

    /// Takes a survey. `room` is how many more connections may be remembered.
    pub(super) fn surveyed(&mut self, survey: &PortSurvey<'_>, room: &mut usize) {
        if survey.began_ns < self.last.began_ns {
            return;
        }
        let listeners = || survey.rows_of(survey_kind::LISTENER);
        let backlog = listeners().fold(0_u32, |sum, (_, row)| sum.saturating_add(row.a));
        self.last.began_ns = survey.began_ns;
        self.last.listening = listeners().next().is_some();
        self.listened |= self.last.listening;
        if self.last.listening {
            self.backlog = backlog;
        }
        self.backlog_at_start.get_or_insert(backlog);
        if survey.shows_open {
            self.start.surveyed(survey, room);
            self.see_open(survey, room);
        }
        if survey
            .gone_ns
            .is_some_and(|gone_ns| gone_ns <= survey.began_ns)
        {
            self.see_closing(survey);
        }
    }

    /// Connections that waited to be accepted when that was last seen, less the server's own.
    pub(crate) fn backlog(&self) -> u32 {
        self.backlog.saturating_sub(self.own_calls_waiting)
    }

    /// Connections that waited to be accepted at the first survey.
    pub(crate) fn backlog_at_start(&self) -> u32 {
        self.backlog_at_start.unwrap_or(0)
    }

    /// How its last listening socket closed, if it did and none came since.
    pub(crate) fn closed(&self) -> Option<ListenersClosed> {
        self.closed
    }

    /// Whether it closed long before the last process ended, at `end_ns` or later.
    pub(crate) fn closed_early(&self, end_ns: u64) -> bool {
        self.closed
            .is_some_and(|closed| end_ns >= closed.at_ns.saturating_add(timing::CLOSED_EARLY_NS))
    }

    /// A socket of the instance listened while the drain lasted.
    pub(crate) fn listened(&self) -> bool {
        self.listened
    }

    /// Connections open at T0.
    pub(crate) fn open_at_start(&self) -> u64 {
        self.start.count()
    }

    /// How many of them owed an answer; none when no survey was taken in time.
    pub(crate) fn owed_at_start(
        &self,
        since: &BTreeMap<Process, u64>,
        all_over: bool,
    ) -> Option<u64> {
        self.start.count_owed(since, all_over)
    }

    /// Connections open at the last survey and not ended since.
    pub(crate) fn still_open(&self) -> u64 {
        self.start.still_open().all + self.younger.len() as u64 + self.beyond
    }

    /// Of these, those in which no survey saw anything change since T0.
    pub(crate) fn still_open_idle(&self) -> u64 {
        self.start.still_open().idle
    }

    /// Of these, those in which a survey saw a request that was not there at T0.
    pub(crate) fn still_open_asked(&self) -> u64 {
        self.start.still_open().asked
    }

    /// Of these, those that were established after T0, and when the last was.
    pub(crate) fn still_open_younger(&self, since_ns: u64) -> (u64, Option<u64>) {
        let others = self.younger.values().copied();
        let all = self.start.still_open_since().chain(others);
        let mut younger = (0, None);
        for at_ns in all.filter(|at_ns| *at_ns > since_ns) {
            younger = (younger.0 + 1, younger.1.max(Some(at_ns)));
        }
        younger
    }

    /// Whether there is anything to tell.
    pub(crate) fn is_told(&self) -> bool {
        self.listened || self.open_at_start() > 0 || !self.younger.is_empty()
    }

    /// Connections remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.younger.len() + self.start.remembered()
    }

    /// When the last survey began; 0: there was none.
    pub(crate) fn surveyed_ns(&self) -> u64 {
        self.last.began_ns
    }

    /// Whether each instance was surveyed since its drain began.
    pub(crate) fn all_surveyed(&self, since: &BTreeMap<Process, u64>) -> bool {
        self.start.all_surveyed(since)
    }

    /// Whether the last survey found a socket that listens.
    pub(crate) fn is_listening(&self) -> bool {
        self.last.listening
    }

    /// Whether the last survey found anything open.
    pub(crate) fn is_open(&self) -> bool {
        self.last.open > 0
    }

    /// Whether surveys after the end of the processes found nothing that can still change, and went on finding nothing
    /// when the records of what had ended by the first of them must have been told: a mini-socket is known by them.
    pub(crate) fn is_settled(&self) -> bool {
        let told_ns =
            |settled_ns: u64| settled_ns.saturating_add(timing::HOLD_NS + timing::READER_NS);
        self.last
            .settled_ns
            .is_some_and(|settled_ns| self.last.began_ns >= told_ns(settled_ns))
    }

    /// Connections that were not open at T0, or that nobody could look at then.
    fn see_open(&mut self, survey: &PortSurvey<'_>, room: &mut usize) {
        *room += self.younger.len();
        self.younger.clear();
        self.beyond = 0;
        self.last.open = 0;
        for (owner, row) in survey.rows.iter().filter(|(_, row)| is_open(row)) {
            self.last.open += 1;
            let Some(since_ns) = survey.since.get(owner) else {
                continue;
            };
            let counts = survey.whole || row.opened_at_ns <= *since_ns;
            if !counts || self.start.has(row.cookie) || (survey.ended)(row.cookie) {
                continue;
            }
            if *room > 0 {
                *room -= 1;
                self.younger.insert(row.cookie, row.opened_at_ns);
            } else {
                self.beyond += 1;
            }
        }
    }

    fn see_closing(&mut self, survey: &PortSurvey<'_>) {
        let now: HashSet<u64> = survey
            .rows_of(survey_kind::CLOSING)
            .map(|(_, row)| row.cookie)
            .collect();
        match &mut self.last.closing {
            Some(closing) => closing.retain(|cookie| now.contains(cookie)),
            None => self.last.closing = Some(now),
        }
        let closing = self.last.closing.as_ref();
        if survey.mini_sockets || closing.is_some_and(|closing| !closing.is_empty()) {
            self.last.settled_ns = None;
        } else {
            self.last.settled_ns.get_or_insert(survey.began_ns);
        }
    }
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
