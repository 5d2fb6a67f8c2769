//! The kernel side as the rest of the daemon sees it. The only folder that imports aya.

mod btf;
mod counters;
mod error;
mod families;
mod load;
mod log;
mod meanings;
mod offsets;
mod records;
mod seed;
mod stats;
mod survey;

use std::{
    os::fd::BorrowedFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aya::Ebpf;
use finwatch_common::{CounterRow, Process, ProcessEntry, ServiceKey, SurveyRow, inferred_reason};
use finwatch_engine::input::{Reading, Record};

use self::{counters::CounterMaps, families::Families, records::Ring};
pub use self::{
    error::ProbeError,
    stats::{Losses, MapStats, ProgramStats},
};

/// What the programs are loaded with.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// Size of the ring buffer of records, bytes: a power of two, a multiple of the page size.
    pub ring_bytes: u32,
    /// Most counter rows of one generation; what comes on top is counted in the `other` row. `None`: as
    /// many as 64 MiB hold, at least 1,024 and at most 8,192.
    pub max_rows: Option<u32>,
    /// Show the programs' own log lines (target `finwatch::probe_log` of `tracing`).
    pub log: bool,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            ring_bytes: 4 << 20,
            max_rows: None,
            log: false,
        }
    }
}

/// The loaded and attached programs. Dropping it detaches and frees everything in the kernel.
pub struct Probe {
    /// Held for the links and programs in it; locked while an iterator is opened.
    ebpf: Mutex<Ebpf>,
    counters: Counters,
    families: Families,
    ring: Ring,
    stats: stats::Stats,
    reset_reasons: Vec<(u8, String)>,
    seeded: seed::Seeded,
}

/// Reads the counter maps. Cheap to clone.
#[derive(Clone)]
pub struct Counters(Arc<CounterMaps>);

impl Probe {
    /// Reads the kernel's BTF, loads and attaches every program, and seeds the sockets of every network
    /// namespace it may enter. Blocking; about a second, most of it the verifier's.
    ///
    /// # Errors
    /// Names what the kernel or the process lacks.
    pub fn load(options: &ProbeOptions) -> Result<Self, ProbeError> {
        let mut probe = load::load(options)?;
        // Listeners first, so that a connection seen in the next milliseconds knows its role.
        probe.seed();
        load::attach(&mut probe.lock_ebpf())?;
        probe.seeded = probe.seed();
        Ok(probe)
    }

    /// A reader of the counter maps.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Drains what the ring holds into `each`, at most `max` records; returns how many.
    pub fn drain(&mut self, max: usize, each: impl FnMut(Record)) -> usize {
        self.ring.drain(max, each)
    }

    /// Waits until the ring is a quarter full, or `timeout` has passed. A reader calls it and drains, so
    /// that records come in time although none of them wakes it.
    pub async fn ready(&self, timeout: Duration) {
        self.ring.ready(timeout).await;
    }

    /// Sockets of note in the network namespace `netns` (an open `/proc/<pid>/ns/net`): listeners, and
    /// connections that owe or await an answer. Seeds sockets that no program has seen. Blocking.
    ///
    /// # Errors
    /// When the namespace cannot be entered or the iterator fails.
    pub fn survey(&self, netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        survey::run(&mut self.lock_ebpf(), survey::SOCKETS, netns)
    }

    /// Mini-sockets of the network namespace, one row each. Blocking; milliseconds, whatever their number.
    ///
    /// # Errors
    /// As [`Probe::survey`].
    pub fn survey_time_wait(&self, netns: BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        survey::run(&mut self.lock_ebpf(), survey::MINI_SOCKETS, netns)
    }

    /// Every process that belongs to an instance of a service.
    pub fn processes(&self) -> Vec<(u32, ProcessEntry)> {
        self.families.processes()
    }

    /// Adds a process to an instance, unless it is known to belong to one.
    pub fn adopt_process(&self, tgid: u32, entry: ProcessEntry) {
        self.families.adopt(tgid, entry);
    }

    /// Ends the phase of an instance: from now on it counts as steady.
    pub fn end_phase(&self, instance: Process) {
        self.families.end_phase(instance);
    }

    /// Every program's figures.
    pub fn program_stats(&self) -> Vec<ProgramStats> {
        self.stats.programs()
    }

    /// Every table's fill.
    pub fn map_stats(&self) -> Vec<MapStats> {
        self.stats.maps(&self.counters.0)
    }

    /// What was lost so far.
    pub fn losses(&self) -> Losses {
        self.stats.losses(self.ring.malformed())
    }

    /// Name in snake_case of a reset reason (`enum sk_rst_reason` from the running kernel's BTF, or
    /// `inferred_*` from 128 on).
    pub fn reset_reason(&self, reason: u8) -> String {
        reset_reason(&self.reset_reasons, reason)
    }

    /// Network namespaces that could not be entered, in words: their older sockets are not known.
    pub fn unseeded(&self) -> &[String] {
        &self.seeded.refused
    }

    fn seed(&self) -> seed::Seeded {
        seed::run(&mut self.lock_ebpf())
    }

    /// A panic while it was held leaves the programs themselves intact.
    fn lock_ebpf(&self) -> std::sync::MutexGuard<'_, Ebpf> {
        self.ebpf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    /// Sums the CPUs of every live row. Ambiguous cells are settled so that the peer is never charged
    /// with more resets than it sent.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn live(&self) -> anyhow::Result<Reading> {
        self.0.live()
    }

    /// Sums the CPUs of one live row, ambiguous cells as they are; zeros where there is none.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn row(&self, key: &ServiceKey) -> anyhow::Result<CounterRow> {
        self.0.row(key)
    }

    /// Lets the programs count in the other generation of the maps, waits until none still writes to
    /// this one, empties it and returns what it held: exact, nothing is lost or counted twice.
    /// Callers add it to their totals, under the same lock as [`Counters::live`]. Blocking, some
    /// milliseconds.
    ///
    /// # Errors
    /// When a map cannot be read or emptied.
    pub fn rotate(&self) -> anyhow::Result<Reading> {
        self.0.rotate()
    }
}

fn reset_reason(names: &[(u8, String)], reason: u8) -> String {
    let inferred = match reason {
        inferred_reason::UNKNOWN => "inferred_unknown",
        inferred_reason::ABORT_ON_DATA => "inferred_tcp_abort_on_data",
        inferred_reason::ABORT_ON_CLOSE => "inferred_tcp_abort_on_close",
        inferred_reason::ABORT_ON_LINGER => "inferred_tcp_abort_on_linger",
        inferred_reason::ABORT_ON_MEMORY => "inferred_tcp_abort_on_memory",
        inferred_reason::TCP_STATE => "inferred_tcp_state",
        inferred_reason::KEEPALIVE_TIMEOUT => "inferred_tcp_keepalive_timeout",
        inferred_reason::INVALID_SEGMENT => "inferred_invalid_segment",
        0 => "not_specified",
        _ => {
            let known = names.iter().find(|(value, _)| *value == reason);
            return known.map_or_else(|| format!("reason_{reason}"), |(_, name)| name.clone());
        }
    };
    inferred.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_names_on_every_kernel() {
        let names = vec![(11, "tcp_abort_on_close".to_owned())];
        assert_eq!(reset_reason(&names, 11), "tcp_abort_on_close");
        assert_eq!(reset_reason(&names, 99), "reason_99", "newer than its BTF");
        assert_eq!(reset_reason(&[], 130), "inferred_tcp_abort_on_close");
        assert_eq!(reset_reason(&[], 0), "not_specified");
    }
}
