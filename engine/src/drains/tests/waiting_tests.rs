//! Who waited to be taken up: the clients' own waits, as the lines say them, are what is right.

use super::scenario::{Played, play};
use crate::model::{Drain, Waited};

fn only(played: &Played) -> &Drain {
    assert_eq!(played.running.len(), 0, "it is over");
    assert_eq!(played.ended.len(), 1);
    &played.ended[0]
}

/// So many waited, the longest for so many milliseconds; looks come four times a second, and no wait is told too long.
#[track_caller]
fn waited(drain: &Drain, long: u64, longest_ms: u64, unserved: u64) {
    let Waited {
        longest_secs,
        still,
        ..
    } = drain.waited;
    let told = (drain.waited.long, drain.waited.unserved, still);
    assert_eq!(told, (long, unserved, 0), "{:?}", drain.waited);
    let longest = longest_ms as f64 / 1e3;
    let ok = longest_secs <= longest + 0.002 && longest_secs >= longest * 0.9 - 0.3;
    assert!(ok, "{longest_secs} s told, {longest} s waited");
}

/// A master whose socket a successor inherited, which is another program by then and accepts three seconds later.
const HANDED_OVER: &str = "
    0 listen 100 unicorn :80
    0 fork 100 101
    10 open k1..k3 :80 by 101
    20 ask k1..k3
    30 answer k1..k3
    500 fork 100 200
    510 exec 200
    900 close k1..k3
    1000 signal QUIT 100 from 7
    1010 exit 101 0
    1020 exit 100 0
";

#[test]
fn a_successor_that_accepts_late_lets_clients_hang() {
    let played = play(&format!(
        "{HANDED_OVER}
         1300 open c1..c4 :80
         1301 send c1..c4
         4300 accept c1..c4 200
         4301 ask c1..c4 0
         4310 answer c1..c4
         4320 close c1..c4
         5000 open d1 :80 by 200
         5001 ask d1
         5002 answer d1
         5003 close d1
         20000 end"
    ));
    let drain = only(&played);
    waited(drain, 4, 3_000, 0);
    assert!(drain.listening.held_by_others, "{:?}", drain.listening);
    assert!(
        played.phases_ended.iter().all(|(at_ms, _)| *at_ms > 4_300),
        "nobody served in its stead before: {:?}",
        played.phases_ended
    );
}

#[test]
fn whoever_stays_connected_waited_too() {
    let played = play(&format!(
        "{HANDED_OVER}
         1300 open c1..c4 :80
         1301 send c1..c4
         4300 accept c1..c4 200
         4301 ask c1..c4 0
         4310 answer c1..c4
         20000 end"
    ));
    waited(only(&played), 4, 3_000, 0);
}

#[test]
fn clients_that_come_when_the_old_one_is_long_gone_are_looked_for() {
    let played = play(&format!(
        "{HANDED_OVER}
         6000 open c1 :80
         6001 send c1
         9000 accept c1 200
         9001 ask c1 0
         9002 answer c1
         9003 close c1
         30000 end"
    ));
    waited(only(&played), 1, 3_000, 0);
}

#[test]
fn a_hand_over_in_which_nobody_comes_ends_soon() {
    let played = play(&format!("{HANDED_OVER} 30000 end"));
    let drain = only(&played);
    waited(drain, 0, 0, 0);
    let took = drain.ended_at.expect("over").as_millisecond() - drain.started_at.as_millisecond();
    assert!((10_000..11_000).contains(&took), "{took}");
}

#[test]
fn who_is_slow_to_ask_has_not_waited() {
    let played = play(&format!(
        "{HANDED_OVER}
         1300 open c1..c4 :80
         4000 send c1..c4
         4300 accept c1..c4 200
         4301 ask c1..c4 0
         4310 answer c1..c4
         4320 close c1..c4
         20000 end"
    ));
    waited(only(&played), 0, 0, 0);
}

#[test]
fn a_reload_that_waits_for_its_old_workers_lets_everybody_hang() {
    let played = play(
        "0 listen 100 php-fpm :9000
         0 fork 100 101
         10 open k1 :9000 by 101
         20 ask k1
         1000 signal USR2 100 from 7
         2000 open c1..c5 :9000
         2001 send c1..c5
         11000 answer k1
         11001 close k1
         11002 exit 101 0
         11050 fork 100 102
         12000 accept c1..c5 102
         12001 ask c1..c5 0
         12002 answer c1..c5
         12003 close c1..c5
         40000 end",
    );
    waited(only(&played), 5, 10_000, 0);
}

#[test]
fn clients_that_leave_the_queue_waited_in_vain() {
    let played = play(
        "0 listen 100 pgbouncer :6432
         10 open k1 :6432 by 100
         20 ask k1
         1000 signal INT 100 from 7
         2000 open c1..c4 :6432
         2001 send c1..c4
         32000 break c1..c4
         35000 answer k1
         35001 close k1
         35002 exit 100 0
         60000 end",
    );
    let drain = only(&played);
    assert_eq!(drain.waited.long, 4);
    assert!(drain.waited.longest_secs > 26.0, "{:?}", drain.waited);
    assert_eq!(drain.waited.unserved, 4);
}

#[test]
fn a_queue_that_moves_holds_nothing_up() {
    let played = play(
        "0 listen 100 nginx :80
         0 fork 100 101
         990 open a1 :80
         990 send a1
         1000 signal HUP 100 from 7
         1010 fork 100 102
         1050 exit 101 0
         1400 accept a1 102
         1400 ask a1 0
         1401 answer a1
         1401 close a1
         9000 end",
    );
    waited(only(&played), 0, 0, 0);
}

/// When the owner has gone, who holds its socket is found in its family: it is none of the old processes.
#[test]
fn an_heir_is_no_old_process() {
    let played = play(&format!(
        "{HANDED_OVER}
         1021 heir 200 100
         1300 open c1..c4 :80
         1301 send c1..c4
         4300 accept c1..c4 200
         4301 ask c1..c4 0
         4310 answer c1..c4
         4320 close c1..c4
         20000 end"
    ));
    let drain = only(&played);
    waited(drain, 4, 3_000, 0);
    assert_eq!((drain.processes, drain.processes_ended), (2, 2));
    assert_eq!((drain.worker_pid, drain.new_processes), (None, 0));
    assert!(drain.listening.held_by_others);
}

#[test]
fn who_served_alone_and_has_an_heir_is_told_of_as_itself() {
    let played = play(
        "0 listen 100 node :80
         10 open k1 :80 by 100
         20 ask k1
         30 answer k1
         500 fork 100 200
         510 exec 200
         1000 signal TERM 100 from 7
         1001 close k1
         1020 exit 100 0
         1021 heir 200 100
         1300 open c1 :80
         1301 send c1
         3300 accept c1 200
         3301 ask c1 0
         3302 answer c1
         3303 close c1
         20000 end",
    );
    let drain = only(&played);
    waited(drain, 1, 2_000, 0);
    assert_eq!((drain.worker_pid, drain.processes), (None, 1));
}
