//! What there is to say of one drain, a line each. What did not happen is left out; that nothing was cut is not.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use super::{
    layout::Node,
    words::{Words, after, bytes, count, cuts, parts, plain, secs},
};
use finwatch_engine::model::{
    Baseline, Counts, Cuts, Drain, EndedConnection, Finding, Severity, SignalSeen,
};

/// Every fact of a drain, under its node.
pub(super) fn add_drain(node: &mut Node, drain: &Drain, words: &Words) {
    add_beginning(node, drain, words);
    add_start(node, drain);
    add_cut(node, drain.counts.cut);
    add_likely(node, drain);
    add_closes(node, &drain.counts);
    add_resets(node, &drain.counts);
    add_losses(node, drain);
    add_listening(node, drain);
    add_end(node, drain);
    add_baseline(node, &drain.baseline);
    for example in &drain.examples {
        node.fact("for example", example_line(example, drain.started_at));
    }
    add_caveats(node, drain);
}

/// The headline: never left out.
pub(super) fn add_cut(node: &mut Node, cut: Cuts) {
    let colour = if cut.total() > 0 {
        AnsiColor::Red
    } else {
        AnsiColor::Green
    };
    let style = Style::new().fg_color(Some(colour.into())).bold();
    node.styled("connections cut", cuts(cut), style);
}

/// A finding: its name, what was seen, what to do.
pub(super) fn finding(finding: &Finding) -> Node {
    let Finding {
        diagnosis,
        severity,
        evidence,
        remedy,
    } = finding;
    let style = severity_style(*severity);
    let word = severity.as_str();
    let mut node = Node::new(format!("{style}{word}{style:#}  {}", plain(diagnosis)));
    for line in evidence {
        node.fact("", plain(line));
    }
    if !remedy.is_empty() {
        node.styled(
            "",
            format!("remedy: {}", plain(remedy)),
            Style::new().italic(),
        );
    }
    node
}

pub(super) fn severity_style(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Pass => AnsiColor::Green,
        Severity::Info => AnsiColor::Blue,
        Severity::Warn => AnsiColor::Yellow,
        Severity::Fail => AnsiColor::Red,
    };
    Style::new().fg_color(Some(colour.into()))
}

fn add_beginning(node: &mut Node, drain: &Drain, words: &Words) {
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
    node.fact("instance", who);
    node.fact("T0", words.full_time(drain.started_at));
    match &drain.signal {
        Some(signal) => node.fact("signal", signal_line(signal)),
        None => node.fact("signal", "none: it ended of its own accord"),
    }
    for signal in &drain.further_signals {
        let when = after(signal.at, drain.started_at);
        node.fact("then", format!("{when} {}", signal_line(signal)));
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

fn add_start(node: &mut Node, drain: &Drain) {
    let owed = match drain.awaiting_at_start {
        Some(owed) => format!("{owed} owed an answer"),
        None => "how many owed an answer is not known".to_owned(),
    };
    let open = count(drain.open_at_start, "connection");
    node.fact("open at T0", format!("{open}, {owed}"));
    if drain.asked_after_start > 0 {
        let asked = count(drain.asked_after_start, "connection");
        node.fact("asked after T0", format!("{asked} carried requests"));
    }
    if drain.opened_after_start > 0 {
        let last = drain.last_opened_at.map_or_else(String::new, |at| {
            format!(", the last {}", after(at, drain.started_at))
        });
        let opened = count(drain.opened_after_start, "connection");
        node.fact("opened after T0", format!("{opened}{last}"));
    }
    if drain.own_calls > 0 {
        let calls = count(drain.own_calls, "connection");
        let text = format!("{calls} of the server to itself, without a byte; not counted");
        node.fact("own calls", text);
    }
}

fn add_likely(node: &mut Node, drain: &Drain) {
    let likely = drain.likely_cut;
    if likely > 0 {
        let connections = count(likely, "connection");
        let text = format!(
            "{connections} more, ended with hardly a byte written since they owed an answer (HTTP/2 behind a GOAWAY)"
        );
        node.fact("likely cut", text);
    }
}

fn add_closes(node: &mut Node, counts: &Counts) {
    if counts.closes() == 0 {
        return;
    }
    let by_origin = parts(&[
        (counts.local_first, "by this side first"),
        (counts.remote_first, "by the peer first"),
        (counts.both_first, "by both at once"),
        (counts.no_fin, "without a FIN"),
    ]);
    node.fact("closed", format!("{}: {by_origin}", counts.closes()));
    let by_outcome = parts(&[
        (counts.fin, "cleanly"),
        (counts.reset_sent, "by an RST from here"),
        (counts.reset_received, "by an RST of the peer"),
        (counts.timeout, "as nobody answered"),
        (counts.unknown_outcome, "unseen"),
    ]);
    node.fact("ended", by_outcome);
    let left = parts(&[
        (counts.time_wait, "TIME_WAIT"),
        (counts.fin_wait2, "FIN_WAIT2"),
    ]);
    if !left.is_empty() {
        node.fact("left here", left);
    }
}

fn add_resets(node: &mut Node, counts: &Counts) {
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
        node.fact("RSTs sent", format!("{total} {reason}: {lost}"));
    }
}

fn add_losses(node: &mut Node, drain: &Drain) {
    let counts = &drain.counts;
    let unanswered = counts.unanswered;
    let total = unanswered.silent + unanswered.alert + unanswered.small;
    if total > 0 {
        let evidence = parts(&[
            (unanswered.silent, "with not a byte written"),
            (unanswered.alert, "with only a TLS alert"),
            (unanswered.small, "of a request under 18 bytes"),
        ]);
        node.fact("unanswered", format!("{total}: {evidence}"));
    }
    let mut sized = |label: &str, connections: u64, size: u64| {
        if connections > 0 {
            let connections = count(connections, "connection");
            node.fact(label, format!("{connections}, {}", bytes(size)));
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
        node.fact("ended by death", format!("{died}{sending}{idle}"));
    }
    if counts.abandoned > 0 {
        let gone = count(counts.abandoned, "client");
        node.fact("gave up", format!("{gone} left before the answer"));
    }
    if counts.refused > 0 {
        let refused = count(counts.refused, "SYN");
        node.fact("refused", format!("{refused}, as nobody listened"));
    }
    if counts.accept_queue_dropped > 0 {
        let dropped = count(counts.accept_queue_dropped, "connection");
        let text = format!("{dropped} established, never accepted, dropped with the listener");
        node.fact("accept queue", text);
    }
}

fn add_listening(node: &mut Node, drain: &Drain) {
    let listening = &drain.listening;
    if let Some(closed) = listening.closed_at {
        let mut text = format!("closed {}", after(closed, drain.started_at));
        if listening.closed_by_exit {
            text.push_str(" by the process's death");
        }
        if listening.taken_over {
            text.push_str("; somebody else listened");
        }
        node.fact("listener", text);
    }
    if listening.backlog > 0 {
        let waited = count(listening.backlog.into(), "connection");
        node.fact("backlog", format!("{waited} waited to be accepted"));
    }
}

fn add_end(node: &mut Node, drain: &Drain) {
    if let Some(last) = drain.last_close_at {
        node.fact("last close", after(last, drain.started_at));
    }
    if let Some(exit) = &drain.exit {
        let how = match (&exit.signal, exit.code) {
            (Some(signal), _) => format!("killed by {}", plain(signal)),
            (None, Some(code)) => format!("with code {code}"),
            (None, None) => "unseen".to_owned(),
        };
        node.fact(
            "exit",
            format!("{}, {how}", after(exit.at, drain.started_at)),
        );
    }
    if drain.lived_on {
        let text = match drain.new_processes {
            0 => "only the process that was told ended, the others go on listening",
            _ => "the old workers went, and it goes on listening with new ones",
        };
        node.fact("lived on", text);
    }
    if drain.processes_ended < drain.processes {
        let of = count(drain.processes, "process");
        node.fact("ended so far", format!("{} of {of}", drain.processes_ended));
    }
    if drain.still_open > 0 {
        let idle = match drain.still_open_idle {
            0 => String::new(),
            idle => format!(", {idle} of them idle since T0"),
        };
        node.fact(
            "still open",
            format!("{}{idle}", count(drain.still_open, "connection")),
        );
    }
}

fn add_baseline(node: &mut Node, baseline: &Baseline) {
    let Baseline {
        window_secs,
        counts,
    } = baseline;
    if *window_secs <= 0.0 {
        node.fact("before", "nothing is known of its ordinary minutes");
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
    node.fact("before", format!("in {}: {told}", secs(*window_secs)));
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

fn add_caveats(node: &mut Node, drain: &Drain) {
    let style = Style::new().fg_color(Some(AnsiColor::Yellow.into()));
    if drain.interrupted {
        let text = "finwatch was restarted meanwhile: what happened then is missing here";
        node.styled("interrupted", text, style);
    }
    if drain.records_lost > 0 {
        let lost = count(drain.records_lost, "record");
        node.styled(
            "lost",
            format!("{lost}: these numbers may be too small"),
            style,
        );
    }
    if drain.turns_not_judged {
        let text = "a stream or one-way protocol, as configured: nobody waits for an answer";
        node.fact("not judged", text);
    }
}
