//! What each transition of a socket's life costs with an observer, less what it costs with none: by a stopwatch at the
//! tracepoints, and by the clock of the one who runs the steps.

mod asm;
mod event;
mod laps;
mod script;
mod step;
mod stopwatch;
mod table;

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use self::laps::{Laps, Taking};
use self::stopwatch::Stopwatch;
use super::observer::Observer;
use super::sys;
use crate::paths::Paths;
use crate::shell::say;

/// Every round of every observer.
pub(super) struct Lives {
    nothing: Vec<Laps>,
    observed: Vec<(&'static str, Vec<Laps>)>,
}

pub(super) fn write(text: &mut String, lives: &Lives) {
    table::write(text, lives);
}

/// What some observers cost, each in each round.
pub(super) fn run(paths: &Paths, observers: &[Observer], rounds: usize) -> Result<Lives> {
    let mut lives = Lives {
        nothing: Vec::new(),
        observed: observers
            .iter()
            .map(|observer| (observer.name(), Vec::new()))
            .collect(),
    };
    for round in 0..rounds {
        say(format!(
            "lives by transition, round {} of {rounds}",
            round + 1
        ));
        lives.nothing.push(live(paths, &Observer::Nothing)?);
        // Each is first equally often.
        for turn in 0..observers.len() {
            let nth = (round + turn) % observers.len();
            let laps = live(paths, &observers[nth])?;
            lives.observed[nth].1.push(laps);
        }
    }
    Ok(lives)
}

fn live(paths: &Paths, observer: &Observer) -> Result<Laps> {
    let stopwatch = Stopwatch::attach(script::PORT)?;
    let attached = observer.attach(paths)?;
    let running = stopwatch.start()?;
    let laps = sys::in_new_netns(|| {
        sys::stay_on_core(thread::available_parallelism().map_or(0, |cores| cores.get() - 1))?;
        let mut taking = Taking::new(&running);
        script::run(&mut taking)?;
        Ok(taking.finish())
    })
    .with_context(|| format!("measure lives with {}", observer.name()))?;
    laps.check()?;
    attached
        .finish(&[script::PORT])
        .with_context(|| format!("end {}", observer.name()))?;
    // The kernel takes the namespace and its TIME_WAITs apart after the run.
    thread::sleep(Duration::from_millis(300));
    Ok(laps)
}
