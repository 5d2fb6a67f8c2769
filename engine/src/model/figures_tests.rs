//! Figures of the story: what is born, what adds up, what is bounded.

use jiff::{SignedDuration, Timestamp};

use super::*;

fn rollout() -> Rollout {
    serde_json::from_str(include_str!("../../tests/data/rollout.json")).expect("a rollout")
}

fn drain() -> Drain {
    rollout().drains.remove(0)
}

fn figures<'a>(story: &'a StoryFigures, drain: &Drain) -> &'a ServiceFigures {
    &story.services[&drain.service]
}

#[test]
fn counters_are_born_with_the_first_drain_of_their_kind() {
    let mut story = StoryFigures::default();
    let drain = drain();
    story.drain_began(&drain);
    let born = figures(&story, &drain);
    assert_eq!(born.drains.len(), Verdict::ALL.len());
    assert!(born.drains.values().all(|count| *count == 0));
    assert!(born.durations.is_empty() && born.diagnoses.is_empty());
    let kill = Drain {
        kind: DrainKind::Kill,
        ..drain
    };
    assert!(!story.awaits(&kill));
    story.drain_began(&kill);
    assert!(story.awaits(&kill));
    assert_eq!(figures(&story, &kill).drains.len(), 2 * Verdict::ALL.len());
}

#[test]
fn drains_add_up() {
    let mut story = StoryFigures::default();
    let mut drain = drain();
    story.drain_began(&drain);
    story.drain_ended(&drain);
    // Nothing was open: it took until the process was gone.
    drain.last_close_at = None;
    drain.findings.truncate(1);
    story.drain_ended(&drain);
    let figures = figures(&story, &drain);
    assert_eq!(figures.drains[&(DrainKind::Stop, Verdict::Fail)], 2);
    assert_eq!(figures.opened_after_signal, 6);
    assert_eq!(figures.diagnoses["requests-cut"], 2);
    assert_eq!(figures.diagnoses["time-wait-burst"], 1);
    let durations = &figures.durations[&DrainKind::Stop];
    assert!((durations.sum_secs - 7.25).abs() < 1e-9, "{durations:?}");
    let bucket = DURATION_BOUNDS_SECS.partition_point(|bound| *bound < 4.0);
    assert_eq!(durations.buckets[bucket], 2, "3.25 s and 4 s: up to 5 s");
}

#[test]
fn a_duration_at_a_bound_is_within_it() {
    let mut durations = Durations::default();
    durations.take(0.1);
    durations.take(0.100_001);
    durations.take(1e9);
    assert_eq!(durations.buckets[..2], [1, 1]);
    assert_eq!(durations.buckets.last(), Some(&1));
}

#[test]
fn past_the_bound_the_service_that_was_quiet_longest_is_added_to_other() {
    let mut story = StoryFigures::default();
    let mut drain = drain();
    let start = drain.started_at;
    for number in 0..SERVICES_MAX + 2 {
        drain.service.workload = format!("checkout-{number}");
        drain.started_at = start + SignedDuration::from_secs(number as i64);
        drain.last_close_at = Some(drain.started_at);
        story.drain_ended(&drain);
        // The first one goes on having drains, and so keeps its figures.
        drain.service.workload = "checkout-0".to_owned();
        story.drain_began(&drain);
    }
    let story = story;
    assert_eq!((story.services.len(), story.folded), (SERVICES_MAX + 1, 2));
    let other = &story.services[&Service::other()];
    assert_eq!(other.drains[&(DrainKind::Stop, Verdict::Fail)], 2);
    assert_eq!(other.diagnoses["requests-cut"], 2);
    assert_eq!(other.durations[&DrainKind::Stop].buckets[0], 2);
    let names: Vec<_> = story.services.keys().map(|s| s.workload.as_str()).collect();
    assert!(names.contains(&"checkout-0") && names.contains(&"checkout-3"));
    assert!(!names.contains(&"checkout-1") && !names.contains(&"checkout-2"));
}

#[test]
fn a_rollout_is_shown_once_and_counted_when_it_ends() {
    let mut story = StoryFigures::default();
    let mut rollout = rollout();
    rollout.verdict = Verdict::Inconclusive;
    story.rollout_seen(&rollout);
    assert_eq!(story.rollouts.values().sum::<u64>(), 0);
    rollout.verdict = Verdict::Fail;
    story.rollout_ended(&rollout);
    let story = story;
    assert_eq!(story.rollouts[&(Source::Github, Verdict::Fail)], 1);
    let [recent] = &story.recent[..] else {
        panic!("{:?}", story.recent)
    };
    assert_eq!(recent.verdict, Verdict::Fail);
    assert_eq!(recent.service, rollout.drains[0].service);
    assert_eq!(
        (recent.time_wait_growth, recent.reset_growth),
        (Some(11.5), None)
    );
    let service = &story.services[&recent.service];
    assert_eq!(service.diagnoses["listener-gap"], 1);
}

#[test]
fn the_last_rollouts_are_kept_in_the_order_of_their_beginning() {
    let mut story = StoryFigures::default();
    let mut rollout = rollout();
    for number in (0..RECENT_MAX as i64 + 5).rev() {
        rollout.id = format!("r-{number}");
        rollout.started_at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number);
        story.rollout_seen(&rollout);
    }
    let recent = &story.recent;
    assert_eq!(recent.len(), RECENT_MAX);
    assert_eq!(
        (recent[0].id.as_str(), recent[RECENT_MAX - 1].id.as_str()),
        ("r-5", "r-24")
    );
}

#[test]
fn a_rollout_of_several_ports_names_none_and_one_without_drains_is_called_as_announced() {
    let mut rollout = rollout();
    let mut second = rollout.drains[0].clone();
    second.service.port = 8443;
    rollout.drains.push(second);
    assert_eq!(whose(&rollout).port, 0);
    rollout.drains.clear();
    let announced = whose(&rollout);
    assert_eq!(
        (announced.workload.as_str(), announced.port),
        ("checkout", 0)
    );
}

#[test]
fn a_revision_is_shown_in_part_when_it_is_a_text() {
    let mut story = StoryFigures::default();
    let mut rollout = rollout();
    rollout.revision = Some("é".repeat(5_000));
    story.rollout_seen(&rollout);
    assert_eq!(story.recent[0].revision, "é".repeat(REVISION_CHARS));
}
