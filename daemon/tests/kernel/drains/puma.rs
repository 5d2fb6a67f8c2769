//! Puma: a restart that lets clients wait while it loads, and a signal that stops it unless it is told to open its logs anew.

use std::{io::ErrorKind, net::TcpStream, thread, time::Duration};

use finwatch_engine::model::{DrainKind, Verdict};

use super::{
    IN_FLIGHT, let_families_be_found,
    stage::Stage,
    waiting::{check, come},
};
use crate::harness::{crowd::Transport, lab::PLAIN, wait_until};

/// How long it takes to load the application after a restart.
const LOADS: &str = "2.5";
const BUSY: usize = 5;
/// Clients that come when it has closed its listener.
const REFUSED: u64 = 3;

#[test]
fn restarted_while_clients_come() {
    Stage::set("puma", &[LOADS], |stage| {
        stage.attend(PLAIN);
        let_families_be_found();
        stage.server.signal(libc::SIGUSR2);
        // It heeds the signal, of which nothing is to be seen.
        thread::sleep(Duration::from_millis(700));
        let waits = come(4, Duration::from_secs(5), || ());
        let drain = stage.drain(DrainKind::Reload);
        check(&drain, &waits);
    });
}

#[test]
fn stopped_by_the_signal_that_is_for_its_logs() {
    Stage::set("puma", &[], |stage| {
        let mut crowd = stage.gather(Transport::Plain, 0, BUSY);
        let_families_be_found();
        stage.server.signal(libc::SIGHUP);
        let mut refused = 0;
        wait_until("it closes its listener", || {
            let came = TcpStream::connect(("127.0.0.1", PLAIN));
            refused += u64::from(came.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused));
            refused == REFUSED
        });
        // It goes on with what it has in hand, and is seen to.
        thread::sleep(IN_FLIGHT * 2);
        stage.gate.release();
        crowd.busy_are_answered();
        crowd.leave();
        stage.server.wait();
        let drain = stage.drain(DrainKind::Stop);
        let signal = drain.signal.as_ref().unwrap();
        assert_eq!(signal.number, libc::SIGHUP.unsigned_abs() as u8);
        assert_eq!(drain.counts.refused, REFUSED, "{drain:#?}");
        assert_eq!(drain.counts.cut.total(), 0, "{drain:#?}");
        assert_eq!(drain.verdict, Verdict::Fail);
        let finds = |name: &str| drain.findings.iter().any(|f| f.diagnosis == name);
        assert!(finds("listener-closed-early"), "{drain:#?}");
    });
}
