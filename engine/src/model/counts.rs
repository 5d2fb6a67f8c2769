//! What was counted over a stretch of time: connections and how they ended, RSTs, requests that were lost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SmallQuestions;

/// Connections on which a client's request was lost, each counted once by its first cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cuts {
    /// Read, and not answered.
    pub unanswered: u64,
    /// Received, never read.
    pub unread: u64,
    /// Sent after our FIN: answered by an RST, or thrown away.
    pub late: u64,
}

/// Closes from this side that left a request unanswered, by evidence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Unanswered {
    /// Not a byte was written after the request was read.
    pub silent: u64,
    /// Only a TLS alert was written.
    pub alert: u64,
    /// The request was under 18 bytes; counted as cut only where such had been answered on the connection.
    pub small: u64,
}

/// RSTs sent for one reason, by what they threw away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resets {
    /// The kernel's reason, snake_case.
    pub reason: String,
    /// They threw nothing away.
    pub nothing: u64,
    /// They threw only a TLS alert or a control frame away: harmless.
    pub goodbye: u64,
    /// Of `goodbye`, those on connections that were cut, as the harm was done before, and those that may have been requests.
    #[serde(default)]
    pub goodbye_of_cut: u64,
    /// They threw data away.
    pub data: u64,
}

/// What was counted over a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Counts {
    /// Connections established.
    pub opened: u64,
    /// Connections on which a request was lost.
    pub cut: Cuts,
    /// Closes by who sent the first FIN: this side.
    pub local_first: u64,
    /// The peer.
    pub remote_first: u64,
    /// Both at once.
    pub both_first: u64,
    /// Nobody: ended without a FIN.
    pub no_fin: u64,
    /// Closes by how they ended: cleanly.
    pub fin: u64,
    /// This host sent an RST.
    pub reset_sent: u64,
    /// The peer sent an RST.
    pub reset_received: u64,
    /// Nobody answered any more.
    pub timeout: u64,
    /// Not to be told (the namespace was torn down).
    pub unknown_outcome: u64,
    /// TIME_WAIT mini-sockets left on this host.
    pub time_wait: u64,
    /// FIN_WAIT2 mini-sockets left on this host.
    pub fin_wait2: u64,
    /// RSTs sent, by reason. Late ones of mini-sockets included.
    pub resets_sent: Vec<Resets>,
    /// Closes from this side with a request unanswered.
    pub unanswered: Unanswered,
    /// Closes with received data never read: connections.
    pub unread: u64,
    /// The same: bytes.
    pub unread_bytes: u64,
    /// Closes with sent data never acknowledged: connections.
    pub unacked: u64,
    /// The same: bytes.
    pub unacked_bytes: u64,
    /// Closes by the process's death.
    pub by_exit: u64,
    /// Of these, while data of the last second was still on its way to the peer.
    pub by_exit_while_sending: u64,
    /// The peer left while its request had no answer.
    pub abandoned: u64,
    /// Answered before all of the request was read, and reset with the rest of it unread.
    pub early_answers: u64,
    /// Data was lost behind the answer to a request that had come in several parts, and that this side closed upon at once: the rest
    /// of it, or another request. Not counted as cut.
    pub rest_or_request: u64,
    /// Requests under 18 bytes.
    pub small: SmallQuestions,
    /// Closes of connections on which this side never wrote though the peer had.
    pub never_answered: u64,
    /// The other way round.
    pub never_asked: u64,
    /// Nobody wrote anything.
    pub no_payload: u64,
    /// The first request lay unread for a second or more.
    pub waited: u64,
    /// SYNs answered with RST as nothing listened.
    pub refused: u64,
    /// Established, never accepted, dropped with the listener.
    pub accept_queue_dropped: u64,
}

// === impl Cuts ===

impl Cuts {
    /// All causes.
    pub const fn total(&self) -> u64 {
        self.unanswered + self.unread + self.late
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.unanswered += other.unanswered;
        self.unread += other.unread;
        self.late += other.late;
    }
}

// === impl Counts ===

impl Counts {
    /// Connections ended.
    pub const fn closes(&self) -> u64 {
        self.local_first + self.remote_first + self.both_first + self.no_fin
    }

    /// RSTs sent, whatever they threw away.
    pub fn resets(&self) -> u64 {
        self.resets_sent
            .iter()
            .map(|r| r.nothing + r.goodbye + r.data)
            .sum()
    }

    /// RSTs sent without those that threw only a goodbye away: what growth is judged by.
    pub fn resets_without_goodbyes(&self) -> u64 {
        self.resets_sent.iter().map(|r| r.nothing + r.data).sum()
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        let Self {
            opened,
            cut,
            local_first,
            remote_first,
            both_first,
            no_fin,
            fin,
            reset_sent,
            reset_received,
            timeout,
            unknown_outcome,
            time_wait,
            fin_wait2,
            resets_sent,
            unanswered,
            unread,
            unread_bytes,
            unacked,
            unacked_bytes,
            by_exit,
            by_exit_while_sending,
            abandoned,
            early_answers,
            rest_or_request,
            small,
            never_answered,
            never_asked,
            no_payload,
            waited,
            refused,
            accept_queue_dropped,
        } = other;
        self.opened += opened;
        self.cut.add(cut);
        self.local_first += local_first;
        self.remote_first += remote_first;
        self.both_first += both_first;
        self.no_fin += no_fin;
        self.fin += fin;
        self.reset_sent += reset_sent;
        self.reset_received += reset_received;
        self.timeout += timeout;
        self.unknown_outcome += unknown_outcome;
        self.time_wait += time_wait;
        self.fin_wait2 += fin_wait2;
        for resets in resets_sent {
            match self
                .resets_sent
                .iter_mut()
                .find(|r| r.reason == resets.reason)
            {
                Some(mine) => {
                    mine.nothing += resets.nothing;
                    mine.goodbye += resets.goodbye;
                    mine.goodbye_of_cut += resets.goodbye_of_cut;
                    mine.data += resets.data;
                }
                None => self.resets_sent.push(resets.clone()),
            }
        }
        self.unanswered.silent += unanswered.silent;
        self.unanswered.alert += unanswered.alert;
        self.unanswered.small += unanswered.small;
        self.unread += unread;
        self.unread_bytes += unread_bytes;
        self.unacked += unacked;
        self.unacked_bytes += unacked_bytes;
        self.by_exit += by_exit;
        self.by_exit_while_sending += by_exit_while_sending;
        self.abandoned += abandoned;
        self.early_answers += early_answers;
        self.rest_or_request += rest_or_request;
        self.small.add(*small);
        self.never_answered += never_answered;
        self.never_asked += never_asked;
        self.no_payload += no_payload;
        self.waited += waited;
        self.refused += refused;
        self.accept_queue_dropped += accept_queue_dropped;
    }

    /// What is in here and not in `other`, number by number; none is below zero.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        let left = |mine: u64, theirs: u64| mine.saturating_sub(theirs);
        let resets = self.resets_sent.iter().map(|mine| {
            let theirs = other.resets_sent.iter().find(|r| r.reason == mine.reason);
            let of = |part: fn(&Resets) -> u64| left(part(mine), theirs.map_or(0, part));
            Resets {
                reason: mine.reason.clone(),
                nothing: of(|r| r.nothing),
                goodbye: of(|r| r.goodbye),
                data: of(|r| r.data),
                goodbye_of_cut: of(|r| r.goodbye_of_cut),
            }
        });
        Self {
            cut: Cuts {
                unanswered: left(self.cut.unanswered, other.cut.unanswered),
                unread: left(self.cut.unread, other.cut.unread),
                late: left(self.cut.late, other.cut.late),
            },
            unanswered: Unanswered {
                silent: left(self.unanswered.silent, other.unanswered.silent),
                alert: left(self.unanswered.alert, other.unanswered.alert),
                small: left(self.unanswered.small, other.unanswered.small),
            },
            resets_sent: resets
                .filter(|r| r.nothing + r.goodbye + r.data > 0)
                .collect(),
            opened: left(self.opened, other.opened),
            local_first: left(self.local_first, other.local_first),
            remote_first: left(self.remote_first, other.remote_first),
            both_first: left(self.both_first, other.both_first),
            no_fin: left(self.no_fin, other.no_fin),
            fin: left(self.fin, other.fin),
            reset_sent: left(self.reset_sent, other.reset_sent),
            reset_received: left(self.reset_received, other.reset_received),
            timeout: left(self.timeout, other.timeout),
            unknown_outcome: left(self.unknown_outcome, other.unknown_outcome),
            time_wait: left(self.time_wait, other.time_wait),
            fin_wait2: left(self.fin_wait2, other.fin_wait2),
            unread: left(self.unread, other.unread),
            unread_bytes: left(self.unread_bytes, other.unread_bytes),
            unacked: left(self.unacked, other.unacked),
            unacked_bytes: left(self.unacked_bytes, other.unacked_bytes),
            by_exit: left(self.by_exit, other.by_exit),
            by_exit_while_sending: left(self.by_exit_while_sending, other.by_exit_while_sending),
            abandoned: left(self.abandoned, other.abandoned),
            early_answers: left(self.early_answers, other.early_answers),
            rest_or_request: left(self.rest_or_request, other.rest_or_request),
            small: SmallQuestions {
                answered: left(self.small.answered, other.small.answered),
                left: left(self.small.left, other.small.left),
                late: left(self.small.late, other.small.late),
            },
            never_answered: left(self.never_answered, other.never_answered),
            never_asked: left(self.never_asked, other.never_asked),
            no_payload: left(self.no_payload, other.no_payload),
            waited: left(self.waited, other.waited),
            refused: left(self.refused, other.refused),
            accept_queue_dropped: left(self.accept_queue_dropped, other.accept_queue_dropped),
        }
    }

    /// The larger of each number.
    #[must_use]
    pub fn at_least(&self, other: &Self) -> Self {
        let mut most = self.clone();
        most.add(&other.less(self));
        most
    }
}
