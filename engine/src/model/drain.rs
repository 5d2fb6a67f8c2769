//! One drain: what one service instance did to its clients from the signal to the end of the old processes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Counts, Cuts, Finding, Instance, Meaning, Service, Shape, Signs, SmallQuestions, Verdict,
};

/// What began it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DrainKind {
    /// A stop signal, or an exit of its own accord with code 0.
    Stop,
    /// A reload signal: the old workers' end.
    Reload,
    /// SIGKILL with no stop signal before it (the OOM killer's too).
    Kill,
    /// Another fatal signal, or an exit with a code other than 0, with no stop signal before it.
    Crash,
}

/// A signal that reached the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignalSeen {
    /// When it was generated.
    pub at: Timestamp,
    /// Its number.
    pub number: u8,
    /// `SIGTERM`, ...
    pub name: String,
    /// Process that it was sent to.
    pub target_pid: u32,
    /// That process's name.
    pub target_program: String,
    /// What it is to the instance: `owner` (it called listen()), `controller` (a supervisor, process 1 of the container) or
    /// `member` (a worker); empty when not known.
    #[serde(default)]
    pub target_kinship: String,
    /// Who sent it.
    pub sender: Sender,
    /// What the target does with it: `handled`, `default`, `ignored` or `blocked`; empty when not known.
    pub disposition: String,
}

/// Who sent a signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sender {
    /// Its process; 0 when the kernel sent it.
    pub pid: u32,
    /// Its name; `kernel` when the kernel sent it (a terminal, the OOM killer, a fault).
    pub program: String,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exit {
    /// When (`sched_process_exit` of its last thread).
    pub at: Timestamp,
    /// Exit code, when it exited.
    pub code: Option<u8>,
    /// Signal that killed it (`SIGKILL`), when one did.
    pub signal: Option<String>,
}

/// The same service's steady minutes before T0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Baseline {
    /// How long was looked at, seconds; 0: nothing is known.
    pub window_secs: f64,
    /// What was counted in that time, phase `steady` only.
    pub counts: Counts,
}

/// What the listening sockets did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Listening {
    /// When the last listening socket of the instance closed.
    pub closed_at: Option<Timestamp>,
    /// Whether it closed because the process died.
    pub closed_by_exit: bool,
    /// Whether somebody else listened on the port at that time (a successor).
    pub taken_over: bool,
    /// Connections waiting to be accepted at the last look while the drain lasted.
    pub backlog: u32,
    /// The same at the first look after T0.
    #[serde(default)]
    pub backlog_at_start: u32,
    /// Whether, when the old processes had ended, somebody else held a listening socket of theirs: it was inherited or handed over.
    pub held_by_others: bool,
}

/// Clients whose first request lay unread for a second or more, most of them as nobody accepted them, whoever took them up in the
/// end. Who was slow to ask has not waited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Waited {
    /// How many waited for a second and more since T0.
    pub long: u64,
    /// For how many seconds, at least, the one did that waited longest; 0: nobody waited for long.
    pub longest_secs: f64,
    /// Of those: ended without an answer, as the client left or nobody ever accepted it.
    pub unserved: u64,
    /// Of those: waiting at the last look.
    pub still: u64,
}

/// A connection worth showing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedConnection {
    /// The peer's address and port.
    pub peer: String,
    /// When it was established, if that is known.
    pub opened_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Process that ended it; 0 when the peer or a timer did.
    pub closed_by_pid: u32,
    /// `unanswered`, `unread`, `late`, or empty.
    pub cut: String,
    /// Bytes of the request that had no answer.
    pub asked_bytes: u32,
    /// Bytes received and never read.
    pub unread_bytes: u32,
    /// `local`, `remote`, `both`, `none`.
    pub origin: String,
    /// `fin`, `reset_sent`, `reset_received`, `timeout`, `unknown`.
    pub outcome: String,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Drain {
    /// Unique on this node.
    pub id: String,
    /// Whose port it was.
    pub service: Service,
    /// Which running program.
    pub instance: Instance,
    /// Only one worker process ended, not the whole instance: its process id.
    pub worker_pid: Option<u32>,
    /// What began it.
    pub kind: DrainKind,
    /// T0: the signal, or the exit when there was none.
    pub started_at: Timestamp,
    /// The signal of T0; none when it exited of its own accord.
    pub signal: Option<SignalSeen>,
    /// Further signals until the end (at most 16), such as the SIGKILL of a grace period that ran out.
    pub further_signals: Vec<SignalSeen>,
    /// TX: the exit of the last old process.
    pub exit: Option<Exit>,
    /// How many old processes there were at T0, and how many of them have ended.
    pub processes: u64,
    /// See `processes`.
    pub processes_ended: u64,
    /// Processes of the instance that came after T0 (new workers).
    #[serde(default)]
    pub new_processes: u64,
    /// When the first of these started: until then a reloading server goes on as before.
    #[serde(default)]
    pub first_new_process_at: Option<Timestamp>,
    /// The old workers went and the instance goes on listening with others, though it was told to stop; or, with no new
    /// processes, only a supervisor ended and the instance goes on as before.
    #[serde(default)]
    pub lived_on: bool,
    /// When the last of its connections ended.
    pub last_close_at: Option<Timestamp>,
    /// When the drain was over: the processes gone and every mini-socket that could still draw a late request settled.
    pub ended_at: Option<Timestamp>,
    /// Connections open at T0.
    pub open_at_start: u64,
    /// Of these, how many owed an answer at T0; none when the look failed or came too late.
    pub awaiting_at_start: Option<u64>,
    /// Connections that ended or stayed since then although they carried requests after T0: read their last after T0. Not those
    /// that others had taken over (`tcp_migrate_req`).
    pub asked_after_start: u64,
    /// Connections established after T0 (by the old processes).
    pub opened_after_start: u64,
    /// When the last of these was established.
    pub last_opened_at: Option<Timestamp>,
    /// Connections established after T0 and ended by processes that came after T0: the service goes on.
    #[serde(default)]
    pub served_by_new: u64,
    /// Connections that the server made to its own listener and on which nothing was said, as some wake their accepting thread
    /// at a stop. In no other number.
    #[serde(default)]
    pub own_calls: u64,
    /// Connections that owed an answer at T0, read nothing more and were ended by this side with exactly a GOAWAY written (HTTP/2), or
    /// ended with exactly a close frame written (WebSocket). Not counted as cut.
    #[serde(default)]
    pub likely_cut: u64,
    /// Connections ended by the process's death that had read nothing since T0, owed nothing and were not being sent an answer:
    /// held by idle clients.
    #[serde(default)]
    pub idle_at_exit: u64,
    /// Connections still open when the drain ended, or now.
    pub still_open: u64,
    /// Of these, how many had no data since T0.
    pub still_open_idle: u64,
    /// What was counted since T0.
    pub counts: Counts,
    /// The listening sockets.
    pub listening: Listening,
    /// Clients that waited to be taken up.
    #[serde(default)]
    pub waited: Waited,
    /// Connections whose request was cut, at most 5.
    pub examples: Vec<EndedConnection>,
    /// What counts do not show.
    #[serde(default)]
    pub signs: Signs,
    /// An ordinary stretch of the same service.
    pub baseline: Baseline,
    /// What became of requests under 18 bytes in the service's ordinary time, as long as that is known.
    #[serde(default)]
    pub small_before: SmallQuestions,
    /// Records lost in the kernel or told too early while it lasted: its numbers may be too small.
    pub records_lost: u64,
    /// finwatch was not there for all of it (a restart): it cannot be judged.
    pub interrupted: bool,
    /// The service is a stream or one-way protocol: turns are not judged.
    pub turns_not_judged: bool,
    /// What kind of conversation it is, and how that is known.
    #[serde(default)]
    pub shape: Shape,
    /// The verdict, `inconclusive` while it lasts.
    pub verdict: Verdict,
    /// Why.
    pub findings: Vec<Finding>,
}

// === impl Drain ===

impl Drain {
    /// Whether a connection that was cut by this cause lost its client something.
    pub fn is_loss(&self, cause: &str) -> bool {
        !self.turns_not_judged || cause != "unanswered"
    }

    /// What requests under 18 bytes are to this service.
    pub fn small_means(&self) -> Meaning {
        SmallQuestions::meaning(&self.small_before, &self.counts.small)
    }

    /// Connections on which a client lost something: requests, where it waits for answers, and of the small ones those that are known
    /// to be requests; else what it told and nobody read, as RSTs
    /// threw it away. Each connection counts once, by the first cause, and where nobody waits for answers that one hides others.
    pub fn lost(&self) -> Cuts {
        if !self.turns_not_judged {
            let mut cut = self.counts.cut;
            if self.small_means() == Meaning::Questions {
                cut.unanswered += self.counts.small.left;
                cut.late += self.counts.small.late;
            }
            return cut;
        }
        let thrown_away: u64 = self
            .counts
            .resets_sent
            .iter()
            .map(|resets| resets.data)
            .sum();
        let Cuts { unread, late, .. } = self.counts.cut;
        Cuts {
            unanswered: 0,
            unread,
            late: thrown_away.saturating_sub(unread).max(late),
        }
    }

    /// Whether one worker crashed or was killed among its siblings, with nobody telling it to stop: the service goes on, and
    /// nobody changed it.
    pub const fn is_lone_crash(&self) -> bool {
        self.worker_pid.is_some() && matches!(self.kind, DrainKind::Kill | DrainKind::Crash)
    }

    /// When the last that was seen of it happened, once it is over: an end of a process or of a connection. That it was over is
    /// known later, when no late request can come.
    pub fn last_seen_at(&self) -> Option<Timestamp> {
        let exit = self.exit.as_ref().map(|exit| exit.at);
        let last = self.last_close_at.max(exit);
        last.filter(|_| self.ended_at.is_some())
    }
}

// === impl DrainKind ===

impl DrainKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Stop, Self::Reload, Self::Kill, Self::Crash];

    /// As in labels and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::Kill => "kill",
            Self::Crash => "crash",
        }
    }
}
