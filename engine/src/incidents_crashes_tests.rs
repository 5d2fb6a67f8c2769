//! Workers that crash or are killed among their siblings: a drain counts what clients lost by each, and an incident says so.

use finwatch_common::TimeWait;

use super::*;
use crate::model::{DeployEvent, DeployStage, Skew, Source, WorkloadRef};

/// Of a process that is ended by SIGSEGV, and dumps core.
const SEGV: u32 = 11 | 0x80;
const KILLED: u32 = 9;

/// Lets time pass until every drain is over.
const LONG_MS: u64 = 200 * SECOND_MS;

// === impl Host ===

impl Host {
    /// A process dies with so many requests read and unanswered.
    fn crash(&mut self, tgid: u32, status: u32, requests: usize) {
        self.die(tgid, status);
        for _ in 0..requests {
            self.close(tgid, Some(Cut::Unanswered), close_flags::BY_EXIT);
        }
        self.close(tgid, None, close_flags::BY_EXIT);
    }

    /// The process that dies closes a connection, whose client has not heard of it yet; its number.
    fn leave_half_closed(&mut self, tgid: u32) -> u64 {
        let close = self.closed(key().netns, tgid, None, close_flags::BY_EXIT);
        let cookie = close.cookie;
        self.tell(Record::Close(CloseRecord {
            time_wait: TimeWait::FinWait2 as u8,
            ..close
        }));
        cookie
    }

    /// A request meets what is left of it.
    fn ask_too_late(&mut self, cookie: u64) {
        let mut reset = zeroed::<ResetRecord>();
        reset.header = self.header::<ResetRecord>(KIND_RESET);
        (reset.cookie, reset.service) = (cookie, key());
        reset.lost_bytes = 40;
        reset.flags = reset_flags::MINI_SOCKET | reset_flags::CUT_LATE;
        reset.lost = Lost::Data as u8;
        self.tell(Record::Reset(reset));
    }

    fn drain(&self) -> &Drain {
        assert_eq!(self.drains.len(), 1, "{:#?}", self.drains);
        self.drains.values().next().expect("one")
    }

    /// Somebody announces a change of the service.
    fn deploy(&mut self) {
        let at = Clocks::default().wall(self.now_ms * MS);
        self.take(Input::Deploy(&DeployEvent {
            id: "one".to_owned(),
            source: Source::Cli,
            stage: DeployStage::Started,
            workload: WorkloadRef {
                name: "web.service".to_owned(),
                ..WorkloadRef::default()
            },
            revision: None,
            links: Vec::new(),
            event_time: at,
            receive_time: at,
            skew: Skew::None,
        }));
    }

    fn figures(&mut self) -> crate::model::ServiceFigures {
        let story = &self.engine.snapshot().figures.services;
        assert_eq!(story.len(), 1);
        story.values().next().expect("one").clone()
    }
}

#[test]
fn a_worker_that_crashes_is_told_by_its_drain_and_found_among_the_incidents() {
    for (status, code, signal) in [
        (1 << 8, Some(1), None),
        (SEGV, None, Some("SIGSEGV")),
        (KILLED, None, Some("SIGKILL")),
    ] {
        let mut host = Host::new();
        host.crash(WORKER, status, 3);
        host.wait(LONG_MS);
        let (incident, drain) = (host.incident(), host.drain());
        assert_eq!(incident.drain.as_ref(), Some(&drain.id));
        assert_eq!(incident.cause, IncidentCause::WorkerCrashed);
        assert_eq!((incident.cut, incident.refused), (drain.lost(), 0));
        assert_eq!((incident.cut.unanswered, incident.lost()), (3, 3));
        assert_eq!(incident.by_ended_processes, 3);
        assert_eq!(incident.ending, Some(IncidentEnd::Quiet));
        assert_eq!(incident.examples.len(), 3);
        assert_eq!(
            (incident.verdict, drain.verdict),
            (Verdict::Fail, Verdict::Fail)
        );
        assert!(incident.listened);
        assert!(found(incident).contains(&"killed-without-stop"));
        let [ended] = &incident.ended_processes[..] else {
            panic!("one: {incident:#?}");
        };
        assert_eq!((ended.pid, ended.exit.code), (WORKER, code));
        assert_eq!(ended.exit.signal.as_deref(), signal);
    }
}

#[test]
fn the_drain_of_a_worker_that_exits_says_how() {
    let mut host = Host::new();
    host.crash(WORKER, 1 << 8, 3);
    host.wait(LONG_MS);
    let recycled = host.drain().findings.iter();
    let mut recycled = recycled.filter(|finding| finding.diagnosis == "worker-recycled");
    assert_eq!(
        recycled.next().expect("it is named").evidence,
        [
            "gunicorn (worker 101 of 100) exited with code 1 and with no signal, and others went on listening.",
            "4 connections ended with it; on 3 a request was lost.",
        ]
    );
}

#[test]
fn what_comes_late_after_a_crash_is_lost_by_it_too() {
    let mut host = Host::new();
    host.crash(WORKER, SEGV, 3);
    let late = [(); 2].map(|()| host.leave_half_closed(WORKER));
    host.wait(300);
    for cookie in late {
        host.ask_too_late(cookie);
    }
    host.wait(LONG_MS);
    let (incident, drain) = (host.incident(), host.drain());
    assert_eq!((incident.cut.unanswered, incident.cut.late), (3, 2));
    assert_eq!(incident.cut, drain.lost());
}

#[test]
fn figures_count_a_crash_once() {
    let mut host = Host::new();
    host.crash(WORKER, SEGV, 3);
    host.wait(LONG_MS);
    let figures = host.figures();
    assert_eq!(figures.incidents[&IncidentCause::WorkerCrashed], 1);
    assert_eq!(figures.incidents.values().sum::<u64>(), 1);
    assert_eq!(figures.incident_lost["unanswered"], 3);
    assert_eq!(figures.diagnoses["killed-without-stop"], 1);
}

#[test]
fn two_workers_that_crash_are_two_and_each_loss_is_in_one() {
    let mut host = Host::new();
    host.crash(WORKER, SEGV, 3);
    host.wait(10 * SECOND_MS);
    host.living.insert(103, Kinship::Member);
    host.crash(SIBLING, SEGV, 5);
    host.wait(LONG_MS);
    let told = host.incidents.values();
    let told: Vec<_> = told
        .map(|one| (one.cut.total(), one.drain.is_some()))
        .collect();
    assert_eq!(told, [(3, true), (5, true)]);
}

#[test]
fn what_the_others_lose_meanwhile_is_in_no_crash() {
    let mut host = Host::new();
    for _ in 0..4 {
        host.close(SIBLING, Some(Cut::Unread), 0);
    }
    host.wait(SECOND_MS);
    host.crash(WORKER, SEGV, 3);
    host.wait(LONG_MS);
    let told = host.incidents.values();
    let told: Vec<_> = told.map(|one| (one.cause, one.cut.total())).collect();
    let (dropped, crashed) = (IncidentCause::DroppedByServer, IncidentCause::WorkerCrashed);
    assert_eq!(told, [(dropped, 4), (crashed, 3)]);
}

#[test]
fn a_worker_that_closes_and_then_exits_with_a_code_crashed() {
    let mut host = Host::new();
    for _ in 0..4 {
        host.close(WORKER, Some(Cut::Unread), 0);
    }
    host.exit(WORKER, 1);
    host.wait(LONG_MS);
    let incident = host.incident();
    assert_eq!(incident.cause, IncidentCause::WorkerCrashed);
    assert_eq!((incident.cut.unread, &incident.drain), (4, &None));
}

#[test]
fn a_worker_that_crashes_and_cuts_nobody_is_no_incident() {
    let mut host = Host::new();
    host.crash(WORKER, SEGV, 0);
    host.wait(LONG_MS);
    assert_eq!(host.drain().verdict, Verdict::Warn);
    assert!(host.incidents.is_empty());
}

#[test]
fn a_worker_that_crashes_in_a_deploy_is_told_by_that() {
    let mut host = Host::new();
    host.deploy();
    host.wait(SECOND_MS);
    host.crash(WORKER, SEGV, 3);
    host.wait(LONG_MS);
    assert_eq!(host.drain().verdict, Verdict::Fail);
    assert!(host.incidents.is_empty());
}

#[test]
fn a_worker_that_crashes_just_before_its_server_is_stopped_is_told_by_the_stop() {
    let mut host = Host::new();
    host.crash(WORKER, SEGV, 3);
    host.wait(STEP_MS);
    host.stop();
    host.wait(SECOND_MS);
    for tgid in [SIBLING, MASTER] {
        host.exit(tgid, 0);
    }
    host.listen(0);
    host.wait(LONG_MS);
    assert_eq!(host.drain().lost().total(), 3);
    assert!(host.incidents.is_empty(), "{:#?}", host.incidents);
}

#[test]
fn a_worker_that_somebody_stops_did_not_crash() {
    const STOPPED: u32 = 15;
    let mut host = Host::new();
    host.crash(WORKER, STOPPED, 3);
    host.wait(LONG_MS);
    assert_eq!(host.drain().lost().total(), 3);
    assert!(host.incidents.is_empty(), "{:#?}", host.incidents);
}
