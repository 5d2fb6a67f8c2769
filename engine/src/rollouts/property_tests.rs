//! Whatever comes in whatever order: no panic, the same answer twice, every drain in one rollout at most, and no
//! failure that is passed.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{scenarios::*, *};
use crate::model::{DeployStage, Skew, Verdict};

#[derive(Debug, Clone)]
enum Input {
    Event(DeployEvent),
    Drain(Box<Drain>),
    Start(Start),
    Gap(Gap),
    Tick(f64),
}

fn workloads() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["web", "db"])
}

prop_compose! {
    fn events()(
        id in 0..6u8,
        stage in prop::sample::select(vec![DeployStage::Started, DeployStage::Finished, DeployStage::Failed]),
        workload in workloads(),
        revision in prop::option::of(prop::sample::select(vec!["v1", "v2"])),
        port in prop::option::weighted(0.2, 80u16..82),
        skew in prop::sample::select(vec![Skew::None, Skew::None, Skew::Late, Skew::Future]),
        (happened, came) in (-900.0..900.0f64, 0.0..900.0f64),
    ) -> Input {
        let mut event = event(&format!("e{id}"), stage, workload, came);
        event.revision = revision.map(str::to_owned);
        event.workload.port = port;
        event.skew = skew;
        event.event_time = at(match skew { Skew::None => came, _ => happened });
        Input::Event(event)
    }
}

prop_compose! {
    fn drains()(
        id in 0..8u8,
        workload in workloads(),
        port in 80u16..82,
        from in 0.0..900.0f64,
        lasts in 0.0..100.0f64,
        ended in any::<bool>(),
        cut in any::<bool>(),
    ) -> Input {
        // What a drain is and whether it cuts is told by its id, as a real one's is.
        let name = format!("{workload}-{port}-{id}-{cut}");
        let drain = if ended { drained(&name, workload, port, from, from + lasts) } else { draining(&name, workload, port, from) };
        Input::Drain(Box::new(if cut { cutting(drain) } else { drain }))
    }
}

fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let one = prop_oneof![
        events().boxed(),
        drains().boxed(),
        (workloads(), 80u16..82, 0.0..900.0f64)
            .prop_map(|(workload, port, secs)| Input::Start(start(workload, port, secs)))
            .boxed(),
        (workloads(), 80u16..82, 0.0..900.0f64, 0.0..50.0f64, 0..3u64)
            .prop_map(|(workload, port, from, lasts, refused)| Input::Gap(gap(
                workload,
                port,
                from,
                from + lasts,
                refused
            )))
            .boxed(),
        (0.0..1_800.0f64).prop_map(Input::Tick).boxed(),
    ];
    prop::collection::vec(one, 0..60)
}

/// Everything that was told, in its order; at the end enough time passes for all to be over.
fn told(inputs: &[Input]) -> (Vec<Rollout>, Vec<String>) {
    let mut correlator = Correlator::new(CorrelatorOptions::default());
    let (mut ended, mut replaced) = (Vec::new(), Vec::new());
    let ends = [Input::Tick(3_000.0)];
    for input in inputs.iter().chain(&ends) {
        match input.clone() {
            Input::Event(event) => correlator.event(event),
            Input::Drain(drain) => correlator.drain(*drain),
            Input::Start(start) => correlator.start(start),
            Input::Gap(gap) => correlator.gap(gap),
            Input::Tick(secs) => correlator.tick(at(secs)),
        }
        for rollout in correlator.running() {
            assert_eq!(rollout.verdict, Verdict::Inconclusive);
        }
        ended.extend(correlator.ended());
        replaced.extend(correlator.replaced());
    }
    assert!(correlator.running().is_empty());
    (ended, replaced)
}

/// What is left when each id's last telling counts, without those that were replaced.
fn last_word(ended: Vec<Rollout>, replaced: &[String]) -> HashMap<String, Rollout> {
    let mut last: HashMap<_, _> = ended.into_iter().map(|r| (r.id.clone(), r)).collect();
    last.retain(|id, _| !replaced.contains(id));
    last
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_same_input_gives_the_same_story(inputs in inputs()) {
        prop_assert_eq!(told(&inputs), told(&inputs));
    }

    #[test]
    fn every_drain_is_in_exactly_one_rollout_at_last(inputs in inputs()) {
        let (ended, replaced) = told(&inputs);
        let last = last_word(ended, &replaced);
        let mut found: Vec<_> = last.values().flat_map(drain_ids).collect();
        found.sort_unstable();
        let mut expected: Vec<_> = inputs
            .iter()
            .filter_map(|input| match input {
                Input::Drain(drain) => Some(drain.id.as_str()),
                _ => None,
            })
            .collect();
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_rollout_passes_with_a_drain_that_cut(inputs in inputs()) {
        let (ended, _) = told(&inputs);
        for rollout in ended {
            let cut = rollout.drains.iter().any(|drain| drain.counts.cut.total() > 0);
            prop_assert!(!cut || rollout.verdict >= Verdict::Inconclusive, "{:?}", rollout);
            if rollout.drains.iter().any(|drain| drain.verdict == Verdict::Fail) {
                prop_assert_eq!(rollout.verdict, Verdict::Fail);
            }
        }
    }

    #[test]
    fn a_drain_is_in_a_rollout_of_its_own_workload(inputs in inputs()) {
        let (ended, _) = told(&inputs);
        for rollout in ended {
            for drain in &rollout.drains {
                prop_assert!(rollout.workload.means(&drain.service), "{:?}", rollout);
            }
        }
    }

    #[test]
    fn what_was_told_as_ended_keeps_its_id_and_its_beginning(inputs in inputs()) {
        let (ended, _) = told(&inputs);
        let mut began = HashMap::new();
        for rollout in ended {
            let first = *began.entry(rollout.id).or_insert(rollout.started_at);
            prop_assert_eq!(first, rollout.started_at);
        }
    }
}
