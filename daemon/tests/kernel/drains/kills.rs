//! SIGKILL, and what a signal does that nobody heeds.

use std::time::Duration;

use super::{BUSY, IDLE, stage::Stage, told::What};
use crate::harness::{crowd::Transport, lab::ended};
use finwatch_engine::model::DrainKind;

/// Kills every process with requests in flight; on `unread` of the busy connections another request has arrived that
/// nobody has read.
fn killed(server: &str, arguments: &[&str], unread: usize) {
    Stage::set(server, arguments, |stage| killed_on(stage, unread));
}

fn killed_on(stage: &mut Stage, unread: usize) {
    let mut crowd = stage.gather(Transport::Plain, IDLE, BUSY);
    crowd.busy_push(unread);
    stage.server.kill_all();
    let tally = crowd.leave();
    // An RST on exactly the connections with unread data, a FIN on all others.
    assert_eq!(
        (tally.resets, tally.fins_then_resets),
        (unread as u64, 0),
        "{tally:?}"
    );
    assert_eq!(tally.fins, (IDLE + BUSY - unread) as u64, "{tally:?}");
    let told = stage.killed(IDLE + BUSY, BUSY, tally);
    told.assert_cut(BUSY - unread, unread, 0);
    assert_eq!(told.drain.counts.by_exit, (IDLE + BUSY) as u64, "{told:#?}");
    assert!(told.finds("killed-without-stop"), "{told:#?}");
}

#[test]
fn nginx() {
    killed("nginx", &[], 0);
}

#[test]
fn nginx_with_its_container() {
    // The network namespace cannot be found any more when the server is dead.
    Stage::set_alone("nginx", &[], |stage| killed_on(stage, 0));
}

#[test]
fn gunicorn_with_unread_requests() {
    killed("gunicorn", &[], 4);
}

#[test]
fn node() {
    killed("node", &["graceful"], 0);
}

/// Between SIGTERM and SIGKILL, as a supervisor waits that gives up: what is tried.
const PATIENCE_OF_A_SUPERVISOR: Duration = Duration::from_millis(1500);

#[test]
fn python_that_ignores_term_until_it_is_killed() {
    Stage::set("python", &["ignores"], |stage| {
        let crowd = stage.gather(Transport::Plain, IDLE, BUSY);
        stage.server.signal(libc::SIGTERM);
        std::thread::sleep(PATIENCE_OF_A_SUPERVISOR);
        stage.server.signal(libc::SIGKILL);
        let tally = crowd.leave();
        assert_eq!((tally.lost(), tally.resets), (BUSY as u64, 0), "{tally:?}");
        let told = stage.stopped(libc::SIGTERM, IDLE + BUSY, BUSY, tally);
        told.assert_cut(BUSY, 0, 0);
        let drain = &told.drain;
        assert_eq!(drain.signal.as_ref().unwrap().disposition, "ignored");
        let [killed] = &drain.further_signals[..] else {
            panic!("one signal after the first: {told:#?}");
        };
        assert_eq!((killed.number, killed.sender.pid), (9, std::process::id()));
        for name in ["signal-ignored", "drain-timed-out", "requests-cut"] {
            assert!(told.finds(name), "{name}: {told:#?}");
        }
    });
}

#[test]
fn python_crashes() {
    Stage::set("python", &["careless"], |stage| {
        let crowd = stage.gather(Transport::Plain, IDLE, BUSY);
        stage.server.signal(libc::SIGSEGV);
        let tally = crowd.leave();
        assert_eq!((tally.lost(), tally.resets), (BUSY as u64, 0), "{tally:?}");
        let status = stage.server.wait();
        let what = What {
            kind: DrainKind::Crash,
            signal: libc::SIGSEGV,
            target: stage.server.pid(),
            open: IDLE + BUSY,
            awaiting: BUSY,
            opened_after: 0,
            exit: Some(ended(status)),
        };
        let told = stage.told(what, tally);
        told.assert_cut(BUSY, 0, 0);
        assert!(told.finds("killed-without-stop"), "{told:#?}");
    });
}
