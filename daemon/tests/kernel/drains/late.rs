//! Clients that go on asking after the signal, on connections that the server has closed meanwhile, and new ones that
//! nobody accepts.

use std::{thread, time::Duration};

use super::{BUSY, IDLE, let_families_be_found, stage::Stage, told::What};
use crate::harness::{
    crowd::{Tally, Transport},
    lab::ended,
};
use finwatch_engine::model::{DrainKind, Resets};

/// After the signal, and longer than a server takes to stop accepting, of which nothing is to be seen.
const HEEDED: Duration = Duration::from_secs(1);

fn next_request(server: &str, arguments: &[&str], signal: libc::c_int, reload: bool) {
    Stage::set(server, arguments, |stage| {
        let mut crowd = stage.gather(Transport::Plain, IDLE, 0);
        stage.server.signal(signal);
        crowd.ask_again_when_closed();
        let tally = crowd.leave();
        let all = IDLE as u64;
        let expected = Tally {
            connections: all,
            asked: 2 * all,
            answered: all,
            fins: 0,
            resets: all,
            fins_then_resets: all,
            with_tls: false,
            beside: 0,
        };
        assert_eq!(tally, expected, "by the clients' count");
        let told = if reload {
            stage.reloaded(signal, IDLE, 0, tally)
        } else {
            stage.stopped(signal, IDLE, 0, tally)
        };
        told.assert_cut(0, 0, IDLE);
        assert_eq!(told.drain.counts.local_first, all, "{told:#?}");
        let threw_data_away = |resets: &Resets| resets.data;
        let resets = &told.drain.counts.resets_sent;
        let data: u64 = resets.iter().map(threw_data_away).sum();
        assert_eq!((data, told.drain.counts.resets()), (all, all), "{told:#?}");
        assert!(told.finds("keepalive-race"), "{told:#?}");
    });
}

#[test]
fn nginx_quit() {
    next_request("nginx", &[], libc::SIGQUIT, false);
}

#[test]
fn nginx_reload() {
    next_request("nginx", &[], libc::SIGHUP, true);
}

#[test]
fn node_close() {
    next_request("node", &["graceful"], libc::SIGTERM, false);
}

/// The kernel completes the handshakes of a server that no longer accepts, and resets them with the listener.
pub(super) fn nobody_accepts(server: &str, arguments: &[&str], busy: usize) {
    const NEW: usize = 5;
    Stage::set(server, arguments, |stage| {
        let mut crowd = stage.gather_for_once(Transport::Plain, busy);
        let_families_be_found();
        stage.server.signal(libc::SIGTERM);
        thread::sleep(HEEDED);
        crowd.push_in(NEW);
        stage.gate.release();
        crowd.busy_are_answered();
        let tally = crowd.leave();
        assert_eq!(
            (tally.lost(), tally.resets),
            (NEW as u64, NEW as u64),
            "{tally:?}"
        );
        let status = stage.server.wait();
        let what = What {
            kind: DrainKind::Stop,
            signal: libc::SIGTERM,
            target: stage.server.pid(),
            open: busy,
            awaiting: busy,
            opened_after: NEW,
            exit: Some(ended(status)),
        };
        let told = stage.told(what, tally);
        told.assert_cut(0, NEW, 0);
        assert_eq!(
            told.drain.counts.accept_queue_dropped, NEW as u64,
            "{told:#?}"
        );
        assert!(told.finds("accept-queue-dropped"), "{told:#?}");
    });
}

#[test]
fn gunicorn_term_with_new_connections() {
    // Each of its two workers has a request.
    nobody_accepts("gunicorn", &["sync"], 2);
}

#[test]
fn hypercorn_term_with_new_connections() {
    nobody_accepts("hypercorn", &["2"], BUSY);
}
