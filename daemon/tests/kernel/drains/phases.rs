//! How long a reload lasts on the counters: until the last old worker is gone, however long what it left half-closed waits.

use std::{collections::BTreeSet, thread, time::Duration};

use super::{IDLE, stage::Stage};
use crate::harness::{crowd::Transport, http::Plain, lab::PLAIN, wait_until};

/// New clients of each time.
const NEW: u64 = 25;
/// After the end of the last old worker, of which the daemon learns in its own time.
const LEARNT: Duration = Duration::from_secs(1);

/// Connections that were established in one phase, of the stage's plain port.
fn opened(stage: &Stage, workload: &str, phase: &str) -> u64 {
    let labels = [
        format!("workload=\"{workload}\""),
        format!("port=\"{PLAIN}\""),
        "role=\"server\"".to_owned(),
        format!("phase=\"{phase}\""),
    ];
    let metrics = stage.daemon.metrics();
    let ours = |line: &&str| {
        line.starts_with("finwatch_tcp_opened_total{") && labels.iter().all(|l| line.contains(l))
    };
    let value = |line: &str| -> u64 { line.rsplit(' ').next().unwrap().parse().unwrap() };
    metrics.lines().filter(ours).map(value).sum()
}

/// How many of [`NEW`] clients, each of which connects, asks, is answered and leaves, are counted as steady and as reloading.
fn new_clients(stage: &Stage, workload: &str) -> (u64, u64) {
    let count = || ["steady", "reloading"].map(|phase| opened(stage, workload, phase));
    let before = count();
    for _ in 0..NEW {
        Plain::connect().expect("a server accepts").exchange("/");
    }
    let after = count();
    (after[0] - before[0], after[1] - before[1])
}

fn old_workers(stage: &Stage) -> BTreeSet<u32> {
    let master = stage.server.pid();
    stage
        .old
        .iter()
        .copied()
        .filter(|pid| *pid != master)
        .collect()
}

#[test]
fn new_workers_connections_are_steady_though_the_old_ones_left_some_half_closed() {
    Stage::set_as_a_unit("nginx", &[], |stage, workload| {
        let crowd = stage.gather(Transport::Plain, IDLE, 0);
        stage.server.signal(libc::SIGHUP);
        stage.server.wait_gone(&old_workers(stage));
        thread::sleep(LEARNT);
        // The crowd has not hung up: each of its connections is a mini-socket in FIN_WAIT2, and the drain waits for them.
        assert_eq!(new_clients(stage, workload), (NEW, 0));
        let mut tally = crowd.leave();
        assert_eq!((tally.lost(), tally.fins), (0, IDLE as u64));
        tally.beside = NEW;
        let told = stage.reloaded(libc::SIGHUP, IDLE, 0, tally);
        assert_eq!(told.drain.counts.cut.total(), 0, "{told:#?}");
    });
}

#[test]
fn a_reload_lasts_while_an_old_worker_finishes_a_request() {
    Stage::set_as_a_unit("nginx", &[], |stage, workload| {
        let mut crowd = stage.gather(Transport::Plain, 0, 1);
        stage.server.signal(libc::SIGHUP);
        wait_until("new workers are there", || {
            stage.server.processes().len() > 1 && stage.server.processes() != stage.old
        });
        thread::sleep(LEARNT);
        assert_eq!(new_clients(stage, workload), (0, NEW));
        stage.gate.release();
        crowd.busy_are_answered();
        stage.server.wait_gone(&old_workers(stage));
        thread::sleep(LEARNT);
        assert_eq!(new_clients(stage, workload), (NEW, 0));
        assert_eq!(crowd.leave().lost(), 0);
    });
}
