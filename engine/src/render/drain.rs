//! What there is to say of one drain, a line each. What did not happen is left out; that nothing was cut is not.

use jiff::Timestamp;

use super::{
    finding::{finding, verdict_word},
    tree::{Line, Section, Tone},
    units::{Times, after, bytes, count, cuts, parts, plain, pod, service, span_of_secs},
};
use crate::model::{
    Baseline, Counts, Cuts, Drain, EndedConnection, Meaning, Severity, SignalSeen, Verdict,
};

/// A drain with every fact and finding.
pub fn drain(drain: &Drain, times: &Times) -> Section {
    let title = title(drain.ended_at.is_some(), drain.verdict, "drain", &drain.id);
    let kind = drain.kind.as_str();
    let of = format!("  {kind} of {}", service(&drain.service));
    let mut section = Section::new(title.and(Tone::Plain, of));
    add_beginning(&mut section, drain, times);
    add_start(&mut section, drain);
    add_cut(&mut section, drain.lost());
    add_likely(&mut section, drain);
    add_small(&mut section, drain);
    add_closes(&mut section, &drain.counts);
    add_resets(&mut section, &drain.counts);
    add_losses(&mut section, drain);
    add_listening(&mut section, drain);
    add_end(&mut section, drain);
    add_baseline(&mut section, &drain.baseline);
    for example in &drain.examples {
        section.field("for example", example_line(example, drain.started_at));
    }
    add_caveats(&mut section, drain);
    section.parts = drain.findings.iter().map(finding).collect();
    section
}

/// `FAIL  drain 1a2042bfc62-1200-443`.
pub(super) fn title(is_over: bool, verdict: Verdict, what: &str, id: &str) -> Line {
    let (tone, word) = verdict_word(is_over, verdict);
    Line::default()
        .and(tone, word.to_uppercase())
        .and(Tone::Plain, format!("  {what} "))
        .and(Tone::Id, plain(id))
}

/// The headline: never left out.
pub(super) fn add_cut(section: &mut Section, cut: Cuts) {
    let verdict = if cut.total() > 0 {
        Verdict::Fail
    } else {
        Verdict::Pass
    };
    section.toned("connections cut", Tone::Verdict(verdict), cuts(cut));
}

/// A restart of finwatch in between.
pub(super) fn add_interrupted(section: &mut Section) {
    let text = "finwatch was restarted meanwhile: what happened then is missing here";
    section.toned("interrupted", Tone::Severity(Severity::Warn), text);
}

fn add_beginning(section: &mut Section, drain: &Drain, times: &Times) {
    let instance = &drain.instance;
    let mut who = format!("{}, process {}", plain(&instance.program), instance.pid);
    if drain.processes > 1 {
        who.push_str(&format!(", {} in all", count(drain.processes, "process")));
    }
    if let Some(worker) = drain.worker_pid {
        who.push_str(&format!("; only its worker {worker} ended"));
    }
    let new_workers = drain.new_processes;
    if new_workers > 0 {
        who.push_str(&format!("; {} since T0", count(new_workers, "new process")));
    }
    section.field("instance", who);
    if let Some(pod) = pod(&instance.pod) {
        section.field("pod", pod);
    }
    section.field("T0", times.exact(drain.started_at));
    match &drain.signal {
        Some(signal) => section.field("signal", signal_line(signal)),
        None => section.field("signal", "none: it ended of its own accord"),
    }
    for signal in &drain.further_signals {
        let when = after(signal.at, drain.started_at);
        section.field("then", format!("{when} {}", signal_line(signal)));
    }
}

fn signal_line(signal: &SignalSeen) -> String {
    let SignalSeen {
        name,
        target_pid,
        target_program,
        sender,
        disposition,
        ..
    } = signal;
    let from = match sender.pid {
        0 => "the kernel".to_owned(),
        pid => format!("{} (process {pid})", plain(&sender.program)),
    };
    let what = match disposition.as_str() {
        "" => String::new(),
        "handled" => ", which handles it".to_owned(),
        "ignored" => ", which ignores it".to_owned(),
        "blocked" => ", which blocks it".to_owned(),
        "default" => ", which does not handle it".to_owned(),
        other => format!(", {}", plain(other)),
    };
    format!(
        "{} from {from} to {} (process {target_pid}){what}",
        plain(name),
        plain(target_program)
    )
}

fn add_start(section: &mut Section, drain: &Drain) {
    let owed = match drain.awaiting_at_start {
        Some(owed) => format!("{owed} owed an answer"),
        None => "how many owed an answer is not known".to_owned(),
    };
    let open = count(drain.open_at_start, "connection");
    section.field("open at T0", format!("{open}, {owed}"));
    if drain.asked_after_start > 0 {
        let asked = count(drain.asked_after_start, "connection");
        section.field("asked after T0", format!("{asked} carried requests"));
    }
    if drain.opened_after_start > 0 {
        let last = drain.last_opened_at.map_or_else(String::new, |at| {
            format!(", the last {}", after(at, drain.started_at))
        });
        let opened = count(drain.opened_after_start, "connection");
        section.field("opened after T0", format!("{opened}{last}"));
    }
    if drain.own_calls > 0 {
        let calls = count(drain.own_calls, "connection");
        let text = format!("{calls} of the server to itself, without a byte; not counted");
        section.field("own calls", text);
    }
}

fn add_likely(section: &mut Section, drain: &Drain) {
    let likely = drain.likely_cut;
    if likely > 0 {
        let connections = count(likely, "connection");
        let text = format!(
            "{connections} more, ended with hardly a byte written since they owed an answer (behind HTTP/2's GOAWAY or a WebSocket's close frame)"
        );
        section.field("likely cut", text);
    }
}

/// What the counters do not count as cut, as a connection alone does not tell.
fn add_small(section: &mut Section, drain: &Drain) {
    let small = drain.counts.small;
    if small.open() > 0 && !drain.turns_not_judged {
        let meaning = match drain.small_means() {
            Meaning::Questions => "lost, as such requests get answers here",
            Meaning::Goodbyes => "goodbyes, as in its ordinary time",
            Meaning::Unknown => "not known whether these were requests",
        };
        let fates = parts(&[
            (small.left, "left without an answer"),
            (small.late, "sent after our FIN"),
        ]);
        section.field("under 18 bytes", format!("{fates}: {meaning}"));
    }
    if drain.counts.rest_or_request > 0 {
        let connections = count(drain.counts.rest_or_request, "connection");
        let text = format!("{connections}, lost behind an answer: its rest, or another request");
        section.field("rest or request", text);
    }
}

fn add_closes(section: &mut Section, counts: &Counts) {
    if counts.closes() == 0 {
        return;
    }
    let by_origin = parts(&[
        (counts.local_first, "by this side first"),
        (counts.remote_first, "by the peer first"),
        (counts.both_first, "by both at once"),
        (counts.no_fin, "without a FIN"),
    ]);
    section.field("closed", format!("{}: {by_origin}", counts.closes()));
    let by_outcome = parts(&[
        (counts.fin, "cleanly"),
        (counts.reset_sent, "by an RST from here"),
        (counts.reset_received, "by an RST of the peer"),
        (counts.timeout, "as nobody answered"),
        (counts.unknown_outcome, "unseen"),
    ]);
    section.field("ended", by_outcome);
    let left = parts(&[
        (counts.time_wait, "TIME_WAIT"),
        (counts.fin_wait2, "FIN_WAIT2"),
    ]);
    if !left.is_empty() {
        section.field("left here", left);
    }
}

fn add_resets(section: &mut Section, counts: &Counts) {
    for resets in counts.resets_sent.iter() {
        let total = resets.nothing + resets.goodbye + resets.data;
        if total == 0 {
            continue;
        }
        let lost = parts(&[
            (resets.data, "threw data away"),
            (resets.goodbye, "only a goodbye"),
            (resets.nothing, "nothing"),
        ]);
        let reason = plain(&resets.reason);
        section.field("RSTs sent", format!("{total} {reason}: {lost}"));
    }
}

fn add_losses(section: &mut Section, drain: &Drain) {
    let counts = &drain.counts;
    let unanswered = counts.unanswered;
    let total = unanswered.silent + unanswered.alert + unanswered.small;
    if total > 0 {
        let evidence = parts(&[
            (unanswered.silent, "with not a byte written"),
            (unanswered.alert, "with only a TLS alert"),
            (unanswered.small, "of a request under 18 bytes"),
        ]);
        section.field("unanswered", format!("{total}: {evidence}"));
    }
    let mut sized = |label: &str, connections: u64, size: u64| {
        if connections > 0 {
            let connections = count(connections, "connection");
            section.field(label, format!("{connections}, {}", bytes(size)));
        }
    };
    sized("never read", counts.unread, counts.unread_bytes);
    sized("unacknowledged", counts.unacked, counts.unacked_bytes);
    if counts.by_exit > 0 {
        let sending = match counts.by_exit_while_sending {
            0 => String::new(),
            sending => format!(", {sending} while data was on its way"),
        };
        let died = count(counts.by_exit, "connection");
        let idle = match drain.idle_at_exit {
            0 => String::new(),
            idle => format!(", {idle} idle since T0"),
        };
        section.field("ended by death", format!("{died}{sending}{idle}"));
    }
    if counts.abandoned > 0 {
        let gone = count(counts.abandoned, "client");
        section.field("gave up", format!("{gone} left before the answer"));
    }
    if counts.refused > 0 {
        let refused = count(counts.refused, "SYN");
        section.field("refused", format!("{refused}, as nobody listened"));
    }
    if counts.accept_queue_dropped > 0 {
        let dropped = count(counts.accept_queue_dropped, "connection");
        let text = format!("{dropped} established, never accepted, dropped with the listener");
        section.field("accept queue", text);
    }
}

fn add_listening(section: &mut Section, drain: &Drain) {
    let listening = &drain.listening;
    if let Some(closed) = listening.closed_at {
        let mut text = format!("closed {}", after(closed, drain.started_at));
        if listening.closed_by_exit {
            text.push_str(" by the process's death");
        }
        if listening.taken_over {
            text.push_str("; somebody else listened");
        }
        section.field("listener", text);
    }
    if listening.backlog > 0 {
        let waited = count(listening.backlog.into(), "connection");
        section.field("backlog", format!("{waited} waited to be accepted"));
    }
    let waited = &drain.waited;
    if waited.long > 0 {
        let long = count(waited.long, "client");
        let longest = span_of_secs(waited.longest_secs);
        let unserved = match waited.unserved {
            0 => String::new(),
            unserved => format!(", {unserved} in vain"),
        };
        let text = format!("{long} for a second or more, the longest {longest} at least{unserved}");
        section.field("waited", text);
    }
}

fn add_end(section: &mut Section, drain: &Drain) {
    if let Some(last) = drain.last_close_at {
        section.field("last close", after(last, drain.started_at));
    }
    if let Some(exit) = &drain.exit {
        let how = match (&exit.signal, exit.code) {
            (Some(signal), _) => format!("killed by {}", plain(signal)),
            (None, Some(code)) => format!("with code {code}"),
            (None, None) => "unseen".to_owned(),
        };
        section.field(
            "exit",
            format!("{}, {how}", after(exit.at, drain.started_at)),
        );
    }
    if drain.lived_on {
        let text = match drain.new_processes {
            0 => "only the process that was told ended, the others go on listening",
            _ => "the old workers went, and it goes on listening with new ones",
        };
        section.field("lived on", text);
    }
    if drain.processes_ended < drain.processes {
        let of = count(drain.processes, "process");
        section.field("ended so far", format!("{} of {of}", drain.processes_ended));
    }
    if drain.still_open > 0 {
        let idle = match drain.still_open_idle {
            0 => String::new(),
            idle => format!(", {idle} of them idle since T0"),
        };
        section.field(
            "still open",
            format!("{}{idle}", count(drain.still_open, "connection")),
        );
    }
}

fn add_baseline(section: &mut Section, baseline: &Baseline) {
    let Baseline {
        window_secs,
        counts,
    } = baseline;
    if *window_secs <= 0.0 {
        section.field("before", "nothing is known of its ordinary minutes");
        return;
    }
    let told = parts(&[
        (counts.opened, "opened"),
        (counts.closes(), "closed"),
        (counts.local_first, "of them by this side first"),
        (counts.time_wait + counts.fin_wait2, "TIME_WAIT"),
        (counts.resets(), "RSTs sent"),
        (counts.cut.total(), "cut"),
    ]);
    let told = if told.is_empty() {
        "nothing".to_owned()
    } else {
        told
    };
    section.field(
        "before",
        format!("in {}: {told}", span_of_secs(*window_secs)),
    );
}

fn example_line(example: &EndedConnection, start: Timestamp) -> String {
    let EndedConnection {
        peer,
        opened_at: _,
        ended_at,
        closed_by_pid,
        cut,
        asked_bytes,
        unread_bytes,
        origin: _,
        outcome,
    } = example;
    let mut text = format!("{} {}", plain(peer), after(*ended_at, start));
    if !cut.is_empty() {
        text.push_str(&format!(", {}", plain(cut)));
    }
    if *asked_bytes > 0 {
        text.push_str(&format!(", {} asked", bytes((*asked_bytes).into())));
    }
    if *unread_bytes > 0 {
        text.push_str(&format!(", {} never read", bytes((*unread_bytes).into())));
    }
    text.push_str(&format!(", {}", plain(outcome)));
    if *closed_by_pid > 0 {
        text.push_str(&format!(" by process {closed_by_pid}"));
    }
    text
}

fn add_caveats(section: &mut Section, drain: &Drain) {
    if drain.interrupted {
        add_interrupted(section);
    }
    if drain.records_lost > 0 {
        let lost = count(drain.records_lost, "record");
        let text = format!("{lost}: these numbers may be too small");
        section.toned("lost", Tone::Severity(Severity::Warn), text);
    }
    if drain.turns_not_judged {
        let text = "a stream or one-way protocol, as configured: nobody waits for an answer";
        section.field("not judged", text);
    }
}
