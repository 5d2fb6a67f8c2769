//! What a pipeline does: it announces the change, makes it, announces that it is done, and asks for the verdict. And a
//! finwatch that dies in the middle of a drain.

use std::thread;

use finwatch_engine::model::{Drain, Rollout, RolloutState, ServiceState, Source, Verdict};

use super::{BUSY, IDLE, IN_FLIGHT, let_families_be_found, stage::Stage};
use crate::harness::{
    crowd::Transport,
    daemon::{Daemon, netns_inode},
    lab::PLAIN,
    wait_until,
};

/// How long `finwatch verdict` may wait.
const LIMIT: &str = "30s";

/// Announces a reload of nginx, makes it while clients are there, and returns the exit code of the pipeline's last step
/// beside the rollout. The clients of a clean change learn of it in time; the others ask once more.
fn pipeline(clean: bool) -> (Option<i32>, Rollout) {
    Stage::set_as_a_unit("nginx", &[], |stage, workload| {
        let mut crowd = stage.gather(Transport::Plain, IDLE, BUSY);
        stage.announce("start", workload);
        stage.server.signal(libc::SIGHUP);
        if !clean {
            crowd.ask_again_when_closed();
        }
        thread::sleep(IN_FLIGHT);
        stage.gate.release();
        crowd.busy_are_answered();
        let tally = crowd.leave();
        assert_eq!(tally.lost(), if clean { 0 } else { IDLE as u64 });
        stage.announce("finish", workload);
        let verdict = ["verdict", "--workload", workload, "--wait", LIMIT];
        let output = stage.daemon.ask(&verdict);
        let rollout = stage
            .daemon
            .rollout(|rollout| rollout.source == Source::Cli);
        (output.status.code(), rollout)
    })
}

#[test]
fn a_pipeline_passes_on_a_clean_change() {
    let (code, rollout) = pipeline(true);
    assert_eq!(code, Some(0), "{rollout:#?}");
    assert_eq!(rollout.revision.as_deref(), Some("r2"));
    assert_eq!(rollout.state, RolloutState::Ended);
    assert_eq!(rollout.events.len(), 2, "{rollout:#?}");
    assert_eq!(rollout.counts.cut.total(), 0);
    assert_eq!(rollout.counts.local_first, (IDLE + BUSY) as u64);
    assert_ne!(rollout.verdict, Verdict::Fail);
}

#[test]
fn a_pipeline_fails_on_cut_requests() {
    let (code, rollout) = pipeline(false);
    assert_eq!(code, Some(1), "{rollout:#?}");
    assert_eq!(rollout.verdict, Verdict::Fail);
    assert_eq!(rollout.counts.cut.late, IDLE as u64, "{rollout:#?}");
    assert_eq!(rollout.counts.cut.total(), IDLE as u64, "{rollout:#?}");
}

#[test]
fn a_drain_during_which_finwatch_dies_is_inconclusive() {
    Stage::set("nginx", &[], |stage| {
        let mut crowd = stage.gather(Transport::Plain, IDLE, BUSY);
        stage.server.signal(libc::SIGQUIT);
        let netns = netns_inode();
        let here = |drain: &Drain| drain.instance.netns == netns && drain.service.port == PLAIN;
        wait_until("the drain has begun", || {
            drains(&stage.daemon).iter().any(here)
        });
        let begun = drains(&stage.daemon).into_iter().find(here).unwrap();
        assert_eq!(begun.verdict, Verdict::Inconclusive);
        stage.daemon.kill();
        stage.daemon.start_again();
        stage.gate.release();
        crowd.busy_are_answered();
        assert_eq!(crowd.leave().lost(), 0);
        stage.server.wait();
        let drain = drains(&stage.daemon).into_iter().find(|d| d.id == begun.id);
        let drain = drain.expect("it is in the history");
        assert!(drain.interrupted && drain.ended_at.is_some(), "{drain:#?}");
        assert_eq!(drain.verdict, Verdict::Inconclusive, "{drain:#?}");
        let rollout = stage.daemon.rollout(|_| true);
        assert_eq!(rollout.verdict, Verdict::Inconclusive, "{rollout:#?}");
        let output = stage.daemon.ask(&["verdict", "--rollout", &rollout.id]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
    });
}

/// Nothing had been looked at when it was told to stop: the signal was a record in the ring.
#[test]
fn a_drain_that_began_when_finwatch_stops_is_in_the_history() {
    Stage::set("nginx", &[], |stage| {
        let crowd = stage.gather(Transport::Plain, IDLE, 0);
        stage.server.signal(libc::SIGQUIT);
        stage.daemon.stop();
        stage.daemon.start_again();
        assert_eq!(crowd.leave().lost(), 0);
        stage.server.wait();
        let netns = netns_inode();
        let here = |drain: &Drain| drain.instance.netns == netns && drain.service.port == PLAIN;
        let drains: Vec<_> = drains(&stage.daemon).into_iter().filter(here).collect();
        let [drain] = &drains[..] else {
            panic!("one drain: {drains:#?}");
        };
        assert!(drain.interrupted, "{drain:#?}");
        assert_eq!(drain.verdict, Verdict::Inconclusive, "{drain:#?}");
    });
}

/// It listens as well, and sees the signals that it gets.
#[test]
fn finwatchs_own_stop_is_no_drain() {
    let mut daemon = Daemon::start();
    wait_until("it knows itself", || {
        let services: Vec<ServiceState> = daemon.list("services");
        let own = |state: &ServiceState| state.service.port == daemon.port();
        services.iter().any(own)
    });
    // And who belongs to a listener, of which it had no record when it began.
    let_families_be_found();
    let stopped = daemon.pid();
    daemon.stop();
    daemon.start_again();
    let own: Vec<_> = drains(&daemon)
        .into_iter()
        .filter(|drain| drain.instance.pid == stopped)
        .collect();
    assert!(own.is_empty(), "{own:#?}");
}

fn drains(daemon: &Daemon) -> Vec<Drain> {
    daemon.list("drains")
}
