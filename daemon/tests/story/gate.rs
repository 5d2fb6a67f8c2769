//! `finwatch verdict`: each way out has its code, and waiting ends with what happens.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use finwatch_engine::model::{RolloutState, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    commands::{Ran, assert_expected, finwatch, run},
    server::{Server, Told},
};

pub(super) fn verdict(server: &Server, args: &[&str]) -> Ran {
    run(finwatch(&["verdict", "--url", &server.url()]).args(args))
}

pub(super) fn waiting(server: &Server, args: &[&str]) -> Child {
    finwatch(&["verdict", "--url", &server.url()])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs")
}

pub(super) fn end_of(child: Child) -> Ran {
    let output = child.wait_with_output().expect("its end");
    Ran {
        code: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

pub(super) fn with_verdict(verdict: Verdict) -> Told {
    let mut told = Told::sample();
    told.rollouts.drain(..2);
    told.rollouts[0].verdict = verdict;
    told
}

#[test]
fn each_verdict_has_its_code() {
    for (judged, flags, code) in [
        (Verdict::Pass, &[][..], 0),
        (Verdict::Fail, &[], 1),
        (Verdict::Warn, &[], 0),
        (Verdict::Warn, &["--fail-on-warn"], 2),
        (Verdict::Pass, &["--fail-on-warn"], 0),
        (Verdict::Inconclusive, &[], 3),
    ] {
        let server = Server::start(with_verdict(judged));
        let ran = verdict(&server, flags);
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (code, ""),
            "{judged:?} {flags:?}"
        );
        let word = judged.as_str().to_uppercase();
        assert!(ran.out.starts_with(&word), "{}", ran.out);
        let json = verdict(&server, &[flags, &["-o", "json"]].concat());
        let said: Value = serde_json::from_str(&json.out).expect("JSON");
        assert_eq!((json.code, &said["exit_code"]), (code, &Value::from(code)));
        assert_eq!(said["verdict"], judged.as_str());
        assert_eq!(said["rollout"]["id"], "r-20261122T165158-nginx");
        assert_eq!(said["others"], Value::Array(Vec::new()));
    }
}

/// With no incident of nginx.
pub(crate) fn of_rollouts_alone() -> Told {
    let mut told = Told::sample();
    told.incidents
        .retain(|incident| incident.service.workload != "nginx.service");
    told
}

#[test]
fn what_is_said_is_as_expected() {
    let server = Server::start(of_rollouts_alone());
    for (name, args, code) in [
        ("verdict-fail.txt", &["--rollout", "r-20261122T1651"][..], 1),
        (
            "verdict-pass.txt",
            &["--workload", "nginx", "--since", "2026-11-22T17:00:00Z"],
            0,
        ),
        ("verdict-running.txt", &["-w", "checkout"], 3),
        (
            "verdict-nothing.txt",
            &["-w", "payments", "-n", "shop", "-p", "9090"],
            3,
        ),
        ("verdict-unknown.txt", &["--rollout", "zzz"], 3),
        (
            "verdict-fail-verbose.txt",
            &["--rollout", "r-20261122T1651", "--verbose"],
            1,
        ),
    ] {
        let ran = verdict(&server, args);
        assert_eq!((ran.code, ran.err.as_str()), (code, ""), "{args:?}");
        assert_expected(name, &ran.out);
    }
    let mut told = with_verdict(Verdict::Warn);
    told.rollouts[0].drains.clear();
    told.rollouts[0].findings.remove(0);
    told.rollouts[0].counts = Default::default();
    let server = Server::start(told);
    assert_expected("verdict-warn.txt", &verdict(&server, &[]).out);
    let mut told = with_verdict(Verdict::Inconclusive);
    told.rollouts[0].interrupted = true;
    let server = Server::start(told);
    assert_expected("verdict-interrupted.txt", &verdict(&server, &[]).out);
}

#[test]
fn the_newest_that_fits_is_judged() {
    let server = Server::start(of_rollouts_alone());
    assert_eq!(
        verdict(&server, &["-w", "nginx"]).code,
        0,
        "the reload passed"
    );
    let ran = verdict(
        &server,
        &["-w", "nginx", "--since", "2026-11-22T17:10:00.001Z"],
    );
    assert_eq!(ran.code, 3, "nothing since: {}", ran.out);
    assert_eq!(verdict(&server, &[]).code, 3, "one is running");
}

/// The reload that passed, and the stop that failed as if it had been in another namespace: it ends so many
/// milliseconds before the reload begins.
fn two_of_a_name(apart_ms: i64) -> Told {
    let mut told = of_rollouts_alone();
    told.rollouts.remove(0);
    let newer = told.rollouts[0].started_at;
    let older = &mut told.rollouts[1];
    older.ended_at = Some(newer - SignedDuration::from_millis(apart_ms));
    told
}

#[test]
fn those_that_overlap_the_newest_are_judged_with_it_and_the_worst_counts() {
    for (apart_ms, code, others) in [(-500, 1, 1), (0, 1, 1), (2_000, 1, 1), (2_001, 0, 0)] {
        let server = Server::start(two_of_a_name(apart_ms));
        let ran = verdict(&server, &["-w", "nginx", "-o", "json"]);
        let said: Value = serde_json::from_str(&ran.out).expect("JSON");
        assert_eq!(ran.code, code, "{apart_ms}: {}", said["reason"]);
        assert_eq!(said["others"].as_array().map(Vec::len), Some(others));
        let (judged, other) = (&said["rollout"]["id"], &said["others"][0]["id"]);
        if code == 1 {
            assert_eq!(judged, "r-20261122T165158-nginx", "the worst");
            assert_eq!(other, "r-20261122T171000-nginx");
        } else {
            assert_eq!(judged, "r-20261122T171000-nginx", "the newest");
        }
    }
    let server = Server::start(two_of_a_name(-500));
    let ran = verdict(&server, &["-w", "nginx"]);
    assert_expected("verdict-several.txt", &ran.out);
    let newest = ["--rollout", "r-20261122T171000-nginx"];
    assert_eq!(verdict(&server, &newest).code, 0, "that one alone");
    let later = ["-w", "nginx", "--since", "2026-11-22T17:00:00Z"];
    assert_eq!(verdict(&server, &later).code, 0, "it began before");
    let port = ["-w", "nginx", "--port", "8081"];
    assert_eq!(verdict(&server, &port).code, 3, "neither fits");
}

#[test]
fn inconclusive_is_worse_than_a_warning_and_better_than_a_failure() {
    for (one, other, code) in [
        (Verdict::Pass, Verdict::Pass, 0),
        (Verdict::Warn, Verdict::Pass, 2),
        (Verdict::Warn, Verdict::Inconclusive, 3),
        (Verdict::Fail, Verdict::Inconclusive, 1),
    ] {
        for (newer, older) in [(one, other), (other, one)] {
            let mut told = two_of_a_name(0);
            told.rollouts[0].verdict = newer;
            told.rollouts[1].verdict = older;
            let server = Server::start(told);
            let ran = verdict(&server, &["-w", "nginx", "--fail-on-warn"]);
            assert_eq!(ran.code, code, "{newer:?} {older:?}: {}", ran.out);
        }
    }
}

#[test]
fn all_that_overlap_are_waited_for() {
    let mut told = two_of_a_name(0);
    let now = Timestamp::now();
    for rollout in &mut told.rollouts {
        rollout.started_at = now;
        rollout.ended_at = Some(now);
        rollout.verdict = Verdict::Pass;
    }
    told.rollouts[1].state = RolloutState::Running;
    let server = Server::start(told);
    let wait = ["-w", "nginx", "--wait", "30s"];
    let ran = verdict(&server, &["-w", "nginx", "--wait", "1s"]);
    assert_eq!(ran.code, 3, "one is running: {}", ran.out);
    assert!(
        ran.out
            .contains("165158-nginx is still running after 1.0 s")
    );
    let child = waiting(&server, &wait);
    server.wait_until_seen();
    {
        // The running one, which was chosen, ends; what fits and has begun meanwhile is waited for.
        let mut told = server.told();
        let mut third = told.rollouts[1].clone();
        third.id = "third".to_owned();
        told.rollouts[1].state = RolloutState::Ended;
        told.rollouts[1].ended_at = Some(Timestamp::now());
        third.started_at = Timestamp::now();
        told.rollouts.insert(0, third);
    }
    server.wait_until_seen();
    {
        let mut told = server.told();
        told.rollouts[0].state = RolloutState::Ended;
        told.rollouts[0].verdict = Verdict::Fail;
    }
    let ran = end_of(child);
    assert_eq!(ran.code, 1, "{} {}", ran.out, ran.err);
    assert!(
        ran.out
            .starts_with("FAIL  the worst of 3 rollouts that overlap\n"),
        "{}",
        ran.out
    );
}

#[test]
fn usage_is_not_taken_for_a_verdict() {
    let server = Server::start(Told::sample());
    for args in [
        &["--nonsense"][..],
        &["--wait", "soon"],
        &["--rollout", "x", "--workload", "y"],
        &["--port", "0"],
        &["--url", "ftp://x"],
        &["--rollout", "r-2"],
    ] {
        let ran = verdict(&server, args);
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{args:?}");
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
    }
    assert_eq!(run(&mut finwatch(&["verdict", "--help"])).code, 0);
    assert_eq!(run(&mut finwatch(&["rollouts", "--nonsense"])).code, 2);
}

#[test]
fn waiting_ends_when_the_rollout_does() {
    let server = Server::start(Told::nothing());
    let child = waiting(&server, &["--workload", "checkout", "--wait", "30s"]);
    server.wait_until_seen();
    let mut rollout = Told::sample().rollouts.remove(0);
    let began = Timestamp::now();
    rollout.started_at = began;
    server.told().rollouts.push(rollout.clone());
    server.wait_until_seen();
    // It is followed by its id: one of another workload does not end the wait, nor a newer one of its own.
    let mut newer = rollout.clone();
    newer.id = "newer".to_owned();
    newer.state = RolloutState::Ended;
    newer.verdict = Verdict::Pass;
    server.told().rollouts.push(newer);
    server.wait_until_seen();
    {
        let mut told = server.told();
        told.rollouts[0].state = RolloutState::Ended;
        told.rollouts[0].ended_at = Some(Timestamp::now());
        told.rollouts[0].verdict = Verdict::Fail;
    }
    let ended = Instant::now();
    let ran = end_of(child);
    assert!(ended.elapsed() < Duration::from_secs(5));
    assert_eq!(ran.code, 1, "{} {}", ran.out, ran.err);
    assert!(
        ran.out.contains("rollouts show r-20261122T181458-checkout"),
        "{}",
        ran.out
    );
    assert_eq!(ran.err, "", "no progress where there is no terminal");
}

#[test]
fn what_began_up_to_a_minute_before_the_wait_is_meant_and_nothing_older() {
    let mut told = Told::sample();
    told.rollouts.truncate(2);
    let now = Timestamp::now();
    told.rollouts[0].state = RolloutState::Ended;
    told.rollouts[0].verdict = Verdict::Pass;
    told.rollouts[0].started_at = now - SignedDuration::from_secs(50);
    told.rollouts[1].started_at = now - SignedDuration::from_secs(70);
    let server = Server::start(told);
    assert_eq!(
        verdict(&server, &["-w", "checkout", "--wait", "20s"]).code,
        0
    );
    let began = Instant::now();
    let ran = verdict(&server, &["-w", "nginx", "--wait", "1s"]);
    assert_eq!(ran.code, 3, "{}", ran.out);
    assert!(
        ran.out
            .contains("waited 1.0 s for rollout of nginx that began after "),
        "{}",
        ran.out
    );
    assert!((1..5).contains(&began.elapsed().as_secs()));
}

#[test]
fn one_that_is_still_running_at_the_end_is_inconclusive() {
    let server = Server::start(Told::sample());
    let ran = verdict(&server, &["--rollout", "latest", "--wait", "1s"]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.out
            .contains("rollout r-20261122T181458-checkout is still running after 1.0 s"),
        "{}",
        ran.out
    );
}

#[test]
fn a_daemon_that_goes_while_waited_for_may_come_back_and_else_could_not_be_asked() {
    let server = Server::start(Told::nothing());
    let child = waiting(&server, &["-w", "checkout", "--wait", "3s"]);
    server.wait_until_seen();
    drop(server);
    let ran = end_of(child);
    assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{}", ran.err);
    assert!(
        ran.err.contains("cannot ask finwatch at http://127.0.0.1:"),
        "{}",
        ran.err
    );
}

#[test]
fn a_rollout_that_was_merged_into_another_is_looked_for_again() {
    let mut told = Told::sample();
    told.rollouts.truncate(1);
    told.rollouts[0].started_at = Timestamp::now();
    let server = Server::start(told);
    let child = waiting(&server, &["-w", "checkout", "--wait", "20s"]);
    server.wait_until_seen();
    {
        let mut told = server.told();
        told.rollouts[0].id = "announced-later".to_owned();
        told.rollouts[0].state = RolloutState::Ended;
        told.rollouts[0].verdict = Verdict::Pass;
    }
    let ran = end_of(child);
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    assert!(
        ran.out.contains("rollouts show announced-later"),
        "{}",
        ran.out
    );
}
