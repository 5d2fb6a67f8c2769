//! The kernel side as the rest of the daemon sees it. The only folder that imports aya.

use std::{sync::Arc, time::Duration};

use finwatch_common::{
    CloseRecord, CounterRow, ListenerRecord, ResetKey, ResetRecord, ServiceKey, SurveyRow,
};

/// What the programs are loaded with.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// Size of the ring buffer of records, bytes: a power of two, a multiple of the page size.
    pub ring_bytes: u32,
    /// Most counter rows of one generation; what comes on top is counted in the `other` row.
    pub max_rows: u32,
    /// Show the programs' own log lines (target `finwatch::probe_log` of `tracing`).
    pub log: bool,
}

/// Why the programs could not be loaded: a message that names the missing thing and its remedy.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// To be replaced by one variant a cause.
    #[error("{0}")]
    Other(String),
}

/// The loaded and attached programs. Dropping it detaches and frees everything in the kernel.
pub struct Probe {}

/// What the counter maps held at one instant.
#[derive(Debug, Default, Clone)]
pub struct Reading {
    /// Rows by service and phase.
    pub rows: Vec<(ServiceKey, CounterRow)>,
    /// RSTs sent by service, phase, reason and what they threw away.
    pub resets: Vec<(ResetKey, u64)>,
}

/// Reads the counter maps. Cheap to clone.
#[derive(Clone)]
pub struct Counters(Arc<()>);

/// One record of the ring buffer.
#[derive(Debug, Clone, Copy)]
pub enum Record {
    /// The end of a connection.
    Close(CloseRecord),
    /// An RST that this host sent.
    Reset(ResetRecord),
    /// A listener that opened or closed.
    Listener(ListenerRecord),
}

/// What was lost, and counted: each number only grows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Losses {
    /// Records the full ring buffer refused, by kind: close, reset, listener.
    pub ring_full: [u64; 3],
    /// Counter updates that fell to the `other` row as the map was full.
    pub rows_full: u64,
    /// Records whose bytes were malformed.
    pub malformed: u64,
    /// Sockets whose storage could not be created (optmem, memory).
    pub storage_failed: u64,
}

/// One program's own figures.
#[derive(Debug, Clone)]
pub struct ProgramStats {
    /// Name of the program.
    pub name: &'static str,
    /// Whether it is attached; what a kernel does not have is not.
    pub attached: bool,
    /// Runs, while the kernel's BPF statistics are on (`kernel.bpf_stats_enabled`).
    pub runs: u64,
    /// Nanoseconds spent in these runs.
    pub run_time_ns: u64,
    /// Runs the recursion guard skipped (`bpf_prog_info.recursion_misses`).
    pub recursion_misses: u64,
}

/// One map's fill.
#[derive(Debug, Clone)]
pub struct MapStats {
    /// Name of the map.
    pub name: &'static str,
    /// Entries in use.
    pub entries: u64,
    /// Most entries.
    pub capacity: u64,
}

impl Probe {
    /// Reads the kernel's BTF, loads and attaches every program, and seeds the sockets of every network
    /// namespace it may enter. Blocking; some hundred milliseconds.
    ///
    /// # Errors
    /// Names what the kernel or the process lacks.
    pub fn load(_options: &ProbeOptions) -> Result<Self, ProbeError> {
        todo!()
    }

    /// A reader of the counter maps.
    pub fn counters(&self) -> Counters {
        todo!()
    }

    /// The ring buffer's descriptor turns readable when it is a quarter full; a reader also polls at its
    /// own interval. Drains what is there into `each`, at most `max` records; returns how many.
    pub fn drain(&mut self, _max: usize, _each: impl FnMut(Record)) -> usize {
        todo!()
    }

    /// Waits until the ring is a quarter full, or `timeout` has passed.
    pub async fn ready(&self, _timeout: Duration) {
        todo!()
    }

    /// Sockets of note in the network namespace `netns` (an open `/proc/<pid>/ns/net`): listeners, and
    /// connections that owe or await an answer. Seeds sockets that no program has seen. Blocking.
    ///
    /// # Errors
    /// When the namespace cannot be entered or the iterator fails.
    pub fn survey(&self, _netns: std::os::fd::BorrowedFd<'_>) -> anyhow::Result<Vec<SurveyRow>> {
        todo!()
    }

    /// Mini-sockets of the network namespace, one row each. Blocking; milliseconds, whatever their number.
    ///
    /// # Errors
    /// As [`Probe::survey`].
    pub fn survey_time_wait(
        &self,
        _netns: std::os::fd::BorrowedFd<'_>,
    ) -> anyhow::Result<Vec<SurveyRow>> {
        todo!()
    }

    /// Every program's figures.
    pub fn program_stats(&self) -> Vec<ProgramStats> {
        todo!()
    }

    /// Every table's fill.
    pub fn map_stats(&self) -> Vec<MapStats> {
        todo!()
    }

    /// What was lost so far.
    pub fn losses(&self) -> Losses {
        todo!()
    }

    /// Name in snake_case of a reset reason (`enum sk_rst_reason` from the running kernel's BTF, or
    /// `inferred_*` from 128 on).
    pub fn reset_reason(&self, _reason: u8) -> String {
        todo!()
    }
}

impl Counters {
    /// Sums the CPUs of every live row. Ambiguous cells are settled: the values never shrink between
    /// two readings, but for rows that [`Counters::rotate`] took away.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn live(&self) -> anyhow::Result<Reading> {
        todo!()
    }

    /// Lets the programs count in the other generation of the maps, waits until none still writes to
    /// this one, empties it and returns what it held: exact, nothing is lost or counted twice.
    /// Callers add it to their totals, under the same lock as [`Counters::live`]. Blocking, 50 ms.
    ///
    /// # Errors
    /// When a map cannot be read or emptied.
    pub fn rotate(&self) -> anyhow::Result<Reading> {
        todo!()
    }
}
