//! Ends of sockets that the kernel hid from every BPF program, as hardened guest kernels do with tasks of their own and with softirqs
//! on top of these: perf's counter of the tracepoint counts them, and the programs' runs and skipped runs lack them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{FromRawFd as _, RawFd};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::bench::bpf::Statistics;
use crate::bench::daemon::{Daemon, Scrape};
use crate::bench::tracefs;
use crate::shell;

/// Every socket of TCP passes it at its end.
const TRACEPOINT: &str = "/sys/kernel/tracing/events/tcp/tcp_destroy_sock/id";
/// The program there.
const PROGRAM: &str = "finwatch_destroy";

/// Counts from now on.
pub(super) struct Hidden {
    /// One of each processor.
    counters: Vec<File>,
    before: u64,
    #[expect(dead_code, reason = "the programs' runs are counted while it is there")]
    statistics: Statistics,
}

// === impl Hidden ===

impl Hidden {
    pub(super) fn watch(daemon: &Daemon) -> Result<Self> {
        let mut cat = Command::new("cat");
        cat.arg(TRACEPOINT);
        tracefs::provide(&mut cat)?;
        let id = shell::read(&mut cat)?;
        let id = id
            .trim()
            .parse()
            .with_context(|| format!("read a number in {TRACEPOINT}"))?;
        let statistics = Statistics::enable()?;
        let before = seen(&daemon.scrape()?);
        Ok(Self {
            counters: counters(id)?,
            before,
            statistics,
        })
    }

    /// How many so far, by a scrape of now.
    pub(super) fn so_far(&mut self, scrape: &Scrape) -> Result<u64> {
        let mut passed = 0;
        for counter in &mut self.counters {
            let mut count = [0; 8];
            counter
                .read_exact(&mut count)
                .context("read a counter of the tracepoint")?;
            passed += u64::from_ne_bytes(count);
        }
        Ok(passed.saturating_sub(seen(scrape).saturating_sub(self.before)))
    }
}

/// Runs of the program, and those that the recursion guard skipped.
fn seen(scrape: &Scrape) -> u64 {
    let of = |name| scrape.count(name, &[("program", PROGRAM)]);
    of("finwatch_probe_runs_total") + of("finwatch_probe_recursion_misses_total")
}

/// A counter of a tracepoint on each processor, whatever runs there (`perf_event_open(2)`).
fn counters(id: u64) -> Result<Vec<File>> {
    /// `struct perf_event_attr` in its first version: what follows the identifier is zero.
    #[repr(C)]
    struct Attributes {
        kind: u32,
        size: u32,
        id: u64,
        rest: [u64; 6],
    }
    const PERF_TYPE_TRACEPOINT: u32 = 2;
    let attributes = Attributes {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        id,
        rest: [0; 6],
    };
    let path = "/sys/devices/system/cpu/online";
    let online = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let mut counters = Vec::new();
    for processor in listed(online.trim()).with_context(|| format!("understand {path}"))? {
        // SAFETY: the attributes are initialised and of the size that they say; they are only read.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attributes,
                -1,
                processor,
                -1,
                0,
            )
        };
        if fd < 0 {
            bail!(
                "count a tracepoint on processor {processor}: {}",
                io::Error::last_os_error()
            );
        }
        // SAFETY: the call has just made the descriptor, and nobody else knows it.
        counters.push(unsafe { File::from_raw_fd(RawFd::try_from(fd)?) });
    }
    Ok(counters)
}

/// `0-3,6`
fn listed(list: &str) -> Option<Vec<i32>> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
        all.extend(first..=last);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_listed_in_ranges() {
        assert_eq!(listed("0-3,6"), Some(vec![0, 1, 2, 3, 6]));
        assert_eq!(listed("0"), Some(vec![0]));
        assert_eq!(listed(""), None);
    }
}
