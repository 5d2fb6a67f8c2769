//! What is kept comes back; what was not finished comes back closed; what is too much goes.

use std::{fs, ops::ControlFlow, path::Path, time::Duration};

use super::*;
use finwatch_engine::model::{IncidentEnd, RolloutState, Verdict};

const DAY: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn options(directory: &Path) -> config::History {
    config::History {
        directory: Some(directory.to_owned()),
        limit: 100,
        max_age: Duration::from_secs(3_600),
    }
}

pub(super) fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).expect("a time")
}

fn sample(name: &str) -> serde_json::Value {
    let text = match name {
        "drains" => include_str!("../../tests/story/drains.json"),
        "incidents" => include_str!("../../tests/story/incidents.json"),
        _ => include_str!("../../tests/story/rollouts.json"),
    };
    serde_json::from_str(text).expect("JSON")
}

/// One that cut requests, over one second after its start.
pub(super) fn drain(id: &str, start: i64) -> Drain {
    let sample = sample("drains")[3].take();
    let drain = serde_json::from_value::<Drain>(sample).expect("a drain");
    assert!(drain.counts.cut.total() > 0);
    Drain {
        id: id.to_owned(),
        started_at: at(start),
        ended_at: Some(at(start + 1)),
        ..drain
    }
}

pub(super) fn running(id: &str, start: i64) -> Drain {
    Drain {
        ended_at: None,
        verdict: Verdict::Inconclusive,
        ..drain(id, start)
    }
}

/// As whoever tells the story does.
pub(super) fn keep(history: &History, drain: Drain, now: Timestamp) {
    history.keep_drain(drain, now);
    history.tick(now);
}

fn rollout(id: &str, start: i64, drain: Drain) -> Rollout {
    let sample = sample("rollouts")[2].take();
    let rollout = serde_json::from_value::<Rollout>(sample).expect("a rollout");
    Rollout {
        id: id.to_owned(),
        started_at: at(start),
        drains: vec![drain],
        ..rollout
    }
}

pub(super) fn drains(history: &History) -> Vec<Drain> {
    let mut drains = Vec::new();
    history.drains(&mut |drain| {
        drains.push(drain);
        ControlFlow::Continue(())
    });
    drains
}

pub(super) fn ids(history: &History) -> Vec<String> {
    drains(history).into_iter().map(|drain| drain.id).collect()
}

pub(super) fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.into_string().expect("UTF-8")
        })
        .collect();
    names.sort();
    names
}

/// One that is not over.
fn incident(id: &str, start: i64) -> Incident {
    let sample = sample("incidents")[0].take();
    let incident = serde_json::from_value::<Incident>(sample).expect("an incident");
    assert!(!incident.is_over() && incident.lost() > 0);
    Incident {
        id: id.to_owned(),
        started_at: at(start),
        last_at: at(start + 1),
        ..incident
    }
}

fn incidents(history: &History) -> Vec<Incident> {
    let mut incidents = Vec::new();
    history.incidents(&mut |incident| {
        incidents.push(incident);
        ControlFlow::Continue(())
    });
    incidents
}

#[test]
fn incidents_come_back_and_one_that_was_not_over_keeps_what_is_known_of_it() {
    let directory = tempfile::tempdir().expect("a directory");
    {
        let (history, _) = History::open(&options(directory.path()), at(0));
        let over = Incident {
            ended_at: Some(at(2)),
            ending: Some(IncidentEnd::Quiet),
            ..incident("a", 1)
        };
        history.keep_incident(over, at(3));
        history.keep_incident(incident("b", 2), at(3));
        history.tick(at(3));
        assert_eq!(incidents(&history).len(), 1, "one lasts");
    }
    let (history, interrupted) = History::open(&options(directory.path()), at(60));
    let [closed] = interrupted.incidents.as_slice() else {
        panic!("{:?}", interrupted.incidents);
    };
    assert_eq!(closed.ended_at, Some(at(3)), "when the last was lost");
    assert_eq!(closed.ending, Some(IncidentEnd::Interrupted));
    assert_eq!(closed.verdict, Verdict::Fail, "what was lost is lost");
    let ids: Vec<_> = incidents(&history).into_iter().map(|one| one.id).collect();
    assert_eq!(ids, ["b", "a"]);
}

#[test]
fn a_history_from_before_there_were_incidents_opens() {
    let directory = tempfile::tempdir().expect("a directory");
    {
        let disk = Disk::open(directory.path()).expect("a file");
        disk.write_as_before_incidents(&drain("a", 1));
    }
    let (history, interrupted) = History::open(&options(directory.path()), at(5));
    assert!(interrupted.incidents.is_empty());
    assert_eq!(
        (ids(&history), incidents(&history)),
        (vec!["a".to_owned()], Vec::new())
    );
    history.keep_incident(incident("b", 6), at(7));
    history.flush(at(8));
    let (_, interrupted) = {
        drop(history);
        History::open(&options(directory.path()), at(9))
    };
    assert_eq!(interrupted.incidents.len(), 1);
}

#[test]
fn a_replaced_rollout_is_gone_from_memory_and_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    {
        let (history, _) = History::open(&options(directory.path()), at(0));
        for id in ["web-1", "web-2", "web-3"] {
            history.keep_rollout(rollout(id, 1, drain("d", 1)), at(2));
        }
        history.tick(at(2));
        history.keep_rollout(rollout("web-4", 3, drain("d", 3)), at(4));
        history.forget_rollout("web-2");
        history.forget_rollout("web-4");
        history.tick(at(5));
    }
    let (history, _) = History::open(&options(directory.path()), at(6));
    let mut ids = Vec::new();
    history.rollouts(&mut |rollout| {
        ids.push(rollout.id);
        ControlFlow::Continue(())
    });
    assert_eq!(ids, ["web-3", "web-1"]);
}

#[test]
fn what_was_kept_comes_back_as_it_was_newest_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("not/yet/there");
    let (history, interrupted) = History::open(&options(&state), at(0));
    assert!(interrupted.drains.is_empty() && interrupted.rollouts.is_empty());
    for (id, start) in [("b", 2), ("c", 3), ("a", 1)] {
        keep(&history, drain(id, start), at(start));
    }
    let told = rollout("r", 1, drain("a", 1));
    history.keep_rollout(told.clone(), at(5));
    history.tick(at(5));
    let mut history = history;
    for again in 0..2 {
        if again == 1 {
            drop(history);
            history = History::open(&options(&state), at(6)).0;
        }
        assert_eq!(ids(&history), ["c", "b", "a"]);
        assert_eq!(drains(&history)[2], drain("a", 1));
        let mut rollouts = Vec::new();
        history.rollouts(&mut |rollout| {
            rollouts.push(rollout);
            ControlFlow::Continue(())
        });
        assert_eq!(rollouts, std::slice::from_ref(&told));
        assert!(history.figures().on_disk && history.figures().unwritten == 0);
    }
}

#[test]
fn a_visitor_may_stop() {
    let (history, _) = History::open(
        &config::History {
            directory: None,
            ..options(Path::new(""))
        },
        at(0),
    );
    for start in 1..=3 {
        keep(&history, drain(&format!("{start}"), start), at(start));
    }
    let mut seen = 0;
    history.drains(&mut |_| {
        seen += 1;
        ControlFlow::Break(())
    });
    assert_eq!((seen, ids(&history).len()), (1, 3));
}

#[test]
fn one_that_is_not_over_is_written_once_a_second_and_its_last_state_is_not_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let (history, _) = History::open(&options(directory.path()), at(0));
    let state = |open| Drain {
        still_open: open,
        ..running("a", 1)
    };
    keep(&history, state(9), at(1));
    assert_eq!(history.figures().unwritten, 0, "the first state at once");
    keep(&history, state(8), at(1));
    keep(&history, state(7), at(1));
    assert_eq!(history.figures().unwritten, 1, "the next one waits");
    history.tick(at(1));
    assert_eq!(history.figures().unwritten, 1);
    history.tick(at(2));
    assert_eq!(history.figures().unwritten, 0, "its second is over");
    keep(&history, state(6), at(2));
    history.flush(at(2));
    assert_eq!(history.figures().unwritten, 0);
    assert!(ids(&history).is_empty(), "it is not over");
    drop(history);
    let (_, interrupted) = History::open(&options(directory.path()), at(3));
    assert_eq!(interrupted.drains[0].still_open, 6);
}

#[test]
fn what_does_not_change_is_not_written_and_what_runs_long_less_often() {
    let directory = tempfile::tempdir().expect("a directory");
    let (history, _) = History::open(&options(directory.path()), at(0));
    let state = |open| Drain {
        still_open: open,
        ..running("a", 0)
    };
    keep(&history, state(9), at(0));
    let written = fs::read(directory.path().join("history.redb")).expect("the file");
    for second in 1..50 {
        keep(&history, state(9), at(second));
    }
    let after = fs::read(directory.path().join("history.redb")).expect("the file");
    assert!(written == after, "nothing has changed");
    let mut writes = 0;
    for second in 3_000_i64..3_600 {
        history.keep_drain(state(second.unsigned_abs()), at(second));
        history.tick(at(second));
        writes += usize::from(history.figures().unwritten == 0);
    }
    assert_eq!(writes, 11, "about once a minute in its last ten");
    let ended = drain("a", 0);
    keep(&history, ended.clone(), at(3_600));
    assert_eq!(drains(&history), [ended]);
}

#[test]
fn the_unfinished_are_closed_as_interrupted_and_keep_their_facts() {
    let directory = tempfile::tempdir().expect("a directory");
    let (history, _) = History::open(&options(directory.path()), at(0));
    let cut = running("a", 1).counts.cut;
    keep(&history, running("a", 1), at(1));
    keep(&history, drain("b", 2), at(2));
    let unfinished = Rollout {
        state: RolloutState::Running,
        ended_at: None,
        ..rollout("r", 1, running("a", 1))
    };
    history.keep_rollout(unfinished, at(2));
    history.tick(at(2));
    drop(history);

    let (history, interrupted) = History::open(&options(directory.path()), at(10));
    let [closed] = interrupted.drains.as_slice() else {
        panic!("{:?}", interrupted.drains);
    };
    assert_eq!(closed.ended_at, Some(at(10)));
    assert!(closed.interrupted && closed.verdict == Verdict::Inconclusive);
    assert_eq!(closed.counts.cut, cut);
    assert!(!closed.findings.is_empty());
    let [told] = interrupted.rollouts.as_slice() else {
        panic!("{:?}", interrupted.rollouts);
    };
    assert_eq!(
        (told.state, told.ended_at),
        (RolloutState::Ended, Some(at(10)))
    );
    assert!(told.interrupted && told.drains[0].interrupted);
    assert_eq!(told.verdict, Verdict::Inconclusive);
    assert_eq!(drains(&history), [drain("b", 2), closed.clone()]);
    drop(history);

    let (history, interrupted) = History::open(&options(directory.path()), at(20));
    assert!(interrupted.drains.is_empty() && interrupted.rollouts.is_empty());
    assert_eq!(ids(&history), ["b", "a"]);
    assert_eq!(drains(&history)[1].ended_at, Some(at(10)));
}

#[test]
fn one_whose_start_is_corrected_is_still_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let (history, _) = History::open(&options(directory.path()), at(0));
    keep(&history, running("a", 5), at(5));
    keep(&history, running("a", 4), at(5));
    keep(&history, running("a", 3), at(7));
    keep(&history, drain("a", 2), at(8));
    assert_eq!(ids(&history), ["a"]);
    drop(history);
    let (history, interrupted) = History::open(&options(directory.path()), at(9));
    assert!(interrupted.drains.is_empty(), "{interrupted:?}");
    assert_eq!(ids(&history), ["a"]);
}

#[test]
fn the_oldest_go_when_there_are_too_many_or_they_are_too_old() {
    let directory = tempfile::tempdir().expect("a directory");
    for memory in [false, true] {
        let options = config::History {
            directory: (!memory).then(|| directory.path().to_owned()),
            limit: 3,
            max_age: Duration::from_secs(100),
        };
        let (history, _) = History::open(&options, at(0));
        keep(&history, running("still", 1), at(1));
        for start in 2..=6 {
            keep(&history, drain(&format!("{start}"), start), at(start));
        }
        assert_eq!(ids(&history), ["6", "5", "4"]);
        keep(&history, drain("late", 105), at(106));
        assert_eq!(ids(&history), ["late", "6"], "6 is 100 s old");
        keep(&history, drain("still", 8), at(107));
        assert_eq!(ids(&history), ["late", "still"]);
        assert_eq!(history.figures().dropped, 0);
    }
}

#[test]
fn ages_are_bounded_by_the_calendar() {
    let (history, _) = History::open(
        &config::History {
            directory: None,
            limit: 10,
            max_age: Duration::MAX,
        },
        at(0),
    );
    keep(
        &history,
        drain("a", 1),
        at(1).checked_add(DAY).expect("a day"),
    );
    assert_eq!(ids(&history), ["a"]);
}

#[test]
fn what_comes_while_the_disk_is_written_waits_for_the_next_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let (history, _) = History::open(&options(directory.path()), at(0));
    history.keep_drain(running("a", 1), at(1));
    history.keep_rollout(rollout("gone", 1, drain("a", 1)), at(1));
    history.tick(at(1));
    history.keep_drain(drain("b", 2), at(2));
    history.forget_rollout("gone");
    {
        let mut inner = history.lock();
        let disk = inner.disk.clone().expect("a disk");
        let drains = inner.drains.due(at(2), true);
        let drains_batch = inner.drains.batch(&drains);
        let rollouts_batch = inner.rollouts.batch(&[]);
        assert!(!inner.rollouts.forgets());
        // The disk takes its time, and nobody holds the lock meanwhile.
        inner.drains.put(Arc::new(running("b", 2)));
        inner.drains.put(Arc::new(drain("a", 1)));
        let incidents_batch = inner.incidents.batch(&[]);
        let batches = (&drains_batch, &rollouts_batch, &incidents_batch);
        disk.write(batches, inner.retention(at(2)))
            .expect("written");
        inner.drains.wrote(&drains, at(2));
        inner.rollouts.wrote(&[], at(2));
        assert_eq!(inner.drains.len(), 2, "the newer state, and the other one");
        inner.rollouts.failed(["elsewhere".to_owned()].into());
        assert!(inner.rollouts.forgets(), "what failed is tried again");
    }
    history.tick(at(3));
    assert_eq!(history.figures().unwritten, 0);
    drop(history);
    let (again, interrupted) = History::open(&options(directory.path()), at(4));
    assert_eq!(interrupted.drains[0].id, "b", "{interrupted:?}");
    assert_eq!(ids(&again), ["b", "a"]);
    let mut rollouts = 0;
    again.rollouts(&mut |_| {
        rollouts += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(rollouts, 0);
}
