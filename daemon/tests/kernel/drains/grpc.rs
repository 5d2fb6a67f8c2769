//! gRPC-Go: GracefulStop says GOAWAY, and each client hangs up when its calls are answered. The clean drain that HTTP/1.1 has no
//! words for.

use std::thread;

use finwatch_engine::model::{Drain, DrainKind, Verdict};

use super::{BUSY, IDLE, IN_FLIGHT, stage::Stage};
use crate::harness::{
    grpc::{Clients, Seen},
    lab::{PLAIN, TLS},
    sockets, state, wait_until_quiet,
};

#[test]
fn graceful_stop_lets_the_clients_leave_first() {
    Stage::set("grpc", &["graceful"], |stage| {
        let clients = gathered(stage, "plain");
        stage.server.signal(libc::SIGTERM);
        thread::sleep(IN_FLIGHT);
        stage.gate.release();
        let seen = clients.leave();
        let expected = Seen {
            connections: ALL,
            asked: ALL + BUSY as u64,
            answered: ALL + BUSY as u64,
            closed_by_peer: 0,
            closed_by_us: ALL,
            closed_by_reset: 0,
        };
        assert_eq!(seen, expected, "by the clients' count");
        stage.server.wait();
        let minis = |of_server: bool| {
            let is_one = |entry: &&_| is_mini_socket(entry, of_server);
            sockets().iter().filter(is_one).count() as u64
        };
        let drain = stage.drain(DrainKind::Stop);
        assert_eq!((minis(true), minis(false)), (0, ALL), "{drain:#?}");
        let counts = &drain.counts;
        assert_eq!(drain.open_at_start, ALL, "{drain:#?}");
        assert_eq!(drain.awaiting_at_start, Some(BUSY as u64), "{drain:#?}");
        assert_eq!(
            (counts.remote_first, counts.closes()),
            (ALL, ALL),
            "{drain:#?}"
        );
        assert_eq!((counts.fin, counts.resets()), (ALL, 0), "{drain:#?}");
        assert_eq!(counts.time_wait + counts.fin_wait2, 0, "{drain:#?}");
        assert_eq!(counts.cut.total() + drain.likely_cut, 0, "{drain:#?}");
        assert_eq!(counts.abandoned, 0, "{drain:#?}");
        assert_eq!(drain.verdict, Verdict::Pass, "{drain:#?}");
    });
}

/// Calls in flight are ended without a word. What the server had written is a PING, which the client acknowledged.
#[test]
fn stop_answers_nothing() {
    Stage::set("grpc", &["stop"], |stage| {
        let drain = lost(stage, "plain");
        assert_eq!(drain.counts.cut.unanswered, BUSY as u64, "{drain:#?}");
        assert_eq!(drain.verdict, Verdict::Fail, "{drain:#?}");
    });
}

/// A limit to the GracefulStop, as servers that must end set it: GOAWAY, and then the end.
#[test]
fn graceful_stop_with_a_limit_answers_nothing() {
    Stage::set("grpc", &["limited"], |stage| {
        let drain = lost(stage, "plain");
        let told = drain.counts.cut.total() + drain.likely_cut;
        assert_eq!(told, BUSY as u64, "{drain:#?}");
        assert_ne!(drain.verdict, Verdict::Pass, "{drain:#?}");
    });
}

/// With TLS all of that is in records, and each side says goodbye with an alert.
#[test]
fn graceful_stop_with_tls_answers_everything() {
    for version in ["tls1.2", "tls1.3"] {
        Stage::set("grpc", &["graceful"], |stage| {
            stage.attend(TLS);
            let clients = gathered(stage, version);
            stage.server.signal(libc::SIGTERM);
            thread::sleep(IN_FLIGHT);
            stage.gate.release();
            let seen = clients.leave();
            assert_eq!(seen.answered, ALL + BUSY as u64, "{version}: {seen:?}");
            stage.server.wait();
            let drain = stage.drain(DrainKind::Stop);
            let counts = &drain.counts;
            assert_eq!(counts.closes(), ALL, "{version}: {drain:#?}");
            assert_eq!(
                drain.awaiting_at_start,
                Some(BUSY as u64),
                "{version}: {drain:#?}"
            );
            let told = counts.cut.total() + drain.likely_cut + counts.abandoned;
            assert_eq!(told, 0, "{version}: {drain:#?}");
            assert_eq!(drain.verdict, Verdict::Pass, "{version}: {drain:#?}");
        });
    }
}

#[test]
fn stop_with_tls_answers_nothing() {
    for version in ["tls1.2", "tls1.3"] {
        for how in ["stop", "limited"] {
            Stage::set("grpc", &[how], |stage| {
                stage.attend(TLS);
                let drain = lost(stage, version);
                let cut = &drain.counts.cut;
                assert_eq!(
                    (cut.unanswered, cut.total(), drain.likely_cut),
                    (BUSY as u64, BUSY as u64, 0),
                    "{version} {how}: {drain:#?}"
                );
                assert_eq!(drain.verdict, Verdict::Fail, "{version} {how}: {drain:#?}");
            });
        }
    }
}

/// Idle clients, and clients with a call in flight. The servers' PINGs were acknowledged: until then nothing but the sizes of a first
/// answer tells that it is none.
fn gathered(stage: &mut Stage, transport: &str) -> Clients {
    let clients = Clients::gather(transport, IDLE, BUSY, &mut stage.gate);
    wait_until_quiet();
    clients
}

/// Every call in flight is lost, by the clients' count.
fn lost(stage: &mut Stage, transport: &str) -> Drain {
    let clients = gathered(stage, transport);
    stage.server.signal(libc::SIGTERM);
    let seen = clients.leave();
    assert_eq!(seen.asked - seen.answered, BUSY as u64, "{seen:?}");
    stage.gate.release();
    stage.server.wait();
    let drain = stage.drain(DrainKind::Stop);
    assert_eq!(drain.awaiting_at_start, Some(BUSY as u64), "{drain:#?}");
    drain
}

const ALL: u64 = (IDLE + BUSY) as u64;

/// What is left of a connection for a minute: of the end at the server's port, or of the client's.
fn is_mini_socket(entry: &crate::harness::Entry, of_server: bool) -> bool {
    let port = if of_server {
        entry.local_port
    } else {
        entry.remote_port
    };
    port == PLAIN && matches!(entry.state, state::TIME_WAIT | state::FIN_WAIT2)
}
