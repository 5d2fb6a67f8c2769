//! Which events tell of one change, and what an event takes over that came before it.

use super::scenarios::*;
use crate::model::{DeployEvent, DeployStage, Rollout, Skew, Source, Verdict};

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

/// The same event in another sender's name, or as another change.
fn by(source: Source, id: &str, mut event: DeployEvent) -> DeployEvent {
    event.source = source;
    event.id = id.to_owned();
    event
}

/// It happened then, and comes when it comes.
fn happened(secs: f64, mut event: DeployEvent) -> DeployEvent {
    event.event_time = at(secs);
    event
}

/// Begun and finished by the command, with a drain that cuts a request, and over.
fn first_of_v2() -> (Story, Vec<Rollout>) {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story
        .correlator
        .drain(cutting(drained("d1", "web", 80, 1.0, 2.0)));
    story.correlator.event(finishes("web", "v2", 5.0));
    let ended = story.until(5, 15);
    assert_eq!((ended.len(), ended[0].verdict), (1, Verdict::Fail));
    (story, ended)
}

#[test]
fn a_second_deploy_of_one_revision_is_a_rollout_of_its_own() {
    let (mut story, first) = first_of_v2();
    story
        .correlator
        .event(by(Source::Cli, "again", begins("web", "v2", 25.0)));
    story.correlator.drain(drained("d2", "web", 80, 26.0, 27.0));
    story
        .correlator
        .event(by(Source::Cli, "done", finishes("web", "v2", 30.0)));
    let second = story.until(25, 40);
    assert_eq!(second.len(), 1, "the first is not told again");
    assert_ne!(second[0].id, first[0].id);
    assert_eq!(
        (second[0].started_at, second[0].ended_at, second[0].verdict),
        (at(25.0), Some(at(30.0)), Verdict::Pass)
    );
    assert_eq!(
        (drain_ids(&second[0]), second[0].events.len()),
        (vec!["d2"], 2)
    );
}

#[test]
fn a_second_deploy_begins_while_the_first_still_drains() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story.correlator.drain(draining("d1", "web", 80, 1.0));
    story.correlator.event(finishes("web", "v2", 2.0));
    story
        .correlator
        .event(by(Source::Cli, "again", begins("web", "v2", 3.0)));
    story.correlator.drain(draining("d2", "web", 80, 4.0));
    story
        .correlator
        .event(by(Source::Cli, "done", finishes("web", "v2", 5.0)));
    story.correlator.drain(drained("d1", "web", 80, 1.0, 8.0));
    story.correlator.drain(drained("d2", "web", 80, 4.0, 8.0));
    let ended = story.until(8, 20);
    let drains: Vec<_> = ended.iter().map(drain_ids).collect();
    assert_eq!(drains, [["d1"], ["d2"]]);
    let events: Vec<_> = ended.iter().map(|rollout| rollout.events.len()).collect();
    assert_eq!(events, [2, 2]);
}

#[test]
fn a_deploy_whose_end_nobody_announced_is_over_when_it_is_over() {
    for revision in [Some("v2"), None] {
        let begins = |id: &str, secs: f64| {
            let mut event = event(id, DeployStage::Started, "web", secs);
            event.revision = revision.map(str::to_owned);
            event
        };
        let mut story = Story::new();
        story.correlator.event(begins("one", 0.0));
        story.correlator.drain(drained("d1", "web", 80, 1.0, 2.0));
        story.correlator.start(start("web", 80, 2.0));
        assert_eq!(story.until(2, 20).len(), 1);
        story.correlator.event(begins("two", 25.0));
        assert_eq!(story.until(25, 26), [], "the first is not told again");
        assert!(story.correlator.running()[0].drains.is_empty());
    }
}

#[test]
fn going_back_to_a_revision_is_another_rollout() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story.correlator.drain(draining("d1", "web", 80, 1.0));
    story.correlator.event(begins("web", "v3", 10.0));
    story
        .correlator
        .event(by(Source::Flux, "back", begins("web", "v2", 20.0)));
    let revisions: Vec<_> = story.correlator.running();
    let revisions: Vec<_> = revisions.iter().map(|r| r.revision.as_deref()).collect();
    assert_eq!(revisions, [Some("v2"), Some("v3"), Some("v2")]);
}

#[test]
fn a_beginning_that_is_heard_after_the_end_is_told_by_its_time() {
    for (secs, is_same) in [(-1.0, true), (1.0, true), (1.5, false)] {
        let mut story = Story::new();
        story
            .correlator
            .event(by(Source::Flux, "e", finishes("web", "v2", 1.0)));
        let ended = story.until(1, 10);
        let late = by(Source::Flux, "s", begins("web", "v2", 20.0));
        story.correlator.event(happened(secs, late));
        let again = story.until(20, 21);
        let told: Vec<_> = again.iter().map(|rollout| rollout.id.clone()).collect();
        assert_eq!(told == ids(&ended), is_same, "{secs}");
        assert_eq!(story.running().is_empty(), is_same, "{secs}");
    }
}

#[test]
fn another_senders_late_word_is_of_the_change_that_it_gives_the_time_of() {
    let (mut story, first) = first_of_v2();
    let late = by(Source::Flux, "s", begins("web", "v2", 20.0));
    story.correlator.event(happened(1.0, late));
    let late = by(Source::Flux, "e", finishes("web", "v2", 21.0));
    story.correlator.event(happened(4.0, late));
    let again = story.until(21, 22);
    assert_eq!(
        (ids(&again), again[0].events.len()),
        (ids(&first), 4),
        "told once more, with all four"
    );
    assert!(story.running().is_empty());
    // It deploys by itself: that is another.
    story
        .correlator
        .event(by(Source::Flux, "s2", begins("web", "v2", 60.0)));
    assert_eq!(story.running().len(), 1);
}

#[test]
fn another_sender_may_come_when_the_command_has_just_said_its_end() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story.correlator.event(finishes("web", "v2", 1.0));
    story
        .correlator
        .event(by(Source::Argocd, "sync", begins("web", "v2", 2.0)));
    story
        .correlator
        .event(by(Source::Argocd, "sync", finishes("web", "v2", 4.0)));
    let ended = story.until(4, 10);
    assert_eq!((ended.len(), ended[0].events.len()), (1, 4));
}

#[test]
fn of_two_deploys_of_one_revision_each_word_goes_to_its_own() {
    let (mut story, _) = first_of_v2();
    let events = [
        by(Source::Cli, "again", begins("web", "v2", 20.0)),
        // Late words on the first.
        happened(1.0, by(Source::Flux, "s1", begins("web", "v2", 21.0))),
        happened(4.0, by(Source::Flux, "e1", finishes("web", "v2", 22.0))),
        happened(4.5, by(Source::Argocd, "e", finishes("web", "v2", 23.0))),
        // And on the second.
        by(Source::Flux, "s2", begins("web", "v2", 24.0)),
        by(Source::Flux, "e2", finishes("web", "v2", 25.0)),
        by(Source::Cli, "done", finishes("web", "v2", 26.0)),
    ];
    for event in events {
        story.correlator.event(event);
    }
    let mut ended = story.until(26, 40);
    ended.sort_by_key(|rollout| rollout.started_at);
    let told: Vec<Vec<_>> = ended
        .iter()
        .map(|rollout| rollout.events.iter().map(|e| e.id.as_str()).collect())
        .collect();
    assert_eq!(
        told,
        [
            vec!["start-web-v2", "end-web-v2", "s1", "e1", "e"],
            vec!["again", "s2", "e2", "done"]
        ]
    );
}

#[test]
fn an_end_of_which_the_sender_told_the_beginning_ends_that_one() {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    story
        .correlator
        .event(by(Source::Flux, "s", begins("web", "v2", 1.0)));
    story.correlator.event(finishes("web", "v2", 2.0));
    story
        .correlator
        .event(by(Source::Cli, "again", begins("web", "v2", 3.0)));
    story
        .correlator
        .event(by(Source::Flux, "e", finishes("web", "v2", 4.0)));
    let events: Vec<_> = story.correlator.running();
    let events: Vec<_> = events.iter().map(|r| r.events.len()).collect();
    assert_eq!(events, [4, 1], "the second goes on");
}

#[test]
fn who_tells_ends_alone_tells_two_deploys_of_one_revision() {
    let done = |id: &str, secs: f64| by(Source::Cdevents, id, finishes("web", "v2", secs));
    let mut story = Story::new();
    story.correlator.drain(drained("d1", "web", 80, 0.0, 2.0));
    story.correlator.event(done("one", 3.0));
    let first = story.until(3, 20);
    assert_eq!((first.len(), drain_ids(&first[0])), (1, vec!["d1"]));
    // Said once more, with nothing new.
    story.correlator.event(done("one-again", 21.0));
    assert_eq!(ids(&story.until(21, 22)), ids(&first));
    story
        .correlator
        .drain(cutting(drained("d2", "web", 80, 60.0, 62.0)));
    story.correlator.event(done("two", 63.0));
    let second = story.until(63, 80);
    assert_eq!((second.len(), drain_ids(&second[0])), (1, vec!["d2"]));
    assert_eq!(second[0].source, Source::Cdevents);
    assert_ne!(second[0].id, first[0].id);
}
