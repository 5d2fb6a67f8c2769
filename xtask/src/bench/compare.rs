//! The same load with nothing attached and with each observer in turn: throughput, CPU, memory, and whether everything
//! was counted. The kernel's BPF statistics are off, as they cost time themselves.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::held::{self, Held};
use super::load::Load;
use super::observer::{Observer, Seen};
use super::outcome::Outcome;
use super::sys;
use crate::paths::Paths;
use crate::shell::say;

/// Every round of every observer; that of nobody is the first.
pub(super) struct Comparison {
    pub(super) observed: Vec<(&'static str, Vec<Sample>)>,
}

/// One run of the load with one observer.
pub(super) struct Sample {
    pub(super) outcome: Outcome,
    /// The observer's resident memory at the end of the run.
    pub(super) rss_kib: u64,
    /// What was counted, beside what was done.
    pub(super) held: Vec<Held>,
}

/// Every observer's runs, in `rounds`; nobody is to be the first of them.
pub(super) fn run(
    paths: &Paths,
    load: Load,
    observers: &[Observer],
    rounds: usize,
    time: Duration,
) -> Result<Comparison> {
    let mut observed: Vec<_> = observers
        .iter()
        .map(|observer| (observer.name(), Vec::new()))
        .collect();
    // The first run finds caches cold; it counts for nobody.
    load.run(paths, Duration::from_secs(1))
        .context("run the load once to warm up")?;
    for round in 0..rounds {
        say(format!(
            "{}, round {} of {rounds}, for each of {} observers",
            load.what(),
            round + 1,
            observers.len()
        ));
        // Each is first, second and so on equally often, so that a drift of the machine favours none.
        for turn in 0..observers.len() {
            let nth = (round + turn) % observers.len();
            let sample = sample(paths, load, &observers[nth], time)
                .with_context(|| format!("{} with {}", load.what(), observers[nth].name()))?;
            observed[nth].1.push(sample);
            // The kernel takes the namespace and its TIME_WAITs apart after the run.
            thread::sleep(Duration::from_millis(500));
        }
    }
    Ok(Comparison { observed })
}

// === impl Comparison ===

impl Comparison {
    /// The runs with nothing attached.
    pub(super) fn nothing(&self) -> &[Sample] {
        self.of(Observer::Nothing.name())
    }

    /// The runs with an observer of this name; none if it was not asked for.
    pub(super) fn of(&self, name: &str) -> &[Sample] {
        let found = self.observed.iter().find(|(observer, _)| *observer == name);
        found.map_or(&[], |(_, samples)| samples)
    }
}

// === impl Sample ===

impl Sample {
    /// CPU time of a connection: both its ends, and its share of the observer.
    pub(super) fn cpu_us(&self) -> f64 {
        let total = self.outcome.cpu + self.outcome.clocked;
        total.as_secs_f64() * 1e6 / self.outcome.connections as f64
    }

    /// CPU time of the observer in percent of one core.
    pub(super) fn observer_percent(&self) -> f64 {
        100.0 * self.outcome.clocked.as_secs_f64() / self.outcome.elapsed.as_secs_f64()
    }

    pub(super) fn lost(&self) -> u64 {
        self.held.iter().map(Held::difference).sum()
    }
}

fn sample(paths: &Paths, load: Load, observer: &Observer, time: Duration) -> Result<Sample> {
    let attached = observer.attach(paths)?;
    let pid = attached.pid();
    let observer_cpu = || pid.map_or(Ok(Duration::ZERO), sys::cpu_of);
    let outcome = load.run_by(&observer_cpu, paths, time)?;
    let rss_kib = pid.map_or(Ok(0), sys::rss_kib)?;
    let seen = attached.finish(&outcome.ports)?;
    Ok(Sample {
        held: match seen {
            Seen::Nothing => Vec::new(),
            Seen::Finwatch(scrape) => held::by_finwatch(&outcome, &scrape),
            Seen::Bpftrace(counted) => held::by_bpftrace(&outcome, &counted),
            Seen::Tool(lines) => held::by_tool(&outcome, &lines),
        },
        outcome,
        rss_kib,
    })
}
