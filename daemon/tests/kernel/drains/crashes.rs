//! A worker that dies by its own hand among its siblings, with clients' requests in its hands, and is replaced: nobody sent a signal,
//! and nobody changed anything. What was lost is by the clients' own count.

use std::collections::BTreeSet;

use finwatch_engine::model::{Drain, DrainKind, Incident, IncidentCause, Rollout, Verdict};
use serde_json::Value;

use super::{BUSY, let_families_be_found};
use crate::harness::{
    Netns,
    daemon::{Daemon, netns_inode},
    gate::Gate,
    http::Plain,
    lab::{PLAIN, Server},
    wait_until,
};

/// How a worker ends when it is asked for that.
struct Death {
    path: &'static str,
    code: Option<u8>,
    signal: Option<&'static str>,
}

const EXIT: Death = Death {
    path: "/exit",
    code: Some(1),
    signal: None,
};
const FAULT: Death = Death {
    path: "/fault",
    code: None,
    signal: Some("SIGSEGV"),
};

/// A client that has asked for something that takes until the gate is opened.
fn waits(gate: &mut Gate) -> Plain {
    let mut client = Plain::connect().unwrap();
    client.ask("/slow").unwrap();
    gate.hold(1);
    client
}

/// With so many clients in flight, a further one asks for what its worker dies of.
fn crashes(class: &str, clients: usize, death: &Death) {
    let daemon = Daemon::start();
    Netns::run(|_| {
        let server = Server::start("gunicorn", &[class], &[PLAIN]);
        let mut gate = Gate::open(server.folder());
        let mut old = BTreeSet::new();
        wait_until("its master and two workers are there", || {
            old = server.processes();
            old.len() == 3
        });
        let_families_be_found();
        let mut everybody: Vec<_> = (0..clients).map(|_| waits(&mut gate)).collect();
        let mut last = Plain::connect().unwrap();
        last.ask(death.path).unwrap();
        assert!(!last.answered(), "its worker died");
        everybody.push(last);
        wait_until("another worker is there", || {
            let now = server.processes();
            now.len() == old.len() && now != old
        });
        gate.release();
        let mut lost = 0_u64;
        for client in &mut everybody {
            lost += u64::from(!client.answered());
        }
        assert!(lost > 0, "by the clients' count");
        drop(everybody);
        let mut next = Plain::connect().unwrap();
        next.ask("/").unwrap();
        assert!(next.answered(), "the service goes on");

        let dead: BTreeSet<u32> = old.difference(&server.processes()).copied().collect();
        assert_eq!(dead.len(), 1);
        let told = told(&daemon, lost);
        let [ended] = &told.ended_processes[..] else {
            panic!("one process ended: {told:#?}");
        };
        assert!(dead.contains(&ended.pid), "{told:#?}");
        assert_eq!(ended.exit.code, death.code, "{told:#?}");
        assert_eq!(ended.exit.signal.as_deref(), death.signal, "{told:#?}");
        holds_once(&daemon, &told, lost);
    });
}

/// Waits for the end of the one incident, which must be of so many requests.
fn told(daemon: &Daemon, lost: u64) -> Incident {
    let mut told = None;
    wait_until("the incident is told", || {
        let incidents: Vec<Incident> = daemon.list("incidents");
        let here = |one: &Incident| one.netns == netns_inode();
        let mut here = incidents.into_iter().filter(here);
        told = here.next().filter(Incident::is_over);
        assert!(here.next().is_none(), "one incident");
        told.is_some()
    });
    let told = told.expect("it was found");
    assert_eq!(told.cause, IncidentCause::WorkerCrashed, "{told:#?}");
    assert_eq!(
        (told.cut.unanswered, told.lost()),
        (lost, lost),
        "{told:#?}"
    );
    assert_eq!(told.by_ended_processes, lost, "{told:#?}");
    assert_eq!(told.verdict, Verdict::Fail, "{told:#?}");
    assert!(told.listened, "{told:#?}");
    told
}

/// The drain that the incident names tells the same, and neither metrics nor a verdict counts it twice.
fn holds_once(daemon: &Daemon, told: &Incident, lost: u64) {
    let drains: Vec<Drain> = daemon.list("drains");
    let here = |one: &&Drain| one.instance.netns == netns_inode();
    let drains: Vec<_> = drains.iter().filter(here).collect();
    let [drain] = drains[..] else {
        panic!("one drain: {drains:#?}");
    };
    assert_eq!(Some(&drain.id), told.drain.as_ref(), "{told:#?}");
    assert_eq!(drain.kind, DrainKind::Crash, "{drain:#?}");
    assert_eq!(drain.lost(), told.cut, "{drain:#?}");
    let rollout = daemon.rollout(|_| true);
    assert_eq!(rollout.lost().total(), lost, "{rollout:#?}");

    let service = &told.service;
    let scraped = daemon.metrics();
    let counted = |series: &str, label: &str| {
        let its = |line: &&str| {
            let of = format!("workload=\"{}\"", service.workload);
            line.starts_with(series) && line.contains(&of) && line.contains(label)
        };
        let lines = scraped.lines().filter(its);
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>()
    };
    assert_eq!(counted("finwatch_incidents_total", "worker-crashed"), 1.0);
    assert_eq!(counted("finwatch_incidents_total", "cause"), 1.0);
    let of_lost = counted("finwatch_incident_lost_total", "lost");
    assert_eq!(of_lost, lost as f64, "{scraped}");
    let diagnosed = counted("finwatch_diagnoses_total", "killed-without-stop");
    assert_eq!(diagnosed, 1.0, "{scraped}");

    let since = told.started_at.to_string();
    let arguments = [
        "verdict",
        "--workload",
        &service.workload,
        "--since",
        &since,
    ];
    let gate = daemon.ask(&[&arguments[..], &["-o", "json"]].concat());
    assert_eq!(gate.status.code(), Some(1), "{gate:?}");
    let said: Value = serde_json::from_slice(&gate.stdout).expect("JSON");
    let judged: Rollout = serde_json::from_value(said["rollout"].clone()).expect("a rollout");
    assert_eq!(judged.id, rollout.id, "{said}");
    for list in ["incidents", "beside"] {
        assert_eq!(said[list], Value::Array(Vec::new()), "{list} {said}");
    }
}

#[test]
fn a_worker_that_exits_with_a_code_among_its_siblings() {
    crashes("gthread", BUSY, &EXIT);
}

#[test]
fn a_worker_that_faults_among_its_siblings() {
    crashes("gthread", BUSY, &FAULT);
}

/// Each worker has one request at a time: the other one's client is answered.
#[test]
fn a_worker_that_faults_and_serves_one_at_a_time() {
    crashes("sync", 1, &FAULT);
}
