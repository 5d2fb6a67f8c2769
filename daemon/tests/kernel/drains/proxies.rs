//! Proxies that are stopped, and that close their clients' connections with no signal at all. What clients lost is by their own
//! count.

use std::{
    net::TcpListener,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use finwatch_engine::model::{
    DrainKind, EndedConnection, Incident, IncidentCause, Rollout, Verdict,
};

use super::{BUSY, IDLE, let_families_be_found, stage::Stage};
use crate::harness::{
    Netns,
    crowd::{Crowd, Transport},
    daemon::Daemon,
    gate::Gate,
    lab::{PLAIN, Server},
    wait_until,
};

/// Where haproxy checks whether its server is up.
const CHECKED: u16 = 8081;

#[test]
fn varnish_term_cuts_what_is_in_flight() {
    Stage::set("varnish", &[], |stage| {
        let crowd = stage.gather(Transport::Plain, IDLE, BUSY);
        let_families_be_found();
        stage.server.signal(libc::SIGTERM);
        let lost = crowd.leave().lost();
        assert_eq!(lost, BUSY as u64, "by the clients' count");
        let drain = stage.drain(DrainKind::Stop);
        assert_eq!(drain.service.workload, "varnishd", "{drain:#?}");
        assert_eq!(drain.lost().unanswered, lost, "{drain:#?}");
        assert_eq!(drain.lost().total(), lost, "{drain:#?}");
        assert_eq!(drain.counts.closes(), (IDLE + BUSY) as u64, "{drain:#?}");
        assert_eq!(drain.verdict, Verdict::Fail, "{drain:#?}");
    });
}

/// Each reload leaves clients to its old worker whose question is not answered by the time that the worker must end.
#[test]
fn five_reloads_of_haproxy_in_a_row() {
    const RELOADS: usize = 5;
    const EACH: usize = 2;
    let daemon = Daemon::start();
    Netns::run(|_| {
        let _up = TcpListener::bind(("127.0.0.1", CHECKED)).unwrap();
        let server = Server::start("haproxy", &["tcp-master"], &[PLAIN]);
        let mut gate = Gate::open(server.folder());
        let_families_be_found();
        let loaded = || server.log().matches("Loading success").count();
        let mut crowds = Vec::new();
        for reload in 1..=RELOADS {
            crowds.push(Crowd::ask_once(Transport::Plain, EACH, &mut gate));
            server.signal(libc::SIGUSR2);
            wait_until("the new worker is there", || loaded() == reload + 1);
            // The master says so a moment before it hears of a signal again, and reloads within a second are one drain.
            thread::sleep(Duration::from_millis(1_200));
        }
        let lost: u64 = crowds.into_iter().map(|crowd| crowd.leave().lost()).sum();
        assert_eq!(lost, (RELOADS * EACH) as u64, "by the clients' count");
        let rollout = daemon.rollout(|rollout| rollout.drains.len() == RELOADS);
        let cut: u64 = rollout.drains.iter().map(|one| one.lost().total()).sum();
        assert_eq!(cut, lost, "{rollout:#?}");
        assert_eq!(rollout.lost().total(), lost, "{rollout:#?}");
        assert_eq!(rollout.verdict, Verdict::Fail, "{rollout:#?}");
    });
}

#[test]
fn haproxy_shuts_the_sessions_of_a_server_that_is_down() {
    let daemon = Daemon::start();
    Netns::run(|_| {
        let up = TcpListener::bind(("127.0.0.1", CHECKED)).unwrap();
        let server = Server::start("haproxy", &["tcp"], &[PLAIN]);
        let mut gate = Gate::open(server.folder());
        let crowd = Crowd::ask_once(Transport::Plain, BUSY, &mut gate);
        let_families_be_found();
        drop(up);
        let lost = crowd.leave().lost();
        assert_eq!(lost, BUSY as u64, "by the clients' count");
        let by_it = |close: &EndedConnection| close.closed_by_pid == server.pid();
        let mut told = None;
        wait_until("the incident is told", || {
            let incidents: Vec<Incident> = daemon.list("incidents");
            let is_it =
                |one: &Incident| one.service.port == PLAIN && one.examples.iter().any(by_it);
            told = incidents.into_iter().find(is_it);
            told.as_ref().is_some_and(|one| one.cut.total() == lost)
        });
        let told = told.expect("it was found");
        assert_eq!(told.cut.unanswered, lost, "{told:#?}");
        assert_eq!(told.cause, IncidentCause::DroppedByServer, "{told:#?}");
        let first = &told.findings[0];
        assert_eq!(first.diagnosis, "dropped-by-server", "{told:#?}");
        assert!(first.remedy.contains("on-marked-down"), "{told:#?}");
    });
}

#[test]
fn caddy_that_is_reloaded_by_its_api() {
    Stage::set_as_a_unit("caddy", &[], |stage, workload| {
        let mut crowd = stage.gather(Transport::Plain, IDLE, 0);
        stage.announce("start", workload);
        reload(stage);
        // All of it is closed in one moment, and had been idle for as long: that looks like a timeout.
        crowd.ask_again_when_closed();
        let tally = crowd.leave();
        assert_eq!(tally.lost(), IDLE as u64, "by the clients' count");
        stage.announce("finish", workload);
        let rollout = rollout_of(&stage.daemon, workload);
        assert_eq!(rollout.drains, [], "{rollout:#?}");
        assert_eq!(rollout.lost().late, tally.lost(), "{rollout:#?}");
        assert_eq!(rollout.lost().total(), tally.lost(), "{rollout:#?}");
        assert_eq!(rollout.verdict, Verdict::Fail, "{rollout:#?}");
        let finds = |name: &str| rollout.findings.iter().any(|f| f.diagnosis == name);
        assert!(finds("keepalive-race"), "{rollout:#?}");
        assert!(!finds("idle-timeout-race"), "{rollout:#?}");
    });
}

/// Waits for the end of the only rollout of a workload.
fn rollout_of(daemon: &Daemon, workload: &str) -> Rollout {
    let mut told = None;
    wait_until("the rollout is over", || {
        let rollouts: Vec<Rollout> = daemon.list("rollouts");
        let mut of_it = rollouts
            .into_iter()
            .filter(|one| one.workload.name == workload);
        told = of_it.next().filter(Rollout::is_over);
        assert!(of_it.next().is_none(), "one rollout");
        told.is_some()
    });
    told.expect("it was found")
}

/// What `caddy reload` does, with the server's own configuration.
fn reload(stage: &Stage) {
    let configuration = concat!(env!("CARGO_MANIFEST_DIR"), "/../lab/caddy/Caddyfile");
    let status = Command::new("caddy")
        .args(["reload", "--force", "--config", configuration])
        .env("folder", stage.server.folder())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "caddy takes its configuration");
}
