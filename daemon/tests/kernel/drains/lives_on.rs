//! Servers that go on after the signal: their supervisor alone ended, or they only opened their listener anew.

use std::{
    io::ErrorKind,
    net::TcpStream,
    time::{Duration, Instant},
};

use finwatch_engine::model::{DrainKind, Verdict};

use super::{BUSY, IDLE, let_families_be_found, stage::Stage};
use crate::harness::{Snmp, crowd::Transport, lab::PLAIN, wait_until};

#[test]
fn a_supervisor_that_ends_alone() {
    Stage::set("python", &["supervised"], |stage| {
        let mut crowd = stage.gather(Transport::Plain, IDLE, BUSY);
        let_families_be_found();
        stage.server.signal(libc::SIGTERM);
        let told = Instant::now();
        let drain = stage.drain(DrainKind::Stop);
        let took = told.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?}: {drain:#?}");
        assert!(drain.lived_on, "{drain:#?}");
        let signal = drain.signal.as_ref().unwrap();
        assert_eq!(signal.target_pid, stage.server.pid());
        assert_eq!((drain.processes, drain.processes_ended), (1, 0));
        let all = (IDLE + BUSY) as u64;
        assert_eq!((drain.open_at_start, drain.still_open), (all, all));
        assert_eq!(drain.awaiting_at_start, Some(BUSY as u64));
        assert_eq!(drain.counts.closes(), 0, "{drain:#?}");
        assert_eq!(drain.verdict, Verdict::Warn, "{drain:#?}");
        let finding = |name: &str| drain.findings.iter().any(|f| f.diagnosis == name);
        assert!(finding("workers-left-behind"), "{drain:#?}");
        stage.gate.release();
        crowd.busy_are_answered();
    });
}

#[test]
fn a_listener_that_is_opened_anew() {
    Stage::set("python", &["reopens"], |stage| {
        let crowd = stage.gather(Transport::Plain, IDLE, 0);
        let_families_be_found();
        stage.server.signal(libc::SIGHUP);
        let mut refused = 0;
        wait_until("it was closed, and is open", || {
            match TcpStream::connect(("127.0.0.1", PLAIN)) {
                Ok(_) => refused > 0,
                Err(error) => {
                    // Whom its close meets in the middle of a handshake is reset, and not refused.
                    let is_refused = error.kind() == ErrorKind::ConnectionRefused;
                    assert!(
                        is_refused || error.kind() == ErrorKind::ConnectionReset,
                        "{error}"
                    );
                    refused += u64::from(is_refused);
                    false
                }
            }
        });
        let drain = stage.drain(DrainKind::Reload);
        assert_eq!(drain.listening.closed_at, None, "{drain:#?}");
        let sent = Snmp::read().get("OutRsts");
        assert_eq!(drain.counts.refused, refused, "{sent} RSTs: {drain:#?}");
        let finding = |name: &str| drain.findings.iter().any(|f| f.diagnosis == name);
        assert!(finding("listener-closed-early"), "{drain:#?}");
        drop(crowd);
    });
}
