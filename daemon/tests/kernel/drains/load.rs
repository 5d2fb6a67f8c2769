//! A reload under the load of `wrk`, which calls every end of a connection a read error. How many requests were really lost
//! is in a packet capture.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use finwatch::story::{DrainKind, Verdict};

use super::stage::Stage;
use crate::harness::{
    capture::{Capture, Captured},
    kernel,
};

#[test]
fn nginx_reload_loses_what_the_capture_shows() {
    const CLIENTS: usize = 20;
    Stage::set("nginx", &[], |stage| {
        let capture = Capture::start();
        let wrk = Command::new("wrk")
            .args([
                "-t1",
                &format!("-c{CLIENTS}"),
                "-d3",
                "http://127.0.0.1:8080/",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("wrk starts; Debian's package is wrk");
        thread::sleep(Duration::from_millis(1500));
        stage.server.signal(libc::SIGHUP);
        let said = String::from_utf8(wrk.wait_with_output().unwrap().stdout).unwrap();
        let connections = capture.end();
        // Those that the server ended are the old workers': the others are ended by wrk, with its own end.
        let ended: Vec<Captured> = connections
            .iter()
            .copied()
            .filter(|connection| connection.by_server)
            .collect();
        let lost =
            |c: &&Captured| c.asked_bytes / c.request_bytes > c.answered_bytes / c.answer_bytes;
        let lost = ended.iter().filter(lost).count() as u64;
        let by_reset = ended.iter().filter(|c| c.by_reset).count() as u64;
        let drain = stage.drain(DrainKind::Reload);
        eprintln!(
            "{} ended by the server, {lost} requests lost: {said}",
            ended.len()
        );
        let counts = &drain.counts;
        assert_eq!(counts.no_fin, by_reset, "{drain:#?}");
        assert_eq!(
            counts.local_first,
            ended.len() as u64 - by_reset,
            "{drain:#?}"
        );
        if kernel::traces_every_reset() {
            assert_eq!(counts.cut.total(), lost, "{drain:#?}");
        }
        assert_eq!(drain.verdict == Verdict::Fail, lost > 0, "{drain:#?}");
        // It counts the ends; how many of them, it need not agree with anybody.
        assert!(said.contains("Socket errors: connect 0, read "), "{said}");
    });
}
