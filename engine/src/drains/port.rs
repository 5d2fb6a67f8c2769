//! One port of a drain: what was open when it began, what is open now, what ended since, and what its listeners did.
//! It is told which connections are its own.

use std::collections::{BTreeMap, HashMap, HashSet};

use finwatch_common::{CloseRecord, Process, ServiceKey, SurveyRow, close_flags, survey_kind};

use super::{
    ClosedConnection,
    membership::instances::Instances,
    progress::at_start::AtStart,
    report::refused::Refused,
    report::tally::{Setting, Tally},
};
use crate::known::Known;
use crate::{model::Baseline, timing};

/// See the module.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) netns_inum: u32,
    pub(super) baseline: Baseline,
    refused: Refused,
    /// A socket of the instance listened while the drain lasted.
    pub(super) listened: bool,
    /// When the last one closed.
    pub(super) closed: Option<ListenersClosed>,
    pub(super) backlog_at_start: Option<u32>,
    pub(super) backlog: u32,
    /// Every connection of the drain.
    pub(super) whole: Tally,
    /// Those that the process which was signalled, or died, ended itself.
    pub(super) of_target: Tally,
    /// Connections established after T0 and ended by new processes.
    pub(super) by_new: u64,
    /// Connections that the server made to itself.
    pub(super) own_calls: u64,
    /// Of these, those that it did not accept.
    own_calls_waiting: u32,
    open: HashMap<u64, u64>,
    start: AtStart,
    survey: LastSurvey,
}

/// The last listening socket of an instance is closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListenersClosed {
    pub(super) at_ns: u64,
    pub(super) by_exit: bool,
    pub(super) taken_over: bool,
}

/// What the last survey showed.
#[derive(Debug, Default)]
struct LastSurvey {
    began_ns: u64,
    listening: bool,
    open: u64,
    /// Connections that were closing at the first survey after the end of the processes and have not ended.
    closing: Option<HashSet<u64>>,
    mini_sockets: bool,
    /// When the first of the surveys began that found nothing that can still change, without a break until the last.
    settled_ns: Option<u64>,
}

/// A survey of a port.
pub(super) struct PortSurvey<'a> {
    pub(super) began_ns: u64,
    /// Rows of this port and of the drain's instances.
    pub(super) rows: &'a [(Process, &'a SurveyRow)],
    /// When the drain began for each instance.
    pub(super) since: &'a BTreeMap<Process, u64>,
    /// Connections younger than T0 count too.
    pub(super) whole: bool,
    /// When the processes were gone.
    pub(super) gone_ns: Option<u64>,
    /// A mini-socket of this port's connections may still draw a late request.
    pub(super) mini_sockets: bool,
    /// Which connections are known to have ended.
    pub(super) ended: &'a dyn Fn(u64) -> bool,
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
            netns_inum: instances.netns_inum(instance),
            baseline: known.baseline(key, t0_ns),
            refused: Refused::since(key, t0_ns, phased, instances, known),
            listened: instances.listening(instance, key) > 0,
            closed: None,
            backlog_at_start: None,
            backlog: 0,
            whole: Tally::default(),
            of_target: Tally::default(),
            by_new: 0,
            own_calls: 0,
            own_calls_waiting: 0,
            open: HashMap::new(),
            start: AtStart::default(),
            survey: LastSurvey::default(),
        }
    }

    /// Takes a connection that ended. `room` is how many more may be remembered.
    pub(super) fn close(
        &mut self,
        closed: &ClosedConnection,
        owner: Process,
        setting: Setting,
        of_target: bool,
        room: &mut usize,
        known: &Known<'_>,
    ) {
        let record = &closed.record;
        self.open.remove(&record.cookie);
        let owed_at_start = self.start.owed(record.cookie);
        if record.opened_at_ns <= setting.since_ns {
            self.start.ended(record, owner, setting.since_ns, room);
        }
        self.whole.close(closed, setting, owed_at_start, known);
        if of_target {
            self.of_target.close(closed, setting, owed_at_start, known);
        }
    }

    /// A new process ended the connection: it is none of the drain's.
    pub(super) fn close_by_new(&mut self, record: &CloseRecord, since_ns: u64) {
        self.open.remove(&record.cookie);
        self.start.forget(record.cookie);
        self.by_new += u64::from(record.opened_at_ns > since_ns);
    }

    /// The server had called itself: no client's connection ended.
    pub(super) fn close_own_call(&mut self, record: &CloseRecord) {
        self.open.remove(&record.cookie);
        self.start.forget(record.cookie);
        self.own_calls += 1;
        if record.flags & close_flags::NEVER_ACCEPTED != 0 {
            self.own_calls_waiting += 1;
        }
    }

    /// Connections that waited to be accepted when that was last looked at, less the server's own.
    pub(super) fn backlog(&self) -> u32 {
        self.backlog.saturating_sub(self.own_calls_waiting)
    }

    /// A connection ended; its story is told later.
    pub(super) fn ended(&mut self, cookie: u64) {
        self.open.remove(&cookie);
    }

    /// Takes a survey. `room` is how many more connections may be remembered.
    pub(super) fn surveyed(&mut self, survey: &PortSurvey<'_>, room: &mut usize) {
        if survey.began_ns < self.survey.began_ns {
            return;
        }
        let listeners = || rows_of(survey, survey_kind::LISTENER);
        let backlog = listeners().fold(0_u32, |sum, (_, row)| sum.saturating_add(row.a));
        self.survey.began_ns = survey.began_ns;
        self.survey.listening = listeners().next().is_some();
        self.survey.mini_sockets = survey.mini_sockets;
        self.listened |= self.survey.listening;
        if self.survey.listening {
            self.backlog = backlog;
        }
        self.backlog_at_start.get_or_insert(backlog);
        self.start.surveyed(survey, room);
        self.see_open(survey, room);
        if survey
            .gone_ns
            .is_some_and(|gone_ns| gone_ns <= survey.began_ns)
        {
            let now: HashSet<u64> = rows_of(survey, survey_kind::CLOSING)
                .map(|(_, row)| row.cookie)
                .collect();
            match &mut self.survey.closing {
                Some(closing) => closing.retain(|cookie| now.contains(cookie)),
                None => self.survey.closing = Some(now),
            }
            let closing = self.survey.closing.as_ref();
            if survey.mini_sockets || closing.is_some_and(|closing| !closing.is_empty()) {
                self.survey.settled_ns = None;
            } else {
                self.survey.settled_ns.get_or_insert(survey.began_ns);
            }
        }
    }

    /// Adds a port of another drain, which this one takes in.
    pub(super) fn absorb(&mut self, other: Self) {
        self.start.add(other.whole.older);
        self.whole.absorb(other.whole);
        self.by_new += other.by_new;
        self.own_calls += other.own_calls;
        self.own_calls_waiting += other.own_calls_waiting;
    }

    /// Leaves only what the signalled process ended itself.
    pub(super) fn keep_only_target(&mut self) {
        self.whole = std::mem::take(&mut self.of_target);
        self.by_new = 0;
        self.open.clear();
        self.closed = None;
        self.start = AtStart::default();
    }

    /// Takes that a process which goes on serving is no old one.
    pub(super) fn forget_opened(&mut self) {
        self.whole.opened_after = 0;
        self.whole.last_opened_ns = None;
        self.open.clear();
    }

    /// Connections open at T0.
    pub(super) fn open_at_start(&self) -> u64 {
        self.start.count()
    }

    /// How many of them owed an answer; none when no survey was taken in time.
    pub(super) fn owed_at_start(
        &self,
        since: &BTreeMap<Process, u64>,
        all_over: bool,
    ) -> Option<u64> {
        self.start.count_owed(since, all_over)
    }

    /// Connections open at the last survey and not ended since.
    pub(super) fn still_open(&self) -> u64 {
        self.open.len() as u64
    }

    /// Of these, those in which no survey saw anything change since T0.
    pub(super) fn still_open_idle(&self) -> u64 {
        let cookies = self.open.keys();
        cookies.filter(|c| self.start.is_idle(**c)).count() as u64
    }

    /// Of these, those in which a survey saw a request that was not there at T0.
    pub(super) fn still_open_asked(&self) -> u64 {
        let cookies = self.open.keys();
        cookies.filter(|c| self.start.is_asked(**c)).count() as u64
    }

    /// Of these, those that were established after T0, and when the last was.
    pub(super) fn still_open_younger(&self, since_ns: u64) -> (u64, Option<u64>) {
        let younger = || self.open.values().filter(|at_ns| **at_ns > since_ns);
        (younger().count() as u64, younger().max().copied())
    }

    /// How many SYNs were refused.
    pub(super) const fn refusals(&mut self) -> &mut Refused {
        &mut self.refused
    }

    /// The last listening socket closed.
    pub(super) fn listeners_closed(&mut self, closed: ListenersClosed) {
        self.refused.listeners_closed();
        self.closed = Some(closed);
    }

    /// A socket of those whose last one had closed listens.
    pub(super) fn listens_again(&mut self, now_ns: u64) {
        if self.closed.take().is_some() {
            self.refused.listens_again(now_ns);
        }
    }

    /// The last old process ended.
    pub(super) fn processes_ended(&mut self, now_ns: u64) {
        self.refused.processes_ended(now_ns);
    }

    /// SYNs refused since the drain began, at the last reading.
    pub(super) fn refused(&self) -> u64 {
        self.refused.so_far()
    }

    /// SYNs refused after the last listener had closed and before another one came or the last process ended, at `end_ns` or
    /// later.
    pub(super) fn refused_while_running(&self, end_ns: u64) -> u64 {
        let early = |closed: &ListenersClosed| {
            end_ns >= closed.at_ns.saturating_add(timing::CLOSED_EARLY_NS)
        };
        let closed_early = self.closed.as_ref().is_some_and(early);
        self.refused.while_running(closed_early)
    }

    /// When the last survey began; 0: there was none.
    pub(super) fn surveyed_ns(&self) -> u64 {
        self.survey.began_ns
    }

    /// Whether each instance was looked at since its drain began.
    pub(super) fn all_surveyed(&self, since: &BTreeMap<Process, u64>) -> bool {
        self.start.all_surveyed(since)
    }

    /// Whether the last survey found a socket that listens.
    pub(super) fn is_listening(&self) -> bool {
        self.survey.listening
    }

    /// Whether the last survey found anything open.
    pub(super) fn is_open(&self) -> bool {
        self.survey.open > 0
    }

    /// Whether surveys after the end of the processes found nothing that can still change, and went on finding nothing
    /// when the records of what had ended by the first of them must have been told: a mini-socket is known by them.
    pub(super) fn is_settled(&self) -> bool {
        let told_ns =
            |settled_ns: u64| settled_ns.saturating_add(timing::HOLD_NS + timing::READER_NS);
        self.survey
            .settled_ns
            .is_some_and(|settled_ns| self.survey.began_ns >= told_ns(settled_ns))
    }

    /// Whether there is anything to tell.
    pub(super) fn is_told(&self) -> bool {
        self.listened || !self.whole.is_empty() || self.open_at_start() > 0 || !self.open.is_empty()
    }

    /// Connections remembered.
    pub(super) fn remembered(&self) -> usize {
        self.open.len() + self.start.remembered()
    }

    fn see_open(&mut self, survey: &PortSurvey<'_>, room: &mut usize) {
        *room += self.open.len();
        self.open.clear();
        self.survey.open = 0;
        for (owner, row) in survey.rows.iter().filter(|(_, row)| is_open(row)) {
            self.survey.open += 1;
            let Some(since_ns) = survey.since.get(owner) else {
                continue;
            };
            let counts = survey.whole || row.opened_at_ns <= *since_ns;
            if counts && *room > 0 && !(survey.ended)(row.cookie) {
                *room -= 1;
                self.open.insert(row.cookie, row.opened_at_ns);
            }
        }
    }
}

/// Connections in ESTABLISHED or CLOSE_WAIT.
pub(super) fn is_open(row: &SurveyRow) -> bool {
    matches!(row.kind, survey_kind::AWAITING | survey_kind::OPEN)
}

fn rows_of<'a>(
    survey: &PortSurvey<'a>,
    kind: u8,
) -> impl Iterator<Item = &'a (Process, &'a SurveyRow)> + use<'a> {
    survey.rows.iter().filter(move |(_, row)| row.kind == kind)
}
