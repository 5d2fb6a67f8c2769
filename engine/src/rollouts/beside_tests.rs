//! Programs of one name side by side, each with a configuration of its own: whose is what, when nobody announced it.

use super::{scenarios::*, *};
use crate::model::{Cuts, Verdict};

fn of_program(service: Service) -> Service {
    Service {
        workload_kind: "process".to_owned(),
        workload: "nginx".to_owned(),
        ..service
    }
}

/// A drain of the nginx that is this process.
fn of(pid: u32, mut drain: Drain) -> Drain {
    drain.service = of_program(drain.service);
    drain.instance.pid = pid;
    drain
}

fn came(pid: u32, port: u16, secs: f64) -> Start {
    Start {
        service: of_program(service("nginx", port)),
        pid,
        ..start("nginx", port, secs)
    }
}

fn nobody_listened(port: u16, from: f64, until: f64, refused: u64) -> Gap {
    Gap {
        service: of_program(service("nginx", port)),
        ..gap("nginx", port, from, until, refused)
    }
}

fn key(port: u16) -> ServiceKey {
    let mut key = ServiceKey::other(Role::Server, finwatch_common::Phase::Steady);
    (key.netns, key.port) = (1, port);
    key.comm[..5].copy_from_slice(b"nginx");
    key
}

/// What the port came to: so many closes since second 0.
fn account(port: u16, closed: u64) -> Account {
    let counts = Counts {
        local_first: closed,
        ..Counts::default()
    };
    Account {
        service: of_program(service("nginx", port)),
        netns: HERE,
        first_at: at(0.0),
        last_at: at(1.0),
        counts,
        examples: Vec::new(),
        ordinary: crate::model::Baseline::default(),
        turns_not_judged: false,
    }
}

#[test]
fn two_of_one_name_with_other_ports_are_two_rollouts() {
    let mut story = Story::new();
    let correlator = &mut story.correlator;
    correlator.drain(of(700, drained("a1", "nginx", 80, 1.0, 2.0)));
    correlator.drain(of(900, cutting(drained("b1", "nginx", 8080, 1.2, 2.0))));
    correlator.start(came(701, 80, 2.1));
    correlator.start(came(901, 8080, 2.2));
    correlator.gap(nobody_listened(8080, 2.0, 2.2, 3));
    let ended = story.until(3, 10);
    let told: Vec<_> = ended
        .iter()
        .map(|r| (drain_ids(r), r.starts.len(), r.gaps.len(), r.verdict))
        .collect();
    assert_eq!(
        told,
        [
            (vec!["a1"], 1, 0, Verdict::Pass),
            (vec!["b1"], 1, 1, Verdict::Fail),
        ]
    );
}

#[test]
fn each_counts_what_its_own_ports_counted() {
    let mut story = Story::new();
    let correlator = &mut story.correlator;
    for port in [80, 443, 8080] {
        correlator.account(key(port), account(port, 10));
    }
    correlator.drain(of(700, draining("a1", "nginx", 80, 1.0)));
    correlator.drain(of(700, draining("a2", "nginx", 443, 1.0)));
    correlator.drain(of(900, draining("b1", "nginx", 8080, 1.0)));
    for (port, closed) in [(80, 30), (443, 40), (8080, 80)] {
        correlator.account(key(port), account(port, closed));
    }
    let told: Vec<_> = correlator
        .running()
        .iter()
        .map(|r| (r.drains.len(), r.counts.local_first))
        .collect();
    assert_eq!(told, [(2, 20 + 30), (1, 70)]);
}

#[test]
fn where_nobody_waits_for_an_answer_none_is_missed_beside_a_drain() {
    let mut story = Story::new();
    let correlator = &mut story.correlator;
    correlator.account(key(80), account(80, 0));
    let mut drain = drained("a1", "nginx", 80, 1.0, 2.0);
    drain.turns_not_judged = true;
    drain.counts.cut.unanswered = 3;
    correlator.drain(of(700, drain));
    let mut told = account(80, 10);
    told.turns_not_judged = true;
    (told.counts.cut.unanswered, told.counts.cut.unread) = (8, 1);
    correlator.account(key(80), told);
    let rollout = &story.until(3, 10)[0];
    assert_eq!(
        (rollout.outside.cut.unanswered, rollout.outside_unjudged),
        (5, 5)
    );
    let unread = Cuts {
        unread: 1,
        ..Cuts::default()
    };
    assert_eq!(rollout.lost_outside(), unread);
    let cut = rollout
        .findings
        .iter()
        .find(|one| one.diagnosis == "requests-cut");
    let evidence = &cut.expect("one was lost").evidence[0];
    assert!(evidence.starts_with("1 request was lost"), "{evidence}");
}

#[test]
fn a_successor_by_one_port_is_one_by_all_of_its_own() {
    let mut story = Story::new();
    let correlator = &mut story.correlator;
    correlator.start(came(900, 8443, 0.8));
    correlator.drain(of(700, draining("old", "nginx", 80, 1.0)));
    assert_eq!(correlator.running()[0].starts, []);
    correlator.start(came(900, 80, 0.9));
    assert_eq!(correlator.running()[0].starts.len(), 2);
    correlator.drain(of(900, draining("next", "nginx", 8443, 5.0)));
    correlator.drain(of(950, draining("other", "nginx", 9090, 5.0)));
    let running = correlator.running();
    let told: Vec<_> = running.iter().map(drain_ids).collect();
    assert_eq!(told, [vec!["old", "next"], vec!["other"]]);
}

#[test]
fn a_word_on_all_of_the_name_joins_them_and_one_on_a_port_does_not() {
    for (port, joined) in [(None, 1), (Some(80), 2)] {
        let mut story = Story::new();
        let mut begins = begins("nginx", "v2", 0.0);
        begins.workload.port = port;
        story.correlator.event(begins);
        story
            .correlator
            .drain(of(700, draining("a1", "nginx", 80, 1.0)));
        story
            .correlator
            .drain(of(900, draining("b1", "nginx", 8080, 1.2)));
        assert_eq!(story.correlator.running().len(), joined);
    }
}

#[test]
fn units_of_one_name_are_one_whatever_their_ports_and_processes() {
    let mut story = Story::new();
    story.correlator.drain(draining("d1", "web", 80, 0.0));
    let mut other = draining("d2", "web", 9090, 0.1);
    other.instance.pid = 900;
    story.correlator.drain(other);
    assert_eq!(story.correlator.running().len(), 1);
}
