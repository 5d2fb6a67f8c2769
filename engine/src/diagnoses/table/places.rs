//! The place of each diagnosis in a report: why it happened stands before what was lost, that before what it cost, and
//! what is only worth knowing comes last. It tells of how many connections a finding is, and how a headline says it.

use super::{
    ACCEPT_QUEUE_DROPPED, ACCEPTS_AFTER_SIGNAL, CLEAN_DRAIN, CLIENTS_GAVE_UP, CLIENTS_WAITED,
    CLOSE_WAIT_LEAK, DIED_SERVING, DRAIN_TIMED_OUT, DROPPED_BY_SERVER, Diagnosis,
    EARLY_ANSWER_RESET, EXITED_TOO_EARLY, FAST_STOP_SIGNAL, HELD_BY_IDLE_CONNECTIONS,
    IDLE_TIMEOUT_RACE, KEEPALIVE_RACE, KILLED_WITHOUT_STOP, LISTENER_CLOSED_EARLY, LISTENER_GAP,
    NOT_ACCEPTING, OLD_WORKERS_PILE_UP, REQUESTS_CUT, REQUESTS_KEEP_COMING, RESPONSE_TRUNCATED,
    SERVER_HANGS_UP_FIRST, SESSIONS_LIVE_ON, SIGNAL_IGNORED, SIGNAL_MEANS_RELOAD, TIME_WAIT_BURST,
    TLS_GOODBYE_RESETS, TOO_LITTLE_SEEN, TRAFFIC_BEFORE_READY, UPSTREAM_CLOSED_EARLY,
    WORKER_RECYCLED, WORKERS_LEFT_BEHIND,
};
use crate::model::{Drain, Severity};

/// What a diagnosis is to the story that a report tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Why it happened: others follow from it.
    Cause,
    /// What clients lost.
    Loss,
    /// Why there is no verdict.
    Doubt,
    /// What it cost, with nothing lost.
    Cost,
    /// What is worth knowing.
    Note,
}

/// Where a diagnosis stands in a report, and how it is told in short.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Which.
    pub diagnosis: &'static Diagnosis,
    /// What it is to the story, where it is as grave as its diagnosis says.
    pub part: Part,
    /// What happened, as the end of a headline.
    pub says: &'static str,
    /// Of how many of a drain's connections it tells; 0 where it tells of none.
    pub connections: fn(&Drain) -> u64,
    /// Causes of the cut connections that are examples of it (see `EndedConnection`).
    pub examples: &'static [&'static str],
}

/// Every diagnosis, in the order of a report.
pub const PLACES: &[Place] = &[
    cause(
        &SIGNAL_IGNORED,
        "nobody took the stop signal until SIGKILL",
        |drain| drain.open_at_start.max(drain.counts.cut.total()),
    ),
    cause(
        &SIGNAL_MEANS_RELOAD,
        "the stop signal made it start anew",
        |drain| drain.opened_after_start + drain.served_by_new,
    ),
    cause(
        &WORKERS_LEFT_BEHIND,
        "the stop signal ended its supervisor alone",
        |drain| drain.opened_after_start,
    ),
    cause(
        &FAST_STOP_SIGNAL,
        "it was sent the signal that stops it at once",
        |drain| {
            let cut = drain.counts.cut;
            let in_flight = drain.awaiting_at_start.unwrap_or(0);
            in_flight.max(cut.unanswered + cut.unread)
        },
    ),
    cause(
        &KILLED_WITHOUT_STOP,
        "it ended without being told to stop",
        |drain| drain.open_at_start.max(drain.counts.by_exit),
    ),
    cause(
        &WORKER_RECYCLED,
        "one of its processes ended by itself",
        |drain| drain.counts.by_exit.max(drain.counts.cut.total()),
    )
    .with(&["unanswered", "unread", "late"]),
    cause(
        &IDLE_TIMEOUT_RACE,
        "requests crossed the close of idle connections",
        none,
    )
    .with(&["late"]),
    cause(
        &DROPPED_BY_SERVER,
        "the server itself closed them, unanswered",
        none,
    )
    .with(&["unanswered", "unread"]),
    cause(
        &DRAIN_TIMED_OUT,
        "its time to finish ran out, and SIGKILL came",
        |drain| {
            let open = drain.signs.open_at_kill;
            open.unwrap_or(drain.counts.by_exit)
        },
    ),
    cause(
        &NOT_ACCEPTING,
        "it kept listening and accepted nobody",
        |drain| drain.opened_after_start,
    ),
    loss(
        &DIED_SERVING,
        "the process ended with requests in its hands",
        |drain| drain.counts.by_exit,
    )
    .with(&["unanswered", "unread"]),
    loss(
        &KEEPALIVE_RACE,
        "requests crossed the server's close",
        |drain| drain.lost().late,
    )
    .with(&["late"]),
    loss(
        &ACCEPT_QUEUE_DROPPED,
        "clients were reset before they were accepted",
        |drain| drain.counts.accept_queue_dropped,
    ),
    loss(&REQUESTS_CUT, "requests were not answered", |drain| {
        drain.lost().total().max(drain.likely_cut)
    })
    .with(&["unanswered", "unread", "late"]),
    loss(
        &RESPONSE_TRUNCATED,
        "answers were reset before they had arrived",
        |drain| drain.signs.truncated,
    ),
    loss(
        &LISTENER_CLOSED_EARLY,
        "it stopped listening while clients still came",
        |drain| drain.signs.refused_while_running,
    ),
    loss(&LISTENER_GAP, "nobody listened between old and new", none),
    loss(
        &TRAFFIC_BEFORE_READY,
        "clients came before the new server listened",
        none,
    ),
    loss(
        &UPSTREAM_CLOSED_EARLY,
        "an upstream hung up with our requests unanswered",
        none,
    ),
    place(
        &TOO_LITTLE_SEEN,
        Part::Doubt,
        "too little was seen to tell",
        none,
    ),
    cost(
        &EXITED_TOO_EARLY,
        "it was gone before clients were sent elsewhere",
        |drain| {
            let refused = drain.counts.refused;
            let refused = refused.max(drain.signs.refused_while_running);
            // Who came after T0 may be one of those that asked too late.
            drain.opened_after_start.max(drain.counts.cut.late) + refused
        },
    ),
    cost(
        &CLIENTS_GAVE_UP,
        "more clients than usual left before their answer",
        |drain| drain.counts.abandoned,
    ),
    cost(
        &CLIENTS_WAITED,
        "clients hung until somebody took them up",
        |drain| drain.waited.long,
    ),
    cost(
        &ACCEPTS_AFTER_SIGNAL,
        "clients were still sent to it after the signal",
        |drain| drain.opened_after_start,
    ),
    cost(
        &REQUESTS_KEEP_COMING,
        "nobody told clients to leave",
        |drain| drain.asked_after_start,
    ),
    cost(
        &HELD_BY_IDLE_CONNECTIONS,
        "idle connections held its end up",
        |drain| {
            let at_kill = drain.signs.open_at_kill_idle;
            at_kill.unwrap_or(drain.idle_at_exit.max(drain.still_open_idle))
        },
    ),
    cost(
        &EARLY_ANSWER_RESET,
        "answers came before uploads were read, with an RST",
        |drain| drain.counts.early_answers + drain.counts.rest_or_request,
    ),
    cost(&OLD_WORKERS_PILE_UP, "old workers do not end", |drain| {
        drain.still_open
    }),
    cost(&TIME_WAIT_BURST, "TIME_WAIT piled up here", |drain| {
        drain.counts.time_wait + drain.counts.fin_wait2
    }),
    cost(&CLOSE_WAIT_LEAK, "closed connections are not let go", none),
    note(
        &SERVER_HANGS_UP_FIRST,
        "the server hung up first",
        |drain| drain.counts.local_first,
    ),
    note(
        &TLS_GOODBYE_RESETS,
        "RSTs threw only goodbyes away",
        |drain| {
            let resets = drain.counts.resets_sent.iter();
            resets.map(|resets| resets.goodbye).sum()
        },
    ),
    note(&SESSIONS_LIVE_ON, "its sessions outlive it", |drain| {
        drain.still_open
    }),
    note(&CLEAN_DRAIN, "nothing was lost", none),
];

const fn cause(
    diagnosis: &'static Diagnosis,
    says: &'static str,
    connections: fn(&Drain) -> u64,
) -> Place {
    place(diagnosis, Part::Cause, says, connections)
}

const fn loss(
    diagnosis: &'static Diagnosis,
    says: &'static str,
    connections: fn(&Drain) -> u64,
) -> Place {
    place(diagnosis, Part::Loss, says, connections)
}

const fn cost(
    diagnosis: &'static Diagnosis,
    says: &'static str,
    connections: fn(&Drain) -> u64,
) -> Place {
    place(diagnosis, Part::Cost, says, connections)
}

const fn note(
    diagnosis: &'static Diagnosis,
    says: &'static str,
    connections: fn(&Drain) -> u64,
) -> Place {
    place(diagnosis, Part::Note, says, connections)
}

const fn place(
    diagnosis: &'static Diagnosis,
    part: Part,
    says: &'static str,
    connections: fn(&Drain) -> u64,
) -> Place {
    Place {
        diagnosis,
        part,
        says,
        connections,
        examples: &[],
    }
}

fn none(_: &Drain) -> u64 {
    0
}

// === impl Place ===

impl Place {
    /// Where the diagnosis of this name stands, and the place itself; a name that is not known, as from a daemon that is
    /// newer, stands last.
    pub fn of(diagnosis: &str) -> (usize, Option<&'static Self>) {
        let named = |place: &Self| place.diagnosis.name == diagnosis;
        match PLACES.iter().position(named) {
            Some(at) => (at, PLACES.get(at)),
            None => (PLACES.len(), None),
        }
    }

    const fn with(self, examples: &'static [&'static str]) -> Self {
        Self { examples, ..self }
    }
}

// === impl Part ===

impl Part {
    /// What a finding is to the story, given its place and how grave it was found to be: a loss that hit nobody is a cost.
    pub fn of(place: Option<&Place>, severity: Severity) -> Self {
        match (place.map(|place| place.part), severity) {
            (Some(Self::Doubt), _) => Self::Doubt,
            (_, Severity::Info | Severity::Pass) => Self::Note,
            (Some(Self::Cause), _) => Self::Cause,
            (_, Severity::Fail) => Self::Loss,
            (_, Severity::Warn) => Self::Cost,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::DIAGNOSES, *};

    #[test]
    fn every_diagnosis_has_its_place_and_each_one_only() {
        let names = |of: &mut dyn Iterator<Item = &'static Diagnosis>| -> Vec<_> {
            of.map(|diagnosis| diagnosis.name).collect()
        };
        let placed = names(&mut PLACES.iter().map(|place| place.diagnosis));
        let unique: HashSet<_> = placed.iter().copied().collect();
        assert_eq!(unique.len(), placed.len());
        let declared: HashSet<_> = names(&mut DIAGNOSES.iter()).into_iter().collect();
        assert_eq!(unique, declared);
    }

    #[test]
    fn causes_stand_before_what_follows_from_them_and_notes_last() {
        assert!(PLACES.is_sorted_by_key(|place| place.part));
        let at = |diagnosis: &Diagnosis| Place::of(diagnosis.name).0;
        for cause in [
            &SIGNAL_IGNORED,
            &SIGNAL_MEANS_RELOAD,
            &FAST_STOP_SIGNAL,
            &KILLED_WITHOUT_STOP,
            &DRAIN_TIMED_OUT,
        ] {
            for follows in [&REQUESTS_CUT, &KEEPALIVE_RACE, &DIED_SERVING] {
                assert!(at(cause) < at(follows), "{cause} and {follows}");
            }
        }
        assert!(
            at(&SIGNAL_IGNORED) < at(&DRAIN_TIMED_OUT),
            "SIGKILL came as nobody took the signal"
        );
    }

    #[test]
    fn what_is_grave_is_no_note_and_what_is_a_note_is_not_grave() {
        for place in PLACES {
            let severity = place.diagnosis.severity;
            let is_note = matches!(place.part, Part::Note | Part::Doubt);
            assert_eq!(severity < Severity::Warn, is_note, "{}", place.diagnosis);
            if place.part == Part::Loss {
                assert_eq!(severity, Severity::Fail, "{}", place.diagnosis);
            }
            assert_eq!(Part::of(Some(place), severity), place.part);
        }
        let gap = Place::of(LISTENER_GAP.name).1;
        assert_eq!(Part::of(gap, Severity::Warn), Part::Cost, "it hit nobody");
        assert_eq!(Part::of(None, Severity::Fail), Part::Loss);
    }

    #[test]
    fn what_a_headline_ends_with_is_short_and_no_sentence() {
        for Place {
            says, diagnosis, ..
        } in PLACES
        {
            let ok = says.len() <= 50 && !says.ends_with('.') && !says.contains("  ");
            assert!(ok, "{diagnosis}: {says}");
        }
    }
}
