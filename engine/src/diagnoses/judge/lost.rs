//! Diagnoses of one drain on which clients lost something: what is counted, set beside what was in flight.

use super::facts::Facts;
use crate::{
    diagnoses::{self, Diagnosis},
    model::{Basis, Cuts, Drain, Finding, Meaning, Severity, Shape},
    render::units::{count, were},
};

/// What to do for those whom nobody answers.
const UNHEARD: &str = "A sender that nobody answers learns of its loss too late, if ever: let the senders leave before the stop, have the next one take the listening socket over, or use a protocol that acknowledges.";

pub(super) fn requests_cut(facts: &Facts<'_>) -> Option<Finding> {
    let Cuts {
        unanswered,
        unread,
        late,
    } = facts.drain.lost();
    let cut = unanswered + unread + late;
    let severity = match cut {
        0 => Severity::Warn,
        _ => Severity::Fail,
    };
    let likely = match facts.judges_turns() {
        true => facts.drain.likely_cut,
        false => 0,
    };
    if cut + likely == 0 {
        return None;
    }
    let mut causes = Vec::new();
    for (number, what) in [
        (unanswered, "read and not answered"),
        (unread, "received and never read"),
        (late, sent_late(facts)),
    ] {
        if number > 0 {
            causes.push(format!("{number} {what}"));
        }
    }
    let mut evidence = vec![facts.began()];
    let what = facts.lost_kind();
    if cut > 0 {
        evidence.push(format!(
            "{} {} lost on {}: {}.",
            count(cut, what),
            were(cut),
            match cut {
                1 => "1 connection".to_owned(),
                _ => "as many connections".to_owned(),
            },
            causes.join(", ")
        ));
    }
    evidence.extend(small(facts));
    evidence.push(in_flight(facts));
    if likely > 0 {
        evidence.push(format!(
            "On {}{} a request was likely lost: an answer was owed at T0, and nothing came but a goodbye (a GOAWAY, a \
             WebSocket's close frame, an alert).",
            count(likely, "connection"),
            if cut > 0 { " more" } else { "" }
        ));
    }
    if let Some(shape) = shape(facts) {
        evidence.push(shape);
    }
    evidence.extend(facts.examples(""));
    let diagnosis = Diagnosis {
        remedy: match facts.judges_turns() {
            true => diagnoses::REQUESTS_CUT.remedy,
            false => UNHEARD,
        },
        ..diagnoses::REQUESTS_CUT
    };
    let mut finding = facts.found_with_stop(&diagnosis, evidence);
    // What crossed a close() was lost by how it lets connections go, not by how long it was given.
    let crossed = unread + late > unanswered && facts.drain.counts.by_exit == 0;
    if crossed && facts.judges_turns() {
        let race = facts.found_with_keepalive(&diagnoses::KEEPALIVE_RACE, Vec::new());
        finding.remedy = race.remedy;
    }
    finding.severity = severity;
    Some(finding)
}

/// Why requests count that may have been control frames or goodbyes, where they do.
fn small(facts: &Facts<'_>) -> Option<String> {
    let Drain {
        counts,
        small_before: ordinary,
        ..
    } = facts.drain;
    let lost = counts.small.open();
    if lost == 0 || !facts.judges_turns() || facts.drain.small_means() != Meaning::Questions {
        return None;
    }
    Some(format!(
        "{lost} of these had under 18 bytes. Elsewhere that may be a goodbye; here it is a request: such were answered on {} of its \
         ordinary time and {} since, and were left on {}.",
        count(ordinary.answered, "connection"),
        counts.small.answered,
        match ordinary.open() {
            0 => "none".to_owned(),
            open => open.to_string(),
        }
    ))
}

/// Why a request without an answer is not told, where it is not.
pub(super) fn shape(facts: &Facts<'_>) -> Option<String> {
    let Shape {
        kind,
        basis,
        connections,
    } = facts.drain.shape;
    let known = match basis {
        _ if facts.judges_turns() => return None,
        Basis::Configured => "as the port is marked so".to_owned(),
        Basis::Program => "as the program's protocol says".to_owned(),
        Basis::Learned => format!(
            "as {} of its ordinary time show",
            count(connections, "connection")
        ),
        Basis::Guessed => format!(
            "guessed of {} of this drain",
            count(connections, "connection")
        ),
        Basis::Unknown => "as it was when it was kept".to_owned(),
    };
    Some(format!(
        "Nobody waits for answers here ({kind}, {known}): only what nobody read is lost."
    ))
}

fn in_flight(facts: &Facts<'_>) -> String {
    let open = facts.drain.open_at_start;
    let opened = format!("At T0 {} {} open", count(open, "connection"), were(open));
    match facts.drain.awaiting_at_start {
        _ if !facts.judges_turns() => format!("{opened}."),
        Some(awaiting) => format!("{opened}, and {awaiting} of these owed an answer."),
        None => format!("{opened}; how many owed an answer is not known."),
    }
}

fn sent_late(facts: &Facts<'_>) -> &'static str {
    match was_reset(facts) {
        true => "sent after our FIN and reset",
        false => "sent after our FIN",
    }
}

/// Whether an RST answered each request that came late: a server that lingers takes it in and throws it away instead.
fn was_reset(facts: &Facts<'_>) -> bool {
    let counts = &facts.drain.counts;
    let resets: u64 = counts.resets_sent.iter().map(|resets| resets.data).sum();
    resets >= counts.cut.late
}

pub(super) fn response_truncated(facts: &Facts<'_>) -> Option<Finding> {
    // The counts cannot tell: ends by the peer's doing, alerts and GOAWAYs leave unacknowledged data too.
    let truncated = facts.drain.signs.truncated;
    let unacked_bytes = facts.drain.counts.unacked_bytes;
    (truncated > 0).then(|| {
        diagnoses::RESPONSE_TRUNCATED.found(vec![
            facts.began(),
            format!(
                "{} {} reset by this side with sent data that was never acknowledged ({} over all ends).",
                count(truncated, "connection"),
                were(truncated),
                count(unacked_bytes, "byte")
            ),
        ])
    })
}

pub(super) fn keepalive_race(facts: &Facts<'_>) -> Option<Finding> {
    let late = facts.drain.lost().late;
    if late == 0 || !facts.judges_turns() {
        return None;
    }
    let mut evidence = vec![
        facts.began(),
        format!(
            "On {} this side sent its FIN first, and a request came after it{}.",
            count(late, "connection"),
            if was_reset(facts) {
                " and was reset"
            } else {
                ""
            }
        ),
        format!(
            "{} of the {} after T0 {} begun by this side.",
            facts.ours(),
            count(facts.drain.counts.closes(), "close"),
            were(facts.ours())
        ),
    ];
    let reasons: Vec<_> = facts
        .drain
        .counts
        .resets_sent
        .iter()
        .filter(|resets| resets.data > 0)
        .map(|resets| format!("{} for {}", resets.data, resets.reason))
        .collect();
    if !reasons.is_empty() {
        evidence.push(format!(
            "RSTs that threw data away: {}.",
            reasons.join(", ")
        ));
    }
    evidence.extend(facts.examples("late"));
    Some(facts.found_with_keepalive(&diagnoses::KEEPALIVE_RACE, evidence))
}

pub(super) fn died_serving(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    let counts = &drain.counts;
    let (by_exit, sending) = (counts.by_exit, counts.by_exit_while_sending);
    // Every cut that the closes other than by death cannot account for was by death.
    let alive = counts.closes().saturating_sub(by_exit);
    let at_least = (counts.cut.unanswered + counts.cut.unread).saturating_sub(alive);
    let cut = drain.signs.by_exit_cut.max(at_least.min(by_exit));
    let truncated = drain.signs.by_exit_truncated;
    // Who ends by itself may have said all it had to say, however long that took.
    let answering = match facts.was_killed() {
        true => drain.signs.by_exit_answering,
        false => 0,
    };
    let lost = cut.max(truncated).max(answering);
    if lost + sending == 0 || !facts.judges_turns() {
        return None;
    }
    let mut on: Vec<String> = [
        (cut, "a request was lost"),
        (truncated, "sent data was never acknowledged"),
        (
            answering,
            "an answer was being sent, and had been for a second and more",
        ),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| format!("on {number} of them {what}"))
    .collect();
    if lost == 0 {
        on.push(format!(
            "on {sending} data had been sent within the second before, as with answers that are complete"
        ));
    }
    let mut evidence = vec![
        facts.began(),
        format!(
            "{} ended as the process died, not by close(): {}.",
            count(by_exit.max(lost).max(sending), "connection"),
            on.join("; ")
        ),
    ];
    if let Some(exit) = &drain.exit {
        let how = match (&exit.signal, exit.code) {
            (Some(signal), _) => format!("by {signal}"),
            (None, Some(code)) => format!("with code {code}"),
            (None, None) => "in a way not known".to_owned(),
        };
        evidence.push(format!(
            "The last old process ended {}, {how}.",
            facts.told(exit.at)
        ));
    }
    let mut finding = facts.found_with_stop(&diagnoses::DIED_SERVING, evidence);
    if lost == 0 {
        // Every server that ends after its last answer looks so.
        finding.severity = Severity::Info;
        finding.remedy.clear();
    }
    Some(finding)
}

/// One process of several ended by itself: no signal asked for it.
pub(super) fn worker_recycled(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    let code = drain.exit.as_ref()?.code?;
    let others_go_on = drain.worker_pid.is_some() || drain.listening.taken_over;
    if drain.signal.is_some() || !others_go_on || !drain.further_signals.is_empty() {
        return None;
    }
    let cut = drain.counts.cut.total();
    let mut finding = facts.found_with_stop(
        &diagnoses::WORKER_RECYCLED,
        vec![
            format!(
                "{} exited with code {code} and with no signal, and others went on listening.",
                facts.program()
            ),
            format!(
                "{} ended with it; on {} a request was lost.",
                count(drain.counts.closes(), "connection"),
                match cut {
                    0 => "none".to_owned(),
                    _ => cut.to_string(),
                }
            ),
        ],
    );
    if cut == 0 {
        finding.severity = Severity::Info;
        finding.remedy.clear();
    }
    Some(finding)
}

pub(super) fn listener_closed_early(facts: &Facts<'_>) -> Option<Finding> {
    let refused = facts.drain.signs.refused_while_running;
    if refused == 0 {
        return None;
    }
    let mut evidence = vec![facts.began()];
    if let Some(closed_at) = facts.drain.listening.closed_at {
        let ended = match &facts.drain.exit {
            Some(exit) => format!("the last old process ended {}", facts.told(exit.at)),
            None => "a process of it still runs".to_owned(),
        };
        evidence.push(format!(
            "The last listener closed {}; {ended}.",
            facts.told(closed_at)
        ));
    } else {
        evidence.push("The listener closed, and was opened anew.".to_owned());
    }
    evidence.push(format!(
        "{} {} refused in between.",
        count(refused, "SYN"),
        were(refused)
    ));
    Some(diagnoses::LISTENER_CLOSED_EARLY.found(evidence))
}

pub(super) fn accept_queue_dropped(facts: &Facts<'_>) -> Option<Finding> {
    let dropped = facts.drain.counts.accept_queue_dropped;
    if dropped == 0 {
        return None;
    }
    let mut evidence = vec![
        facts.began(),
        format!(
            "{} {} established, never accepted, and reset with the listener.",
            count(dropped, "connection"),
            were(dropped)
        ),
    ];
    if let Some(closed_at) = facts.drain.listening.closed_at {
        evidence.push(format!("The listener closed {}.", facts.told(closed_at)));
    }
    Some(facts.found_with_keepalive(&diagnoses::ACCEPT_QUEUE_DROPPED, evidence))
}
