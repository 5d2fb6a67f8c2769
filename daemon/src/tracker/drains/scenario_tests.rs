//! Server shapes, each stopped, reloaded or killed in the scenario language, and what the drains make of it.

use super::scenario::{lines, play};

/// A master with two workers, twenty idle connections and ten that wait for an answer.
const NGINX: &str = "
    0 listen 100 nginx :80
    0 fork 100 101 102
    10 open c1..c20 :80 by 101
    20 ask c1..c20
    30 answer c1..c20
    40 open d1..d10 :80 by 102
    900 ask d1..d10
";

/// A process that has twenty idle connections.
const NODE: &str = "
    0 listen 100 node :3000
    10 open c1..c20 :3000 by 100
    20 ask c1..c20
    30 answer c1..c20
";

#[track_caller]
fn ends(begin: &str, script: &str, expected: &[&str]) {
    let played = play(&format!("{begin}\n{script}"));
    assert_eq!(lines(&played.ended), expected);
    assert_eq!(lines(&played.running), Vec::<String>::new(), "running");
}

#[test]
fn one_process_stops_with_idle_connections() {
    ends(
        NODE,
        "1000 signal TERM 100 from 7
         1002 unlisten 100 :3000
         1005 close c1..c20
         1020 exit 100 0
         9000 end",
        &["X"],
    );
}

#[test]
fn nginx_quits_and_answers_what_it_owes() {
    ends(
        NGINX,
        "1000 signal QUIT 100 from 7
         1001 signal QUIT 101 from 100
         1001 signal QUIT 102 from 100
         1002 unlisten 100 :80
         1003 close c1..c20
         1010 exit 101 0
         2000 answer d1..d10
         2001 close d1..d10
         2010 exit 102 0
         2012 exit 100 0
         9000 end",
        &["X"],
    );
}

#[test]
fn nginx_terminates_and_answers_nobody() {
    ends(
        NGINX,
        "1000 signal TERM 100 from 7
         1001 exit 101 0
         1001 exit 102 0
         1002 exit 100 0
         9000 end",
        &["X"],
    );
}

#[test]
fn nginx_reloads_and_new_workers_serve() {
    ends(
        NGINX,
        "1000 signal HUP 100 from 7
         1005 fork 100 103 104
         1010 signal QUIT 101 from 100
         1010 signal QUIT 102 from 100
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
        &["X"],
    );
}

#[test]
fn a_reload_ends_while_the_next_one_lasts() {
    ends(
        NGINX,
        "1000 signal HUP 100 from 7
         1005 fork 100 103
         1020 close c1..c20
         1025 exit 101 0
         5000 open e1 :80 by 103
         20000 signal HUP 100 from 7
         20005 fork 100 104
         20010 close e1
         20020 exit 103 0
         40000 leave d1..d10
         40005 exit 102 0
         60000 end",
        &["X"],
    );
}

#[test]
fn gunicorn_terminates_with_connections_in_its_queue() {
    ends(
        "0 listen 100 gunicorn :8000
         0 fork 100 101
         10 open c1..c3 :8000 by 101
         20 ask c1..c3",
        "1000 signal TERM 100 from 7
         1001 signal TERM 101 from 100
         1500 open q1..q4 :8000
         1500 backlog :8000 4
         4000 answer c1..c3
         4001 close c1..c3
         4010 exit 101 0
         4015 exit 100 0
         9000 end",
        &["X"],
    );
}

#[test]
fn a_launcher_that_forks_and_exits_is_no_drain() {
    ends(
        "0 listen 100 httpd :80
         5 fork 100 101
         10 exit 100 0
         1000 open c1 :80 by 101",
        "40000 signal TERM 101 from 7
         40001 exit 101 0
         50000 end",
        &["X"],
    );
}

#[test]
fn a_crash_is_a_drain_of_its_own() {
    ends(
        NODE,
        "500 ask c1..c3
         1000 exit 100 1
         9000 end",
        &["X"],
    );
}

#[test]
fn a_fault_is_a_crash() {
    ends(
        NODE,
        "1000 signal SEGV 100 default
         1010 exit 100 SEGV
         9000 end",
        &["X"],
    );
}

#[test]
fn an_exit_of_its_own_accord_is_a_stop() {
    ends(NODE, "1000 exit 100 0\n9000 end", &["X"]);
}

#[test]
fn only_unread_data_is_reset_by_a_kill() {
    ends(
        NODE,
        "990 send c1..c4
         995 ask c5..c6
         1000 signal KILL 100 from 7 default
         1001 exit 100 KILL
         9000 end",
        &["X"],
    );
}

#[test]
fn a_killed_worker_is_its_own_drain() {
    ends(
        NGINX,
        "1000 signal KILL 102 from 7
         1001 exit 102 KILL
         1050 fork 100 103
         1100 close c1..c5
         9000 end",
        &["X"],
    );
}

#[test]
fn a_dead_child_without_connections_is_nothing() {
    ends(NGINX, "1000 fork 101 200\n1100 exit 200 1\n9000 end", &[]);
}

#[test]
fn all_killed_at_once_is_one_drain() {
    ends(
        NGINX,
        "1000 signal KILL 102 from 7
         1000 exit 102 KILL
         1000 signal KILL 100 from 7
         1001 signal KILL 101 from 7
         1001 exit 100 KILL
         1001 exit 101 KILL
         9000 end",
        &["X"],
    );
}

#[test]
fn a_killed_master_leaves_its_workers_serving() {
    ends(
        NGINX,
        "1000 signal KILL 100 from 7
         1001 exit 100 KILL
         5000 close c1..c20
         20000 end",
        &[],
    );
}

#[test]
fn siblings_stopped_by_their_supervisor_are_one_drain() {
    ends(
        "0 listen 101 uvicorn :8000
         0 listen 102 uvicorn :8000
         10 open a1..a3 :8000 by 101
         10 open b1..b4 :8000 by 102",
        "1000 signal TERM 101 from 50
         1200 signal TERM 102 from 50
         1300 close a1..a3
         1310 exit 101 0
         1400 close b1..b4
         1410 exit 102 0
         9000 end",
        &["X"],
    );
}

#[test]
fn siblings_stopped_one_after_the_other_are_two() {
    ends(
        "0 listen 101 uvicorn :8000
         0 listen 102 uvicorn :8000",
        "1000 signal TERM 101 from 50
         1010 exit 101 0
         9000 signal TERM 102 from 50
         9010 exit 102 0
         19000 end",
        &["X"],
    );
}

#[test]
fn an_ignored_signal_and_the_kill_behind_it() {
    ends(
        "0 listen 100 app :8080
         0 controller 1 sh 100
         10 open c1..c3 :8080 by 100
         20 ask c1..c3",
        "1000 signal TERM 1 from 7 ignored
         5000 open d1 :8080 by 100
         11000 signal KILL 1 from 7
         11000 signal KILL 100
         11001 exit 100 KILL
         11002 exit 1 KILL
         19000 end",
        &["X"],
    );
}

#[test]
fn uwsgi_takes_a_stop_for_a_reload() {
    ends(
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
        &["X"],
    );
}

#[test]
fn nginx_replaces_its_program() {
    ends(
        NGINX,
        "1000 signal USR2 100 from 7
         1100 fork 100 200
         1200 fork 200 201
         1300 open e1..e2 :80 by 201
         3000 signal WINCH 100 from 7
         3010 close c1..c20
         3015 exit 101 0
         3020 answer d1..d10
         3021 close d1..d10
         3022 exit 102 0
         9000 signal QUIT 100 from 7
         9010 exit 100 0
         9500 close e1..e2
         30000 end",
        &["X"],
    );
}

#[test]
fn a_process_hands_over_and_its_successor_is_stopped() {
    ends(
        NODE,
        "1000 signal HUP 100 from 7
         1010 fork 100 200
         1020 open d1 :3000 by 200
         1100 close c1..c20
         1110 exit 100 0
         60000 signal TERM 200 from 7
         60010 exit 200 0
         70000 end",
        &["X"],
    );
}

#[test]
fn a_reload_that_replaces_nothing_ends_soon() {
    ends(
        NODE,
        "1000 signal HUP 100 from 7
         2000 open d1 :3000 by 100
         2010 close d1
         20000 close c1
         30000 end",
        &["X"],
    );
}

#[test]
fn a_stop_ends_the_reload() {
    ends(
        NGINX,
        "1000 signal HUP 100 from 7
         1005 fork 100 103
         1010 close c1..c20
         1015 exit 101 0
         5000 signal TERM 100 from 7
         5001 exit 102 0
         5002 exit 103 0
         5003 exit 100 0
         20000 end",
        &["X"],
    );
}

#[test]
fn late_requests_are_waited_for() {
    ends(
        NODE,
        "1000 signal TERM 100 from 7
         1005 close c1..c20 half
         1010 exit 100 0
         2000 late c1..c12
         3000 late c13..c15 24
         5000 settle c16..c20
         9000 end",
        &["X"],
    );
}

#[test]
fn late_requests_are_not_waited_for_for_ever() {
    let script = format!(
        "{NODE}\n1000 signal TERM 100 from 7\n1005 close c1..c20 half\n1010 exit 100 0\n70000 end"
    );
    let played = play(&script);
    assert_eq!(lines(&played.ended), ["X"]);
}

#[test]
fn connections_that_were_closing_at_t0_were_not_open() {
    ends(
        NODE,
        "990 closing c1..c5
         1000 signal TERM 100 from 7
         1050 close c6..c20
         2000 end c1..c5
         2010 exit 100 0
         9000 end",
        &["X"],
    );
}

#[test]
fn idle_clients_hold_a_server() {
    ends(
        NODE,
        "1000 signal TERM 100 from 7
         1002 unlisten 100 :3000
         1500 ask c1..c2
         1600 answer c1..c2
         31000 signal KILL 100 from 7
         31001 exit 100 KILL
         39000 end",
        &["X"],
    );
}

#[test]
fn a_late_look_does_not_say_what_was_owed() {
    ends(
        NGINX,
        "990 looks take 1500
         1000 signal TERM 100 from 7
         1200 close d1..d10
         3000 exit 101 0
         3000 exit 102 0
         3001 exit 100 0
         20000 end",
        &["X"],
    );
}

#[test]
fn looks_that_fail_end_nothing_too_late() {
    ends(
        NODE,
        "990 looks fail
         1000 signal TERM 100 from 7
         1005 close c1..c20
         1010 exit 100 0
         9000 end",
        &["X"],
    );
}

#[test]
fn lost_records_are_told() {
    ends(
        NODE,
        "1000 signal TERM 100 from 7
         1004 lose 3
         1005 close c1..c20
         1020 exit 100 0
         9000 end",
        &["X"],
    );
}

#[test]
fn a_drain_ends_without_its_exit_record() {
    ends(
        NODE,
        "1000 signal TERM 100 from 7
         1005 close c1..c20
         1019 lose 1
         1020 exit 100 0
         9000 end",
        &["X"],
    );
}

#[test]
fn a_signal_that_nobody_told_of_leaves_an_exit() {
    ends(
        NODE,
        "999 lose 1
         1000 signal TERM 100 from 7
         1020 exit 100 0
         9000 end",
        &["X"],
    );
}

#[test]
fn streams_are_not_judged() {
    ends(
        "0 listen 100 mosquitto :1883",
        "1000 signal TERM 100 from 7
         1010 exit 100 0
         9000 end",
        &["X"],
    );
}

#[test]
fn a_program_with_two_ports_drains_on_both() {
    ends(
        "0 listen 100 caddy :80
         0 listen 100 :443
         10 open c1 :80 by 100
         10 open d1..d2 :443 by 100",
        "1000 signal TERM 100 from 7
         1010 exit 100 0
         9000 end",
        &["X"],
    );
}

#[test]
fn an_answered_signal_is_not_forgotten_when_the_process_stays() {
    let played = play(&format!(
        "{NODE}\n1000 signal TERM 100 from 7 ignored\n60000 end"
    ));
    assert_eq!(lines(&played.ended), Vec::<String>::new());
    assert_eq!(lines(&played.running), ["X"]);
    let played = play(&format!(
        "{NODE}\n1000 signal TERM 100 from 7 ignored\n660000 end"
    ));
    assert_eq!(lines(&played.ended), ["X"]);
}

#[test]
fn a_program_that_keeps_nothing_open_is_done() {
    ends(
        NODE,
        "1000 signal TERM 100 from 7
         1010 unlisten 100 :3000
         1020 close c1..c20
         30000 end",
        &["X"],
    );
}

#[test]
fn starts_and_gaps_are_told() {
    let played = play(
        "0 listen 100 node :3000
         0 listen 100 :3000
         1000 signal TERM 100 from 7
         1010 exit 100 0
         1500 refuse :3000 7
         2000 listen 200 node :3000
         9000 end",
    );
    let starts: Vec<(u32, i64)> = played
        .starts
        .iter()
        .map(|s| (s.pid, s.at.as_millisecond()))
        .collect();
    assert_eq!(starts, [(100, 0), (200, 2_000)]);
    let gaps: Vec<(i64, Option<i64>, u64)> = played
        .gaps
        .iter()
        .map(|g| {
            (
                g.from.as_millisecond(),
                g.until.map(|t| t.as_millisecond()),
                g.refused,
            )
        })
        .collect();
    assert_eq!(gaps, [(1_010, Some(2_000), 7)]);
}

#[test]
fn the_phase_ends_with_the_drain() {
    let played = play(&format!(
        "{NODE}\n1000 signal TERM 100 from 7\n1005 close c1..c20\n1010 exit 100 0\n9000 end"
    ));
    assert_eq!(played.phases_ended.len(), 1, "{:?}", played.phases_ended);
    assert_eq!(played.phases_ended[0].1, 100);
}
