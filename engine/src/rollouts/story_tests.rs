//! The whole pure road: what servers and clients do, in the language of the scenarios, through the drains and the
//! judge into a rollout with its verdict.

use jiff::Timestamp;

use super::{Correlator, CorrelatorOptions, JudgeOptions};
use crate::diagnoses::judge;
use crate::{
    drains::scenario::{Played, play},
    model::{DeployEvent, DeployStage, Rollout, Skew, Source, Verdict, WorkloadRef},
};

const NGINX: &str = "
    0 listen 100 nginx :80
    0 fork 100 101 102
    10 open c1..c20 :80 by 101
    20 ask c1..c20
    30 answer c1..c20
    40 open d1..d10 :80 by 102
    900 ask d1..d10
";

const NODE: &str = "
    0 listen 100 node :3000
    10 open c1..c20 :3000 by 100
    20 ask c1..c20
    30 answer c1..c20
";

fn at_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).expect("a time")
}

/// The rollouts that came of a scenario, with the events that came with it; all are over.
fn rollouts(played: Played, events: Vec<DeployEvent>) -> Vec<Rollout> {
    let mut correlator = Correlator::new(CorrelatorOptions::default());
    events.into_iter().for_each(|event| correlator.event(event));
    for mut drain in played.ended {
        judge(&mut drain, &JudgeOptions::default());
        correlator.drain(drain);
    }
    played
        .starts
        .into_iter()
        .for_each(|start| correlator.start(start));
    played.gaps.into_iter().for_each(|gap| correlator.gap(gap));
    correlator.tick(at_ms(1_000_000));
    correlator.ended()
}

/// The verdict of the one unannounced rollout of a scenario, and every finding of its drains.
fn told(begin: &str, script: &str) -> (Verdict, Vec<String>) {
    let rollouts = rollouts(play(&format!("{begin}\n{script}")), Vec::new());
    assert_eq!(rollouts.len(), 1, "{rollouts:#?}");
    let names = rollouts[0]
        .drains
        .iter()
        .flat_map(|drain| &drain.findings)
        .map(|finding| finding.diagnosis.clone())
        .collect();
    (rollouts[0].verdict, names)
}

#[track_caller]
fn is_told(begin: &str, script: &str, verdict: Verdict, findings: &[&str]) {
    let (was, names) = told(begin, script);
    assert_eq!(
        (was, names),
        (
            verdict,
            findings.iter().map(|&name| name.to_owned()).collect()
        )
    );
}

fn event(stage: DeployStage, ms: i64) -> DeployEvent {
    DeployEvent {
        id: "deploy-1".to_owned(),
        source: Source::Cli,
        stage,
        workload: WorkloadRef {
            name: "node".to_owned(),
            ..WorkloadRef::default()
        },
        revision: None,
        links: Vec::new(),
        event_time: at_ms(ms),
        receive_time: at_ms(ms),
        skew: Skew::None,
    }
}

#[test]
fn nginx_quit_answers_what_it_owes_and_passes() {
    is_told(
        NGINX,
        "1000 signal QUIT 100 from 7
         1002 unlisten 100 :80
         1003 close c1..c20
         1010 exit 101 0
         2000 answer d1..d10
         2001 close d1..d10
         2010 exit 102 0
         2012 exit 100 0
         9000 end",
        Verdict::Pass,
        &["server-hangs-up-first", "clean-drain"],
    );
}

#[test]
fn nginx_term_answers_nobody_and_fails() {
    is_told(
        NGINX,
        "1000 signal TERM 100 from 7
         1001 exit 101 0
         1001 exit 102 0
         1002 exit 100 0
         9000 end",
        Verdict::Fail,
        &[
            "requests-cut",
            "died-serving",
            "fast-stop-signal",
            "server-hangs-up-first",
        ],
    );
}

#[test]
fn nginx_reload_passes_and_counts_old_workers_only() {
    is_told(
        NGINX,
        "1000 signal HUP 100 from 7
         1005 fork 100 103 104
         1020 close c1..c20
         1025 exit 101 0
         1030 open e1..e5 :80 by 103
         1100 ask e1..e5
         1110 answer e1..e5
         1120 close e1..e5
         2000 answer d1..d10
         2001 close d1..d10
         2002 exit 102 0
         9000 end",
        Verdict::Pass,
        &["server-hangs-up-first", "clean-drain"],
    );
}

#[test]
fn requests_after_the_fin_are_a_keepalive_race_and_goodbyes_are_not() {
    is_told(
        NODE,
        "1000 signal TERM 100 from 7
         1005 close c1..c20 half
         1010 exit 100 0
         2000 late c1..c12
         3000 late c13..c15 24
         5000 settle c16..c20
         9000 end",
        Verdict::Fail,
        &[
            "requests-cut",
            "keepalive-race",
            "exited-too-early",
            "tls-goodbye-resets",
            "server-hangs-up-first",
        ],
    );
    is_told(
        NODE,
        "1000 signal TERM 100 from 7
         1005 close c1..c20 half
         1010 exit 100 0
         2000 late c1..c20 24
         9000 end",
        Verdict::Pass,
        &["tls-goodbye-resets", "server-hangs-up-first", "clean-drain"],
    );
}

#[test]
fn a_queue_that_nobody_accepts_is_dropped() {
    is_told(
        "0 listen 100 gunicorn :8000
         0 fork 100 101
         10 open c1..c3 :8000 by 101
         20 ask c1..c3",
        "1000 signal TERM 100 from 7
         1500 open q1..q4 :8000
         1500 backlog :8000 4
         4000 answer c1..c3
         4001 close c1..c3
         4010 exit 101 0
         4015 exit 100 0
         9000 end",
        Verdict::Fail,
        &[
            "accept-queue-dropped",
            "accepts-after-signal",
            "not-accepting",
            "exited-too-early",
            "server-hangs-up-first",
        ],
    );
}

#[test]
fn idle_clients_hold_a_server_until_it_is_killed() {
    is_told(
        NODE,
        "1000 signal TERM 100 from 7
         1002 unlisten 100 :3000
         31000 signal KILL 100 from 7
         31001 exit 100 KILL
         39000 end",
        Verdict::Warn,
        &[
            "drain-timed-out",
            "held-by-idle-connections",
            "server-hangs-up-first",
        ],
    );
}

#[test]
fn a_download_that_sigkill_cuts_in_its_middle_is_lost() {
    const DOWNLOAD: &str = "
        0 listen 100 node :3000
        10 open c1 :3000 by 100
        20 ask c1
        30 answer c1 60000
    ";
    is_told(
        DOWNLOAD,
        "1000 signal TERM 100 from 7
         1002 unlisten 100 :3000
         2000 answer c1 60000
         5900 answer c1 60000
         6000 signal KILL 100 from 7
         6001 exit 100 KILL
         9000 end",
        Verdict::Fail,
        &["died-serving", "drain-timed-out", "server-hangs-up-first"],
    );
}

/// With `tcp_migrate_req` what waits in the queue of a listener that closes is moved to another one of the port.
#[test]
fn what_others_were_asked_on_a_moved_connection_is_no_request_that_keeps_coming() {
    const SHARDS: &str = "
        0 listen 100 shard :80
        10 open c1..c2 :80
        20 listen 200 shard :80
    ";
    is_told(
        SHARDS,
        "1000 signal TERM 100 from 7
         1001 accept c1..c2 200
         1002 unlisten 100 :80
         1010 ask c1..c2
         1020 answer c1..c2
         8000 ask c1..c2
         8010 answer c1..c2
         8100 close c1..c2
         9000 exit 100 0
         12000 end",
        Verdict::Pass,
        &["server-hangs-up-first", "clean-drain"],
    );
}

#[test]
fn messages_that_got_only_a_close_frame_are_no_pass() {
    is_told(
        "0 listen 100 chat :80
         10 open c1..c5 :80 by 100
         20 ask c1..c5 49
         21 answer c1..c5 56
         300 ask c1..c5 46",
        "1000 signal TERM 100 from 7
         1000 answer c1..c5 4
         1000 close c1..c5
         1001 exit 100 0
         9000 end",
        Verdict::Warn,
        &["requests-cut", "server-hangs-up-first"],
    );
}

#[test]
fn a_shell_that_ignores_the_signal_is_named() {
    let (verdict, names) = told(
        "0 listen 100 app :8080
         0 controller 1 sh 100
         10 open c1..c3 :8080 by 100
         20 ask c1..c3",
        "1000 signal TERM 1 from 7 ignored
         11000 signal KILL 1 from 7
         11000 signal KILL 100
         11001 exit 100 KILL
         11002 exit 1 KILL
         19000 end",
    );
    assert_eq!(verdict, Verdict::Fail);
    assert!(names.contains(&"signal-ignored".to_owned()), "{names:?}");
    assert!(names.contains(&"requests-cut".to_owned()), "{names:?}");
}

#[test]
fn uwsgi_takes_a_stop_for_a_reload() {
    let (verdict, names) = told(
        "0 listen 100 uwsgi :9000
         0 fork 100 101
         10 open c1..c10 :9000 by 101
         20 ask c1..c10",
        "1000 signal TERM 100 from 7
         1002 exit 101 0
         1500 fork 100 102
         2000 open d1..d3 :9000 by 102
         2010 ask d1..d3
         2020 answer d1..d3
         2030 close d1..d3
         20000 end",
    );
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        names.contains(&"signal-means-reload".to_owned()),
        "{names:?}"
    );
}

#[test]
fn a_crash_and_a_kill_are_no_shutdowns() {
    for script in [
        "1000 exit 100 1",
        "1000 signal KILL 100 from 7\n1001 exit 100 KILL",
    ] {
        let (verdict, names) = told(
            &format!("{NODE}\n900 ask c1..c3"),
            &format!("{script}\n9000 end"),
        );
        assert_eq!(verdict, Verdict::Fail);
        assert_eq!(
            names[..3],
            ["requests-cut", "died-serving", "killed-without-stop"]
        );
    }
}

#[test]
fn clients_refused_while_the_server_still_runs_fail_it() {
    let (verdict, names) = told(
        NODE,
        "1000 signal TERM 100 from 7
         1010 unlisten 100 :3000
         1500 refuse :3000 3
         2000 close c1..c20
         2010 exit 100 0
         9000 end",
    );
    assert_eq!(verdict, Verdict::Fail);
    assert_eq!(names[0], "listener-closed-early");
}

#[test]
fn nobody_connected_is_inconclusive() {
    let (verdict, names) = told(
        "0 listen 100 node :3000",
        "1000 signal TERM 100 from 7\n1010 exit 100 0\n9000 end",
    );
    assert_eq!(
        (verdict, names),
        (Verdict::Inconclusive, vec!["too-little-seen".to_owned()])
    );
}

#[test]
fn an_announced_restart_has_its_drain_its_gap_and_its_start() {
    let played = play(&format!(
        "{NODE}
         1000 signal TERM 100 from 7
         1005 close c1..c20
         1010 exit 100 0
         1500 refuse :3000 7
         2000 listen 200 node :3000
         9000 end"
    ));
    let begins_ms = played.ended[0].started_at.as_millisecond();
    let events = vec![
        event(DeployStage::Started, begins_ms - 500),
        event(DeployStage::Finished, begins_ms + 2_000),
    ];
    let rollouts = rollouts(played, events);
    assert_eq!(rollouts.len(), 1, "{rollouts:#?}");
    let rollout = &rollouts[0];
    assert_eq!(
        (rollout.source, rollout.verdict),
        (Source::Cli, Verdict::Fail)
    );
    assert_eq!(
        (
            rollout.drains.len(),
            rollout.starts.len(),
            rollout.gaps.len()
        ),
        (1, 1, 1)
    );
    assert_eq!(rollout.findings[0].diagnosis, "listener-gap");
    assert!(
        rollout.findings[0].evidence[0].ends_with("for 0.99 s: 7 SYNs refused."),
        "{:?}",
        rollout.findings
    );
}
