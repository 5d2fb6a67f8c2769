//! A drain's facts in the words that several diagnoses ask for. It decides nothing.

use finwatch_common::signal::{self, KILL};
use jiff::Timestamp;

use super::JudgeOptions;
use crate::{
    diagnoses::{Diagnosis, OfServers},
    model::{Drain, DrainKind, EndedConnection, Finding, SignalSeen},
    render::units::{length, secs},
    servers::{self, Server, Topic},
};

/// Most examples that a finding shows.
const EXAMPLES_MAX: usize = 3;

/// See the module.
pub(super) struct Facts<'a> {
    pub(super) drain: &'a Drain,
    pub(super) options: &'a JudgeOptions,
    pub(super) server: Option<&'static Server>,
}

// === impl Facts ===

impl<'a> Facts<'a> {
    pub(super) fn new(drain: &'a Drain, options: &'a JudgeOptions) -> Self {
        Self {
            drain,
            options,
            server: servers::of(&drain.instance.program, &drain.service),
        }
    }

    /// A time as seconds after T0.
    pub(super) fn after(&self, at: Timestamp) -> f64 {
        secs(self.drain.started_at, at)
    }

    /// `1.2 s after T0`.
    pub(super) fn told(&self, at: Timestamp) -> String {
        match self.after(at) {
            secs if secs < 0.0 => format!("{} before T0", length(-secs)),
            secs => format!("{} after T0", length(secs)),
        }
    }

    /// Whether a stop signal, or an orderly end of its own, began it.
    pub(super) fn is_stop(&self) -> bool {
        self.drain.kind == DrainKind::Stop
    }

    /// Whether a signal asked for it.
    pub(super) fn is_asked(&self) -> bool {
        self.is_reload() || (self.is_stop() && self.drain.signal.is_some())
    }

    /// Whether the signal ended a supervisor alone, and those who serve go on: they are not stopping.
    pub(super) fn is_left_behind(&self) -> bool {
        self.is_stop() && self.drain.lived_on && self.drain.new_processes == 0
    }

    pub(super) fn is_reload(&self) -> bool {
        self.drain.kind == DrainKind::Reload
    }

    /// Whether turns may be judged.
    pub(super) fn judges_turns(&self) -> bool {
        !self.drain.turns_not_judged
    }

    /// What a client loses.
    pub(super) fn lost_kind(&self) -> &'static str {
        match self.judges_turns() {
            true => "request",
            false => "message",
        }
    }

    /// SYNs that were refused since T0: clients that came and were not let in.
    pub(super) fn refused(&self) -> u64 {
        let drain = self.drain;
        drain.counts.refused.max(drain.signs.refused_while_running)
    }

    /// Of these, those that came when its last process had ended.
    pub(super) fn refused_after_end(&self) -> u64 {
        let drain = self.drain;
        let running = drain.signs.refused_while_running;
        drain.counts.refused.saturating_sub(running)
    }

    /// Whether anybody was there to lose anything.
    pub(super) fn had_traffic(&self) -> bool {
        let Drain {
            open_at_start,
            opened_after_start,
            counts,
            ..
        } = self.drain;
        *open_at_start + opened_after_start + counts.opened + counts.closes() > 0
            || counts.cut.total() > 0
            || self.refused() > 0
    }

    /// Closes that this side began.
    pub(super) fn ours(&self) -> u64 {
        self.drain.counts.local_first
    }

    /// When the SIGKILL of a grace period came, if one did.
    pub(super) fn kill(&self) -> Option<Killed<'a>> {
        if !self.is_asked() {
            return None;
        }
        let signal = self
            .drain
            .further_signals
            .iter()
            .find(|signal| signal.number == KILL);
        let exit = self.drain.exit.as_ref();
        let died = exit.filter(|exit| exit.signal.as_deref() == signal::name(KILL));
        let at = signal.map(|s| s.at).or(died.map(|exit| exit.at))?;
        Some(Killed { at, signal })
    }

    /// Whether the process had no say in its end.
    pub(super) fn was_killed(&self) -> bool {
        self.kill().is_some() || matches!(self.drain.kind, DrainKind::Kill | DrainKind::Crash)
    }

    /// Whether it had no handler for a signal, and died of it.
    pub(super) fn died_of(&self, signal: &SignalSeen) -> bool {
        let exit = self.drain.exit.as_ref();
        let died_of = exit.and_then(|exit| exit.signal.as_deref());
        signal.disposition == "default" && died_of == Some(signal.name.as_str())
    }

    /// Until when there was something to see.
    pub(super) fn until(&self) -> Timestamp {
        seen_until(self.drain, self.options.now)
    }

    /// For how many seconds it counted, at least one: a stop that takes a moment is compared with a second of
    /// ordinary time, lest a single event in a millisecond look like a burst.
    pub(super) fn exposure_secs(&self) -> f64 {
        self.after(self.until()).max(1.0)
    }

    /// A finding whose remedy begins with how this server is stopped well, if nothing is said of it that is more to the point.
    pub(super) fn found_with_stop(&self, diagnosis: &Diagnosis, evidence: Vec<String>) -> Finding {
        self.with_remedy(diagnosis, evidence, Topic::Finish)
    }

    /// The same with how it lets kept-alive connections go.
    pub(super) fn found_with_keepalive(
        &self,
        diagnosis: &Diagnosis,
        evidence: Vec<String>,
    ) -> Finding {
        self.with_remedy(diagnosis, evidence, Topic::LetGo)
    }

    /// A finding whose remedy begins with what is said of it for this server, if anything is.
    pub(super) fn found_with_server(
        &self,
        diagnosis: &Diagnosis,
        evidence: Vec<String>,
    ) -> Finding {
        match diagnosis.servers {
            OfServers::On(topic) => self.with_remedy(diagnosis, evidence, topic),
            OfServers::Signals | OfServers::Nothing => diagnosis.found(evidence),
        }
    }

    fn with_remedy(&self, diagnosis: &Diagnosis, evidence: Vec<String>, or: Topic) -> Finding {
        let own = self.server.and_then(|server| {
            let to_the_point = match diagnosis.servers {
                OfServers::On(topic) => server.advice(topic),
                OfServers::Signals | OfServers::Nothing => None,
            };
            Some((server, to_the_point.or_else(|| server.advice(or))?))
        });
        let mut finding = diagnosis.found(evidence);
        if let Some((server, own)) = own {
            finding.remedy = format!("{}: {own} {}", server.title, finding.remedy);
        }
        finding
    }

    /// The program and its process: `nginx (process 712)`.
    pub(super) fn program(&self) -> String {
        let instance = &self.drain.instance;
        match self.drain.worker_pid {
            Some(pid) => format!("{} (worker {pid} of {})", instance.program, instance.pid),
            None => format!("{} (process {})", instance.program, instance.pid),
        }
    }

    /// How it began, as a sentence.
    pub(super) fn began(&self) -> String {
        match &self.drain.signal {
            Some(signal) => format!(
                "T0: {} to {} ({}), sent by {}.",
                signal.name,
                signal.target_program,
                signal.target_pid,
                sender(signal)
            ),
            None => {
                let exit = self.drain.exit.as_ref();
                let how = match exit.map(|exit| (exit.signal.as_deref(), exit.code)) {
                    Some((Some(signal), _)) => format!("was ended by {signal}"),
                    Some((None, Some(code))) => format!("exited with code {code}"),
                    Some((None, None)) | None => "ended".to_owned(),
                };
                format!(
                    "T0: {} {how}, with no signal that was seen.",
                    self.program()
                )
            }
        }
    }

    /// Examples of a cause; every cause when it is empty.
    pub(super) fn examples(&self, cause: &str) -> Vec<String> {
        let of_cause = |example: &&EndedConnection| {
            (cause.is_empty() || example.cut == cause) && self.drain.is_loss(&example.cut)
        };
        let examples = self.drain.examples.iter().filter(of_cause);
        let tell = |example: &EndedConnection| example_told(example, &self.told(example.ended_at));
        examples.take(EXAMPLES_MAX).map(tell).collect()
    }
}

/// A connection that lost a request, in a sentence; it ended `when`.
pub(crate) fn example_told(example: &EndedConnection, when: &str) -> String {
    let what = match example.cut.as_str() {
        "unanswered" => format!("a request of {} bytes unanswered", example.asked_bytes),
        "unread" => format!("{} bytes unread", example.unread_bytes),
        "late" => "data after our FIN".to_owned(),
        _ => "cut".to_owned(),
    };
    let by = match example.closed_by_pid {
        0 => String::new(),
        pid => format!(", closed by process {pid}"),
    };
    format!("For example {}: {what}, ended {when}{by}.", example.peer)
}

/// Until when there was something to see: the last thing that is known of a drain, or the time while it lasts.
pub(crate) fn seen_until(drain: &Drain, now: Option<Timestamp>) -> Timestamp {
    let Drain {
        started_at,
        exit,
        last_close_at,
        last_opened_at,
        ended_at,
        ..
    } = drain;
    let live = match ended_at {
        Some(_) => None,
        None => now,
    };
    [
        exit.as_ref().map(|exit| exit.at),
        *last_close_at,
        *last_opened_at,
        live,
    ]
    .into_iter()
    .flatten()
    .fold(*started_at, Timestamp::max)
}

/// A SIGKILL after the signal.
pub(super) struct Killed<'a> {
    pub(super) at: Timestamp,
    pub(super) signal: Option<&'a SignalSeen>,
}

/// Who sent a signal: `systemd (1)`, `the kernel`.
pub(super) fn sender(signal: &SignalSeen) -> String {
    match signal.sender.pid {
        0 => "the kernel".to_owned(),
        pid => format!("{} ({pid})", signal.sender.program),
    }
}
