//! What was measured on real servers, as facts, and what the judge must make of it: the table that finwatch is held to.

use super::{scenarios::*, *};
use crate::model::{Counts, Cuts, Drain, DrainKind, Verdict};

/// The verdict, and the names of the findings in their order.
fn verdict_of(drain: &mut Drain) -> (Verdict, Vec<String>) {
    judge(drain, &JudgeOptions::default());
    let names = drain.findings.iter().map(|f| f.diagnosis.clone()).collect();
    (drain.verdict, names)
}

fn evidence(drain: &Drain, diagnosis: &str) -> String {
    drain
        .findings
        .iter()
        .filter(|finding| finding.diagnosis == diagnosis)
        .flat_map(|finding| finding.evidence.clone())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn idle_keepalive_connections_closed_by_the_server_are_a_clean_drain() {
    for (program, signal) in [
        ("nginx", "SIGQUIT"),
        ("nginx", "SIGTERM"),
        ("haproxy", "SIGUSR1"),
        ("apache2", "SIGWINCH"),
        ("node", "SIGTERM"),
        ("java", "SIGTERM"),
        ("uvicorn", "SIGTERM"),
    ] {
        let mut drain = drain(program, signal);
        idle_closed_by_server(&mut drain, 20);
        let (verdict, names) = verdict_of(&mut drain);
        assert_eq!(verdict, Verdict::Pass, "{program}: {names:?}");
        assert_eq!(names, ["server-hangs-up-first", "clean-drain"], "{program}");
        let told = evidence(&drain, "server-hangs-up-first");
        assert!(
            told.contains("20 of 20 closes") && told.contains("20 TIME_WAITs"),
            "{told}"
        );
    }
}

#[test]
fn against_an_ordinary_time_without_them_twenty_time_waits_are_a_burst() {
    let mut drain = drain("nginx", "SIGQUIT");
    idle_closed_by_server(&mut drain, 20);
    ordinary(
        &mut drain,
        Counts {
            remote_first: 300,
            fin: 300,
            ..Counts::default()
        },
    );
    let (verdict, names) = verdict_of(&mut drain);
    assert_eq!(verdict, Verdict::Pass, "and twenty are not many");
    assert_eq!(
        names,
        ["server-hangs-up-first", "time-wait-burst", "clean-drain"]
    );
}

#[test]
fn a_next_request_after_the_servers_fin_is_lost() {
    let mut drain = drain("nginx", "SIGQUIT");
    late(&mut drain, 20);
    let (verdict, names) = verdict_of(&mut drain);
    assert_eq!(verdict, Verdict::Fail);
    assert_eq!(names[..2], ["requests-cut", "keepalive-race"]);
    let told = evidence(&drain, "requests-cut");
    assert!(
        told.contains("20 requests were lost") && told.contains("20 sent after our FIN"),
        "{told}"
    );
    assert!(evidence(&drain, "keepalive-race").contains("20 for tcp_timewait_socket"));
}

#[test]
fn resets_that_lost_only_tls_goodbyes_harm_nobody() {
    for (program, signal, goodbyes) in [("nginx", "SIGQUIT", 200), ("server", "SIGTERM", 199)] {
        let mut drain = drain(program, signal);
        drain.open_at_start = 200;
        drain.counts.local_first = 200;
        drain.counts.reset_sent = goodbyes;
        drain.counts.fin = 200 - goodbyes;
        resets(&mut drain, "tcp_abort_on_data", 0, goodbyes, 0);
        let (verdict, names) = verdict_of(&mut drain);
        assert_eq!(verdict, Verdict::Pass);
        assert_eq!(
            names,
            ["tls-goodbye-resets", "server-hangs-up-first", "clean-drain"]
        );
        assert!(
            evidence(&drain, "tls-goodbye-resets").contains(&format!("{goodbyes} RSTs were sent"))
        );
    }
}

#[test]
fn goodbyes_on_connections_that_were_cut_are_not_harmless() {
    let with = |goodbyes, of_cut| {
        let mut drain = drain("nginx", "SIGTERM");
        in_flight_cut(&mut drain, 10);
        resets(&mut drain, "tcp_abort_on_data", 0, goodbyes, 0);
        drain.counts.resets_sent[0].goodbye_of_cut = of_cut;
        let (verdict, names) = verdict_of(&mut drain);
        assert_eq!(verdict, Verdict::Fail);
        let told = evidence(&drain, "tls-goodbye-resets");
        assert_eq!(
            names.contains(&"tls-goodbye-resets".to_owned()),
            !told.is_empty()
        );
        told
    };
    assert_eq!(with(10, 10), "");
    let told = with(12, 10);
    assert!(
        told.contains("2 RSTs were sent that threw away only a TLS alert or a control frame: 2 for tcp_abort_on_data.")
            && told.contains("10 other RSTs were sent besides."),
        "{told}"
    );
}

#[test]
fn requests_in_flight_that_are_answered_are_a_clean_drain() {
    for (program, signal, kind) in [
        ("nginx", "SIGQUIT", DrainKind::Stop),
        ("nginx", "SIGHUP", DrainKind::Reload),
        ("gunicorn", "SIGTERM", DrainKind::Stop),
        ("gunicorn", "SIGHUP", DrainKind::Reload),
    ] {
        let mut drain = drain(program, signal);
        drain.kind = kind;
        in_flight_answered(&mut drain, 10);
        let (verdict, names) = verdict_of(&mut drain);
        assert_eq!(verdict, Verdict::Pass, "{program} {signal}: {names:?}");
        assert!(evidence(&drain, "clean-drain").contains("10 of these owed an answer"));
    }
}

#[test]
fn requests_in_flight_closed_by_fin_are_told_by_unanswered_alone() {
    for (program, signal, fast) in [
        ("nginx", "SIGTERM", true),
        ("daphne", "SIGTERM", false),
        ("uwsgi", "SIGTERM", false),
        ("nginx", "SIGQUIT", false),
    ] {
        let mut drain = drain(program, signal);
        in_flight_cut(&mut drain, 10);
        let (verdict, names) = verdict_of(&mut drain);
        assert_eq!(verdict, Verdict::Fail, "{program} {signal}");
        assert_eq!(names[0], "requests-cut");
        assert_eq!(drain.counts.resets(), 0, "no RST at all");
        assert_eq!(
            names.contains(&"fast-stop-signal".to_owned()),
            fast,
            "{program} {signal}: {names:?}"
        );
        let told = evidence(&drain, "requests-cut");
        assert!(told.contains("10 requests were lost"), "{told}");
        assert!(told.contains("10 of these owed an answer"), "{told}");
    }
}

#[test]
fn nginx_dies_on_term_with_its_requests() {
    let mut drain = drain("nginx", "SIGTERM");
    in_flight_cut(&mut drain, 10);
    idle_closed_by_server(&mut drain, 10);
    drain.counts.by_exit = 20;
    let (_, names) = verdict_of(&mut drain);
    assert_eq!(
        names[..3],
        ["requests-cut", "died-serving", "fast-stop-signal"]
    );
    let told = evidence(&drain, "died-serving");
    assert!(
        told.contains("20 connections ended") && told.contains("on 10 of them"),
        "{told}"
    );
    let remedy = &drain.findings[0].remedy;
    assert!(
        remedy.contains("SIGQUIT") && remedy.contains("worker_shutdown_timeout"),
        "{remedy}"
    );
}

#[test]
fn sigkill_resets_exactly_the_connections_with_unread_data() {
    let mut drain = drain("server", "SIGKILL");
    drain.kind = DrainKind::Kill;
    let cut = Cuts {
        unanswered: 6,
        unread: 4,
        late: 0,
    };
    killed(&mut drain, 0.0, 20, cut);
    drain.further_signals.clear();
    drain.counts.fin = 16;
    drain.counts.local_first = 16;
    drain.counts.no_fin = 4;
    drain.counts.reset_sent = 4;
    resets(&mut drain, "tcp_abort_on_close", 0, 0, 4);
    let (verdict, names) = verdict_of(&mut drain);
    assert_eq!(verdict, Verdict::Fail);
    assert_eq!(
        names,
        ["requests-cut", "died-serving", "killed-without-stop"]
    );
    let told = evidence(&drain, "requests-cut");
    assert!(
        told.contains("6 read and not answered, 4 received and never read"),
        "{told}"
    );
    assert!(
        evidence(&drain, "killed-without-stop").contains("ended by SIGKILL (sent by systemd (1))")
    );
}

#[test]
fn a_reload_under_load_counts_lost_requests_and_not_ended_connections() {
    // wrk says 20 read errors every time; a packet capture of the same runs says these.
    for (unread, after_fin, goodbyes, lost) in [
        (13, 3, 0, 16),
        (16, 3, 0, 19),
        (2, 2, 16, 4),
        (1, 1, 18, 2),
        (10, 5, 5, 15),
    ] {
        let mut drain = drain("nginx", "SIGHUP");
        drain.kind = DrainKind::Reload;
        drain.open_at_start = 20;
        drain.counts.local_first = 20 - unread;
        drain.counts.no_fin = unread;
        drain.counts.reset_sent = unread + after_fin + goodbyes;
        drain.counts.fin = 20 - drain.counts.reset_sent.min(20);
        drain.counts.cut.unread = unread;
        drain.counts.cut.late = after_fin;
        resets(&mut drain, "tcp_abort_on_close", 0, 0, unread);
        resets(&mut drain, "tcp_abort_on_data", 0, goodbyes, after_fin);
        let (verdict, _) = verdict_of(&mut drain);
        assert_eq!(verdict, Verdict::Fail);
        let told = evidence(&drain, "requests-cut");
        assert!(
            told.contains(&format!("{lost} requests were lost")),
            "{told}"
        );
    }
}

#[test]
fn a_gunicorn_reload_passes_whoever_hangs_up_first() {
    for ours in [3, 11, 20] {
        let mut drain = drain("gunicorn", "SIGHUP");
        drain.kind = DrainKind::Reload;
        drain.open_at_start = 20;
        drain.awaiting_at_start = Some(20);
        drain.counts.local_first = ours;
        drain.counts.remote_first = 20 - ours;
        drain.counts.fin = 20;
        let (verdict, names) = verdict_of(&mut drain);
        assert_eq!(verdict, Verdict::Pass, "{names:?}");
    }
}

#[test]
fn a_phase_limit_shorter_than_the_request_cuts_with_a_clean_fin() {
    let mut drain = drain("java", "SIGTERM");
    in_flight_cut(&mut drain, 10);
    drain.last_close_at = Some(at(20.0));
    drain.exit = drain.exit.map(|exit| crate::model::Exit {
        at: at(20.5),
        code: Some(143),
        ..exit
    });
    let (verdict, names) = verdict_of(&mut drain);
    assert_eq!(verdict, Verdict::Fail);
    assert_eq!(names, ["requests-cut", "server-hangs-up-first"]);
    assert!(
        drain.findings[0]
            .remedy
            .contains("spring.lifecycle.timeout-per-shutdown-phase")
    );
}

#[test]
fn tomcat_closes_an_idle_connection_that_asks_during_the_drain() {
    let mut drain = drain("java", "SIGTERM");
    drain.open_at_start = 30;
    drain.counts.local_first = 30;
    drain.counts.cut.unread = 30;
    drain.counts.unread = 30;
    drain.counts.fin = 16;
    drain.counts.reset_sent = 14;
    let (verdict, _) = verdict_of(&mut drain);
    assert_eq!(verdict, Verdict::Fail);
    assert!(evidence(&drain, "requests-cut").contains("30 requests were lost"));
}

#[test]
fn a_goaway_lets_clients_close_first_and_leaves_nothing_here() {
    let mut drain = drain("grpc-server", "SIGTERM");
    drain.open_at_start = 20;
    drain.counts.remote_first = 20;
    drain.counts.fin = 20;
    ordinary(
        &mut drain,
        Counts {
            remote_first: 5,
            ..Counts::default()
        },
    );
    let (verdict, names) = verdict_of(&mut drain);
    assert_eq!(
        (verdict, names),
        (Verdict::Pass, vec!["clean-drain".to_owned()])
    );
}

#[test]
fn connections_that_nobody_accepts_are_reset_with_the_listener() {
    for (program, until) in [("gunicorn", 4.0), ("hypercorn", 1.0), ("java", 2.0)] {
        let mut drain = drain(program, "SIGTERM");
        drain.opened_after_start = 7;
        drain.last_opened_at = Some(at(until / 2.0));
        drain.counts.opened = 7;
        drain.counts.no_fin = 7;
        drain.counts.reset_sent = 7;
        drain.counts.accept_queue_dropped = 7;
        drain.listening.closed_at = Some(at(until));
        let (verdict, names) = verdict_of(&mut drain);
        assert_eq!(verdict, Verdict::Fail);
        assert_eq!(
            names,
            [
                "accept-queue-dropped",
                "accepts-after-signal",
                "not-accepting"
            ]
        );
        assert!(
            evidence(&drain, "accept-queue-dropped").contains("7 connections were established")
        );
    }
}
