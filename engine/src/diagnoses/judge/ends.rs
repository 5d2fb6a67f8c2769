//! Diagnoses of how one drain's processes took their end.

use super::facts::{Facts, sender};
use crate::{
    diagnoses,
    model::{DrainKind, Finding},
    render::units::{count, length, were},
};

/// A listener that is there for longer after T0 stayed.
const STAYED_SECS: f64 = 0.2;
/// A SIGKILL sooner after T0 is no grace period.
const GRACE_MIN_SECS: f64 = 0.5;
/// The kernel closes a killed process's listener within so long.
const DEATH_SECS: f64 = 0.05;

pub(super) fn not_accepting(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    let waited = drain
        .counts
        .accept_queue_dropped
        .max(u64::from(drain.listening.backlog));
    let opened = drain.opened_after_start;
    let stayed = drain
        .listening
        .closed_at
        .is_none_or(|at| facts.after(at) > STAYED_SECS);
    if !facts.is_stop() || !facts.is_asked() || !stayed || opened == 0 || waited < opened {
        return None;
    }
    let listener = match drain.listening.closed_at {
        Some(at) => format!("The listener closed {} only.", facts.told(at)),
        None => "The listener stayed.".to_owned(),
    };
    Some(facts.found_with_keepalive(
        &diagnoses::NOT_ACCEPTING,
        vec![
            facts.began(),
            format!(
                "{} {} established after T0, and none was accepted: {waited} waited or {} dropped.",
                count(opened, "connection"),
                were(opened),
                were(waited)
            ),
            listener,
        ],
    ))
}

pub(super) fn drain_timed_out(facts: &Facts<'_>) -> Option<Finding> {
    let killed = facts.kill()?;
    let drain = facts.drain;
    let open = drain.signs.open_at_kill.unwrap_or(drain.counts.by_exit);
    if open == 0 {
        return None;
    }
    let idle = drain.signs.open_at_kill_idle.unwrap_or(drain.idle_at_exit);
    let idle = match idle.min(open) {
        0 => String::new(),
        idle if idle == open => ", without a request since T0".to_owned(),
        idle => format!(", {idle} of them without a request since T0"),
    };
    let by = killed
        .signal
        .map(|signal| format!(", sent by {}", sender(signal)))
        .unwrap_or_default();
    Some(facts.found_with_stop(
        &diagnoses::DRAIN_TIMED_OUT,
        vec![
            facts.began(),
            format!(
                "SIGKILL came {}{by}, with {} open{idle}.",
                facts.told(killed.at),
                count(open, "connection")
            ),
        ],
    ))
}

pub(super) fn signal_ignored(facts: &Facts<'_>) -> Option<Finding> {
    let signal = facts.drain.signal.as_ref().filter(|_| facts.is_stop())?;
    let killed = facts.kill()?;
    let does = match signal.disposition.as_str() {
        "ignored" => "ignores it, or is process 1 of its container and has no handler",
        "default" => "has no handler for it and does not pass it on",
        _ => return None,
    };
    let changed = facts
        .drain
        .listening
        .closed_at
        .is_some_and(|at| facts.after(at) < facts.after(killed.at) - DEATH_SECS);
    if changed || facts.after(killed.at) < GRACE_MIN_SECS {
        return None;
    }
    Some(diagnoses::SIGNAL_IGNORED.found(vec![
        facts.began(),
        format!(
            "{} (process {}) {does}: the listener did not change until SIGKILL came {}.",
            signal.target_program,
            signal.target_pid,
            facts.told(killed.at)
        ),
    ]))
}

pub(super) fn signal_means_reload(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    let came = drain.new_processes;
    let serves = came > 0 && drain.served_by_new > 0 && drain.listening.closed_at.is_none();
    let replaced = came > 0 && drain.lived_on;
    if drain.kind != DrainKind::Stop || drain.signal.is_none() || !(replaced || serves) {
        return None;
    }
    let opened = drain.opened_after_start + drain.served_by_new;
    Some(facts.found_with_stop(
        &diagnoses::SIGNAL_MEANS_RELOAD,
        vec![
            facts.began(),
            format!(
                "{} of {} ended and {} came; the listener stayed, and {} {} accepted after T0.",
                drain.processes_ended,
                count(drain.processes, "old process"),
                count(came, "new one"),
                count(opened, "connection"),
                were(opened)
            ),
        ],
    ))
}

pub(super) fn workers_left_behind(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    let signal = drain.signal.as_ref().filter(|_| facts.is_left_behind())?;
    let opened = drain.opened_after_start;
    Some(diagnoses::WORKERS_LEFT_BEHIND.found(vec![
        facts.began(),
        format!(
            "{} (process {}) ended alone: {} and the listener stayed, and {} {} established after T0.",
            signal.target_program,
            signal.target_pid,
            count(drain.processes, "process"),
            count(opened, "connection"),
            were(opened)
        ),
    ]))
}

/// Its processes are gone and its connections are not: others hold them.
pub(super) fn sessions_live_on(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    let exit = drain.exit.as_ref().filter(|_| !drain.lived_on)?;
    let open = drain.still_open;
    if drain.ended_at.is_none() || !facts.is_stop() || open == 0 {
        return None;
    }
    Some(diagnoses::SESSIONS_LIVE_ON.found(vec![format!(
            "The last process of the listener ended {}; {} {} open in others when the drain was over ({} of them without data \
             since T0), and how they end is no part of it.",
            facts.told(exit.at),
            count(open, "connection"),
            were(open),
            drain.still_open_idle
        )]))
}

pub(super) fn old_workers_pile_up(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    if !facts.is_reload() {
        return None;
    }
    let held = match (&drain.exit, drain.ended_at) {
        (Some(exit), _) => facts.after(exit.at),
        (None, Some(_)) => return None,
        (None, None) if drain.still_open == 0 => return None,
        (None, None) => facts.after(facts.until()),
    };
    if held <= facts.options.pile_up_secs {
        return None;
    }
    let left = drain.processes.saturating_sub(drain.processes_ended);
    let evidence = if left == 0 {
        format!("The last old worker ended {} after T0.", length(held))
    } else {
        format!(
            "{} after T0 {left} of {} still {} there, with {} ({} of them without data since T0).",
            length(held),
            count(drain.processes, "old worker"),
            were(left),
            count(drain.still_open, "connection"),
            drain.still_open_idle
        )
    };
    Some(facts.found_with_stop(
        &diagnoses::OLD_WORKERS_PILE_UP,
        vec![facts.began(), evidence],
    ))
}

pub(super) fn killed_without_stop(facts: &Facts<'_>) -> Option<Finding> {
    let drain = facts.drain;
    if !matches!(drain.kind, DrainKind::Kill | DrainKind::Crash) {
        return None;
    }
    let open = drain.open_at_start.max(drain.counts.by_exit);
    let refused = facts.refused();
    if open + refused == 0 {
        return None;
    }
    let refused = match refused {
        0 => String::new(),
        _ => format!(
            ", and {} {} refused afterwards",
            count(refused, "SYN"),
            were(refused)
        ),
    };
    let exit = drain.exit.as_ref();
    let how = match (
        exit.and_then(|exit| exit.signal.as_deref()),
        exit.and_then(|exit| exit.code),
        drain.kind,
    ) {
        (Some(signal), ..) => format!("was ended by {signal}"),
        (None, Some(code), _) => format!("exited with code {code}"),
        (None, None, DrainKind::Kill) => "was ended by SIGKILL".to_owned(),
        (None, None, _) => "ended".to_owned(),
    };
    let by = drain
        .signal
        .as_ref()
        .map(|signal| format!(" (sent by {})", sender(signal)))
        .unwrap_or_default();
    Some(diagnoses::KILLED_WITHOUT_STOP.found(vec![
        format!(
            "{} {how}{by}, with no stop signal before it.",
            facts.program()
        ),
        format!(
            "{} {} open{refused}.",
            count(open, "connection"),
            were(open)
        ),
    ]))
}
