//! Server shapes, each stopped, reloaded or killed in the scenario language, and what the drains make of it: servers that do
//! as they are told.

use super::{
    Drains,
    scenario::{MS, Told, lines, play, replay},
};
use crate::input::Record;

/// A master with two workers, twenty idle connections and ten that wait for an answer.
pub(super) const NGINX: &str = "
    0 listen 100 nginx :80
    0 fork 100 101 102
    10 open c1..c20 :80 by 101
    20 ask c1..c20
    30 answer c1..c20
    40 open d1..d10 :80 by 102
    900 ask d1..d10
";

/// A process that has twenty idle connections.
pub(super) const NODE: &str = "
    0 listen 100 node :3000
    10 open c1..c20 :3000 by 100
    20 ask c1..c20
    30 answer c1..c20
";

#[track_caller]
pub(super) fn ends(begin: &str, script: &str, expected: &[&str]) {
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
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1 code 0, open 20, local 20, fin 20, tw 20, closed",
        ],
    );
}

/// Netty closes its listener first thing: the look at T0 is made before that is read.
#[test]
fn a_look_that_is_ahead_of_the_records_does_not_lose_when_the_listener_closed() {
    let played = play(&format!(
        "{NODE}
         5000 signal TERM 100 from 7
         5001 unlisten 100 :3000
         6000 close c1..c20
         8000 exit 100 143
         20000 end"
    ));
    assert!(lines(&played.ended)[0].ends_with(", closed"));
    let mut inputs = played.inputs;
    let closed = inputs
        .iter()
        .position(|(_, told)| matches!(told, Told::Record(Record::Listener(l)) if l.up == 0))
        .expect("the listener closes");
    let surveyed = inputs
        .iter()
        .position(|(_, told)| matches!(told, Told::Survey(..)))
        .expect("the drain is looked at");
    assert!(closed < surveyed);
    inputs[closed..=surveyed].rotate_left(1);
    let mut drains = Drains::new(60_000 * MS);
    assert_eq!(lines(&replay(&inputs, &mut drains)), lines(&played.ended));
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
        &[
            "stop SIGQUIT nginx:80 at 1000, gone 3/3 code 0, open 30, owed 10, local 30, fin 30, tw 30, closed",
        ],
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
        &[
            "stop SIGTERM nginx:80 at 1000, gone 3/3 code 0, open 30, owed 10, unanswered 10, local 30, fin 30, tw 30, by exit 30, idle at exit 20, cut by exit 10, closed",
        ],
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
        &[
            "stop SIGTERM gunicorn:8000 at 1000, gone 2/2 code 0, open 3, owed 3, opened 4, local 3, no fin 4, fin 3, sent 4, tw 3, resets 4, queue dropped 4, closed",
        ],
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
        &[
            "stop SIGTERM uvicorn:8000 at 1000, gone 2/2 code 0, open 7, local 7, fin 7, tw 7, closed",
        ],
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
        &[
            "stop SIGTERM uvicorn:8000 at 1000, gone 1/1 code 0, closed, taken over",
            "stop SIGTERM uvicorn:8000 at 9000, gone 1/1 code 0, closed",
        ],
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
        &[
            "stop SIGTERM caddy:80 at 1000, gone 1/1 code 0, open 1, local 1, fin 1, tw 1, by exit 1, idle at exit 1, closed",
            "stop SIGTERM caddy:443 at 1000, gone 1/1 code 0, open 2, local 2, fin 2, tw 2, by exit 2, idle at exit 2, closed",
        ],
    );
}

#[test]
fn a_program_that_keeps_nothing_open_is_done() {
    ends(
        NODE,
        "1000 signal TERM 100 from 7
         1010 unlisten 100 :3000
         1020 close c1..c20
         30000 end",
        &["stop SIGTERM node:3000 at 1000, gone 0/1, open 20, local 20, fin 20, tw 20, closed"],
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

/// The first waits for late requests for as long as a mini-socket may live.
#[test]
fn who_is_refused_after_a_second_stop_is_told_by_that_alone_though_the_first_still_settles() {
    let played = play(&format!(
        "{NODE}
         1000 signal TERM 100 from 7
         1005 close c1..c20 half
         1010 exit 100 0
         1500 refuse :3000 5
         9000 listen 200 node :3000
         20000 signal TERM 200 from 7
         20010 exit 200 0
         20500 refuse :3000 7
         29000 listen 300 node :3000
         40000 signal TERM 300 from 7
         40010 exit 300 0
         40500 refuse :3000 2
         120000 end"
    ));
    let mut told: Vec<(i64, u64)> = played
        .ended
        .iter()
        .map(|drain| (drain.started_at.as_millisecond(), drain.counts.refused))
        .collect();
    assert_eq!(told[2].0, 1_000, "the first one ends last");
    told.sort_unstable();
    assert_eq!(told, [(1_000, 5), (20_000, 7), (40_000, 2)]);
}

#[test]
fn the_phase_ends_with_the_drain() {
    let played = play(&format!(
        "{NODE}\n1000 signal TERM 100 from 7\n1005 close c1..c20\n1010 exit 100 0\n9000 end"
    ));
    assert_eq!(played.phases_ended.len(), 1, "{:?}", played.phases_ended);
    assert_eq!(played.phases_ended[0].1, 100);
}

#[test]
fn a_supervisor_stops_its_instance() {
    ends(
        "0 listen 100 app :8080
         0 controller 1 tini 100
         10 open c1..c3 :8080 by 100",
        "1000 signal TERM 1 from 7
         1001 signal TERM 100 from 1
         1010 close c1..c3
         1020 exit 100 0
         1030 exit 1 0
         9000 end",
        &[
            "stop SIGTERM app:8080 at 1000, gone 1/1 code 0, further 1, open 3, local 3, fin 3, tw 3, closed",
        ],
    );
}

#[test]
fn what_a_program_holds_unread_is_told_when_it_lets_go() {
    ends(
        NODE,
        "1000 signal TERM 100 from 7
         1001 send c1..c3
         1001 send c4 24
         1002 shut c1..c5
         1050 let-go c1
         2002 let-go c2..c5
         2003 close c6..c20
         2010 exit 100 0
         9000 end",
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1 code 0, open 20, unread 3, local 20, fin 20, tw 20, closed",
        ],
    );
}

#[test]
fn a_listener_that_closes_early_refuses() {
    ends(
        NODE,
        "1000 signal TERM 100 from 7
         1002 unlisten 100 :3000
         2000 refuse :3000 5
         3000 close c1..c20
         3001 exit 100 0
         3010 refuse :3000 2
         9000 end",
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1 code 0, open 20, local 20, fin 20, tw 20, refused 7, while running 5, closed",
        ],
    );
}

#[test]
fn a_listener_that_closes_with_its_process_refuses_nobody_early() {
    ends(
        NODE,
        "1000 signal TERM 100 from 7
         1002 unlisten 100 :3000
         1003 refuse :3000 5
         1004 exit 100 0
         1010 refuse :3000 2
         9000 end",
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1 code 0, open 20, local 20, fin 20, tw 20, by exit 20, idle at exit 20, refused 7, closed",
        ],
    );
}

#[test]
fn a_worker_that_somebody_stopped_did_not_crash() {
    ends(
        NGINX,
        "1000 signal TERM 102 from 7
         1001 exit 102 TERM
         1050 fork 100 103
         9000 end",
        &[
            "stop SIGTERM nginx:80 at 1000 worker 102, gone 1/1 SIGTERM, open 10, unanswered 10, local 10, fin 10, tw 10, by exit 10, cut by exit 10, owed unknown",
        ],
    );
}

#[test]
fn a_request_that_comes_after_the_death_is_late() {
    ends(
        NODE,
        "1000 signal KILL 100 from 7
         1001 exit 100 KILL half
         1020 late c1..c3
         1500 settle c4..c20
         20000 end",
        &[
            "kill SIGKILL node:3000 at 1000, gone 1/1 SIGKILL, open 20, late 3, local 20, fin 20, fw2 20, resets 3, by exit 20, idle at exit 20, open at kill 20, closed",
        ],
    );
}

#[test]
fn what_ended_by_death_before_the_kill_was_not_open_then() {
    ends(
        NGINX,
        "1000 signal TERM 100 from 7
         1001 exit 100 0
         1002 exit 102 1
         1003 close c1..c20
         3000 signal KILL 101 from 7
         3001 exit 101 KILL
         9000 end",
        &[
            "stop SIGTERM nginx:80 at 1000, gone 3/3 SIGKILL, further 1, open 30, owed 10, unanswered 10, local 30, fin 30, tw 30, by exit 10, cut by exit 10, closed",
        ],
    );
}

/// A GOAWAY in a TLS record is as long as the acknowledgement of a PING, which was sent before T0 however.
#[test]
fn what_was_sent_before_t0_is_no_goaway() {
    const BEGIN: &str = "
        0 listen 100 node :3000
        10 open c1..c20 :3000 by 100
        20 ask c1..c20 52
        30 answer c1..c20 39
        40 open d1..d10 :3000 by 100
        900 ask d1..d10 64
    ";
    ends(
        BEGIN,
        "1000 signal TERM 100 from 7
         1000 unlisten 100 :3000
         1000 answer d1..d10 39
         2000 answer c1..c20 24
         2000 answer d1..d5 24
         2000 close c1..c20
         2000 leave d1..d5
         2001 close d6..d10
         2012 exit 100 0
         9000 end",
        &[
            "stop SIGTERM node:3000 at 1000, gone 1/1 code 0, open 30, owed 10, likely 10, local 25, remote 5, fin 30, tw 25, closed",
        ],
    );
}
