//! The same load with nothing attached, with finwatch and with bpftrace, in turn: throughput, CPU, memory, and
//! whether everything was counted. The kernel's BPF statistics are off, as they cost time themselves.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::bpftrace::{self, Bpftrace};
use super::daemon::{Daemon, Scrape};
use super::load::{self, Ends, Outcome};
use super::sys;
use crate::paths::Paths;
use crate::shell::say;

/// Every round of the three.
#[derive(Default)]
pub(super) struct Comparison {
    pub(super) nothing: Vec<Sample>,
    pub(super) finwatch: Vec<Sample>,
    pub(super) bpftrace: Vec<Sample>,
}

/// One run of the load with one observer.
pub(super) struct Sample {
    pub(super) outcome: Outcome,
    /// CPU time of the observer's process over the run.
    pub(super) observer_cpu: Duration,
    /// The observer's resident memory at the end of the run.
    pub(super) rss_kib: u64,
    /// What was counted, beside what was done.
    pub(super) held: Vec<Held>,
}

/// One number that must be equal on both sides.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) what: &'static str,
    pub(super) done: u64,
    pub(super) counted: u64,
}

pub(super) fn run(paths: &Paths, rounds: usize, time: Duration) -> Result<Comparison> {
    let mut comparison = Comparison::default();
    // The first run finds caches cold; it counts for nobody.
    load::run(Duration::from_secs(1)).context("run the load once to warm up")?;
    for round in 0..rounds {
        say(format!(
            "round {} of {rounds}: the load with nothing, finwatch and bpftrace attached",
            round + 1
        ));
        // Each is first, second and third equally often, so that a drift of the machine favours none.
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => comparison.nothing.push(with_nothing(time)?),
                1 => comparison.finwatch.push(with_finwatch(paths, time)?),
                _ => comparison.bpftrace.push(with_bpftrace(paths, time)?),
            }
            // The kernel takes the namespace and its TIME_WAITs apart after the run.
            thread::sleep(Duration::from_millis(500));
        }
    }
    Ok(comparison)
}

// === impl Sample ===

impl Sample {
    /// CPU time of a connection: both its ends, and its share of the observer.
    pub(super) fn cpu_us(&self) -> f64 {
        let total = self.outcome.cpu + self.observer_cpu;
        total.as_secs_f64() * 1e6 / self.outcome.connections() as f64
    }

    /// CPU time of the observer in percent of one core.
    pub(super) fn observer_percent(&self) -> f64 {
        100.0 * self.observer_cpu.as_secs_f64() / self.outcome.elapsed.as_secs_f64()
    }

    pub(super) fn lost(&self) -> u64 {
        self.held.iter().map(Held::difference).sum()
    }
}

// === impl Held ===

impl Held {
    pub(super) fn difference(&self) -> u64 {
        self.done.abs_diff(self.counted)
    }
}

fn with_nothing(time: Duration) -> Result<Sample> {
    let outcome = load::run(time).context("run the load with nothing attached")?;
    Ok(Sample {
        outcome,
        observer_cpu: Duration::ZERO,
        rss_kib: 0,
        held: Vec::new(),
    })
}

fn with_finwatch(paths: &Paths, time: Duration) -> Result<Sample> {
    let daemon = Daemon::start(paths, &[])?;
    let cpu_before = sys::cpu_of(daemon.pid())?;
    let outcome = load::run(time).context("run the load with finwatch attached")?;
    let observer_cpu = sys::cpu_of(daemon.pid())?.saturating_sub(cpu_before);
    // What the ring still holds is read within this time.
    thread::sleep(Duration::from_millis(500));
    let scrape = daemon.scrape()?;
    let rss_kib = sys::rss_kib(daemon.pid())?;
    daemon.stop()?;
    Ok(Sample {
        held: counted_by_finwatch(&outcome, &scrape),
        outcome,
        observer_cpu,
        rss_kib,
    })
}

fn with_bpftrace(paths: &Paths, time: Duration) -> Result<Sample> {
    let bpftrace = Bpftrace::start(paths, &bpftrace::COUNT)?;
    let cpu_before = sys::cpu_of(bpftrace.pid())?;
    let outcome = load::run(time).context("run the load with bpftrace attached")?;
    let observer_cpu = sys::cpu_of(bpftrace.pid())?.saturating_sub(cpu_before);
    let rss_kib = sys::rss_kib(bpftrace.pid())?;
    let counted = bpftrace.stop()?;
    Ok(Sample {
        held: vec![
            held("opened", outcome.sockets(), counted.opened),
            held("ended", outcome.sockets(), counted.ended),
        ],
        outcome,
        observer_cpu,
        rss_kib,
    })
}

/// Everything that the load did and that the namespace's own counters say, against the daemon's.
fn counted_by_finwatch(outcome: &Outcome, scrape: &Scrape) -> Vec<Held> {
    let ports: Vec<String> = load::ports().map(|port| port.to_string()).collect();
    let count = |name: &str, labels: &[(&str, &str)]| -> u64 {
        let on = |port| scrape.count(name, &[&[("port", port)], labels].concat());
        ports.iter().map(|port| on(port.as_str())).sum()
    };
    let opened = |role| count("finwatch_tcp_opened_total", &[("role", role)]);
    let closes = |role, origin, outcome| {
        count(
            "finwatch_tcp_closes_total",
            &[("role", role), ("origin", origin), ("outcome", outcome)],
        )
    };
    let Ends {
        server_first,
        client_first,
        reset,
    } = outcome.ends;
    let all = outcome.connections();
    vec![
        held("opened, server", all, opened("server")),
        held("opened, client", all, opened("client")),
        held(
            "accepted (PassiveOpens)",
            outcome.snmp.passive_opens,
            opened("server"),
        ),
        held(
            "closed first by the server, server",
            server_first,
            closes("server", "local", "fin"),
        ),
        held(
            "closed first by the server, client",
            server_first,
            closes("client", "remote", "fin"),
        ),
        held(
            "closed first by the client, server",
            client_first,
            closes("server", "remote", "fin"),
        ),
        held(
            "closed first by the client, client",
            client_first,
            closes("client", "local", "fin"),
        ),
        held(
            "reset by the client, server",
            reset,
            closes("server", "none", "reset_received"),
        ),
        held(
            "reset by the client, client",
            reset,
            closes("client", "none", "reset_sent"),
        ),
        held(
            "TIME_WAITs (TW, TWKilled)",
            outcome.snmp.time_waits,
            count("finwatch_tcp_time_wait_created_total", &[]),
        ),
        held(
            "RSTs sent (OutRsts)",
            outcome.snmp.resets_sent,
            count("finwatch_tcp_resets_sent_total", &[]),
        ),
        held(
            "records lost in the ring",
            0,
            scrape.count("finwatch_records_lost_total", &[]),
        ),
        held(
            "rows that did not fit the map",
            0,
            scrape.count("finwatch_map_full_total", &[]),
        ),
    ]
}

fn held(what: &'static str, done: u64, counted: u64) -> Held {
    Held {
        what,
        done,
        counted,
    }
}
