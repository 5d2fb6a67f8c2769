//! The kernel side as the rest of the daemon sees it. The only folder that imports aya. What is loaded comes apart into
//! handles, each for the one task that uses it: nobody waits for another's system call.

mod btf;
mod error;
mod load;
mod log;
mod meanings;
mod offsets;
mod processes;
mod ring;
mod rows;
mod seed;
mod stats;
mod survey;

use finwatch_common::inferred_reason;
use finwatch_engine::Reasons;

pub use self::{
    error::ProbeError,
    processes::{Phases, Processes},
    ring::Ring,
    rows::Rows,
    stats::{LossCounters, Losses, MapStats, ProgramStats, Stats},
    survey::Survey,
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

/// The loaded and attached programs, in handles.
pub struct Probe {
    /// The counters.
    pub rows: Rows,
    /// The records.
    pub ring: Ring,
    /// The iterators; it keeps the programs attached.
    pub survey: Survey,
    /// The table of processes.
    pub processes: Processes,
    /// The table of phases.
    pub phases: Phases,
    /// How the programs are.
    pub stats: Stats,
    /// What was lost.
    pub losses: LossCounters,
    /// Names of the reset reasons: `enum sk_rst_reason` of the running kernel, or `inferred_*` from 128 on.
    pub reasons: Reasons,
    /// Network namespaces that could not be entered, in words: their older sockets are not known.
    pub unseeded: Vec<String>,
}

impl Probe {
    /// Reads the kernel's BTF, loads and attaches every program, and seeds the sockets of every network
    /// namespace it may enter. Blocking; about a second, most of it the verifier's.
    ///
    /// # Errors
    /// Names what the kernel or the process lacks.
    pub fn load(options: &ProbeOptions) -> Result<Self, ProbeError> {
        load::load(options)
    }
}

/// Names of reset reasons on every kernel: what it says of its own, and what is inferred where it says nothing.
fn reasons(names: Vec<(u8, String)>) -> Reasons {
    let inferred = [
        (0, "not_specified"),
        (inferred_reason::UNKNOWN, "inferred_unknown"),
        (inferred_reason::ABORT_ON_DATA, "inferred_tcp_abort_on_data"),
        (
            inferred_reason::ABORT_ON_CLOSE,
            "inferred_tcp_abort_on_close",
        ),
        (
            inferred_reason::ABORT_ON_LINGER,
            "inferred_tcp_abort_on_linger",
        ),
        (
            inferred_reason::ABORT_ON_MEMORY,
            "inferred_tcp_abort_on_memory",
        ),
        (inferred_reason::TCP_STATE, "inferred_tcp_state"),
        (
            inferred_reason::KEEPALIVE_TIMEOUT,
            "inferred_tcp_keepalive_timeout",
        ),
        (inferred_reason::INVALID_SEGMENT, "inferred_invalid_segment"),
    ];
    let inferred = inferred.map(|(reason, name)| (reason, name.to_owned()));
    Reasons::new(names.into_iter().chain(inferred))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_names_on_every_kernel() {
        let named = reasons(vec![(11, "tcp_abort_on_close".to_owned())]);
        assert_eq!(named.name(11), "tcp_abort_on_close");
        assert_eq!(named.name(99), "reason_99", "newer than its BTF");
        let none = reasons(Vec::new());
        assert_eq!(none.name(130), "inferred_tcp_abort_on_close");
        assert_eq!(none.name(0), "not_specified");
    }
}
