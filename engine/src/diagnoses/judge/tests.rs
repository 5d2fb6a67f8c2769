//! Each diagnosis of what was lost or cost: it is told on its signature, and not beside it. And what holds of all.

use super::{scenarios::*, *};
use crate::model::{Counts, Cuts, EndedConnection, Severity};

#[test]
fn a_quiet_stop_is_clean_and_nothing_else() {
    let drain = judged(quiet("server", "SIGTERM"));
    let names: Vec<_> = drain
        .findings
        .iter()
        .map(|f| f.diagnosis.as_str())
        .collect();
    assert_eq!(names, ["server-hangs-up-first", "clean-drain"]);
    assert_eq!(drain.verdict, Verdict::Pass);
}

#[test]
fn every_finding_is_one_of_the_table_and_says_something() {
    let mut drain = quiet("nginx", "SIGTERM");
    in_flight_cut(&mut drain, 3);
    late(&mut drain, 2);
    drain.counts.accept_queue_dropped = 1;
    drain.signs.refused_while_running = 1;
    let drain = judged(drain);
    assert!(drain.findings.len() >= 5);
    for finding in &drain.findings {
        assert!(diagnoses::find(&finding.diagnosis).is_some(), "{finding:?}");
        assert!(!finding.evidence.is_empty(), "{finding:?}");
        assert!(
            finding
                .evidence
                .iter()
                .all(|sentence| sentence.ends_with('.')),
            "{finding:?}"
        );
    }
    let severities: Vec<_> = drain.findings.iter().map(|f| f.severity).collect();
    assert!(severities.is_sorted_by(|a, b| a >= b), "gravest first");
}

#[test]
fn evidence_names_who_sent_the_signal_and_shows_examples() {
    let mut drain = quiet("checkout", "SIGTERM");
    in_flight_cut(&mut drain, 1);
    drain.examples = (0..5)
        .map(|i| EndedConnection {
            peer: format!("10.0.0.{i}:4711"),
            opened_at: None,
            ended_at: at(0.25),
            closed_by_pid: 701,
            cut: "unanswered".to_owned(),
            asked_bytes: 107,
            unread_bytes: 0,
            origin: "local".to_owned(),
            outcome: "fin".to_owned(),
        })
        .collect();
    let finding = finding(drain, "requests-cut").expect("told");
    assert_eq!(
        finding.evidence[..3],
        [
            "T0: SIGTERM to checkout (700), sent by systemd (1).",
            "1 request was lost on 1 connection: 1 read and not answered.",
            "At T0 11 connections were open, and 1 of these owed an answer."
        ]
    );
    assert_eq!(
        finding.evidence[3],
        "For example 10.0.0.0:4711: a request of 107 bytes unanswered, ended 0.25 s after T0, closed by process 701."
    );
    assert_eq!(finding.evidence.len(), 6, "three examples");
}

#[test]
fn what_crossed_a_close_is_mended_by_how_connections_are_let_go() {
    let remedy = |unread: u64, by_exit: u64| {
        let drain = but(quiet("nginx", "SIGHUP"), |drain| {
            in_flight_cut(drain, 2);
            drain.counts.cut.unread = unread;
            drain.counts.by_exit = by_exit;
        });
        judged(drain).findings[0].remedy.clone()
    };
    assert!(remedy(3, 0).starts_with("nginx: It closes idle connections at once"));
    for other in [remedy(1, 0), remedy(3, 5)] {
        assert!(other.starts_with("nginx: Stop it with SIGQUIT"), "{other}");
    }
}

#[test]
fn turns_that_are_not_judged_fail_nobody() {
    let mut drain = quiet("streamer", "SIGTERM");
    in_flight_cut(&mut drain, 10);
    drain.counts.by_exit = 20;
    drain.turns_not_judged = true;
    let drain = judged(drain);
    assert_eq!(drain.verdict, Verdict::Pass, "{:?}", drain.findings);
    assert!(drain.findings.iter().all(|f| f.diagnosis != "requests-cut"));
}

#[test]
fn unread_and_late_are_told_where_turns_are_not_judged() {
    let mut drain = quiet("streamer", "SIGTERM");
    in_flight_cut(&mut drain, 10);
    late(&mut drain, 2);
    drain.counts.cut.unread = 3;
    drain.turns_not_judged = true;
    let drain = judged(drain);
    assert_eq!(drain.verdict, Verdict::Fail, "what was told is lost");
    let finding = &drain.findings[0];
    assert_eq!(
        (finding.diagnosis.as_str(), finding.severity),
        ("requests-cut", Severity::Fail)
    );
    assert!(
        finding.evidence[1].starts_with("5 messages were lost"),
        "{finding:?}"
    );
    assert!(!finding.evidence[1].contains("answered"), "{finding:?}");
}

#[test]
fn what_is_only_likely_lost_is_a_warning() {
    let drain = judged(but(quiet("nginx", "SIGQUIT"), |d| d.likely_cut = 4));
    assert_eq!(drain.verdict, Verdict::Warn);
    let finding = &drain.findings[0];
    assert_eq!(
        (finding.diagnosis.as_str(), finding.severity),
        ("requests-cut", Severity::Warn)
    );
    assert!(drain.findings.iter().all(|f| f.diagnosis != "clean-drain"));
}

#[test]
fn response_truncated() {
    let name = "response-truncated";
    let ours = |d: &mut Drain| {
        d.counts.unacked = 3;
        d.counts.unacked_bytes = 90_000;
        d.counts.reset_sent = 3;
        d.signs.truncated = 3;
    };
    assert!(
        told(but(quiet("s", "SIGTERM"), ours), name)
            .is_some_and(|t| t.contains("3 connections were reset"))
    );
    let farewells = but(but(quiet("s", "SIGTERM"), ours), |d| {
        d.counts.unacked_bytes = 3 * 37;
        d.signs.truncated = 0;
    });
    assert_eq!(
        told(farewells, name),
        None,
        "GOAWAYs in words, which no request waited for"
    );
}

#[test]
fn died_serving() {
    let name = "died-serving";
    let dead = |d: &mut Drain| d.counts.by_exit = 10;
    assert_eq!(
        told(but(quiet("s", "SIGTERM"), dead), name),
        None,
        "they were idle"
    );
    let sending = but(quiet("s", "SIGTERM"), |d| {
        d.counts.by_exit = 10;
        d.counts.by_exit_while_sending = 2;
    });
    assert!(told(sending.clone(), name).is_some_and(|t| {
        t.contains("not by close(): on 2 data had been sent within the second before, as with")
    }));
    let ordinary_end = judged(sending);
    let names: Vec<_> = ordinary_end
        .findings
        .iter()
        .map(|f| (f.diagnosis.as_str(), f.severity))
        .collect();
    assert_eq!(
        names,
        [
            ("server-hangs-up-first", Severity::Info),
            (name, Severity::Info),
            ("clean-drain", Severity::Pass)
        ]
    );
    let elsewhere = but(quiet("s", "SIGTERM"), |d| {
        in_flight_cut(d, 5);
        d.counts.by_exit = 5;
    });
    assert_eq!(
        told(elsewhere, name),
        None,
        "the cut ones may have been closed before"
    );
    let by_death = but(quiet("s", "SIGTERM"), |d| {
        in_flight_cut(d, 5);
        d.counts.by_exit = 5;
        d.signs.by_exit_cut = 5;
    });
    assert!(told(by_death, name).is_some_and(|t| t.contains("on 5 of them a request was lost")));
}

#[test]
fn an_answer_that_a_death_cuts_in_its_middle_is_lost() {
    let name = "died-serving";
    let answering = |d: &mut Drain| {
        d.counts.by_exit = 3;
        d.counts.by_exit_while_sending = 2;
        d.signs.by_exit_answering = 1;
    };
    let by_itself = finding(but(quiet("s", "SIGTERM"), answering), name).expect("told");
    assert_eq!(by_itself.severity, Severity::Info, "it may have said all");
    let mut by_sigkill = drain("s", "SIGTERM");
    killed(&mut by_sigkill, 5.0, 3, Cuts::default());
    answering(&mut by_sigkill);
    let drain = judged(by_sigkill);
    assert_eq!(drain.verdict, Verdict::Fail);
    let names: Vec<_> = drain.findings.iter().map(|f| &f.diagnosis).collect();
    assert_eq!(names[..2], ["died-serving", "drain-timed-out"]);
    let evidence = drain.findings[0].evidence.join(" ");
    assert!(
        evidence.contains("on 1 of them an answer was being sent"),
        "{evidence}"
    );
    let never_acknowledged = but(quiet("s", "SIGTERM"), |d| {
        d.counts.by_exit = 1;
        d.signs.by_exit_truncated = 1;
    });
    let finding = finding(never_acknowledged, name).expect("told");
    assert_eq!(finding.severity, Severity::Fail);
}

#[test]
fn listener_closed_early() {
    let name = "listener-closed-early";
    let refused = but(quiet("nginx", "SIGQUIT"), |d| {
        d.signs.refused_while_running = 4;
    });
    let evidence = told(refused, name).expect("told");
    assert!(
        evidence.contains("4 SYNs were refused in between"),
        "{evidence}"
    );
    let after = but(quiet("nginx", "SIGQUIT"), |d| d.counts.refused = 4);
    assert_eq!(told(after, name), None, "the process had ended");
}

#[test]
fn server_hangs_up_first_is_set_beside_the_ordinary_share() {
    let name = "server-hangs-up-first";
    let beside = |local_first, remote_first| {
        but(quiet("s", "SIGTERM"), |d: &mut Drain| {
            let counts = Counts {
                local_first,
                remote_first,
                time_wait: local_first,
                ..Counts::default()
            };
            ordinary(d, counts);
        })
    };
    assert!(
        told(beside(10, 990), name)
            .is_some_and(|t| t.contains("In the 10 min before: 10 of 1000 (1 %)"))
    );
    assert_eq!(told(beside(990, 10), name), None, "it always does");
}

#[test]
fn an_ordinary_time_without_clients_makes_no_burst() {
    let mut quiet = drain("nginx", "SIGQUIT");
    idle_closed_by_server(&mut quiet, 20);
    quiet.baseline.window_secs = 600.0;
    assert_eq!(told(quiet.clone(), "time-wait-burst"), None);
    assert_eq!(judged(quiet).verdict, Verdict::Pass);
}

#[test]
fn time_wait_burst_needs_an_excess() {
    let name = "time-wait-burst";
    let busy = but(quiet("s", "SIGTERM"), |d| {
        let counts = Counts {
            time_wait: 6_000,
            ..Counts::default()
        };
        ordinary(d, counts);
    });
    assert_eq!(told(busy, name), None, "ten a second are ordinary");
    let still = but(quiet("s", "SIGTERM"), |d| ordinary(d, Counts::default()));
    let evidence = told(still.clone(), name).expect("told");
    assert!(
        evidence.starts_with(
            "10 TIME_WAITs created in 1.0 s, 0 in the 10 min before: the ordinary rate is zero, p "
        ),
        "{evidence}"
    );
    let thin = but(still.clone(), |d| d.baseline.window_secs = 20.0);
    assert_eq!(told(thin, name), None, "nothing to compare with");
}

#[test]
fn a_burst_warns_only_where_it_matters() {
    let options = |burst_warn| JudgeOptions {
        burst_warn,
        ..JudgeOptions::default()
    };
    let of = |time_waits, options: &JudgeOptions| {
        let mut drain = drain("node", "SIGTERM");
        idle_closed_by_server(&mut drain, time_waits);
        // One a second are ordinary.
        let counts = Counts {
            time_wait: 600,
            ..Counts::default()
        };
        ordinary(&mut drain, counts);
        judge(&mut drain, options);
        let burst = |f: &&Finding| f.diagnosis == "time-wait-burst";
        let severity = drain.findings.iter().find(burst).map(|f| f.severity);
        (severity, drain.verdict)
    };
    let (info, warn) = (Some(Severity::Info), Some(Severity::Warn));
    // A tenth of the 28232 ports that Linux gives out.
    let plain = JudgeOptions::default();
    assert_eq!(of(7, &plain), (info, Verdict::Pass), "however significant");
    assert_eq!(of(2_823, &plain), (info, Verdict::Pass), "one is ordinary");
    assert_eq!(of(2_824, &plain), (warn, Verdict::Warn));
    assert_eq!(of(7, &options(6)), (warn, Verdict::Warn));
    assert_eq!(of(7, &options(7)), (info, Verdict::Pass));
}

#[test]
fn clients_gave_up_against_the_ordinary_rate() {
    let name = "clients-gave-up";
    let gave_up = |before| {
        but(quiet("s", "SIGTERM"), |d: &mut Drain| {
            d.counts.abandoned = 8;
            let counts = Counts {
                abandoned: before,
                ..Counts::default()
            };
            ordinary(d, counts);
        })
    };
    assert!(told(gave_up(12), name).is_some_and(|t| t.contains("8 clients left")));
    assert_eq!(told(gave_up(12), "clean-drain"), None, "they got nothing");
    assert_eq!(told(gave_up(6_000), name), None);
    assert!(
        told(gave_up(6_000), "clean-drain").is_some(),
        "they always do"
    );
}

#[test]
fn too_little_to_tell_is_inconclusive_and_says_why() {
    let nobody = judged(drain("s", "SIGTERM"));
    assert_eq!(nobody.verdict, Verdict::Inconclusive);
    assert_eq!(nobody.findings[0].diagnosis, "too-little-seen");
    assert!(nobody.findings[0].evidence[0].starts_with("No connection was open at T0"));

    let lost = judged(but(quiet("s", "SIGTERM"), |d| d.records_lost = 1));
    assert_eq!(lost.verdict, Verdict::Inconclusive);
    assert!(lost.findings.iter().all(|f| f.diagnosis != "clean-drain"));

    let interrupted = judged(but(quiet("s", "SIGTERM"), |d| {
        d.interrupted = true;
        in_flight_cut(d, 1);
    }));
    assert_eq!(interrupted.verdict, Verdict::Inconclusive);
    assert!(
        interrupted
            .findings
            .iter()
            .any(|f| f.evidence.iter().any(|e| e.contains("restarted")))
    );
}

#[test]
fn a_loss_of_records_hides_no_failure_that_was_seen() {
    let mut drain = quiet("s", "SIGTERM");
    in_flight_cut(&mut drain, 1);
    drain.records_lost = 1_000;
    assert_eq!(judged(drain).verdict, Verdict::Fail);
}

#[test]
fn judging_again_changes_nothing() {
    let mut drain = quiet("nginx", "SIGTERM");
    in_flight_cut(&mut drain, 3);
    let once = judged(drain);
    assert_eq!(judged(once.clone()), once);
}

/// A stop that left so many small requests open, where in ordinary time so many were answered, or left too.
fn small(left: u64, late: u64, answered_before: u64, left_before: u64) -> Drain {
    let mut drain = quiet("memcached", "SIGTERM");
    let small = &mut drain.counts.small;
    (small.left, small.late) = (left, late);
    let before = &mut drain.small_before;
    (before.answered, before.left) = (answered_before, left_before);
    judged(drain)
}

#[test]
fn small_requests_are_lost_where_such_get_answers() {
    let drain = small(3, 2, 40, 1);
    assert_eq!(drain.verdict, Verdict::Fail);
    assert_eq!(drain.lost().total(), 5);
    assert_eq!(drain.counts.cut.total(), 0, "the kernel counted none");
    let told = drain
        .findings
        .iter()
        .find(|f| f.diagnosis == "requests-cut");
    let evidence = &told.expect("told").evidence;
    assert_eq!(
        evidence[1],
        "5 requests were lost on as many connections: 3 read and not answered, 2 sent after our FIN and reset."
    );
    assert_eq!(
        evidence[2],
        "5 of these had under 18 bytes. Elsewhere that may be a goodbye; here it is a request: such were answered on 40 connections of \
         its ordinary time and 0 since, and were left on 1."
    );
    let names = |drain: &Drain| {
        drain
            .findings
            .iter()
            .map(|f| f.diagnosis.clone())
            .collect::<Vec<_>>()
    };
    assert!(names(&drain).contains(&"keepalive-race".to_owned()));
    assert!(!names(&small(3, 0, 40, 1)).contains(&"keepalive-race".to_owned()));
}

#[test]
fn what_small_requests_are_is_not_guessed() {
    for (answered, left) in [(0, 0), (4, 0), (20, 20)] {
        let drain = small(1, 0, answered, left);
        assert_eq!(drain.verdict, Verdict::Inconclusive, "{answered} {left}");
        let names: Vec<_> = drain
            .findings
            .iter()
            .map(|f| f.diagnosis.as_str())
            .collect();
        assert!(names.contains(&"too-little-seen"), "{names:?}");
        assert!(!names.contains(&"clean-drain"), "{names:?}");
    }
    let goodbyes = small(3, 2, 1, 40);
    assert_eq!(goodbyes.verdict, Verdict::Pass, "{:?}", goodbyes.findings);
    assert_eq!(small(0, 0, 0, 0).verdict, Verdict::Pass, "there were none");
    let stream = but(small(1, 0, 0, 0), |drain| drain.turns_not_judged = true);
    assert_eq!(judged(stream).verdict, Verdict::Pass);
}

#[test]
fn the_rest_of_a_request_or_another_is_no_pass_and_no_failure() {
    let told = |early: u64, unclear: u64, before: u64| {
        let mut drain = quiet("varnish", "SIGTERM");
        drain.counts.early_answers = early;
        drain.counts.rest_or_request = unclear;
        drain.baseline.window_secs = 600.0;
        drain.baseline.counts.early_answers = before;
        drain.baseline.counts.rest_or_request = before;
        judged(drain)
    };
    for drain in [told(0, 2, 0), told(0, 2, 10_000), told(1, 2, 10_000)] {
        assert_eq!(drain.verdict, Verdict::Warn, "{:?}", drain.findings);
        let names: Vec<_> = drain
            .findings
            .iter()
            .map(|f| f.diagnosis.as_str())
            .collect();
        assert!(!names.contains(&"clean-drain"), "{names:?}");
        let finding = drain
            .findings
            .iter()
            .find(|f| f.diagnosis == "early-answer-reset");
        let evidence = &finding.expect("told").evidence;
        assert!(
            evidence.iter().any(|told| told.contains("is not known")),
            "{evidence:?}"
        );
    }
    assert_eq!(told(1, 0, 10_000).verdict, Verdict::Pass, "as ever");
}
