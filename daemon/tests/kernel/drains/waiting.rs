//! Clients that hang around a stop, a hand-over or a reload, as nobody accepts them: what is told is held against how long each of
//! them had to wait for its answer.

use std::{
    thread,
    time::{Duration, Instant},
};

use finwatch_engine::model::{Drain, DrainKind, Severity};

use super::{let_families_be_found, stage::Stage};
use crate::harness::{crowd::Transport, http::Plain, lab::PLAIN};

/// From here on a wait is a long one.
const LONG: Duration = Duration::from_secs(1);
/// Between two looks at a queue in which somebody waits, and what a busy host takes beside.
const LOOKS: Duration = Duration::from_millis(700);

/// Connects, asks after a while and is answered; how long the answer took from the question on. The client leaves then.
fn wait_of(asks_after: Duration) -> Duration {
    let mut client = Plain::connect().unwrap();
    thread::sleep(asks_after);
    let asked = Instant::now();
    client.ask("/").unwrap();
    assert!(client.answered(), "the server answers");
    asked.elapsed()
}

/// So many clients come at once, the last of which is slow to ask: how long each waited.
pub(super) fn come(clients: usize, slow: Duration, meanwhile: impl FnOnce()) -> Vec<Duration> {
    come_by(wait_of, clients, slow, meanwhile)
}

/// The same, each of whom asks and is answered by `wait_of`.
pub(super) fn come_by(
    wait_of: impl Fn(Duration) -> Duration + Sync,
    clients: usize,
    slow: Duration,
    meanwhile: impl FnOnce(),
) -> Vec<Duration> {
    let wait_of = &wait_of;
    thread::scope(|scope| {
        let asks_after = |client| match client == clients {
            true => slow,
            false => Duration::ZERO,
        };
        let waits: Vec<_> = (0..=clients)
            .map(|client| scope.spawn(move || wait_of(asks_after(client))))
            .collect();
        meanwhile();
        waits.into_iter().map(|wait| wait.join().unwrap()).collect()
    })
}

/// Holds what is told against the clients' own waits.
#[track_caller]
pub(super) fn check(drain: &Drain, waits: &[Duration]) {
    let long = waits.iter().filter(|wait| **wait >= LONG).count() as u64;
    let longest = waits.iter().max().unwrap();
    let told = Duration::from_secs_f64(drain.waited.longest_secs);
    assert_eq!(drain.waited.long, long, "{waits:?}: {drain:#?}");
    assert!(
        told <= *longest + Duration::from_millis(10) && told + LOOKS >= *longest,
        "{told:?} of {longest:?}: {drain:#?}"
    );
    assert_eq!(
        (drain.waited.unserved, drain.waited.still),
        (0, 0),
        "{drain:#?}"
    );
    let finds = |name: &str| drain.findings.iter().find(|f| f.diagnosis == name);
    let found = finds("clients-waited").unwrap_or_else(|| panic!("{drain:#?}"));
    assert_eq!(found.severity, Severity::Warn);
    assert!(finds("clean-drain").is_none(), "{drain:#?}");
    assert!(finds("exited-too-early").is_none(), "{drain:#?}");
}

/// Clients come when the old process has ended, and the one that holds its listening socket takes its time. `known`: the daemon has
/// found that one among the old one's processes, by the socket.
fn handed_over(known: bool) {
    Stage::set_patiently("python", &["hands-over"], |stage| {
        stage.attend(PLAIN);
        if known {
            Plain::connect().unwrap().exchange("/hand-over");
            let_families_be_found();
        } else {
            let_families_be_found();
            Plain::connect().unwrap().exchange("/hand-over");
        }
        stage.server.signal(libc::SIGTERM);
        stage.server.wait_for_main();
        let waits = come(4, Duration::from_millis(2_500), || ());
        let drain = stage.drain(DrainKind::Stop);
        check(&drain, &waits);
        assert!(drain.listening.held_by_others, "{drain:#?}");
    });
}

#[test]
fn a_successor_that_accepts_two_seconds_later() {
    handed_over(false);
}

#[test]
fn a_process_of_its_own_that_accepts_two_seconds_later() {
    handed_over(true);
}

#[test]
fn a_reload_that_starts_nobody_before_the_old_worker_has_finished() {
    Stage::set("python", &["patient", "php-fpm8.2"], |stage| {
        let mut crowd = stage.gather_for_once(Transport::Plain, 1);
        let_families_be_found();
        stage.server.signal(libc::SIGUSR2);
        // It heeds the signal, of which nothing is to be seen.
        thread::sleep(Duration::from_millis(500));
        let waits = come(4, Duration::from_secs(4), || {
            thread::sleep(Duration::from_millis(2_500));
            stage.gate.release();
            crowd.busy_are_answered();
            drop(crowd);
        });
        let drain = stage.drain(DrainKind::Reload);
        check(&drain, &waits);
    });
}
