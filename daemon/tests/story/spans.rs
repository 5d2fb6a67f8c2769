//! `finwatch verdict --since --workload`: a time is judged by all that the workload's clients lost in it, each loss once, whether
//! a rollout tells of it or an incident.

use std::cmp::Reverse;

use finwatch_engine::model::{Counts, Drain, IncidentCause, IncidentEnd, Source, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    commands::{assert_expected, finwatch, run},
    gate::verdict,
    server::{Server, Told},
    since::{SINCE, of_nginx},
};

const NGINX: [&str; 4] = ["-w", "nginx", "--since", SINCE];
const MARKDOWN: [&str; 6] = ["-w", "nginx", "--since", SINCE, "-o", "markdown"];

/// So many requests are lost in an incident of this workload, so many seconds after a fixed time, within two.
fn incident_of(told: &mut Told, workload: &str, lost: u64, began: i64) {
    let sample = Told::sample().incidents;
    let mut incident = sample[2].clone();
    incident.id = format!("{workload}-{began}");
    incident.service = sample[1].service.clone();
    incident.service.workload = workload.to_owned();
    incident.cut.late = lost;
    for finding in &mut incident.findings {
        finding.evidence = vec![format!(
            "{lost} requests met a connection that this side had just closed."
        )];
    }
    incident.started_at =
        SINCE.parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(began);
    incident.last_at = incident.started_at + SignedDuration::from_secs(2);
    incident.ended_at = Some(incident.last_at);
    told.incidents.push(incident);
    told.incidents.sort_by_key(|one| Reverse(one.started_at));
}

/// The newest of them is what this drain tells.
fn told_by(told: &mut Told, drain: &str) {
    let incident = told.incidents.first_mut().expect("one");
    incident.drain = Some(drain.to_owned());
    incident.cause = IncidentCause::WorkerCrashed;
}

fn json(server: &Server, args: &[&str]) -> (i32, Value) {
    let ran = verdict(server, &[args, &["-o", "json"]].concat());
    let said: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(said["exit_code"], Value::from(ran.code));
    (ran.code, said)
}

fn ids(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list").iter();
    list.filter_map(|one| one["id"].as_str()).collect()
}

/// The rollout lasts from second 1 to second 11.
#[test]
fn what_a_workload_lost_since_counts_and_what_others_lost_is_named() {
    let mut told = of_nginx(&[("ours", Source::Cli, 1, Verdict::Pass)]);
    told.incidents.clear();
    for (workload, lost, began) in [
        ("nginx.service", 3, -40),
        ("app.service", 12, -2),
        ("app.service", 4, 5),
        ("other.service", 20, 12),
        ("nginx.service", 7, 60),
    ] {
        incident_of(&mut told, workload, lost, began);
    }
    let server = Server::start(told);
    let (ours, app) = ("nginx.service-60", "app.service-5");
    for (args, code, counts, beside) in [
        (&NGINX[..], 1, &[ours][..], &[app][..]),
        (&["--rollout", "ours"], 0, &[], &[app]),
        (&["-w", "nginx"], 0, &[], &[app]),
        (&["--since", SINCE], 0, &[], &[ours, app]),
        (
            &["-w", "nginx", "--since", SINCE, "--wait", "1s"],
            1,
            &[ours],
            &[app],
        ),
        (
            &["-w", "nginx", "-p", "8081", "--since", SINCE],
            3,
            &[],
            &[],
        ),
    ] {
        let (said_code, said) = json(&server, args);
        assert_eq!(said_code, code, "{args:?} {said}");
        assert_eq!(ids(&said["incidents"]), counts, "{args:?}");
        assert_eq!(ids(&said["beside"]), beside, "{args:?}");
    }
    let failed = verdict(&server, &NGINX);
    assert_eq!((failed.code, failed.err.as_str()), (1, ""));
    assert_expected("verdict-beside.txt", &failed.out);
    let rollout = verdict(&server, &["--rollout", "ours"]);
    assert_expected("verdict-beside-rollout.txt", &rollout.out);
}

/// A stop with nobody connected tells nothing; what was lost before it does.
#[test]
fn an_idle_stop_does_not_hide_an_incident() {
    let mut told = of_nginx(&[("stop", Source::Signal, 30, Verdict::Inconclusive)]);
    told.incidents.clear();
    let rollout = &mut told.rollouts[0];
    rollout.counts = Counts::default();
    for Drain {
        open_at_start,
        opened_after_start,
        counts,
        findings,
        verdict,
        ..
    } in &mut rollout.drains
    {
        (*open_at_start, *opened_after_start) = (0, 0);
        (*counts, *verdict) = (Counts::default(), Verdict::Inconclusive);
        findings.clear();
    }
    let idle = Server::start(told.clone());
    assert_eq!(json(&idle, &NGINX).0, 3, "too little was seen");
    incident_of(&mut told, "nginx.service", 20, 3);
    let server = Server::start(told);
    let (code, said) = json(&server, &NGINX);
    assert_eq!((code, said["verdict"].as_str()), (1, Some("fail")));
    assert_eq!(said["rollout"]["id"], "stop");
    assert_eq!(ids(&said["incidents"]), ["nginx.service-3"]);
    let reason = said["reason"].as_str().expect("words");
    assert!(
        reason.starts_with("an incident of nginx.service:443: 20 requests lost"),
        "{reason}"
    );
    assert_expected("verdict-idle-stop.txt", &verdict(&server, &NGINX).out);
    let markdown = verdict(&server, &MARKDOWN);
    let first = "**FAIL**  20 requests lost in 1 incident: ";
    assert_eq!(markdown.code, 1);
    assert!(markdown.out.starts_with(first), "{}", markdown.out);
}

/// The drain of a crash is in the rollout that is judged: its sum has it.
#[test]
fn a_crash_that_a_rollout_tells_counts_once() {
    let mut told = of_nginx(&[("crash", Source::Signal, 1, Verdict::Fail)]);
    told.incidents.clear();
    let drain = told.rollouts[0].drains[0].id.clone();
    incident_of(&mut told, "nginx.service", 4, 1);
    told_by(&mut told, &drain);
    let server = Server::start(told.clone());
    for args in [&NGINX[..], &["--rollout", "crash"], &["-w", "nginx"]] {
        let (code, said) = json(&server, args);
        assert_eq!(code, 1);
        assert_eq!(ids(&said["incidents"]), Vec::<&str>::new(), "{args:?}");
        assert_eq!(ids(&said["beside"]), Vec::<&str>::new(), "{args:?}");
    }
    // A deploy that is judged in its stead does not tell of it.
    let mut deploy = of_nginx(&[("deploy", Source::Cli, 60, Verdict::Pass)]).rollouts;
    deploy[0].drains.clear();
    told.rollouts.splice(0..0, deploy);
    let server = Server::start(told);
    let (code, said) = json(&server, &NGINX);
    assert_eq!((code, said["rollout"]["id"].as_str()), (1, Some("deploy")));
    assert_eq!(ids(&said["incidents"]), ["nginx.service-1"]);
    assert_eq!(ids(&said["not_judged"]), Vec::<&str>::new(), "counted");
    assert_eq!(ids(&said["beside"]), Vec::<&str>::new());
}

#[test]
fn the_first_line_tells_all_that_was_lost() {
    let mut told = of_nginx(&[("ours", Source::Cli, 1, Verdict::Fail)]);
    told.incidents.clear();
    let rollout = &mut told.rollouts[0];
    for drain in &mut rollout.drains {
        (drain.counts.cut.late, drain.verdict) = (5, Verdict::Fail);
    }
    rollout.counts.cut.late = 5 * rollout.drains.len() as u64;
    let of_rollout = rollout.lost().total();
    assert!(of_rollout > 0);
    incident_of(&mut told, "nginx.service", 20, 30);
    incident_of(&mut told, "nginx.service", 3, 90);
    let server = Server::start(told);
    let ran = verdict(&server, &NGINX);
    assert_eq!(ran.code, 1);
    let first = format!(
        "FAIL  {} requests lost in 1 rollout and 2 incidents",
        of_rollout + 23
    );
    assert!(ran.out.starts_with(&first), "{}", ran.out);
    assert_expected("verdict-adds-up.txt", &ran.out);
}

/// No rollout of nginx reaches into the time from then on, but an incident does.
const AFTER: &str = "2026-11-22T17:20:05Z";
/// Nothing does.
const LONG_AFTER: &str = "2026-11-22T17:30:00Z";

#[test]
fn a_time_without_a_rollout_is_judged_by_its_incidents() {
    let server = Server::start(Told::sample());
    let failed = verdict(&server, &["-w", "nginx", "--since", AFTER]);
    assert_eq!(
        (failed.code, failed.err.as_str()),
        (1, ""),
        "{}",
        failed.out
    );
    assert_expected("verdict-incident.txt", &failed.out);
    let passed = verdict(&server, &["-w", "nginx", "--since", LONG_AFTER]);
    assert_eq!(
        (passed.code, passed.err.as_str()),
        (0, ""),
        "{}",
        passed.out
    );
    assert_expected("verdict-no-incident.txt", &passed.out);
    let (_, said) = json(&server, &["-w", "nginx", "--since", AFTER]);
    assert_eq!(said["rollout"], Value::Null);
    assert_eq!(
        ids(&said["incidents"]),
        ["nginx.service-443-20261122T172000Z"]
    );
}

#[test]
fn several_incidents_add_up() {
    let mut told = Told::sample();
    for (lost, began) in [(3, 60 * 21), (20, 60 * 22), (4, 60 * 23)] {
        incident_of(&mut told, "nginx.service", lost, began);
    }
    let server = Server::start(told);
    let ran = verdict(&server, &["-w", "nginx", "--since", AFTER]);
    assert_eq!(ran.code, 1);
    let first = "FAIL  27 requests lost, 7 connections refused in 4 incidents: ";
    assert!(ran.out.starts_with(first), "{}", ran.out);
}

#[test]
fn a_time_that_was_not_watched_whole_or_of_which_a_rollout_tells_is_no_pass() {
    let since = ["-w", "nginx", "--since", LONG_AFTER];
    let mut restarted = Told::sample();
    restarted.watched_since = "2026-11-22T18:00:00Z".parse().expect("a time");
    let mut idle = Told::sample();
    for state in &mut idle.services {
        (state.totals.opened, state.open) = (0, 0);
    }
    let mut quiet = Told::sample();
    quiet.incidents.clear();
    // The reload goes on into it.
    let reload = ["-w", "nginx", "--since", "2026-11-22T17:10:01Z"];
    // Who waits, waits for a rollout.
    let waits = ["-w", "nginx", "--since", LONG_AFTER, "--wait", "1s"];
    for (told, args) in [
        (restarted, &since[..]),
        (idle, &since),
        (quiet, &reload),
        (Told::sample(), &waits),
    ] {
        let server = Server::start(told.clone());
        let ran = verdict(&server, args);
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (3, ""),
            "{args:?} {}",
            ran.out
        );
        let is_restarted = told.watched_since > Told::sample().watched_since;
        let out = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(out.contains("watches only since"), is_restarted, "{out}");
        // What is known to be lost is, whatever else may be.
        let mut failed = told;
        let seconds = 60 * 30 + 1;
        incident_of(&mut failed, "nginx.service", 3, seconds);
        let ran = verdict(&Server::start(failed), args);
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (1, ""),
            "{args:?} {}",
            ran.out
        );
    }
}

#[test]
fn a_crash_among_the_incidents_names_its_drain() {
    let mut told = Told::sample();
    let crash = &mut told.incidents[0];
    crash.drain = Some("1a22c016f77-3711-8000".to_owned());
    crash.cause = IncidentCause::WorkerCrashed;
    let exit = &mut crash.ended_processes[0].exit;
    (exit.code, exit.signal) = (None, Some("SIGSEGV".to_owned()));
    crash.findings.truncate(1);
    let killed = &mut crash.findings[0];
    killed.diagnosis = "killed-without-stop".to_owned();
    killed.evidence = vec![
        "gunicorn (worker 3711 of 3700) was ended by SIGSEGV (sent by kernel), with no stop signal before it.".to_owned(),
        "12 connections were open.".to_owned(),
    ];
    killed.remedy =
        "Find out why it died: the kernel's log for the OOM killer, a core dump for a fault."
            .to_owned();
    (crash.ended_at, crash.ending) = (Some(crash.last_at), Some(IncidentEnd::Quiet));
    let server = Server::start(told);
    for (name, args) in [
        ("incidents-crash.txt", &["incidents"][..]),
        (
            "glance-crashed-worker.txt",
            &["incidents", "show", "app.service"],
        ),
        (
            "show-crashed-worker.txt",
            &["incidents", "show", "app.service", "--verbose"],
        ),
    ] {
        let ran = run(finwatch(args).args(["--url", &server.url()]));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}");
        assert_expected(name, &ran.out);
    }
}
