//! Signals of which nobody knows what they mean to the program: a reload only if something follows that a reload does.

use super::{
    scenario::{lines, play},
    stop_tests::ends,
};

/// A program that no table knows, with two workers.
const FORKING: &str = "
    0 listen 100 app :80
    0 fork 100 101 102
    10 open c1..c20 :80 by 101
    20 ask c1..c20
    30 answer c1..c20
    40 open d1..d10 :80 by 102
    900 ask d1..d10
";

/// The same alone.
const LONE: &str = "
    0 listen 100 app :80
    10 open c1..c5 :80 by 100
    20 ask c1..c5
    30 answer c1..c5
";

#[test]
fn what_nothing_follows_is_no_reload_at_any_time() {
    for program in [FORKING, LONE] {
        let script = "1000 signal USR1 100 from 7 as unclear
             1100 close c1..c4
             2000 open e1..e3 :80 by 100";
        for until in [1_500, 6_000, 59_000] {
            let played = play(&format!("{program}\n{script}\n{until} end"));
            assert_eq!(lines(&played.running), Vec::<String>::new(), "at {until}");
        }
        ends(program, &format!("{script}\n90000 end"), &[]);
    }
}

#[test]
fn new_workers_make_it_one_from_the_signal_on() {
    ends(
        FORKING,
        "1000 signal USR2 100 from 7 as unclear
         4000 fork 100 103 104
         5000 close c1..c20
         5010 exit 101 0
         5020 answer d1..d10
         5021 close d1..d10
         5022 exit 102 0
         20000 end",
        &[
            "reload SIGUSR2 app:80 at 1000, gone 2/2 code 0, new 2, open 30, owed 10, local 30, fin 30, tw 30",
        ],
    );
}

#[test]
fn an_old_worker_that_ends_in_order_makes_it_one() {
    let script = "1000 signal USR1 100 from 7 as unclear
         2000 close c1..c20
         2010 exit 101 0";
    let played = play(&format!("{FORKING}\n{script}\n4000 end"));
    assert_eq!(
        lines(&played.running),
        [
            "reload SIGUSR1 app:80 at 1000, gone 1/2, open 30, owed 10, still 10, local 20, fin 20, tw 20"
        ]
    );
}

/// The kernel knows of no reload, and its looks leave out what is idle.
#[test]
fn a_listener_that_comes_makes_it_one() {
    let played = play(&format!(
        "{LONE}
         1000 signal USR2 100 from 7 as unclear
         3000 listen 200 app :80
         3500 end"
    ));
    assert_eq!(
        lines(&played.running),
        ["reload SIGUSR2 app:80 at 1000, gone 0/1"]
    );
    // On another port it is nobody's successor.
    ends(
        LONE,
        "1000 signal USR2 100 from 7 as unclear
         3000 listen 200 other :81
         90000 end",
        &[],
    );
}

#[test]
fn a_helper_that_is_forked_for_the_moment_is_no_successor() {
    ends(
        LONE,
        "1000 signal USR1 100 from 7 as unclear
         1001 fork 100 150
         1020 exec 150
         90000 end",
        &[],
    );
    ends(
        LONE,
        "1000 signal USR1 100 from 7 as unclear
         1001 fork 100 150
         1500 exit 150 0
         90000 end",
        &[],
    );
}

#[test]
fn a_worker_that_crashes_meanwhile_is_a_crash_alone() {
    let crash = "2000 signal SEGV 101 default\n2001 exit 101 SEGV";
    let signal = "1000 signal USR1 100 from 7 as unclear";
    let told = |script: &str| lines(&play(&format!("{FORKING}\n{script}\n90000 end")).ended);
    let without = told(crash);
    assert!(
        matches!(&without[..], [one] if one.starts_with("crash SIGSEGV app:80 at 2000 worker 101")),
        "{without:?}"
    );
    assert_eq!(told(&format!("{signal}\n{crash}")), without);
}

#[test]
fn a_stop_that_follows_is_told_as_without_it() {
    let stop = "2000 signal TERM 100 from 7
         2002 unlisten 100 :80
         2005 close c1..c5
         2020 exit 100 0";
    let signal = "1000 signal USR1 100 from 7 as unclear";
    let told = |script: &str| lines(&play(&format!("{LONE}\n{script}\n20000 end")).ended);
    let without = told(stop);
    assert_eq!(without.len(), 1);
    assert_eq!(told(&format!("{signal}\n{stop}")), without);
}

/// By then it is a reload, and the stop ends it.
#[test]
fn a_stop_right_behind_the_new_workers_loses_no_reload() {
    let script = |stop_ms: u32| {
        format!(
            "{FORKING}
             1000 signal USR2 100 from 7 as unclear
             1100 fork 100 103 104
             {stop_ms} signal TERM 101 from 7 as steady
             {stop_ms} close c1..c20
             {stop_ms} exit 101 0
             {stop_ms} signal TERM 100 from 7
             4000 close d1..d10
             4001 exit 102 0
             4002 exit 103 0
             4003 exit 104 0
             4004 exit 100 0
             20000 end"
        )
    };
    for stop_ms in [1_500, 3_500] {
        let told = lines(&play(&script(stop_ms)).ended);
        let of = |kind: &str| told.iter().filter(|line| line.starts_with(kind)).count();
        assert_eq!(
            (of("reload SIGUSR2"), of("stop SIGTERM")),
            (1, 1),
            "{told:?}"
        );
    }
}

/// A supervisor has the one who serves end: that drain is told, whatever follows.
#[test]
fn a_controller_that_stops_who_serves_makes_it_one() {
    let played = play(
        "0 listen 100 app :8080
         0 controller 99 supervisor 100
         10 open c1..c10 :8080 by 100
         1000 signal USR2 99 from 7 as unclear
         2000 signal TERM 100 from 99
         2001 unlisten 100 :8080
         2002 close c1..c10
         2003 exit 100 0
         40000 end",
    );
    let told = lines(&played.ended);
    assert!(
        matches!(&told[..], [one] if one.starts_with("reload SIGUSR2 app:8080 at 1000")),
        "{told:?}"
    );
}

/// Logs are rotated, and a minute has not gone by when it is reloaded.
#[test]
fn a_reload_that_follows_begins_with_its_own_signal() {
    let reload = "3000 signal HUP 100 from 7
         3005 fork 100 103 104
         3010 close c1..c20
         3011 exit 101 0
         3020 answer d1..d10
         3021 close d1..d10
         3022 exit 102 0";
    let told = |script: &str| lines(&play(&format!("{FORKING}\n{script}\n20000 end")).ended);
    let without = told(reload);
    assert_eq!(without.len(), 1);
    let soon = "2900 signal USR1 100 from 7 as unclear";
    let long_before = "1000 signal USR1 100 from 7 as unclear";
    for signal in [soon, long_before] {
        assert_eq!(told(&format!("{signal}\n{reload}")), without, "{signal}");
    }
    // Behind it, it is one more signal of the reload that lasts.
    let lasting = reload.replace(
        "3022 exit 102 0",
        "3500 signal USR1 100 from 7 as unclear\n4000 exit 102 0",
    );
    let further = told(&lasting);
    assert_eq!(further.len(), 1);
    assert!(
        further[0].contains("at 3000") && further[0].contains("further 1"),
        "{further:?}"
    );
}

#[test]
fn the_same_signal_again_goes_on_with_the_first() {
    ends(
        FORKING,
        "1000 signal USR2 100 from 7 as unclear
         9000 signal USR2 100 from 7 as unclear
         12000 fork 100 103
         12500 close c1..c20
         13000 exit 101 0
         13010 answer d1..d10
         13011 close d1..d10
         13020 exit 102 0
         30000 end",
        &[
            "reload SIGUSR2 app:80 at 1000, gone 2/2 code 0, new 1, further 1, open 30, owed 10, local 30, fin 30, tw 30",
        ],
    );
}

/// gunicorn opens its log files anew on USR1: what its workers do meanwhile is their own affair.
#[test]
fn what_is_known_to_mean_nothing_stays_nothing() {
    ends(
        FORKING,
        "1000 signal USR1 100 from 7 as steady
         2000 close c1..c20
         2010 exit 101 0
         2011 fork 100 103
         90000 end",
        &[],
    );
}

#[test]
fn an_end_that_nobody_follows_makes_it_a_stop() {
    ends(
        LONE,
        "1000 signal HUP 100 from 7 as unclear
         1100 unlisten 100 80
         1200 refuse :80 7
         2000 close c1..c5
         2010 exit 100 HUP
         20000 end",
        &[
            "stop SIGHUP app:80 at 1000, gone 1/1 SIGHUP, open 5, local 5, fin 5, tw 5, refused 7, while running 7, closed",
        ],
    );
    ends(
        FORKING,
        "1000 signal HUP 100 from 7 as unclear
         1100 close c1..c20
         1110 exit 101 0
         1120 answer d1..d10
         1121 close d1..d10
         1122 exit 102 0
         1130 unlisten 100 80
         1140 exit 100 0
         20000 end",
        &[
            "stop SIGHUP app:80 at 1000, gone 2/2 code 0, open 30, owed 10, local 30, fin 30, tw 30, closed",
        ],
    );
    // A master that stays may yet start others.
    ends(
        FORKING,
        "1000 signal HUP 100 from 7 as unclear
         1100 close c1..c20
         1110 exit 101 0
         1120 answer d1..d10
         1121 close d1..d10
         1122 exit 102 0
         20000 end",
        &[
            "reload SIGHUP app:80 at 1000, gone 2/2 code 0, open 30, owed 10, local 30, fin 30, tw 30",
        ],
    );
}
