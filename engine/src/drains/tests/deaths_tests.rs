//! Servers that die, and servers that do not do as they are told; records that are lost and surveys that fail.

use super::{
    scenario::{lines, play},
    stop_tests::{NGINX, NODE, ends},
};

#[test]
fn a_killed_owner_whose_siblings_serve_on_is_one_worker() {
    ends(
        "0 listen 100 uvicorn :8000
         0 fork 100 101
         0 controller 50 uvicorn 100 holds
         10 open c1..c3 :8000 by 100
         10 open d1..d3 :8000 by 101
         20 ask c1..c3",
        "1000 signal KILL 100 from 7
         1001 exit 100 KILL
         1500 close d1..d2
         20000 end",
        &[
            "kill SIGKILL uvicorn:8000 at 1000 worker 100, gone 1/1 SIGKILL, open 3, unanswered 3, local 3, fin 3, tw 3, by exit 3, cut by exit 3, open at kill 3, owed unknown",
        ],
    );
}

#[test]
fn a_stopped_owner_whose_siblings_serve_on_is_one_worker() {
    ends(
        "0 listen 100 uvicorn :8000
         0 fork 100 101
         0 controller 50 uvicorn 100 holds
         10 open c1..c3 :8000 by 100
         10 open d1..d3 :8000 by 101",
        "1000 signal TERM 100 from 50
         1010 close c1..c3
         1011 exit 100 0
         1500 close d1..d2
         20000 end",
        &[
            "stop SIGTERM uvicorn:8000 at 1000 worker 100, gone 1/1 code 0, open 3, local 3, fin 3, tw 3, owed unknown",
        ],
    );
}

#[test]
fn children_of_a_daemon_come_and_go_unnoticed() {
    ends(
        "0 listen 100 httpd :80
         5 fork 100 101
         10 exit 100 0
         40000 fork 101 102
         41000 open c1 :80 by 101",
        "80000 exit 102 1
         90000 end",
        &[],
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
        &[
            "stop SIGTERM httpd:80 at 40000, gone 1/1 code 0, open 1, local 1, fin 1, tw 1, by exit 1, idle at exit 1, closed",
        ],
    );
}

#[test]
fn a_crash_is_a_drain_of_its_own() {
    ends(
        NODE,
        "500 ask c1..c3
         1000 exit 100 1
         9000 end",
        &[
            "crash exit node:3000 at 1000, gone 1/1 code 1, open 20, owed 3, unanswered 3, local 20, fin 20, tw 20, by exit 20, idle at exit 17, cut by exit 3, closed",
        ],
    );
}

#[test]
fn a_fault_is_a_crash() {
    ends(
        NODE,
        "1000 signal SEGV 100 default
         1010 exit 100 SEGV
         9000 end",
        &[
            "crash SIGSEGV node:3000 at 1000, gone 1/1 SIGSEGV, open 20, local 20, fin 20, tw 20, by exit 20, idle at exit 20, closed",
        ],
    );
}

#[test]
fn an_exit_of_its_own_accord_is_a_stop() {
    ends(
        NODE,
        "1000 exit 100 0\n9000 end",
        &[
            "stop exit node:3000 at 1000, gone 1/1 code 0, open 20, local 20, fin 20, tw 20, by exit 20, idle at exit 20, closed",
        ],
    );
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
        &[
            "kill SIGKILL node:3000 at 1000, gone 1/1 SIGKILL, open 20, owed 2, unanswered 2, unread 4, local 16, no fin 4, fin 16, sent 4, tw 16, resets 4, by exit 20, idle at exit 14, cut by exit 6, open at kill 20, closed",
        ],
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
        &[
            "kill SIGKILL nginx:80 at 1000 worker 102, gone 1/1 SIGKILL, open 10, unanswered 10, local 10, fin 10, tw 10, by exit 10, cut by exit 10, open at kill 10, owed unknown",
        ],
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
        &[
            "kill SIGKILL nginx:80 at 1000, gone 3/3 SIGKILL, further 1, open 30, owed 10, unanswered 10, local 30, fin 30, tw 30, by exit 30, idle at exit 20, cut by exit 10, open at kill 30, closed",
        ],
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
        &["kill SIGKILL nginx:80 at 1000 worker 100, gone 1/1 SIGKILL, owed unknown"],
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
        &[
            "stop SIGTERM app:8080 at 1000, gone 1/1 SIGKILL, further 2, open 3, owed 3, opened 1, unanswered 3, local 4, fin 4, tw 4, by exit 4, cut by exit 3, open at kill 4, closed",
        ],
    );
}

#[test]
fn a_kill_that_the_kernel_ignores_is_nobodys_end() {
    ends(
        "0 listen 100 app :8080
         10 open c1..c3 :8080 by 100",
        "1000 signal TERM 100 from 7
         2000 signal KILL 100 from 7 ignored
         3000 close c1..c3
         3001 exit 100 0
         9000 end",
        &["stop SIGTERM app:8080 at 1000, gone 1/1 code 0, open 3, local 3, fin 3, tw 3, closed"],
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
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1 code 0, open 20, late 12, local 20, fin 20, fw2 20, resets 15, closed",
        ],
    );
}

#[test]
fn late_requests_are_not_waited_for_for_ever() {
    let script = format!(
        "{NODE}\n1000 signal TERM 100 from 7\n1005 close c1..c20 half\n1010 exit 100 0\n70000 end"
    );
    let played = play(&script);
    assert_eq!(
        lines(&played.ended),
        [
            "stop SIGTERM node:3000 at 1000, gone 1/1 code 0, open 20, local 20, fin 20, fw2 20, closed"
        ]
    );
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
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1 code 0, open 15, local 20, fin 20, tw 20, closed",
        ],
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
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1 SIGKILL, further 1, open 20, asked 2, local 20, fin 20, tw 20, by exit 20, idle at exit 18, open at kill 20, closed",
        ],
    );
}

#[test]
fn a_late_look_does_not_say_what_was_owed() {
    ends(
        NGINX,
        "990 surveys take 1500
         1000 signal TERM 100 from 7
         1200 close d1..d10
         3000 exit 101 0
         3000 exit 102 0
         3001 exit 100 0
         20000 end",
        &[
            "stop SIGTERM nginx:80 at 1000, gone 3/3 code 0, open 30, unanswered 10, local 30, fin 30, tw 30, by exit 20, idle at exit 20, owed unknown, closed",
        ],
    );
}

#[test]
fn looks_that_fail_end_nothing_too_late() {
    ends(
        NODE,
        "990 surveys fail
         1000 signal TERM 100 from 7
         1005 close c1..c20
         1010 exit 100 0
         9000 end",
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1 code 0, open 20, local 20, fin 20, tw 20, owed unknown, closed",
        ],
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
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1 code 0, open 20, local 17, fin 17, tw 17, lost 3, closed",
        ],
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
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1, open 20, local 20, fin 20, tw 20, lost 1, closed",
        ],
    );
}

#[test]
fn a_kill_ends_without_its_exit_record() {
    ends(
        "0 listen 100 node :3000
         10 open c1..c3 :3000 by 100",
        "1000 signal KILL 100 from 7
         1000 lose 1
         1000 exit 100 KILL
         20000 end",
        &[
            "kill SIGKILL node:3000 at 1000, gone 0/0, open 3, local 3, fin 3, tw 3, by exit 3, idle at exit 3, open at kill 3, lost 1, closed",
        ],
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
        &[
            "stop exit node:3000 at 1020, gone 1/1 code 0, open 20, local 20, fin 20, tw 20, by exit 20, idle at exit 20, closed",
        ],
    );
}

#[test]
fn streams_are_not_judged() {
    ends(
        "0 listen 100 mosquitto :1883",
        "1000 signal TERM 100 from 7
         1010 exit 100 0
         9000 end",
        &["stop SIGTERM mosquitto:1883 at 1000, gone 1/1 code 0, closed, not judged"],
    );
}

/// A survey may come when the server has said goodbye in TLS and has not closed yet: what it owed then, the end tells.
#[test]
fn a_look_between_the_goodbye_and_the_close() {
    ends(
        NODE,
        "900 ask c1..c5
         1000 signal TERM 100 from 7
         1000 answer c1..c5 24
         1005 close c1..c20
         1006 unlisten 100 :3000
         1020 exit 100 0
         9000 end",
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1 code 0, open 20, owed 5, unanswered 5, local 20, fin 20, tw 20, closed",
        ],
    );
}
