//! Drains for tests, in few words: what was done to which server, as facts.

use finwatch_common::signal;
use jiff::{SignedDuration, Timestamp};

use super::{JudgeOptions, judge};
use crate::model::{
    Baseline, Counts, Cuts, Drain, DrainKind, Exit, Finding, Instance, Listening, Pod, Resets,
    Sender, Service, Shape, SignalSeen, Signs, SmallQuestions, Verdict, Waited,
};

/// T0 of every scenario.
pub(crate) fn t0() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().expect("a time")
}

/// So many seconds after T0.
pub(crate) fn at(secs: f64) -> Timestamp {
    t0() + SignedDuration::from_secs_f64(secs)
}

pub(crate) fn service(workload: &str, port: u16) -> Service {
    Service {
        workload_namespace: String::new(),
        workload_kind: "unit".to_owned(),
        workload: format!("{workload}.service"),
        port,
    }
}

pub(crate) fn signal(name: &str, secs: f64, program: &str) -> SignalSeen {
    let named = |number: &u8| signal::name(*number) == Some(name);
    SignalSeen {
        at: at(secs),
        number: (1..32).find(named).expect("a signal"),
        name: name.to_owned(),
        target_pid: 700,
        target_program: program.to_owned(),
        target_kinship: "owner".to_owned(),
        sender: Sender {
            pid: 1,
            program: "systemd".to_owned(),
        },
        disposition: "handled".to_owned(),
    }
}

/// A stop by a signal, of which nothing is known yet but that it ended a second later.
pub(crate) fn drain(program: &str, signal_name: &str) -> Drain {
    Drain {
        id: "d1".to_owned(),
        service: service(program, 8080),
        instance: Instance {
            pod: Pod::default(),
            pid: 700,
            started_at: None,
            program: program.to_owned(),
            netns: 4_026_531_840,
            netns_cookie: 4_097,
        },
        worker_pid: None,
        kind: DrainKind::Stop,
        started_at: t0(),
        signal: Some(signal(signal_name, 0.0, program)),
        further_signals: Vec::new(),
        exit: Some(Exit {
            at: at(1.0),
            code: Some(0),
            signal: None,
        }),
        processes: 1,
        processes_ended: 1,
        new_processes: 0,
        first_new_process_at: None,
        lived_on: false,
        last_close_at: Some(at(0.9)),
        ended_at: Some(at(1.0)),
        open_at_start: 0,
        awaiting_at_start: Some(0),
        asked_after_start: 0,
        opened_after_start: 0,
        last_opened_at: None,
        served_by_new: 0,
        own_calls: 0,
        likely_cut: 0,
        idle_at_exit: 0,
        still_open: 0,
        still_open_idle: 0,
        counts: Counts::default(),
        listening: Listening {
            closed_at: Some(at(0.001)),
            ..Listening::default()
        },
        waited: Waited::default(),
        examples: Vec::new(),
        signs: Signs::default(),
        baseline: Baseline::default(),
        records_lost: 0,
        interrupted: false,
        small_before: SmallQuestions::default(),
        turns_not_judged: false,
        shape: Shape::default(),
        verdict: Verdict::default(),
        findings: Vec::new(),
    }
}

/// `number` idle connections that this side closes first, with a TIME_WAIT each.
pub(crate) fn idle_closed_by_server(drain: &mut Drain, number: u64) {
    drain.open_at_start += number;
    drain.counts.local_first += number;
    drain.counts.fin += number;
    drain.counts.time_wait += number;
}

/// `number` requests in flight at T0 that are answered before this side closes.
pub(crate) fn in_flight_answered(drain: &mut Drain, number: u64) {
    idle_closed_by_server(drain, number);
    drain.awaiting_at_start = drain.awaiting_at_start.map(|awaiting| awaiting + number);
}

/// `number` requests in flight at T0 that are never answered; this side closes by FIN.
pub(crate) fn in_flight_cut(drain: &mut Drain, number: u64) {
    in_flight_answered(drain, number);
    drain.counts.cut.unanswered += number;
    drain.counts.unanswered.silent += number;
}

/// `number` idle connections closed by this side, on each of which a request comes after the FIN.
pub(crate) fn late(drain: &mut Drain, number: u64) {
    drain.open_at_start += number;
    drain.counts.local_first += number;
    drain.counts.reset_sent += number;
    drain.counts.fin_wait2 += number;
    drain.counts.cut.late += number;
    resets(drain, "tcp_timewait_socket", 0, 0, number);
}

/// RSTs sent.
pub(crate) fn resets(drain: &mut Drain, reason: &str, nothing: u64, goodbye: u64, data: u64) {
    drain.counts.resets_sent.push(Resets {
        reason: reason.to_owned(),
        nothing,
        goodbye,
        goodbye_of_cut: 0,
        data,
    });
}

/// Killed by SIGKILL so many seconds after T0 with `open` connections, `cut` of them in flight.
pub(crate) fn killed(drain: &mut Drain, secs: f64, open: u64, cut: Cuts) {
    drain
        .further_signals
        .push(signal("SIGKILL", secs, "kubelet"));
    drain.exit = Some(Exit {
        at: at(secs),
        code: None,
        signal: Some("SIGKILL".to_owned()),
    });
    drain.last_close_at = Some(at(secs + 0.001));
    drain.ended_at = Some(at(secs + 0.01));
    drain.open_at_start += open;
    drain.counts.local_first += open;
    drain.counts.fin += open;
    drain.counts.by_exit += open;
    drain.counts.cut = cut;
}

/// An ordinary stretch of ten minutes, in which there were clients.
pub(crate) fn ordinary(drain: &mut Drain, counts: Counts) {
    drain.baseline = Baseline {
        window_secs: 600.0,
        counts: Counts {
            opened: counts.opened.max(1),
            ..counts
        },
    };
}

/// The drain, judged.
pub(crate) fn judged(mut drain: Drain) -> Drain {
    judge(&mut drain, &JudgeOptions::default());
    drain
}

/// The evidence of a diagnosis, if it is told.
pub(crate) fn told(drain: Drain, diagnosis: &str) -> Option<String> {
    finding(drain, diagnosis).map(|finding| finding.evidence.join(" "))
}

/// A finding, if it is told.
pub(crate) fn finding(drain: Drain, diagnosis: &str) -> Option<Finding> {
    judged(drain)
        .findings
        .into_iter()
        .find(|finding| finding.diagnosis == diagnosis)
}

/// A drain with ten idle connections that nobody cut.
pub(crate) fn quiet(program: &str, signal: &str) -> Drain {
    let mut drain = drain(program, signal);
    idle_closed_by_server(&mut drain, 10);
    drain
}

/// The same with a change.
pub(crate) fn but(mut drain: Drain, change: impl FnOnce(&mut Drain)) -> Drain {
    change(&mut drain);
    drain
}
