//! Servers that replace their workers, or themselves.

use super::{
    Drains,
    scenario::{MS, Told, lines, play, replay},
    stop_tests::{NGINX, NODE, ends},
};
use crate::input::Record;

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
        &[
            "reload SIGHUP nginx:80 at 1000, gone 2/2 code 0, new 2, open 30, owed 10, by new 5, local 30, fin 30, tw 30",
        ],
    );
}

/// A busy reader: the kernel's table of processes, read now, lacks workers whose ends are still to be read.
#[test]
fn a_table_that_is_ahead_of_the_records_makes_no_lone_process_of_a_master() {
    let played = play(&format!(
        "{NGINX}
         1000 signal HUP 100 from 7
         1000 fork 100 103 104
         1000 close c1..c20
         1000 close d1..d10
         1000 exit 101 0
         1000 exit 102 0
         9000 end"
    ));
    let mut inputs = played.inputs;
    let is_exit = |told: &Told| matches!(told, Told::Record(Record::Exit(_)));
    let exits: Vec<_> = inputs.extract_if(.., |(_, told)| is_exit(told)).collect();
    assert_eq!(exits.len(), 2);
    let signalled = exits[0].0;
    let is_table = |told: &Told| matches!(told, Told::Processes(_));
    let table = inputs
        .iter()
        .position(|(at_ns, told)| *at_ns > signalled && is_table(told))
        .expect("a table is read after the signal");
    let at_ns = inputs[table].0;
    let late = exits.into_iter().map(|(_, told)| (at_ns, told));
    inputs.splice(table + 1..table + 1, late);
    let mut drains = Drains::new(60_000 * MS);
    assert_eq!(
        lines(&replay(&inputs, &mut drains)),
        lines(&played.ended),
        "what is told in time"
    );
    assert_eq!(played.ended.len(), 1);
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
        &[
            "reload SIGHUP nginx:80 at 20000, gone 1/1 code 0, new 1, open 1, local 1, fin 1, tw 1",
            "reload SIGHUP nginx:80 at 1000, gone 2/2 code 0, new 2, open 30, owed 10, local 20, remote 10, fin 30, tw 20, abandoned 10",
        ],
    );
}

/// Squid: it reads its configuration, starts a helper, and goes on with the connections that it has.
#[test]
fn a_lone_process_that_starts_a_helper_replaces_nothing() {
    ends(
        "0 listen 100 squid :3128
         10 open c1..c5 :3128 by 100
         20 send c1..c3",
        "1000 signal HUP 100 from 7
         1000 fork 100 102
         1001 unlisten 100 :3128
         1030 exec 102
         1036 listen 100 :3128
         20000 end",
        &["reload SIGHUP squid:3128 at 1000, gone 0/0, new 1, open 5"],
    );
}

/// Granian: each worker listens on a socket of its own, and the master starts another before it stops the old one.
#[test]
fn a_controller_replaces_the_instance_and_stops_it() {
    ends(
        "0 listen 100 granian :8080
         0 controller 99 granian 100
         10 open c1..c10 :8080 by 100",
        "1000 signal HUP 99 from 7
         2500 open d1..d3 :8080 by 100
         2600 ask d1..d3
         8000 listen 101 granian :8080
         8100 signal TERM 100 from 99
         8101 unlisten 100 :8080
         8102 close c1..c10
         19000 answer d1..d3
         19001 close d1..d3
         19002 exit 100 0
         40000 end",
        &[
            "reload SIGHUP granian:8080 at 1000, gone 1/1 code 0, further 1, open 10, opened 3, local 13, fin 13, tw 13, closed, taken over",
        ],
    );
}

#[test]
fn a_controller_that_hands_a_reload_on_to_a_lone_process_does_not_draw_it_out() {
    let played = play(
        "0 listen 100 node :8080
         0 controller 99 tini 100
         10 open c1..c10 :8080 by 100
         1000 signal HUP 99 from 7
         1000 signal HUP 100 from 99
         9000 end",
    );
    assert_eq!(
        lines(&played.ended),
        ["reload SIGHUP node:8080 at 1000, gone 0/0, further 1, open 10"]
    );
}

/// Varnish: its manager replaces a child that is gone before it minds its own signal, and then stops the new one too.
#[test]
fn a_manager_that_starts_one_more_worker_and_then_ends_does_not_live_on() {
    ends(
        "0 listen 100 cache-main :6081
         0 fork 100 101
         10 open c1..c10 :6081 by 101
         20 ask c1..c10",
        "1000 signal TERM 100 from 7
         1002 exit 101 TERM
         1020 fork 100 102
         1830 exit 102 0
         1850 exit 100 0
         20000 end",
        &[
            "stop SIGTERM cache-main:6081 at 1000, gone 2/2 code 0, new 1, open 10, owed 10, unanswered 10, local 10, fin 10, tw 10, by exit 10, cut by exit 10, closed",
        ],
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
        &[
            "stop SIGTERM uwsgi:9000 at 1000, gone 1/2 code 0, new 1, open 10, owed 10, by new 3, unanswered 10, local 10, fin 10, tw 10, by exit 10, cut by exit 10, lived on",
        ],
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
        &[
            "reload SIGUSR2 nginx:80 at 1000, gone 2/2 code 0, new 2, further 1, open 30, owed 10, local 30, fin 30, tw 30",
            "stop SIGQUIT nginx:80 at 9000 worker 100, gone 1/1 code 0, owed unknown",
        ],
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
        &[
            "reload SIGHUP node:3000 at 1000, gone 1/1 code 0, new 1, open 20, local 20, fin 20, tw 20",
            "stop SIGTERM node:3000 at 60000, gone 1/1 code 0, open 1, local 1, fin 1, tw 1, by exit 1, idle at exit 1, closed",
        ],
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
        &["reload SIGHUP node:3000 at 1000, gone 0/0, open 20, local 1, fin 1, tw 1"],
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
        &[
            "reload SIGHUP nginx:80 at 1000, gone 2/2 code 0, new 1, open 30, owed 10, local 20, fin 20, tw 20",
            "stop SIGTERM nginx:80 at 5000, gone 3/3 code 0, open 10, owed 10, unanswered 10, local 10, fin 10, tw 10, by exit 10, cut by exit 10, closed",
        ],
    );
}

#[test]
fn a_master_that_reads_for_long_still_reloads() {
    ends(
        NGINX,
        "1000 signal HUP 100 from 7
         20000 fork 100 103
         20010 close c1..c20
         20015 exit 101 0
         21000 answer d1..d10
         21001 close d1..d10
         21002 exit 102 0
         30000 end",
        &[
            "reload SIGHUP nginx:80 at 1000, gone 2/2 code 0, new 1, open 30, owed 10, local 30, fin 30, tw 30",
        ],
    );
}

#[test]
fn nginx_replaces_its_program_by_a_stranger() {
    ends(
        NGINX,
        "1000 signal USR2 100 from 7
         1100 fork 100 200
         1101 exec 200
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
         9500 open f1..f2 :80 by 201
         9600 leave f1
         30000 end",
        &[
            "reload SIGUSR2 nginx:80 at 1000, gone 2/2 code 0, further 1, open 30, owed 10, local 30, fin 30, tw 30",
            "stop SIGQUIT nginx:80 at 9000, gone 1/1 code 0, open 2",
        ],
    );
}

#[test]
fn workers_of_another_program_that_the_owner_handed_connections_to() {
    ends(
        "0 listen 100 node :3000
         0 fork 100 101 102
         5 exec 101
         5 exec 102
         10 open c1..c4 :3000 by 101
         10 open d1..d4 :3000 by 102
         20 ask c1..c4
         20 ask d1..d4
         30 answer c1..c4
         30 answer d1..d4",
        "1000 signal USR2 100 from 7
         1200 close c1..c4 half
         1300 close d1..d4
         2000 late c1
         12000 end",
        &[
            "reload SIGUSR2 node:3000 at 1000, gone 0/0, open 8, late 1, local 8, fin 8, tw 4, fw2 4, resets 1",
        ],
    );
}

#[test]
fn a_listener_that_is_opened_anew_was_not_closed() {
    let squid = "0 listen 100 squid :3128\n10 open c1..c3 :3128 by 100";
    let reload = "1000 signal HUP 100 from 7\n1007 unlisten 100 :3128";
    let again = "1050 refuse :3128 4\n1120 listen 100 :3128";
    let refused = |drain: &crate::model::Drain| drain.signs.refused_while_running;
    let played = play(&format!("{squid}\n{reload}\n{again}\n20000 end"));
    assert_eq!(
        lines(&played.ended),
        ["reload SIGHUP squid:3128 at 1000, gone 0/0, open 3, refused 4, while running 4"]
    );
    assert_eq!(refused(&played.ended[0]), 4);
    let played = play(&format!(
        "{squid}\n{reload}\n1050 refuse :3128 4\n20000 end"
    ));
    let told = played.ended.iter().chain(&played.running);
    assert!(told.last().expect("a drain").listening.closed_at.is_some());
    // Another program that listens there in its stead does not take that back.
    let other = "1120 listen 200 squid :3128";
    let played = play(&format!("{squid}\n{reload}\n{other}\n20000 end"));
    let told = played.ended.iter().chain(&played.running);
    assert!(told.last().expect("a drain").listening.closed_at.is_some());
    // What is closed again is closed.
    let closed = "5000 unlisten 100 :3128\n5500 refuse :3128 3\n6000 exit 100 0";
    let played = play(&format!(
        "{squid}\n1000 signal TERM 100 from 7\n1007 unlisten 100 :3128\n{again}\n{closed}\n20000 end"
    ));
    assert_eq!(
        lines(&played.ended),
        [
            "stop SIGTERM squid:3128 at 1000, gone 1/1 code 0, open 3, local 3, fin 3, tw 3, by exit 3, idle at exit 3, refused 7, while running 7, closed"
        ]
    );
    assert_eq!(refused(&played.ended[0]), 7);
}
