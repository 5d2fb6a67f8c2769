//! `finwatch verdict --since`: a deploy is answered with its own rollout, and what was not judged is listed.

use std::{
    cmp::Reverse,
    io::{BufRead as _, BufReader},
};

use finwatch_engine::model::{RolloutState, Source, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    commands::assert_expected,
    gate::{end_of, of_rollouts_alone, verdict, waiting},
    server::{Server, Told},
};

/// Rollouts of nginx, each announced or not, which began so many seconds after a fixed time, lasted ten, and came to
/// this; the newest first, as the daemon tells them.
pub(crate) fn of_nginx(rollouts: &[(&str, Source, i64, Verdict)]) -> Told {
    let mut told = of_rollouts_alone();
    let sample = told.rollouts.remove(1);
    let zero: Timestamp = SINCE.parse().expect("a time");
    told.rollouts = rollouts
        .iter()
        .map(|(id, source, began, verdict)| {
            let mut rollout = sample.clone();
            rollout.id = (*id).to_owned();
            rollout.source = *source;
            rollout.workload.port = None;
            rollout.started_at = zero + SignedDuration::from_secs(*began);
            rollout.ended_at = Some(rollout.started_at + SignedDuration::from_secs(10));
            rollout.verdict = *verdict;
            rollout
        })
        .collect();
    told.rollouts
        .sort_by_key(|rollout| Reverse(rollout.started_at));
    told
}

pub(crate) const SINCE: &str = "2026-11-22T17:00:00Z";

#[test]
fn a_deploy_is_answered_with_its_own_rollout_and_with_no_other() {
    use Source::{Cli, Github, Signal};
    use Verdict::{Fail, Pass};
    for (what, rollouts, code, judged, not_judged) in [
        (
            "somebody else's reload comes later and passes",
            &[("ours", Cli, 1, Fail), ("theirs", Signal, 60, Pass)][..],
            1,
            Some("ours"),
            &["theirs"][..],
        ),
        (
            "or comes between",
            &[("theirs", Signal, 1, Fail), ("ours", Cli, 30, Pass)],
            0,
            Some("ours"),
            &["theirs"],
        ),
        (
            "another deploy follows at once",
            &[("ours", Cli, 1, Fail), ("next", Github, 9, Pass)],
            1,
            Some("ours"),
            &["next"],
        ),
        (
            "the deploy before has just ended",
            &[("before", Cli, -11, Fail), ("ours", Cli, 0, Pass)],
            0,
            Some("ours"),
            &[],
        ),
        (
            "the deploy before still lasted",
            &[("before", Cli, -9, Fail), ("ours", Cli, 5, Pass)],
            0,
            Some("ours"),
            &["before"],
        ),
        (
            "nobody announced anything",
            &[("first", Signal, 1, Fail), ("second", Signal, 60, Pass)],
            0,
            Some("second"),
            &["first"],
        ),
        (
            "it began before",
            &[("before", Cli, -1, Pass)],
            3,
            None,
            &[],
        ),
    ] {
        let server = Server::start(of_nginx(rollouts));
        let args = ["-w", "nginx", "--since", SINCE, "-o", "json"];
        for more in [&[][..], &["--wait", "100ms"]] {
            let ran = verdict(&server, &[&args[..], more].concat());
            let said: Value = serde_json::from_str(&ran.out).expect("JSON");
            assert_eq!(
                (ran.code, said["rollout"]["id"].as_str()),
                (code, judged),
                "{what}"
            );
            assert_eq!(said["others"], Value::Array(Vec::new()), "{what}");
            let beside = said["not_judged"].as_array().expect("a list").iter();
            let beside: Vec<_> = beside.filter_map(|other| other["id"].as_str()).collect();
            assert_eq!(beside, not_judged, "{what}");
        }
    }
}

#[test]
fn what_turns_out_to_have_begun_before_is_not_the_deploys() {
    let mut told = of_nginx(&[("ours", Source::Cli, 1, Verdict::Pass)]);
    told.rollouts[0].state = RolloutState::Running;
    let server = Server::start(told);
    let child = waiting(&server, &["-w", "nginx", "--since", SINCE, "--wait", "2s"]);
    server.wait_until_seen();
    {
        let mut told = server.told();
        told.rollouts[0].started_at =
            SINCE.parse::<Timestamp>().expect("a time") - SignedDuration::from_secs(3);
        told.rollouts[0].state = RolloutState::Ended;
    }
    let ran = end_of(child);
    assert_eq!(ran.code, 3, "{}", ran.out);
    let said = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.ends_with("began after 2026-11-22 18:00:00 +01:00; the newest, ours (pass), began 3.0 s before that"),
        "{said}"
    );
}

#[test]
fn what_else_there_is_is_listed_below() {
    let told = of_nginx(&[
        ("ours", Source::Cli, 1, Verdict::Pass),
        ("later", Source::Signal, 60, Verdict::Fail),
    ]);
    let server = Server::start(told);
    let ran = verdict(&server, &["-w", "nginx", "--since", SINCE]);
    assert_expected("verdict-since.txt", &ran.out);
}

#[test]
fn without_a_workload_the_others_that_changed_are_listed() {
    let mut told = Told::sample();
    told.rollouts.remove(0);
    let newest = told.rollouts[0].started_at;
    for (at, ended_before_mins) in [(0, 5), (1, 11)] {
        let mut other = told.rollouts[1].clone();
        other.id = format!("gunicorn-{at}");
        other.workload.name = "gunicorn".to_owned();
        other.ended_at = Some(newest - SignedDuration::from_mins(ended_before_mins));
        told.rollouts.push(other);
    }
    let server = Server::start(told);
    let ran = verdict(&server, &[]);
    assert_eq!(ran.code, 0, "one was judged: {}", ran.out);
    assert_expected("verdict-of-several.txt", &ran.out);
}

#[test]
fn what_nobody_announced_of_another_workload_is_not_judged_with_a_deploy() {
    for (name, code, not_judged) in [("gunicorn", 0, 1), ("nginx.service", 1, 0)] {
        let mut told = of_nginx(&[
            ("ours", Source::Cli, 1, Verdict::Pass),
            ("beside", Source::Signal, 2, Verdict::Fail),
        ]);
        told.rollouts[0].workload.name = name.to_owned();
        told.rollouts[0].drains.clear();
        let server = Server::start(told);
        let ran = verdict(&server, &["--since", SINCE, "-o", "json"]);
        let said: Value = serde_json::from_str(&ran.out).expect("JSON");
        let beside = said["not_judged"].as_array().map(Vec::len);
        assert_eq!((ran.code, beside), (code, Some(not_judged)), "{name}");
    }
}

#[test]
fn a_name_that_is_not_known_is_answered_at_once_with_those_that_are() {
    let server = Server::start(Told::sample());
    let ran = verdict(&server, &["-w", "ngnix"]);
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    assert_expected("verdict-slip.txt", &ran.out);

    let mut child = waiting(&server, &["-w", "ngnix", "--wait", "20s"]);
    let mut err = BufReader::new(child.stderr.take().expect("its errors"));
    let mut line = String::new();
    err.read_line(&mut line).expect("a line");
    assert_eq!(
        line,
        "finwatch knows no workload `ngnix`; did you mean `nginx.service`? It knows nginx.service, checkout. It is \
         waited for all the same\n"
    );
    assert!(
        child.try_wait().expect("it is asked").is_none(),
        "it may still come"
    );
    child.kill().expect("killed");
    child.wait().expect("its end");
}
