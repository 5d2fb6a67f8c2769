//! Which events tell of one change, and what an event takes over that came before it.

use super::scenarios::*;
use crate::model::{DeployStage, Skew, Source};

#[test]
fn an_event_that_comes_late_takes_over_the_unannounced_rollout_and_its_id() {
    let mut story = Story::new();
    story.correlator.drain(draining("d1", "web", 80, 0.0));
    let before = story.running();
    story.correlator.event(begins("web", "v2", 3.0));
    assert_eq!(story.running(), before);
    let running = story.correlator.running();
    assert_eq!(
        (running[0].source, running[0].started_at),
        (Source::Cli, at(0.0))
    );
    assert_eq!(drain_ids(&running[0]), ["d1"]);
    assert!(story.correlator.replaced().is_empty());
    story.correlator.drain(drained("d1", "web", 80, 0.0, 4.0));
    story.correlator.event(finishes("web", "v2", 4.5));
    let ended = story.until(5, 10);
    assert_eq!(ids(&ended), before);
}

#[test]
fn a_word_on_the_end_alone_takes_over_what_had_ended_before() {
    let mut story = Story::new();
    story.correlator.drain(drained("d1", "web", 80, 0.0, 2.0));
    let unannounced = story.until(2, 20);
    assert_eq!(unannounced.len(), 1);
    story.correlator.event(finishes("web", "v2", 60.0));
    let ended = story.until(60, 65);
    assert_eq!(ids(&ended), ids(&unannounced), "under the same id");
    assert_eq!(
        (ended[0].source, drain_ids(&ended[0])),
        (Source::Cli, vec!["d1"])
    );
}

#[test]
fn a_word_on_the_beginning_takes_over_nothing_that_was_over_before_its_time() {
    let mut story = Story::new();
    story
        .correlator
        .drain(cutting(drained("d1", "web", 80, 0.0, 2.0)));
    story.until(2, 20);
    story.correlator.event(begins("web", "v2", 60.0));
    assert!(story.correlator.running()[0].drains.is_empty());

    // But one that says that it began before does.
    let mut late = begins("web", "v1", 90.0);
    late.event_time = at(-1.0);
    late.skew = Skew::Late;
    let mut story = Story::new();
    story
        .correlator
        .drain(cutting(drained("d1", "web", 80, 0.0, 2.0)));
    let before = story.until(2, 20);
    story.correlator.event(late);
    let running = story.correlator.running();
    assert_eq!(
        (ids(&running), drain_ids(&running[0])),
        (ids(&before), vec!["d1"])
    );
    assert_eq!(running[0].started_at, at(0.0), "as it was told");
}

#[test]
fn an_event_from_the_future_counts_from_when_it_came() {
    let mut story = Story::new();
    let mut early = begins("web", "v2", 0.0);
    early.event_time = at(86_400.0);
    early.skew = Skew::Future;
    story.correlator.event(early);
    story.correlator.drain(drained("d1", "web", 80, 1.0, 2.0));
    let running = story.correlator.running();
    assert_eq!(
        (running[0].started_at, drain_ids(&running[0])),
        (at(0.0), vec!["d1"])
    );
    assert_eq!(running[0].events[0].skew, Skew::Future);
}

#[test]
fn an_event_for_a_port_takes_only_that_port() {
    let mut story = Story::new();
    story.correlator.drain(draining("d80", "web", 80, 0.0));
    story.correlator.drain(draining("d81", "web", 81, 0.0));
    let mut event = begins("web", "v2", 1.0);
    event.workload.port = Some(81);
    story.correlator.event(event);
    let running = story.correlator.running();
    assert_eq!(running.len(), 2);
    assert_eq!(
        (running[0].source, drain_ids(&running[0])),
        (Source::Signal, vec!["d80"])
    );
    assert_eq!(
        (running[1].source, drain_ids(&running[1])),
        (Source::Cli, vec!["d81"])
    );
    assert_ne!(running[0].id, running[1].id);
}

#[test]
fn the_same_event_twice_is_taken_once() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story.correlator.event(begins("web", "v2", 0.0));
    let running = story.correlator.running();
    assert_eq!((running.len(), running[0].events.len()), (1, 1));
}

#[test]
fn two_senders_of_one_change_make_one_rollout() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    let mut other = begins("web.service", "v2", 1.0);
    other.source = Source::Flux;
    story.correlator.event(other);
    story.correlator.event(finishes("web", "v2", 2.0));
    let mut other = finishes("web", "v2", 3.0);
    other.source = Source::Flux;
    story.correlator.event(other);
    let running = story.correlator.running();
    assert_eq!((running.len(), running[0].events.len()), (1, 4));
}

#[test]
fn an_end_that_names_no_revision_ends_what_has_begun() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story
        .correlator
        .event(event("e", DeployStage::Failed, "web", 2.0));
    assert_eq!(story.until(2, 7).len(), 1);
}

#[test]
fn one_id_is_one_rollout_whatever_it_says() {
    let mut story = Story::new();
    story
        .correlator
        .event(event("github-7", DeployStage::Started, "web", 0.0));
    let mut end = event("github-7", DeployStage::Finished, "web", 2.0);
    end.revision = Some("abc".to_owned());
    story.correlator.event(end);
    let ended = story.until(2, 7);
    assert_eq!((ended.len(), ended[0].events.len()), (1, 2));
    assert_eq!(ended[0].revision.as_deref(), Some("abc"));
}

#[test]
fn an_end_that_comes_before_its_beginning_is_the_same_rollout() {
    let mut story = Story::new();
    story.correlator.event(finishes("web", "v2", 1.0));
    story.correlator.event(begins("web", "v2", 0.0));
    assert_eq!(story.running().len(), 1);
    assert_eq!(story.until(1, 6).len(), 1);
}

#[test]
fn a_further_revision_ends_the_one_before() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story.correlator.drain(drained("d1", "web", 80, 1.0, 2.0));
    story.correlator.event(begins("web", "v3", 3.0));
    story.correlator.drain(drained("d2", "web", 80, 4.0, 5.0));
    let ended = story.until(5, 10);
    assert_eq!((ended.len(), ended[0].revision.as_deref()), (1, Some("v2")));
    assert_eq!(drain_ids(&ended[0]), ["d1"]);
    assert_eq!(drain_ids(&story.correlator.running()[0]), ["d2"]);
}

#[test]
fn two_rollouts_of_one_second_have_two_ids() {
    let mut story = Story::new();
    let mut of_port = begins("web", "v2", 0.0);
    of_port.workload.port = Some(81);
    story.correlator.event(of_port);
    story.correlator.event(begins("web", "v3", 0.2));
    assert_eq!(
        story.running(),
        ["web-20260102T030405Z", "web-20260102T030405Z-2"]
    );
}
