//! A drain of all that is open: how soon it is shown, what it costs the daemon, and whether that answers meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::holders::{Holders, PORT};
use crate::bench::daemon::Daemon;
use crate::bench::sys;

/// The beginning of a drain.
pub(super) struct Start {
    /// From the signal until the read API shows it.
    pub(super) shown: Option<Duration>,
    /// Until it says how many connections were open.
    pub(super) counted: Option<Duration>,
    /// How many it says were open at the signal, at the last.
    pub(super) open_at_start: u64,
    /// How many it says still are.
    pub(super) still_open: u64,
    pub(super) cost: Cost,
}

/// What a time was to the daemon.
pub(super) struct Cost {
    pub(super) time: Duration,
    pub(super) cpu: Duration,
    pub(super) rss_before_kib: u64,
    pub(super) peak_kib: u64,
    pub(super) rss_after_kib: u64,
    /// The longest that a scrape took, or an answer of the read API.
    pub(super) longest_answer: Duration,
}

/// The drain is watched for so long; it is surveyed several times then.
const WATCHED: Duration = Duration::from_secs(12);
/// Ends are counted when they happen: what is not counted for so long will not be.
const STILL: Duration = Duration::from_secs(3);
/// Between two questions while something is waited for, and else.
const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_millis(500);

/// Tells the server to stop, which it does by accepting nobody any more, and watches.
pub(super) fn start(daemon: &Daemon, holders: &Holders) -> Result<Start> {
    let mut shown = None;
    let mut counted = None;
    let mut last = Value::Null;
    let pid = holders.server_pid();
    let begin = Instant::now();
    let cost = Cost::of(daemon, || {
        holders.stop_server()?;
        let mut longest = Duration::ZERO;
        while begin.elapsed() < WATCHED {
            if let Some(drain) = drain(daemon, pid, &mut longest)? {
                shown.get_or_insert(begin.elapsed());
                if number(&drain, "open_at_start") > 0 {
                    counted.get_or_insert(begin.elapsed());
                }
                last = drain;
            }
            scrape(daemon, &mut longest)?;
            thread::sleep(if counted.is_some() { LONG } else { SHORT });
        }
        Ok(longest)
    })?;
    Ok(Start {
        shown,
        counted,
        open_at_start: number(&last, "open_at_start"),
        still_open: number(&last, "still_open"),
        cost,
    })
}

/// Ends all connections, and waits until the daemon has counted that.
pub(super) fn end(daemon: &Daemon, holders: Holders) -> Result<(u64, Cost)> {
    let (connections, pid) = (holders.connections, holders.server_pid());
    let mut told = 0;
    let cost = Cost::of(daemon, || {
        holders.end()?;
        let mut longest = Duration::ZERO;
        let mut last = Instant::now();
        while told < connections && last.elapsed() < STILL {
            let now = scrape(daemon, &mut longest)?;
            if now > told {
                (told, last) = (now, Instant::now());
            }
            thread::sleep(LONG);
        }
        Ok(longest)
    })?;
    let mut longest = Duration::ZERO;
    let drain = drain(daemon, pid, &mut longest)?.context("find the drain when all has ended")?;
    Ok((number(&drain, "open_at_start"), cost))
}

// === impl Cost ===

impl Cost {
    /// Of what happens in `body`, which returns the longest answer.
    fn of(daemon: &Daemon, body: impl FnOnce() -> Result<Duration>) -> Result<Self> {
        let pid = daemon.pid();
        let rss_before_kib = sys::rss_kib(pid)?;
        sys::forget_peak(pid)?;
        let cpu = sys::cpu_of(pid)?;
        let begin = Instant::now();
        let longest_answer = body()?;
        Ok(Self {
            time: begin.elapsed(),
            cpu: sys::cpu_of(pid)?.saturating_sub(cpu),
            rss_before_kib,
            peak_kib: sys::peak_kib(pid)?,
            rss_after_kib: sys::rss_kib(pid)?,
            longest_answer,
        })
    }
}

/// The drain of this server, if there is one; the history may tell of others on the port.
fn drain(daemon: &Daemon, pid: u32, longest: &mut Duration) -> Result<Option<Value>> {
    let begin = Instant::now();
    let mut answer = daemon.ask(&format!("/v1/drains?port={PORT}"))?;
    *longest = begin.elapsed().max(*longest);
    let mut drains = answer["drains"].as_array_mut().into_iter().flatten();
    let its = drains.find(|drain| drain["instance"]["pid"] == pid);
    Ok(its.map(Value::take))
}

/// Ends of servers' connections that a scrape shows.
fn scrape(daemon: &Daemon, longest: &mut Duration) -> Result<u64> {
    let scrape = daemon.scrape()?;
    *longest = scrape.took.max(*longest);
    Ok(scrape.on_ports(
        &[PORT],
        "finwatch_tcp_closes_total",
        &[("role", "server"), ("origin", "local"), ("outcome", "fin")],
    ))
}

fn number(drain: &Value, name: &str) -> u64 {
    drain[name].as_u64().unwrap_or(0)
}
