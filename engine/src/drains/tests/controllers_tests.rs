//! Supervisors that are told to stop: those who pass it on, those who end alone, and those who do nothing.

use super::{
    scenario::{lines, play},
    stop_tests::{NODE, ends},
};

/// Two workers that a supervisor started, which holds their socket.
const SUPERVISED: &str = "0 listen 100 uvicorn :8000
    0 fork 100 101
    0 controller 50 uvicorn 100 holds
    10 open c1..c3 :8000 by 100
    10 open d1..d3 :8000 by 101
    20 ask c1";

#[test]
fn an_ignored_signal_is_told_while_the_process_stays() {
    let played = play(&format!(
        "{NODE}\n1000 signal TERM 100 from 7 ignored\n60000 end"
    ));
    assert_eq!(lines(&played.ended), Vec::<String>::new());
    assert_eq!(
        lines(&played.running),
        ["stop SIGTERM node:3000 at 1000, gone 0/1, open 20, still 20, idle 20"]
    );
    let played = play(&format!(
        "{NODE}\n1000 signal TERM 100 from 7 ignored\n660000 end"
    ));
    assert_eq!(
        lines(&played.ended),
        ["stop SIGTERM node:3000 at 1000, gone 0/1, open 20, still 20, idle 20"]
    );
}

#[test]
fn workers_of_a_supervisor_that_the_signal_killed_alone_live_on() {
    let script = format!(
        "{SUPERVISED}
         1000 signal TERM 50 from 7 default
         1001 exit 50 TERM
         1500 answer c1
         1600 close c1
         2000 open e1..e2 :8000 by 101
         2500 ask e1..e2
         2510 answer e1..e2
         2600 close e1
         3900 nothing"
    );
    let played = play(&script.replace("3900 nothing", "3900 end"));
    assert_eq!(lines(&played.ended), Vec::<String>::new(), "not so soon");
    let played = play(&script.replace("3900 nothing", "6000 end"));
    assert_eq!(
        lines(&played.ended),
        [
            "stop SIGTERM uvicorn:8000 at 1000, gone 0/2, open 6, owed 1, opened 1, still 5, idle 5, local 2, fin 2, tw 2, lived on"
        ]
    );
}

#[test]
fn a_later_stop_of_those_who_lived_on_is_another_drain() {
    ends(
        SUPERVISED,
        "1000 signal TERM 50 from 7 default
         1001 exit 50 TERM
         9000 signal TERM 100 from 7 default
         9001 exit 100 TERM
         9002 signal TERM 101 from 7 default
         9003 exit 101 TERM
         30000 end",
        &[
            "stop SIGTERM uvicorn:8000 at 1000, gone 0/2, open 6, owed 1, still 6, idle 5, lived on",
            "stop SIGTERM uvicorn:8000 at 9000, gone 2/2 SIGTERM, further 1, open 6, owed 1, unanswered 1, local 6, fin 6, tw 6, by exit 6, idle at exit 5, cut by exit 1, closed",
        ],
    );
}

#[test]
fn workers_that_their_supervisor_tells_before_it_ends_are_its_drain() {
    ends(
        SUPERVISED,
        "1000 signal TERM 50 from 7
         1001 signal TERM 101 from 50
         1002 exit 50 0
         1500 open e1 :8000 by 101
         2500 ask e1
         2510 answer e1
         2600 close e1
         15000 answer c1
         15001 close c1..c3
         15001 close d1..d3
         15002 exit 100 0
         15003 exit 101 0
         30000 end",
        &[
            "stop SIGTERM uvicorn:8000 at 1000, gone 2/2 code 0, open 6, owed 1, opened 1, local 7, fin 7, tw 7, closed",
        ],
    );
}

#[test]
fn workers_that_may_have_been_told_over_a_pipe_are_waited_for() {
    ends(
        SUPERVISED,
        "1000 signal TERM 50 from 7
         1002 exit 50 0
         15000 answer c1
         15001 close c1..c3
         15001 close d1..d3
         15002 exit 100 0
         15003 exit 101 0
         30000 end",
        &[
            "stop SIGTERM uvicorn:8000 at 1000, gone 2/2 code 0, open 6, owed 1, local 6, fin 6, tw 6, closed",
        ],
    );
}

#[test]
fn workers_that_serve_who_comes_after_their_supervisor_has_ended_live_on() {
    let script = format!(
        "{SUPERVISED}
         1000 signal TERM 50 from 7
         1002 exit 50 0
         1500 open e1..e9 :8000
         2500 open f1 :8000 by 101
         2501 ask f1
         2502 answer f1
         2503 close f1"
    );
    let played = play(&format!("{script}\n6000 end"));
    assert_eq!(
        lines(&played.ended),
        [
            "stop SIGTERM uvicorn:8000 at 1000, gone 0/2, open 6, owed 1, opened 1, still 6, idle 5, local 1, fin 1, tw 1, lived on"
        ]
    );
    let played = play(&format!(
        "{}\n39000 end",
        script.replace("2503 close f1", "")
    ));
    assert_eq!(
        lines(&played.ended),
        Vec::<String>::new(),
        "nobody was served"
    );
    let played = play(&format!(
        "{}\n45000 end",
        script.replace("2503 close f1", "")
    ));
    assert_eq!(played.ended.len(), 1, "{:?}", lines(&played.ended));
    assert!(played.ended[0].lived_on);
}

#[test]
fn a_kill_of_a_supervisor_whose_workers_go_on_is_nothing() {
    ends(
        SUPERVISED,
        "1000 signal KILL 50 from 7
         1001 exit 50 KILL
         60000 end",
        &[],
    );
}
