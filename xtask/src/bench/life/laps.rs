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
