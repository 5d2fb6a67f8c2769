//! BPF run time of the programs from the kernel's own statistics: per event, per request, per connection.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::bpf::{self, RawProgram, Runs, Statistics};
use super::daemon::{Daemon, Finwatch, Scrape};
use super::load::Load;
use super::observer::Observer;
use super::stats::median;
use crate::paths::Paths;
use crate::shell::say;

/// The read hook, and where it is attached.
const READ_HOOK: &str = "finwatch_read";
const READ_TRACEPOINT: &str = "tcp_rcv_space_adjust";

/// Every round of every observer.
pub(super) struct Metered {
    pub(super) finwatches: Vec<(&'static str, Programs)>,
    /// Of the others only: nanoseconds of BPF time in a socket's life.
    pub(super) peers: Vec<(&'static str, Vec<f64>)>,
}

/// Every round of one finwatch; in nanoseconds.
#[derive(Default)]
pub(super) struct Programs {
    /// By program: mean time of a run.
    per_event: BTreeMap<String, Vec<f64>>,
    /// By program: runs in a socket's life.
    runs_per_socket: BTreeMap<String, Vec<f64>>,
    /// All programs over a socket's life, one side.
    pub(super) per_socket: Vec<f64>,
    /// The same less the meter of the same round, once for each run.
    pub(super) per_socket_net: Vec<f64>,
    /// What the statistics add to each run.
    pub(super) meter: Vec<f64>,
    /// The read hook, less the meter of the same round.
    pub(super) read_net: Vec<f64>,
}

pub(super) fn run(
    paths: &Paths,
    finwatches: &[Finwatch],
    peers: &[Observer],
    rounds: usize,
    time: Duration,
) -> Result<Metered> {
    let mut metered = Metered {
        finwatches: finwatches
            .iter()
            .map(|finwatch| (finwatch.name, Programs::default()))
            .collect(),
        peers: peers.iter().map(|peer| (peer.name(), Vec::new())).collect(),
    };
    for round in 0..rounds {
        say(format!(
            "metering, round {} of {rounds}: the kernel's statistics of the programs' run time",
            round + 1
        ));
        for turn in 0..finwatches.len() {
            let nth = (round + turn) % finwatches.len();
            metered.finwatches[nth]
                .1
                .add(paths, &finwatches[nth], time)?;
        }
        for (peer, (_, per_socket)) in peers.iter().zip(&mut metered.peers) {
            per_socket.push(peer_per_socket(paths, peer, time)?);
        }
    }
    Ok(metered)
}

// === impl Programs ===

impl Programs {
    /// By program, in the order of its share: name, runs in a socket's life, time of a run, their product.
    pub(super) fn shares(&self) -> Vec<(&str, f64, f64, f64)> {
        let mut programs: Vec<_> = self
            .per_event
            .iter()
            .map(|(name, means)| {
                let runs = self
                    .runs_per_socket
                    .get(name)
                    .map_or(0.0, |all| median(all));
                let mean = median(means);
                (name.as_str(), runs, mean, runs * mean)
            })
            .collect();
        programs.sort_by(|a, b| b.3.total_cmp(&a.3));
        programs
    }

    fn add(&mut self, paths: &Paths, finwatch: &Finwatch, time: Duration) -> Result<()> {
        let daemon = Daemon::start(paths, finwatch, &[])?;
        let empty = RawProgram::attach(&bpf::EMPTY, READ_TRACEPOINT)?;
        let _statistics = Statistics::enable()?;
        let programs_before = by_program(&daemon.scrape()?);
        let total_before = bpf::total_of(daemon.pid())?;
        let meter_before = empty.runs()?;
        let outcome = Load::Churn
            .run(paths, time)
            .context("run the load with the statistics on")?;
        let total = bpf::total_of(daemon.pid())?.since(total_before);
        let meter = empty.runs()?.since(meter_before);
        let meter = meter.mean_ns().context("run the empty program")?;
        let programs = by_program(&daemon.scrape()?);
        daemon.stop()?;

        let sockets = outcome.sockets() as f64;
        let net = total.nanos as f64 - meter * total.count as f64;
        self.per_socket.push(total.nanos as f64 / sockets);
        self.per_socket_net.push(net / sockets);
        self.meter.push(meter);
        for (name, runs) in programs {
            let runs = runs.since(programs_before.get(&name).copied().unwrap_or_default());
            let Some(mean) = runs.mean_ns() else {
                continue;
            };
            if name == READ_HOOK {
                self.read_net.push(mean - meter);
            }
            self.runs_per_socket
                .entry(name.clone())
                .or_default()
                .push(runs.count as f64 / sockets);
            self.per_event.entry(name).or_default().push(mean);
        }
        // The next run's namespace comes after this one's is gone.
        thread::sleep(Duration::from_millis(500));
        Ok(())
    }
}

fn peer_per_socket(paths: &Paths, peer: &Observer, time: Duration) -> Result<f64> {
    let attached = peer.attach(paths)?;
    let pid = attached.pid().context("meter nobody")?;
    let _statistics = Statistics::enable()?;
    let before = bpf::total_of(pid)?;
    let outcome = Load::Churn
        .run(paths, time)
        .with_context(|| format!("run the load with {} and the statistics on", peer.name()))?;
    let total = bpf::total_of(pid)?.since(before);
    attached.finish(&outcome.ports)?;
    thread::sleep(Duration::from_millis(500));
    Ok(total.nanos as f64 / outcome.sockets() as f64)
}

/// The daemon passes the kernel's statistics on by the programs' full names, which the kernel itself cuts off.
fn by_program(scrape: &Scrape) -> BTreeMap<String, Runs> {
    let counts = scrape.by_label("finwatch_probe_runs_total", "program");
    let seconds = scrape.by_label("finwatch_probe_run_seconds_total", "program");
    counts
        .into_iter()
        .map(|(program, count)| {
            let seconds = seconds.get(&program).copied().unwrap_or(0.0);
            let runs = Runs {
                count: count as u64,
                nanos: (seconds * 1e9).round() as u64,
            };
            (program, runs)
        })
        .collect()
}
