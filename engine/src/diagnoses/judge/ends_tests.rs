//! Each diagnosis of how the processes took their end: it is told on its signature, and not beside it.

use super::{scenarios::*, *};
use crate::model::{Baseline, Counts, Cuts, Drain, DrainKind, Exit, Severity, Waited};

#[test]
fn not_accepting() {
    let name = "not-accepting";
    let waiting = |d: &mut Drain| {
        d.opened_after_start = 5;
        d.listening.backlog = 5;
        d.listening.closed_at = None;
    };
    assert!(told(but(quiet("gunicorn", "SIGTERM"), waiting), name).is_some());
    let accepted = but(but(quiet("gunicorn", "SIGTERM"), waiting), |d| {
        d.listening.backlog = 2;
    });
    assert_eq!(told(accepted, name), None, "three were accepted");
    let closed = but(but(quiet("gunicorn", "SIGTERM"), waiting), |d| {
        d.listening.closed_at = Some(at(0.01));
    });
    assert_eq!(told(closed, name), None, "the listener closed at once");
}

#[test]
fn drain_timed_out_and_what_held_it() {
    let mut held = drain("node", "SIGTERM");
    held.listening.closed_at = Some(at(0.1));
    killed(&mut held, 30.0, 8, Cuts::default());
    held.idle_at_exit = 8;
    let evidence = told(held.clone(), "drain-timed-out").expect("told");
    assert!(
        evidence
            .contains("SIGKILL came 30 s after T0, sent by systemd (1), with 8 connections open, without a request since T0."),
        "{evidence}"
    );
    assert!(
        told(held.clone(), "held-by-idle-connections")
            .is_some_and(|t| t.contains("8 connections carried nothing"))
    );
    let busy = but(held.clone(), |d| {
        d.asked_after_start = 8;
        d.idle_at_exit = 0;
    });
    assert_eq!(told(busy.clone(), "held-by-idle-connections"), None);
    assert!(
        told(busy, "requests-keep-coming")
            .is_some_and(|t| t.contains("8 connections of before T0"))
    );
    let nobody = but(held, |d| d.counts.by_exit = 0);
    assert_eq!(
        told(nobody, "drain-timed-out"),
        None,
        "nobody was connected"
    );
}

/// The severity of a diagnosis, if it is told.
fn severity(drain: Drain, diagnosis: &str) -> Option<Severity> {
    finding(drain, diagnosis).map(|finding| finding.severity)
}

#[test]
fn how_it_ended_weighs_what_clients_lost_by_it() {
    let timed_out = |open, cut| {
        but(drain("axum", "SIGTERM"), |d: &mut Drain| {
            d.listening.closed_at = Some(at(0.1));
            killed(d, 5.0, open, cut);
            d.idle_at_exit = open - cut.total();
        })
    };
    let idle = judged(timed_out(2, Cuts::default()));
    assert_eq!(idle.verdict, Verdict::Warn, "{:?}", idle.findings);
    let evidence = told(timed_out(2, Cuts::default()), "drain-timed-out").expect("told");
    assert!(
        evidence.ends_with("No client is known to have lost anything."),
        "{evidence}"
    );

    let one_cut = Cuts {
        unanswered: 1,
        ..Cuts::default()
    };
    let fail = Some(Severity::Fail);
    assert_eq!(severity(timed_out(2, one_cut), "drain-timed-out"), fail);
    let refused = but(timed_out(2, Cuts::default()), |d| d.counts.refused = 1);
    assert_eq!(severity(refused, "drain-timed-out"), fail);
    let truncated = but(timed_out(2, Cuts::default()), |d| d.signs.truncated = 1);
    assert_eq!(severity(truncated, "drain-timed-out"), fail);
    let stream = but(timed_out(2, one_cut), |d| d.turns_not_judged = true);
    let evidence = told(stream.clone(), "drain-timed-out").expect("told");
    assert!(evidence.contains("is not known"), "{evidence}");
    assert_eq!(severity(stream, "drain-timed-out"), Some(Severity::Warn));

    let ignored = but(timed_out(2, Cuts::default()), |d| {
        d.signal.as_mut().expect("a signal").disposition = "ignored".to_owned();
        d.listening.closed_at = None;
    });
    assert_eq!(
        severity(ignored.clone(), "signal-ignored"),
        Some(Severity::Warn)
    );
    let ignored = but(ignored, |d| d.counts.cut = one_cut);
    assert_eq!(severity(ignored, "signal-ignored"), fail);
}

#[test]
fn refused_clients_are_something_that_was_seen() {
    let stopped = but(drain("unit", "SIGTERM"), |d| d.counts.refused = 5);
    let stopped = judged(stopped);
    let names: Vec<_> = stopped.findings.iter().map(|f| &f.diagnosis).collect();
    assert_eq!(names, ["exited-too-early"], "and it is not clean");
    assert_eq!(stopped.verdict, Verdict::Warn);

    let by_itself = but(drain("unit", "SIGTERM"), |d| {
        d.signal = None;
        d.counts.refused = 5;
    });
    assert_eq!(judged(by_itself).verdict, Verdict::Warn);

    let while_running = but(drain("unit", "SIGTERM"), |d| {
        d.counts.refused = 5;
        d.signs.refused_while_running = 5;
    });
    assert_eq!(judged(while_running.clone()).verdict, Verdict::Fail);
    assert_eq!(
        told(while_running, "exited-too-early"),
        None,
        "nobody came later"
    );

    let crashed = but(drain("unit", "SIGSEGV"), |d| {
        d.kind = DrainKind::Crash;
        d.counts.refused = 5;
    });
    let evidence = told(crashed.clone(), "killed-without-stop").expect("told");
    assert!(
        evidence.ends_with("0 connections were open, and 5 SYNs were refused afterwards."),
        "{evidence}"
    );
    assert_eq!(judged(crashed).verdict, Verdict::Fail);
}

#[test]
fn idle_connections_hold_a_drain_that_still_lasts() {
    let mut live = quiet("node", "SIGTERM");
    (
        live.exit,
        live.ended_at,
        live.still_open,
        live.still_open_idle,
    ) = (None, None, 3, 2);
    let options = |secs| JudgeOptions {
        now: Some(at(secs)),
        ..JudgeOptions::default()
    };
    judge(&mut live, &options(29.0));
    assert!(
        live.findings
            .iter()
            .all(|f| f.diagnosis != "held-by-idle-connections")
    );
    judge(&mut live, &options(31.0));
    assert!(
        live.findings
            .iter()
            .any(|f| f.diagnosis == "held-by-idle-connections")
    );
    assert_eq!(live.verdict, Verdict::Inconclusive, "it still lasts");
}

#[test]
fn signal_ignored() {
    let name = "signal-ignored";
    let mut ignored = drain("sh", "SIGTERM");
    ignored.listening.closed_at = Some(at(10.0));
    ignored.signal.as_mut().expect("a signal").disposition = "ignored".to_owned();
    killed(&mut ignored, 10.0, 2, Cuts::default());
    assert!(
        told(ignored.clone(), name)
            .is_some_and(|t| t.contains("until SIGKILL came 10.0 s after T0"))
    );
    let handled = but(ignored.clone(), |d| {
        d.signal.as_mut().expect("a signal").disposition = "handled".to_owned();
    });
    assert_eq!(told(handled, name), None);
    let closed = but(ignored, |d| d.listening.closed_at = Some(at(0.1)));
    assert_eq!(told(closed, name), None, "something heard it");
}

#[test]
fn signal_means_reload() {
    let name = "signal-means-reload";
    let reloaded = |d: &mut Drain| {
        d.new_processes = 4;
        d.served_by_new = 3;
        d.listening.closed_at = None;
        d.opened_after_start = 9;
        (d.processes, d.processes_ended) = (5, 4);
    };
    let evidence = told(but(quiet("uwsgi", "SIGTERM"), reloaded), name).expect("told");
    assert!(
        evidence.contains("4 of 5 old processes ended and 4 new ones came"),
        "{evidence}"
    );
    let stopped = but(but(quiet("uwsgi", "SIGTERM"), reloaded), |d| {
        d.listening.closed_at = Some(at(1.0));
    });
    assert_eq!(told(stopped, name), None);
    let reload = but(but(quiet("uwsgi", "SIGHUP"), reloaded), |d| {
        d.kind = DrainKind::Reload;
    });
    assert_eq!(told(reload, name), None, "it was asked to");
}

#[test]
fn sessions_live_on() {
    let name = "sessions-live-on";
    let sessions = |d: &mut Drain| (d.still_open, d.still_open_idle) = (5, 3);
    let evidence = told(but(quiet("sshd", "SIGTERM"), sessions), name).expect("told");
    assert!(
        evidence.contains(
            "5 connections were open in others when the drain was over (3 of them without data since T0)"
        ),
        "{evidence}"
    );
    assert_eq!(told(quiet("sshd", "SIGTERM"), name), None, "all ended");
    let runs = but(but(quiet("sshd", "SIGTERM"), sessions), |d| d.exit = None);
    assert_eq!(told(runs, name), None, "they are its own");
    let goes_on = but(but(quiet("sshd", "SIGTERM"), sessions), |d| {
        d.lived_on = true;
    });
    assert_eq!(told(goes_on, name), None, "others listen");
}

#[test]
fn workers_left_behind() {
    let name = "workers-left-behind";
    let left = |d: &mut Drain| {
        d.lived_on = true;
        d.exit = None;
        d.listening.closed_at = None;
        d.opened_after_start = 9;
        d.asked_after_start = 2;
        d.signs.last_asked_at = Some(at(8.0));
        (d.processes, d.processes_ended) = (2, 0);
    };
    let orphaned = but(quiet("uvicorn", "SIGHUP"), left);
    let evidence = told(orphaned.clone(), name).expect("told");
    assert!(
        evidence.contains(
            "ended alone: 2 processes and the listener stayed, and 9 connections were established"
        ),
        "{evidence}"
    );
    for other in [
        "accepts-after-signal",
        "requests-keep-coming",
        "signal-means-reload",
    ] {
        assert_eq!(told(orphaned.clone(), other), None, "{other}: nobody stops");
    }
    let judged = judged(orphaned);
    assert_eq!(judged.verdict, Verdict::Warn, "{:?}", judged.findings);
    let replaced = but(but(quiet("uwsgi", "SIGTERM"), left), |d| {
        d.new_processes = 1;
    });
    assert_eq!(told(replaced.clone(), name), None);
    assert!(told(replaced, "signal-means-reload").is_some());
}

#[test]
fn fast_stop_signal() {
    let name = "fast-stop-signal";
    let cut = |d: &mut Drain| in_flight_cut(d, 5);
    let evidence = told(but(quiet("nginx", "SIGTERM"), cut), name).expect("told");
    assert!(
        evidence.contains("SIGTERM stops nginx at once; SIGQUIT lets it finish."),
        "{evidence}"
    );
    assert_eq!(told(but(quiet("nginx", "SIGQUIT"), cut), name), None);
    assert_eq!(
        told(but(quiet("checkout", "SIGTERM"), cut), name),
        None,
        "not known"
    );
    assert_eq!(
        told(quiet("nginx", "SIGTERM"), name),
        None,
        "nothing was in flight"
    );
    let died = |d: &mut Drain| {
        cut(d);
        d.exit.as_mut().expect("an exit").signal = Some("SIGTERM".to_owned());
    };
    assert_eq!(
        told(but(quiet("checkout", "SIGTERM"), died), name),
        None,
        "its handler sent it again"
    );
    let unhandled = but(but(quiet("checkout", "SIGTERM"), died), |d| {
        d.signal.as_mut().expect("a signal").disposition = "default".to_owned();
    });
    let evidence = told(unhandled.clone(), name).expect("told");
    assert!(
        evidence.contains("checkout (process 700) has no handler for SIGTERM: the kernel ended it"),
        "{evidence}"
    );
    let finding = judged(unhandled).findings.into_iter();
    let mut remedy = finding.filter(|f| f.diagnosis == name).map(|f| f.remedy);
    assert!(
        remedy
            .next()
            .is_some_and(|remedy| remedy.starts_with("Handle SIGTERM"))
    );
    let slow = but(but(quiet("nginx", "SIGTERM"), cut), |d| {
        d.last_close_at = Some(at(9.0));
    });
    assert_eq!(told(slow, name), None, "it took its time");
}

#[test]
fn exited_too_early() {
    let name = "exited-too-early";
    let refused = but(quiet("s", "SIGTERM"), |d| d.counts.refused = 3);
    assert!(told(refused.clone(), name).is_some_and(|t| t.contains("3 SYNs refused")));
    assert_eq!(
        told(quiet("s", "SIGTERM"), name),
        None,
        "nobody came any more"
    );
    let taken_over = but(refused.clone(), |d| d.listening.taken_over = true);
    assert_eq!(told(taken_over, name), None, "somebody else was there");
    let late = |d: &mut Drain| d.exit.as_mut().expect("an exit").at = at(12.0);
    let later = but(quiet("s", "SIGTERM"), |d| {
        late(d);
        d.opened_after_start = 3;
    });
    assert_eq!(told(later, name), None, "it waited");
    let not_long_enough = told(but(refused, late), name);
    assert!(
        not_long_enough.is_some(),
        "it waited, and they were refused all the same"
    );
}

#[test]
fn accepts_after_signal() {
    let name = "accepts-after-signal";
    let opened = |d: &mut Drain| {
        d.opened_after_start = 12;
        d.last_opened_at = Some(at(4.0));
    };
    let evidence = told(but(quiet("s", "SIGTERM"), opened), name).expect("told");
    assert!(
        evidence.contains("the last one 4.0 s after T0 (3.0 a second)"),
        "{evidence}"
    );
    let reload = but(but(quiet("s", "SIGHUP"), opened), |d| {
        d.kind = DrainKind::Reload;
    });
    assert_eq!(told(reload, name), None, "a reload goes on accepting");
}

#[test]
fn requests_keep_coming_only_when_they_keep_coming() {
    let name = "requests-keep-coming";
    let asked = |secs| {
        but(quiet("s", "SIGTERM"), |d: &mut Drain| {
            d.asked_after_start = 2;
            d.signs.last_asked_at = Some(at(secs));
        })
    };
    assert_eq!(told(asked(0.2), name), None);
    assert!(told(asked(8.0), name).is_some_and(|t| t.contains("read 8.0 s after T0")));
}

#[test]
fn old_workers_pile_up() {
    let name = "old-workers-pile-up";
    let reload = |secs| {
        but(quiet("nginx", "SIGHUP"), |d: &mut Drain| {
            d.kind = DrainKind::Reload;
            d.exit.as_mut().expect("an exit").at = at(secs);
            d.ended_at = Some(at(secs));
        })
    };
    assert_eq!(told(reload(59.0), name), None);
    assert!(
        told(reload(3_700.0), name)
            .is_some_and(|t| t.contains("The last old worker ended 62 min after T0."))
    );
    let mut live = reload(1.0);
    (
        live.exit,
        live.ended_at,
        live.still_open,
        live.processes,
        live.processes_ended,
    ) = (None, None, 6, 4, 1);
    let options = JudgeOptions {
        now: Some(at(90.0)),
        ..JudgeOptions::default()
    };
    judge(&mut live, &options);
    let finding = live
        .findings
        .iter()
        .find(|f| f.diagnosis == name)
        .expect("told");
    assert!(
        finding.evidence[1].contains("3 of 4 old workers still were there, with 6 connections"),
        "{finding:?}"
    );
}

#[test]
fn killed_without_stop() {
    let name = "killed-without-stop";
    let mut crash = drain("checkout", "SIGSEGV");
    crash.kind = DrainKind::Crash;
    crash.signal = None;
    crash.exit = Some(Exit {
        at: t0(),
        code: None,
        signal: Some("SIGSEGV".to_owned()),
    });
    let idle = judged(crash.clone());
    assert_eq!(idle.verdict, Verdict::Inconclusive, "nobody was connected");
    crash.open_at_start = 3;
    let evidence = told(crash.clone(), name).expect("told");
    assert_eq!(
        evidence,
        "checkout (process 700) was ended by SIGSEGV, with no stop signal before it. 3 connections were open. \
         No client is known to have lost anything."
    );
    assert_eq!(judged(crash.clone()).verdict, Verdict::Warn);
    in_flight_cut(&mut crash, 1);
    assert_eq!(severity(crash, name), Some(Severity::Fail));
}

/// Four clients that waited for three seconds, of a reload or a stop, beside so many in ten ordinary minutes.
fn clients_hung(mut drain: Drain, before: u64) -> Drain {
    drain.waited = Waited {
        long: 4,
        longest_secs: 2.9,
        ..Waited::default()
    };
    let counts = Counts {
        waited: before,
        ..Counts::default()
    };
    ordinary(&mut drain, counts);
    drain
}

#[test]
fn clients_waited_at_a_stop_a_reload_and_a_hand_over() {
    let name = "clients-waited";
    let stop = || clients_hung(quiet("unicorn", "SIGQUIT"), 0);
    let found = finding(stop(), name).expect("told");
    assert_eq!(found.severity, Severity::Warn);
    let text = found.evidence.join(" ");
    assert!(
        text.contains("4 clients waited a second or more") && text.contains("2.9 s at least"),
        "{text}"
    );
    assert!(text.contains("0 in the 10 min before"), "{text}");
    assert!(found.remedy.starts_with("unicorn: "), "{}", found.remedy);
    assert_eq!(told(stop(), "clean-drain"), None, "they hung");
    let reload = but(stop(), |d| d.kind = DrainKind::Reload);
    assert!(told(reload, name).is_some(), "a reload lets them hang too");
    assert_eq!(told(quiet("unicorn", "SIGQUIT"), name), None);
    let crash = but(stop(), |d| d.kind = DrainKind::Crash);
    assert_eq!(told(crash, name), None, "nobody planned it");
    let nothing_known = but(stop(), |d| d.baseline = Baseline::default());
    assert!(told(nothing_known, name).is_some_and(|t| t.contains("too little is known")));
}

#[test]
fn clients_that_always_wait_only_inform() {
    let usual = clients_hung(quiet("s", "SIGTERM"), 3_000);
    let found = finding(usual.clone(), "clients-waited").expect("told");
    assert_eq!(found.severity, Severity::Info);
    assert!(found.evidence.join(" ").contains("As in its ordinary time"));
    assert!(told(usual, "clean-drain").is_some());
    let more = clients_hung(quiet("s", "SIGTERM"), 12);
    let found = finding(more, "clients-waited").expect("told");
    assert_eq!(found.severity, Severity::Warn, "it grew");
}

#[test]
fn who_left_a_socket_behind_did_not_exit_too_early() {
    let came = but(quiet("s", "SIGTERM"), |d| d.opened_after_start = 4);
    let name = "exited-too-early";
    assert!(told(came.clone(), name).is_some());
    let held = but(came, |d| {
        d.listening.closed_at = None;
        d.listening.held_by_others = true;
    });
    assert_eq!(told(held.clone(), name), None, "a successor holds it");
    let refused = but(held, |d| d.counts.refused = 2);
    assert!(told(refused, name).is_some(), "and yet they were refused");
}

#[test]
fn a_few_that_gave_up_where_nobody_ever_did_are_told() {
    let gave_up = |number, window_secs| {
        but(quiet("pgbouncer", "SIGINT"), |d: &mut Drain| {
            d.counts.abandoned = number;
            d.exit.as_mut().expect("an exit").at = at(30.0);
            d.baseline = Baseline {
                window_secs,
                counts: Counts {
                    opened: 4,
                    ..Counts::default()
                },
            };
        })
    };
    for window_secs in [0.0, 35.0, 600.0] {
        let drain = gave_up(4, window_secs);
        assert!(
            told(drain.clone(), "clients-gave-up").is_some(),
            "{window_secs}"
        );
        assert_eq!(told(drain, "clean-drain"), None, "{window_secs}");
    }
    assert_eq!(told(gave_up(2, 600.0), "clients-gave-up"), None, "chance");
}
