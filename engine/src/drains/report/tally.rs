//! What a set of ended connections adds up to. It knows neither whose they are nor why they count.

use std::collections::BTreeMap;

use finwatch_common::{
    CloseRecord, Cut, Evidence, Lost, Origin, Outcome, ResetRecord, TimeWait, UnreadRecord,
    WAITED_MS, close_flags,
    frames::{ALERT_BYTES_MAX, GOAWAY_ENDS},
    reset_flags,
};

use super::examples;
use crate::{
    drains::{
        goodbye,
        membership::{lingering::Lingerer, merge::ClosedConnection},
    },
    known::Known,
    model::{Counts, EndedConnection, Resets},
};

/// Most connections shown as examples.
pub(crate) const EXAMPLES_MAX: usize = 5;

/// In what state of its drain a connection ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// When the drain began for its instance.
    pub(crate) since_ns: u64,
    /// A SIGKILL had come.
    pub(crate) killed: bool,
    /// Others had taken it over: what it asked, they were asked.
    pub(crate) moved: bool,
    /// Others served by then, and the kernel's phase was over.
    pub(crate) replaced: bool,
}

/// RSTs that were sent for one reason.
#[derive(Debug, Clone, Copy, Default)]
struct SentResets {
    /// By what they threw away, a [`Lost`].
    lost: [u64; 3],
    /// Of those that threw away a goodbye: on connections that were cut.
    goodbye_of_cut: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Resets by reason are in `resets` until they are told.
    counts: Counts,
    resets: BTreeMap<u8, SentResets>,
    /// Ended connections that were established before the drain.
    pub(super) older: u64,
    /// Of the older: they read their last after T0.
    pub(super) asked_after: u64,
    /// Established after T0.
    pub(super) opened_after: u64,
    /// When the last of these was established.
    pub(super) last_opened_ns: Option<u64>,
    /// See [`crate::model::Drain::likely_cut`].
    pub(super) likely_cut: u64,
    /// See [`crate::model::Drain::idle_at_exit`].
    pub(super) idle_at_exit: u64,
    /// Ended by death behind a SIGKILL: it found them open.
    pub(super) by_kill: u64,
    /// When the first one ended.
    pub(super) first_close_ns: Option<u64>,
    /// When the last one ended.
    pub(super) last_close_ns: Option<u64>,
    /// When a request was last read on one that is older than T0.
    pub(super) last_asked_ns: Option<u64>,
    /// Ended by death, and a request was lost.
    pub(super) by_exit_cut: u64,
    /// See [`crate::model::Signs::by_exit_truncated`].
    pub(super) by_exit_truncated: u64,
    /// See [`crate::model::Signs::by_exit_answering`].
    pub(super) by_exit_answering: u64,
    /// See [`crate::model::Signs::truncated`].
    pub(super) truncated: u64,
    /// Connections that brought one message after another, and never had an answer.
    pub(super) senders: u64,
    /// Connections that lost a request.
    pub(crate) examples: Vec<EndedConnection>,
}

// === impl Tally ===

impl Tally {
    /// Adds a connection that ended.
    pub(crate) fn close(
        &mut self,
        closed: &ClosedConnection,
        Setting {
            since_ns,
            killed,
            moved,
            replaced: _,
        }: Setting,
        owed_at_start: bool,
        known: &Known<'_>,
    ) {
        let record = &closed.record;
        let by_exit = record.flags & close_flags::BY_EXIT != 0;
        self.by_kill += u64::from(killed && by_exit);
        self.add_to_counts(closed);
        if let Some(reason) = closed.reset_reason {
            let may_be_cut = closed.small_late || record.flags & close_flags::SMALL_LEFT != 0;
            self.add_reset(reason, closed.lost, closed.cut.is_some() || may_be_cut);
        }
        let ended_ns = record.header.at_ns;
        self.first_close_ns = first(self.first_close_ns, Some(ended_ns));
        self.last_close_ns = self.last_close_ns.max(Some(ended_ns));
        // A request that came afterwards met the FIN, whoever sent that.
        let while_open = closed.cut.is_some_and(|cut| cut != Cut::Late);
        self.by_exit_cut += u64::from(while_open && by_exit);
        let truncated = closed.outcome == Outcome::ResetSent
            && record.unacked > ALERT_BYTES_MAX
            && !is_farewell(record, since_ns, owed_at_start);
        self.truncated += u64::from(truncated);
        self.senders += u64::from(record.flags & close_flags::MESSAGES != 0);
        self.by_exit_truncated += u64::from(truncated && by_exit);
        self.by_exit_answering +=
            u64::from(closed.cut.is_none() && was_answering(record, since_ns));
        if record.opened_at_ns > since_ns {
            self.opened(record.opened_at_ns);
        } else {
            self.older += 1;
            if record.last_read_ns > since_ns && !moved {
                self.asked_after += 1;
                self.last_asked_ns = self.last_asked_ns.max(Some(record.last_read_ns));
            }
            self.idle_at_exit += u64::from(was_idle_at_exit(record, since_ns));
            let left_with_goodbye = (owed_at_start && goodbye::was_all(record, since_ns))
                || goodbye::is_close_frame_since(record, since_ns);
            self.likely_cut += u64::from(closed.cut.is_none() && left_with_goodbye);
        }
        if closed.cut.is_some() {
            self.example(|| examples::closed(closed, known));
        }
    }

    /// Adds an RST that came after its connection was told.
    pub(crate) fn late(
        &mut self,
        reset: &ResetRecord,
        lingerer: Option<&Lingerer>,
        known: &Known<'_>,
    ) {
        let has = |flag| reset.flags & flag != 0;
        self.add_reset(
            reset.reason,
            Lost::from_u8(reset.lost).unwrap_or(Lost::Nothing),
            lingerer.is_some_and(|lingerer| lingerer.cut) || has(reset_flags::SMALL_LATE),
        );
        self.counts.early_answers += u64::from(has(reset_flags::EARLY));
        self.counts.rest_or_request += u64::from(has(reset_flags::REST_OR_REQUEST));
        self.counts.small.late += u64::from(has(reset_flags::SMALL_LATE));
        if !has(reset_flags::CUT_LATE) {
            return;
        }
        self.add_cut(Some(Cut::Late));
        self.example(|| examples::late(reset, lingerer, known));
    }

    /// Adds what a program never read of a connection that was told before.
    pub(crate) fn never_read(
        &mut self,
        record: &UnreadRecord,
        lingerer: &Lingerer,
        known: &Known<'_>,
    ) {
        self.counts.unread += 1;
        self.counts.unread_bytes += u64::from(record.unread);
        self.counts.rest_or_request += u64::from(record.rest_or_request);
        let Some(cut) = record.cut() else {
            return;
        };
        self.add_cut(Some(cut));
        self.example(|| examples::never_read(record, Some(lingerer), known));
    }

    /// A connection was established after T0.
    pub(crate) fn opened(&mut self, at_ns: u64) {
        self.opened_after += 1;
        self.last_opened_ns = self.last_opened_ns.max(Some(at_ns));
    }

    /// Connections ended.
    pub(crate) fn closes(&self) -> u64 {
        self.counts.closes()
    }

    /// Nothing ended, and no RST was sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.closes() == 0 && self.resets.is_empty()
    }

    /// The counts, with the kernel's reasons by name.
    pub(crate) fn counts(&self, known: &Known<'_>) -> Counts {
        let resets_sent = self.resets.iter().map(|(reason, sent)| Resets {
            reason: known.reason(*reason),
            nothing: sent.lost[Lost::Nothing as usize],
            goodbye: sent.lost[Lost::Goodbye as usize],
            goodbye_of_cut: sent.goodbye_of_cut,
            data: sent.lost[Lost::Data as usize],
        });
        let mut counts = Counts {
            opened: self.opened_after,
            ..self.counts.clone()
        };
        // Two numbers may share a name: as sums they stay one row.
        counts.add(&Counts {
            resets_sent: resets_sent.collect(),
            ..Counts::default()
        });
        counts
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn absorb(&mut self, other: Self) {
        let Self {
            counts,
            resets,
            older,
            asked_after,
            opened_after,
            last_opened_ns,
            likely_cut,
            idle_at_exit,
            by_kill,
            first_close_ns,
            last_close_ns,
            last_asked_ns,
            by_exit_cut,
            by_exit_truncated,
            by_exit_answering,
            truncated,
            senders,
            examples,
        } = other;
        self.counts.add(&counts);
        for (reason, sent) in resets {
            let mine = self.resets.entry(reason).or_default();
            for (mine, lost) in mine.lost.iter_mut().zip(sent.lost) {
                *mine += lost;
            }
            mine.goodbye_of_cut += sent.goodbye_of_cut;
        }
        self.older += older;
        self.asked_after += asked_after;
        self.opened_after += opened_after;
        self.last_opened_ns = self.last_opened_ns.max(last_opened_ns);
        self.likely_cut += likely_cut;
        self.idle_at_exit += idle_at_exit;
        self.by_kill += by_kill;
        self.first_close_ns = first(self.first_close_ns, first_close_ns);
        self.last_close_ns = self.last_close_ns.max(last_close_ns);
        self.last_asked_ns = self.last_asked_ns.max(last_asked_ns);
        self.by_exit_cut += by_exit_cut;
        self.by_exit_truncated += by_exit_truncated;
        self.by_exit_answering += by_exit_answering;
        self.truncated += truncated;
        self.senders += senders;
        for example in examples {
            self.example(|| example);
        }
    }

    fn example(&mut self, make: impl FnOnce() -> EndedConnection) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(make());
        }
    }

    /// `of_cut`: on a connection that was cut, or may be.
    fn add_reset(&mut self, reason: u8, lost: Lost, of_cut: bool) {
        let sent = self.resets.entry(reason).or_default();
        sent.lost[lost as usize] += 1;
        sent.goodbye_of_cut += u64::from(of_cut && lost == Lost::Goodbye);
    }

    fn add_to_counts(&mut self, closed: &ClosedConnection) {
        let record = &closed.record;
        let has = |flag| u64::from(record.flags & flag != 0);
        let counts = &mut self.counts;
        match closed.origin {
            Origin::Local => counts.local_first += 1,
            Origin::Remote => counts.remote_first += 1,
            Origin::Both => counts.both_first += 1,
            Origin::None => counts.no_fin += 1,
        }
        match closed.outcome {
            Outcome::Fin => counts.fin += 1,
            Outcome::ResetSent => counts.reset_sent += 1,
            Outcome::ResetReceived => counts.reset_received += 1,
            Outcome::Timeout => counts.timeout += 1,
            Outcome::Unknown => counts.unknown_outcome += 1,
        }
        match closed.time_wait {
            TimeWait::TimeWait => counts.time_wait += 1,
            TimeWait::FinWait2 => counts.fin_wait2 += 1,
            TimeWait::None => {}
        }
        match record.evidence() {
            Some(Evidence::Silent) => counts.unanswered.silent += 1,
            Some(Evidence::Alert) => counts.unanswered.alert += 1,
            Some(Evidence::Small) => counts.unanswered.small += 1,
            None => {}
        }
        counts.unread += u64::from(record.unread > 0);
        counts.unread_bytes += u64::from(record.unread);
        counts.unacked += u64::from(record.unacked > 0);
        counts.unacked_bytes += u64::from(record.unacked);
        counts.by_exit += has(close_flags::BY_EXIT);
        counts.by_exit_while_sending += u64::from(is_cut_short(record));
        counts.abandoned += has(close_flags::ABANDONED);
        counts.early_answers += has(close_flags::EARLY);
        counts.rest_or_request += has(close_flags::REST_OR_REQUEST);
        counts.small.answered += has(close_flags::SMALL_ANSWERED);
        counts.small.left += has(close_flags::SMALL_LEFT);
        counts.small.late += u64::from(closed.small_late);
        match (record.bytes_received > 0, record.bytes_sent > 0) {
            (true, true) => {}
            (true, false) => counts.never_answered += 1,
            (false, true) => counts.never_asked += 1,
            (false, false) => counts.no_payload += 1,
        }
        counts.waited += u64::from(record.waited_ms() >= WAITED_MS);
        counts.accept_queue_dropped += has(close_flags::NEVER_ACCEPTED);
        self.add_cut(closed.cut);
    }

    fn add_cut(&mut self, cut: Option<Cut>) {
        let cuts = &mut self.counts.cut;
        match cut {
            Some(Cut::Unanswered) => cuts.unanswered += 1,
            Some(Cut::Unread) => cuts.unread += 1,
            Some(Cut::Late) => cuts.late += 1,
            None => {}
        }
    }
}

/// The earlier of two times that may be unknown.
fn first(a_ns: Option<u64>, b_ns: Option<u64>) -> Option<u64> {
    match (a_ns, b_ns) {
        (Some(a_ns), Some(b_ns)) => Some(a_ns.min(b_ns)),
        (known, None) | (None, known) => known,
    }
}

/// Died while it was still sending.
fn is_cut_short(record: &CloseRecord) -> bool {
    const BOTH: u16 = close_flags::BY_EXIT | close_flags::SENDING;
    record.flags & BOTH == BOTH
}

/// Died while it was still sending what it had begun to answer a second before, or earlier: what was read last was read
/// before that.
fn was_answering(record: &CloseRecord, since_ns: u64) -> bool {
    const SECOND_NS: u64 = 1_000_000_000;
    let asked_ns = record.last_read_ns.max(since_ns);
    is_cut_short(record) && record.header.at_ns >= asked_ns.saturating_add(SECOND_NS)
}

/// Held open by a silent client until the process died.
fn was_idle_at_exit(record: &CloseRecord, since_ns: u64) -> bool {
    record.flags & close_flags::BY_EXIT != 0
        && !was_answering(record, since_ns)
        && record.last_read_ns <= since_ns
        && record.unread == 0
        && record.evidence().is_none()
}

/// What was not acknowledged can be a GOAWAY with its reason in words: nobody had asked.
fn is_farewell(record: &CloseRecord, since_ns: u64, owed_at_start: bool) -> bool {
    let short = record.unacked <= GOAWAY_ENDS[GOAWAY_ENDS.len() - 1];
    short && record.opened_at_ns <= since_ns && record.last_read_ns <= since_ns && !owed_at_start
}
