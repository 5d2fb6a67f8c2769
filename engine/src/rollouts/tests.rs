//! What belongs to which rollout, and when it is over.

use super::{scenarios::*, *};
use crate::model::{DrainKind, RolloutState, Source, Verdict};

#[test]
fn a_drain_that_nobody_announced_is_a_rollout_and_ends_after_quiet() {
    let mut story = Story::new();
    story.correlator.drain(draining("d1", "web", 80, 0.0));
    story.correlator.tick(at(1.0));
    let running = story.correlator.running();
    assert_eq!(running[0].id, "web.service-20260102T030405Z");
    assert_eq!(
        (running[0].source, running[0].state),
        (Source::Signal, RolloutState::Running)
    );
    assert_eq!(running[0].verdict, Verdict::Inconclusive);
    assert_eq!(running[0].workload.name, "web.service");

    story.correlator.drain(drained("d1", "web", 80, 0.0, 2.0));
    assert!(story.until(2, 6).is_empty(), "quiet has not passed");
    let ended = story.until(7, 7);
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].state, ended[0].ended_at),
        (RolloutState::Ended, Some(at(2.0)))
    );
    assert_eq!(ended[0].verdict, Verdict::Pass, "{:?}", ended[0].findings);
    assert_eq!(ended[0].counts.local_first, 10);
    assert!(
        story.running().is_empty() && story.until(8, 9).is_empty(),
        "it is told once"
    );
}

#[test]
fn ports_and_instances_of_one_workload_are_one_rollout() {
    let mut story = Story::new();
    story.correlator.drain(draining("d1", "web", 80, 0.0));
    story.correlator.drain(draining("d2", "web", 443, 0.01));
    story.correlator.drain(draining("d3", "web", 80, 20.0));
    story.correlator.drain(draining("x1", "db", 5432, 0.5));
    let running = story.correlator.running();
    assert_eq!(running.len(), 2);
    assert_eq!(drain_ids(&running[0]), ["d1", "d2", "d3"]);
    assert_eq!(drain_ids(&running[1]), ["x1"]);
}

/// The same of a program that is known by its name alone, in some network namespace.
fn of_process(mut drain: Drain, netns: u64) -> Drain {
    drain.service = of_program(drain.service);
    drain.instance.netns_cookie = netns;
    drain
}

fn of_program(service: Service) -> Service {
    Service {
        workload_kind: "process".to_owned(),
        workload: "nginx".to_owned(),
        ..service
    }
}

/// Their numbers are the same: the kernel gives the one's to the other when it is gone.
#[test]
fn programs_of_one_name_in_two_network_namespaces_are_two_rollouts() {
    const THERE: u64 = HERE + 7;
    let mut story = Story::new();
    let here = |id, from, until| of_process(drained(id, "nginx", 80, from, until), HERE);
    let there = of_process(cutting(drained("t1", "nginx", 80, 1.0, 2.0)), THERE);
    story.correlator.drain(here("h1", 0.0, 1.0));
    story.correlator.drain(there);
    story.correlator.drain(here("h2", 1.5, 3.0));
    let mut came = start("nginx", 80, 2.5);
    came.service = of_program(came.service);
    came.netns_cookie = THERE;
    story.correlator.start(came);
    let mut unheard = gap("nginx", 80, 2.0, 2.5, 3);
    unheard.service = of_program(unheard.service);
    unheard.netns_cookie = THERE;
    story.correlator.gap(unheard);

    let ended = story.until(3, 10);
    let told: Vec<_> = ended
        .iter()
        .map(|r| (drain_ids(r), r.starts.len(), r.gaps.len(), r.verdict))
        .collect();
    assert_eq!(
        told,
        [
            (vec!["h1", "h2"], 0, 0, Verdict::Pass),
            (vec!["t1"], 1, 1, Verdict::Fail),
        ]
    );
}

#[test]
fn an_event_joins_programs_of_one_name_wherever_they_run() {
    for event_first in [true, false] {
        let mut story = Story::new();
        if event_first {
            story.correlator.event(begins("nginx", "v2", 0.0));
        }
        for (id, netns) in [("h1", HERE), ("t1", HERE + 7), ("u1", 0)] {
            let drain = drained(id, "nginx", 80, 1.0, 2.0);
            story.correlator.drain(of_process(drain, netns));
        }
        if !event_first {
            story.correlator.event(begins("nginx", "v2", 2.5));
        }
        let running = story.correlator.running();
        assert_eq!(running.len(), 1, "event first: {event_first}");
        let mut ids = drain_ids(&running[0]);
        ids.sort_unstable();
        assert_eq!(ids, ["h1", "t1", "u1"]);
    }
}

#[test]
fn an_old_drain_that_lingers_draws_no_later_one_in() {
    let mut story = Story::new();
    story.correlator.drain(draining("d1", "web", 80, 0.0));
    story.correlator.drain(draining("d2", "web", 80, 100.0));
    assert_eq!(story.correlator.running().len(), 2);
}

#[test]
fn an_announced_rollout_takes_what_its_workload_does_until_the_announced_end() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    assert!(story.until(0, 60).is_empty(), "it waits");
    story.correlator.drain(drained("d1", "web", 80, 60.0, 61.0));
    story
        .correlator
        .drain(drained("x1", "db", 5432, 60.0, 61.0));
    assert!(story.until(61, 65).is_empty());
    story.correlator.drain(drained("d2", "web", 80, 65.5, 66.0));
    let ended = story.until(66, 80);
    assert_eq!(
        ids(&ended),
        ["db.service-20260102T030505Z"],
        "no new listener, no end"
    );
    story.correlator.event(finishes("web", "v2", 80.0));
    assert!(story.until(80, 84).is_empty());
    let ended = story.until(85, 85);
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].source, ended[0].revision.as_deref()),
        (Source::Cli, Some("v2"))
    );
    assert_eq!(drain_ids(&ended[0]), ["d1", "d2"]);
    assert_eq!(ended[0].events.len(), 2);
    assert_eq!(ended[0].id, "web-20260102T030405Z");
    assert_eq!(ended[0].verdict, Verdict::Pass);
}

#[test]
fn without_an_announced_end_a_new_listener_and_quiet_end_it() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story.correlator.drain(drained("d1", "web", 80, 1.0, 2.0));
    assert!(story.until(2, 30).is_empty());
    story.correlator.start(start("web", 80, 30.0));
    assert!(story.until(30, 34).is_empty());
    assert_eq!(story.until(35, 35).len(), 1);
}

#[test]
fn without_an_announced_end_a_reload_ends_it() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    let mut reload = drained("d1", "web", 80, 1.0, 2.0);
    reload.kind = DrainKind::Reload;
    story.correlator.drain(reload);
    assert_eq!(story.until(2, 7).len(), 1, "the listener stayed");
}

#[test]
fn without_an_announced_end_the_window_ends_it() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story.correlator.drain(drained("d1", "web", 80, 1.0, 2.0));
    assert!(story.until(2, 601).is_empty());
    assert_eq!(story.until(602, 602).len(), 1);

    story.correlator.event(begins("db", "v1", 700.0));
    assert!(story.until(700, 1_299).is_empty());
    let ended = story.until(1_300, 1_300);
    assert_eq!(ended[0].verdict, Verdict::Inconclusive);
    assert!(
        find(&ended[0], "too-little-seen")
            .is_some_and(|f| f.evidence[0].contains("Nothing happened"))
    );
}

#[test]
fn a_rollout_that_ended_without_an_announced_end_goes_on_with_its_next_drain() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story.correlator.drain(drained("d1", "web", 80, 1.0, 2.0));
    story.correlator.start(start("web", 80, 2.0));
    let first = story.until(2, 7);
    story.correlator.drain(drained("d2", "web", 80, 20.0, 21.0));
    assert_eq!(story.running(), ids(&first));
    let again = story.until(21, 26);
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(drain_ids(&again[0]), ["d1", "d2"]);
}

#[test]
fn after_an_announced_end_a_drain_is_another_story() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story.correlator.event(finishes("web", "v2", 1.0));
    story.until(1, 6);
    story.correlator.drain(draining("d1", "web", 80, 10.0));
    let running = story.correlator.running();
    assert_eq!((running.len(), running[0].source), (1, Source::Signal));
}

#[test]
fn of_two_rollouts_a_drain_goes_to_the_one_that_means_it_most() {
    let mut story = Story::new();
    let mut of_port = begins("web", "v2", 0.0);
    of_port.workload.port = Some(81);
    story.correlator.event(of_port);
    story.correlator.event(begins("web", "v3", 1.0));
    story.correlator.event(begins("db", "v1", 2.0));
    story.correlator.drain(draining("d81", "web", 81, 3.0));
    story.correlator.drain(draining("d80", "web", 80, 3.0));
    story.correlator.drain(draining("x", "db", 5432, 3.0));
    let running = story.correlator.running();
    let drains: Vec<_> = running.iter().map(drain_ids).collect();
    assert_eq!(drains, [["d81"], ["d80"], ["x"]]);
}

#[test]
fn overlapping_rollouts_of_other_services_are_kept_apart() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story.correlator.event(begins("db", "v1", 0.5));
    story
        .correlator
        .drain(cutting(drained("d1", "web", 80, 1.0, 2.0)));
    story.correlator.drain(drained("x1", "db", 5432, 1.0, 2.0));
    story.correlator.gap(gap("db", 5432, 1.5, 2.5, 0));
    story.correlator.event(finishes("db", "v1", 3.0));
    story.correlator.event(finishes("web", "v2", 3.0));
    let ended = story.until(3, 8);
    let verdicts: Vec<_> = ended
        .iter()
        .map(|r| (r.workload.name.as_str(), r.verdict))
        .collect();
    assert_eq!(verdicts, [("web", Verdict::Fail), ("db", Verdict::Warn)]);
    assert!(find(&ended[0], "listener-gap").is_none());
}

#[test]
fn a_drain_that_ends_after_its_rollout_is_told_again_with_it() {
    let mut story = Story::new();
    story.correlator.drain(draining("d1", "web", 80, 0.0));
    let ended = story.until(0, 600);
    assert_eq!(
        ended[0].verdict,
        Verdict::Inconclusive,
        "a drain still lasts"
    );
    story.until(601, 4_000);
    story
        .correlator
        .drain(cutting(drained("d1", "web", 80, 0.0, 4_000.0)));
    let again = story.until(4_001, 4_001);
    assert_eq!(
        (ids(&again), again[0].verdict),
        (ids(&ended), Verdict::Fail)
    );
}

#[test]
fn news_out_of_order_does_not_begin_a_drain_again() {
    let mut story = Story::new();
    story.correlator.drain(drained("d1", "web", 80, 0.0, 2.0));
    story.correlator.drain(draining("d1", "web", 80, 0.0));
    assert_eq!(story.until(2, 7).len(), 1);
}

#[test]
fn bounds_hold_and_are_counted() {
    let mut story = Story::new();
    for i in 0..LIVE_MAX + 3 {
        story.correlator.event(begins(&format!("w{i}"), "v1", 0.0));
    }
    assert_eq!(
        (story.running().len(), story.correlator.left_out()),
        (LIVE_MAX, 3)
    );
    for i in 0..1_000 {
        story
            .correlator
            .drain(draining(&format!("d{i}"), "w1", 80, 1.0));
        story.correlator.start(start("nobody", 80, f64::from(i)));
    }
    let most = story
        .correlator
        .running()
        .iter()
        .map(|r| r.drains.len())
        .max();
    assert_eq!(most, Some(256));
    let (drains, starts) = (1_000 - 256, 1_000 - LOOSE_MAX as u64);
    assert_eq!(story.correlator.left_out(), 3 + drains + starts);
    assert!(story.correlator.loose_starts.len() <= LOOSE_MAX);
    // What a rollout could not take in stays counted when it has ended.
    let before = story.correlator.left_out();
    story.until(2, 4_000);
    assert!(story.running().is_empty());
    assert!(story.correlator.left_out() >= before);
}

#[test]
fn the_coming_of_what_is_drained_is_no_successor() {
    let mut story = Story::new();
    let mut old = start("web", 80, 0.0);
    old.pid = 700;
    story.correlator.start(old.clone());
    story.correlator.event(begins("web", "v2", 10.0));
    assert!(
        story.correlator.running()[0].starts.is_empty(),
        "it came before"
    );
    story.correlator.drain(drained("d1", "web", 80, 11.0, 12.0));
    assert!(story.until(12, 40).is_empty(), "nobody has come yet");
    story.correlator.start(start("web", 80, 40.0));
    assert_eq!(story.until(40, 45).len(), 1);

    // Of what nobody announced, one that came before may be the successor.
    let mut story = Story::new();
    story.correlator.start(old);
    story.correlator.start(start("web", 80, 9.0));
    story.correlator.drain(drained("d1", "web", 80, 11.0, 12.0));
    let pids: Vec<_> = story.correlator.running()[0]
        .starts
        .iter()
        .map(|start| start.pid)
        .collect();
    assert_eq!(pids, [800]);
}
