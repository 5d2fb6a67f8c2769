//! What one observer's run of all steps took.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::event::{Event, Side};
use super::script::Watch;
use super::step::Step;
use super::stopwatch::{Running, Timed, Times};
use crate::bench::stats::lower_quartile;

/// Of each step, what it took.
#[derive(Default)]
pub(super) struct Laps(BTreeMap<Step, Lap>);

/// All runs of a step.
#[derive(Default)]
struct Lap {
    connections: u64,
    events: Times,
    /// Of each crowd: nanoseconds a connection.
    elapsed: Vec<f64>,
}

/// Takes the laps while the steps run.
pub(super) struct Taking<'a> {
    stopwatch: &'a Running<'a>,
    laps: Laps,
}

// === impl Taking ===

impl<'a> Taking<'a> {
    pub(super) fn new(stopwatch: &'a Running<'a>) -> Self {
        Self {
            stopwatch,
            laps: Laps::default(),
        }
    }

    pub(super) fn finish(self) -> Laps {
        self.laps
    }
}

impl Watch for Taking<'_> {
    fn step(
        &mut self,
        step: Step,
        connections: usize,
        body: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let Self { stopwatch, laps } = self;
        let (elapsed, events) = stopwatch.during(|| {
            let start = Instant::now();
            body()?;
            Ok(start.elapsed())
        })?;
        let lap = laps.0.entry(step).or_default();
        lap.connections += connections as u64;
        lap.elapsed
            .push(elapsed.as_secs_f64() * 1e9 / connections as f64);
        for ((event, side), timed) in events {
            let side = step.side_of(event).unwrap_or(side);
            lap.events.entry((event, side)).or_default().add(timed);
        }
        Ok(())
    }
}

// === impl Laps ===

impl Laps {
    /// The events of each step: those that it always has, and then what else most of its connections have.
    pub(super) fn events(&self) -> impl Iterator<Item = (Step, Event, Side)> {
        self.0.iter().flat_map(|(step, lap)| {
            let always = step.always();
            let usual = |timed: &Timed| 2 * timed.count >= lap.connections;
            let more = lap
                .events
                .iter()
                .filter(move |(event, timed)| usual(timed) && !always.contains(event))
                .map(|(event, _)| event);
            let all = always.iter().chain(more);
            all.map(|(event, side)| (*step, *event, *side))
        })
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = Step> {
        self.0.keys().copied()
    }

    /// Mean time of an event.
    pub(super) fn mean_ns(&self, step: Step, event: Event, side: Side) -> f64 {
        let timed = self
            .0
            .get(&step)
            .and_then(|lap| lap.events.get(&(event, side)));
        timed.map_or(f64::NAN, |timed| timed.nanos as f64 / timed.count as f64)
    }

    /// Time of all events of a step, a connection.
    pub(super) fn events_ns(&self, step: Step) -> f64 {
        self.0.get(&step).map_or(f64::NAN, |lap| {
            let nanos: u64 = lap.events.values().map(|timed| timed.nanos).sum();
            nanos as f64 / lap.connections as f64
        })
    }

    /// Time of the step itself, a connection: the lower quartile of all crowds.
    pub(super) fn elapsed_ns(&self, step: Step) -> f64 {
        self.0
            .get(&step)
            .map_or(f64::NAN, |lap| lower_quartile(&lap.elapsed))
    }

    /// What is not measured would look as if it cost nothing.
    pub(super) fn check(&self) -> Result<()> {
        for (step, lap) in &self.0 {
            for always in step.always() {
                let count = lap.events.get(always).map_or(0, |timed| timed.count);
                let (event, side) = always;
                ensure!(
                    // A few are interrupted, or fall to another process on this processor.
                    10 * count >= 9 * lap.connections,
                    "measure `{}`: {count} of {} times \"{event}\" of the {side}",
                    step.what(),
                    lap.connections
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const READ: (Event, Side) = (Event::Read, Side::Server);

    /// Laps of more of a question only, which is a read each.
    pub(in crate::bench::life) fn of_reads(connections: u64, count: u64, mean_ns: u64) -> Laps {
        let nanos = count * mean_ns;
        let lap = Lap {
            connections,
            events: Times::from([(READ, Timed { count, nanos })]),
            elapsed: vec![9.0, 1.0, 3.0, 2.0],
        };
        Laps(BTreeMap::from([(Step::LongQuestion, lap)]))
    }

    #[test]
    fn an_event_has_a_mean_and_a_step_a_time_a_connection() {
        let laps = of_reads(64, 60, 100);
        assert_eq!(laps.mean_ns(Step::LongQuestion, READ.0, READ.1), 100.0);
        assert_eq!(laps.events_ns(Step::LongQuestion), 93.75);
        assert_eq!(laps.elapsed_ns(Step::LongQuestion), 2.0);
        assert!(laps.events_ns(Step::Open).is_nan());
    }

    #[test]
    fn a_step_that_did_not_show_its_events_is_an_error() {
        assert!(of_reads(64, 60, 100).check().is_ok());
        let error = of_reads(64, 30, 100).check().expect_err("half is missing");
        assert!(error.to_string().contains("30 of 64"), "{error}");
    }

    #[test]
    fn what_a_step_always_has_stands_before_what_else_is_usual() {
        let mut laps = of_reads(64, 64, 100);
        let lap = laps.0.get_mut(&Step::LongQuestion).expect("there");
        let one = |count| Timed { count, nanos: 1 };
        let ack = Event::State { old: 4, new: 5 };
        lap.events.insert((ack, Side::Client), one(60));
        lap.events.insert((Event::Destroy, Side::Client), one(3));
        let events: Vec<_> = laps.events().map(|(_, event, _)| event).collect();
        assert_eq!(events, [Event::Read, ack]);
    }
}
