//! How long the kernel's phase of an instance lasts: until its old processes are gone, though its drain waits for late requests.

use super::{
    scenario::{Played, lines, play},
    stop_tests::{NGINX, NODE},
};

/// When phases ended, in milliseconds.
fn ends(played: &Played) -> Vec<u64> {
    played
        .phases_ended
        .iter()
        .map(|(at_ms, _)| *at_ms)
        .collect()
}

/// Whether a phase ended so soon after the last old process that nobody would call it long.
fn soon_after(at_ms: u64, gone_ms: u64) -> bool {
    (gone_ms..gone_ms + 600).contains(&at_ms)
}

/// Both workers hang up first, and leave half-closed connections; the second takes until `gone_ms`.
fn reload(gone_ms: u64) -> String {
    format!(
        "{NGINX}
         1000 signal HUP 100 from 7
         1005 fork 100 103 104
         1020 close c1..c20 half
         1025 exit 101 0
         {gone_ms} answer d1..d10
         {gone_ms} close d1..d10 half
         {gone_ms} exit 102 0"
    )
}

#[test]
fn it_ends_with_the_old_workers_and_not_with_their_half_closed_connections() {
    let played = play(&format!(
        "{}
         5000 open e1..e5 :80 by 103
         5010 ask e1..e5
         5020 answer e1..e5
         5030 close e1..e5 half
         20000 late d1
         90000 end",
        reload(2_000)
    ));
    let ends = ends(&played);
    assert!(ends.len() == 1 && soon_after(ends[0], 2_000), "{ends:?}");
    assert_eq!(
        lines(&played.ended),
        [
            "reload SIGHUP nginx:80 at 1000, gone 2/2 code 0, new 2, open 30, owed 10, late 1, local 30, fin 30, fw2 30, resets 1"
        ],
        "what it left behind is told all the same"
    );
}

#[test]
fn it_lasts_for_as_long_as_one_old_worker_does() {
    let played = play(&format!("{}\n120000 end", reload(40_000)));
    let ends = ends(&played);
    assert!(ends.len() == 1 && soon_after(ends[0], 40_000), "{ends:?}");
}

#[test]
fn the_first_of_two_reloads_leaves_it_to_the_second() {
    let played = play(&format!(
        "{}
         3000 signal HUP 100 from 7
         3005 fork 100 105 106
         30000 exit 103 0
         30000 exit 104 0
         120000 end",
        reload(10_000)
    ));
    let ends = ends(&played);
    assert!(ends.len() == 1 && soon_after(ends[0], 30_000), "{ends:?}");
}

#[test]
fn a_reload_after_the_first_one_has_one_of_its_own() {
    let played = play(&format!(
        "{}
         10000 signal HUP 100 from 7
         10005 fork 100 105 106
         20000 exit 103 0
         20000 exit 104 0
         120000 end",
        reload(2_000)
    ));
    let ends = ends(&played);
    let each = ends.len() == 2 && soon_after(ends[0], 2_000) && soon_after(ends[1], 20_000);
    assert!(each, "{ends:?}");
    assert_eq!(played.ended.len(), 2);
}

/// uWSGI takes SIGTERM for a reload. That it lives on is known when it has listened for a while; nobody waits for its
/// half-closed connections.
#[test]
fn a_stop_that_the_instance_outlives_ends_it_when_that_is_known() {
    let played = play(
        "0 listen 100 uwsgi :9000
         0 fork 100 101
         10 open c1..c10 :9000 by 101
         1000 signal TERM 100 from 7
         1001 close c1..c10 half
         1002 exit 101 0
         1500 fork 100 102
         90000 end",
    );
    let ends = ends(&played);
    assert!(
        ends.len() == 1 && (4_000..6_000).contains(&ends[0]),
        "{ends:?}"
    );
}

#[test]
fn of_a_program_that_is_gone_it_lasts_for_as_long_as_the_drain() {
    let played = play(&format!(
        "{NODE}
         1000 signal TERM 100 from 7
         1005 close c1..c20 half
         1010 exit 100 0
         20000 refuse :3000 3
         90000 end"
    ));
    assert_eq!(played.ended.len(), 1);
    assert_eq!(
        played.ended[0].counts.refused, 3,
        "it refused them while it drained"
    );
    let ends = ends(&played);
    assert!(ends.len() == 1 && ends[0] > 60_000, "{ends:?}");
}

/// The successor holds the sockets that the old master made: whoever connects is served by it, once it is known that the
/// master's end is not the end of all.
#[test]
fn of_a_program_whose_sockets_a_successor_holds_it_ends_when_that_is_known() {
    let played = play(&format!(
        "{NGINX}
         1000 signal USR2 100 from 7
         1100 fork 100 200
         1200 fork 200 201
         3000 signal WINCH 100 from 7
         3010 close c1..c20
         3015 exit 101 0
         3020 close d1..d10 half
         3022 exit 102 0
         9000 signal QUIT 100 from 7
         9010 exit 100 0
         90000 end"
    ));
    let ends = ends(&played);
    let each = ends.len() == 2 && soon_after(ends[0], 3_022) && soon_after(ends[1], 9_010 + 3_000);
    assert!(each, "{ends:?}");
}

/// The kernel tells of an end before the process's files are closed.
#[test]
fn who_dies_has_time_to_close_its_sockets_in_it() {
    let played = play(&format!(
        "{NGINX}
         1000 signal HUP 100 from 7
         1005 fork 100 103
         2000 close d1..d10
         2001 exit 102 0
         3000 exit 101 KILL
         90000 end"
    ));
    assert_eq!(played.ended[0].counts.by_exit, 20);
    let ends = ends(&played);
    assert!(
        ends.len() == 1 && (3_250..3_600).contains(&ends[0]),
        "{ends:?}"
    );
}

#[test]
fn what_was_closing_before_the_signal_was_not_open_at_it() {
    let played = play(&format!(
        "{NGINX}
         900 closing c1..c4
         1000 signal HUP 100 from 7
         1005 fork 100 103
         1020 close c5..c20
         1025 exit 101 0
         2000 close d1..d10
         2003 exit 102 0
         2900 end c1..c2
         3000 end c3..c4
         90000 end"
    ));
    let ends = ends(&played);
    assert!(ends.len() == 1 && soon_after(ends[0], 2_003), "{ends:?}");
    assert_eq!(
        played.ended[0].open_at_start,
        26,
        "{}",
        lines(&played.ended)[0]
    );
}

/// Nobody will say when its processes are gone: better no phase than one without an end.
#[test]
fn of_a_drain_that_nobody_has_room_for_it_ends_at_once() {
    const SERVERS: usize = crate::drains::lasting::LASTING_MAX + 1;
    let each = |line: fn(usize) -> String| (0..SERVERS).map(line).collect::<Vec<_>>().join("\n");
    let listen = |number| format!("0 listen {} node :{}", 100 + number, 3_000 + number);
    let signal = |number| format!("1000 signal TERM {} from 7", 100 + number);
    let played = play(&format!("{}\n{}\n1010 end", each(listen), each(signal)));
    assert_eq!(played.running.len(), SERVERS - 1);
    let last = 100 + u32::try_from(SERVERS - 1).unwrap();
    assert_eq!(played.phases_ended, [(1_000, last)]);
}
