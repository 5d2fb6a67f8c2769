//! Spring Boot's four servers, each with its graceful shutdown.

use std::{net::TcpStream, time::Duration};

use finwatch_engine::model::{DrainKind, Finding, Verdict};

use super::{
    BUSY, IDLE,
    flight::{Change::Stop, answered},
    idle, late,
    stage::Stage,
};
use crate::harness::{Entry, crowd::Transport, lab::PLAIN, sockets, state, wait_until};

/// Shorter than the requests in flight take.
fn limited(server: &str) {
    Stage::set("spring", &[server, "1s"], |stage| {
        let crowd = stage.gather(Transport::Plain, IDLE, BUSY);
        stage.server.signal(libc::SIGTERM);
        let tally = crowd.leave();
        // A server that interrupts whoever answers may get an error out before it closes the connection.
        assert!(tally.lost() > 0, "{tally:?}");
        assert_eq!(tally.resets, 0, "{tally:?}");
        let told = stage.stopped(libc::SIGTERM, IDLE + BUSY, BUSY, tally);
        told.assert_cut(usize::try_from(tally.lost()).unwrap(), 0, 0);
        assert!(told.finds("requests-cut"), "{told:#?}");
    });
}

#[test]
fn tomcat_limited() {
    limited("tomcat");
}

#[test]
fn jetty_limited() {
    limited("jetty");
}

#[test]
fn undertow_limited() {
    limited("undertow");
}

#[test]
fn netty_limited() {
    limited("netty");
}

#[test]
fn tomcat_idle() {
    idle::stop("spring", &["tomcat"], libc::SIGTERM);
}

#[test]
fn jetty_idle() {
    idle::stop("spring", &["jetty"], libc::SIGTERM);
}

#[test]
fn tomcat_answers() {
    answered("spring", &["tomcat"], libc::SIGTERM, Stop);
}

#[test]
fn jetty_answers() {
    answered("spring", &["jetty"], libc::SIGTERM, Stop);
}

#[test]
fn undertow_answers() {
    answered("spring", &["undertow"], libc::SIGTERM, Stop);
}

#[test]
fn netty_answers() {
    answered("spring", &["netty"], libc::SIGTERM, Stop);
}

/// While one request in flight holds the drain up, Tomcat closes each idle connection on which a request arrives, and does not answer. It is
/// closed in two steps, a FIN and the rest up to a second later: what a client that has left meanwhile asked is lost without any RST.
fn asked_during_the_drain(stay: Duration) {
    Stage::set("spring", &["tomcat"], |stage| {
        let mut crowd = stage.gather(Transport::Plain, ASKING, 1);
        stage.server.signal(libc::SIGTERM);
        wait_for_the_listener_to_close();
        let asking = crowd.ask_again_and_leave(|_| stay, || ());
        assert_eq!(asking.lost(), ASKING as u64, "by the clients' count");
        stage.gate.release();
        crowd.busy_are_answered();
        let tally = asking.and(crowd.leave());
        let told = stage.stopped(libc::SIGTERM, ASKING + 1, 1, tally);
        let counts = &told.drain.counts;
        assert_eq!(counts.local_first, tally.connections, "{told:#?}");
        // `stopped` held the RSTs to the wire. A client that leaves at once may be gone when its own comes.
        assert_eq!(counts.reset_sent, counts.resets(), "{told:#?}");
        if stay.is_zero() {
            assert!(tally.resets <= counts.reset_sent, "{told:#?}");
        } else {
            assert_eq!(tally.resets, counts.reset_sent, "{told:#?}");
        }
    });
}

/// Idle clients that ask during a drain.
const ASKING: usize = 30;

/// Then Tomcat has heeded the signal: it answers nobody who asks on a connection that was idle.
#[track_caller]
fn wait_for_the_listener_to_close() {
    let listens = |entry: &Entry| entry.local_port == PLAIN && entry.state == state::LISTEN;
    wait_until("Tomcat closes its listener", || {
        !sockets().iter().any(listens)
    });
}

/// Longer than Tomcat takes to close what it has ended.
const LONG: Duration = Duration::from_secs(2);

#[test]
fn tomcat_asked_by_clients_that_leave_at_once() {
    asked_during_the_drain(Duration::ZERO);
}

#[test]
fn tomcat_asked_by_clients_that_stay() {
    asked_during_the_drain(LONG);
}

/// Some ask before the server has heeded the signal, and are answered; how many is a race.
#[test]
fn tomcat_asked_at_the_signal() {
    Stage::set("spring", &["tomcat"], |stage| {
        let mut crowd = stage.gather(Transport::Plain, ASKING, 1);
        stage.server.signal(libc::SIGTERM);
        let stay = |place: usize| Duration::from_millis(place as u64 % 3 * 700);
        let asking = crowd.ask_again_and_leave(stay, || {
            // Who was answered waits for the end of the drain.
            wait_for_the_listener_to_close();
            stage.gate.release();
        });
        crowd.busy_are_answered();
        let tally = asking.and(crowd.leave());
        stage.server.wait();
        let drain = stage.drain(DrainKind::Stop);
        let counts = &drain.counts;
        assert_eq!(counts.cut.total(), tally.lost(), "{tally:?} {drain:#?}");
        assert_eq!(counts.closes(), tally.connections, "{tally:?} {drain:#?}");
        let fail = drain.verdict == Verdict::Fail;
        assert_eq!(fail, tally.lost() > 0, "{tally:?} {drain:#?}");
    });
}

/// The listener is closed at the signal, so that clients who come then are refused while a request in flight is still being answered.
#[test]
fn tomcat_refuses_new_connections() {
    const REFUSED: u64 = 5;
    Stage::set("spring", &["tomcat"], |stage| {
        let mut crowd = stage.gather(Transport::Plain, 0, 1);
        stage.server.signal(libc::SIGTERM);
        wait_for_the_listener_to_close();
        for _ in 0..REFUSED {
            let refused = TcpStream::connect(("127.0.0.1", PLAIN)).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        }
        stage.gate.release();
        crowd.busy_are_answered();
        assert_eq!(crowd.leave().lost(), 0);
        stage.server.wait();
        let drain = stage.drain(DrainKind::Stop);
        let counts = &drain.counts;
        assert_eq!(
            (counts.refused, counts.cut.total()),
            (REFUSED, 0),
            "{drain:#?}"
        );
        assert_eq!(
            (counts.closes(), drain.opened_after_start),
            (1, 0),
            "{drain:#?}"
        );
        let early = |finding: &Finding| finding.diagnosis == "listener-closed-early";
        assert!(drain.findings.iter().any(early), "{drain:#?}");
        assert_eq!(drain.verdict, Verdict::Fail, "{drain:#?}");
    });
}

/// Tomcat without Spring keeps its listener to the end, and accepts nobody.
#[test]
fn plain_tomcat_accepts_nobody() {
    late::nobody_accepts("spring", &["plain"], 2);
}
