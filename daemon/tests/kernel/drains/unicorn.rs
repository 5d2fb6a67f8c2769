//! unicorn: what its signals do to clients whose connections it keeps no longer than one answer.

use std::{fs, time::Duration};

use finwatch_engine::model::DrainKind;

use super::{
    let_families_be_found,
    stage::Stage,
    waiting::{check, come},
};
use crate::harness::{crowd::Transport, lab::PLAIN, wait_until};

/// How long the successor takes to load the application.
const LOADS: &str = "3.5";
/// Its workers: each has one request in hand.
const WORKERS: usize = 2;

#[test]
fn told_to_quit_before_its_successor_has_loaded() {
    Stage::set_patiently("unicorn", &[LOADS], |stage| {
        stage.attend(PLAIN);
        let_families_be_found();
        let old = stage.server.processes();
        stage.server.signal(libc::SIGUSR2);
        // Its environment is the successor's own once it runs the program anew; until then it is another child of the old one.
        wait_until("the successor is there", || {
            let processes = stage.server.processes();
            let mut new = processes.difference(&old);
            new.any(|pid| {
                let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                String::from_utf8_lossy(&environment).contains("UNICORN_FD=")
            })
        });
        stage.server.signal(libc::SIGQUIT);
        stage.server.wait_for_main();
        // Nobody accepts; the successor holds the socket.
        let waits = come(4, Duration::from_secs(5), || ());
        let drain = stage.drain(DrainKind::Stop);
        check(&drain, &waits);
        let waited = drain
            .findings
            .iter()
            .find(|f| f.diagnosis == "clients-waited");
        let remedy = &waited.unwrap().remedy;
        assert!(remedy.starts_with("unicorn: After SIGUSR2"), "{remedy}");
    });
}

#[test]
fn term_with_requests_in_flight() {
    Stage::set("unicorn", &[], |stage| {
        let crowd = stage.gather_for_once(Transport::Plain, WORKERS);
        let_families_be_found();
        stage.server.signal(libc::SIGTERM);
        let tally = crowd.leave();
        assert_eq!((tally.lost(), tally.resets), (WORKERS as u64, 0));
        let told = stage.stopped(libc::SIGTERM, WORKERS, WORKERS, tally);
        told.assert_cut(WORKERS, 0, 0);
        assert!(told.finds("fast-stop-signal"), "{told:#?}");
    });
}
