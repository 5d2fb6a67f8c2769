//! The kernel side as the rest of the daemon sees it. The only folder that imports aya. What is loaded comes apart into
//! handles, each for the one task that uses it: nobody waits for another's system call.

mod batch;
mod btf;
mod closes;
mod error;
mod load;
mod log;
mod mapped;
mod meanings;
mod object;
mod offsets;
mod ports;
mod processes;
mod prototypes;
mod reasons;
mod ring;
mod row_table;
mod rows;
mod seed;
mod stats;
mod survey;

use finwatch_common::SurveyRow;
use finwatch_engine::Reasons;

pub use self::{
    btf::Prototype,
    closes::Closes,
    error::ProbeError,
    ports::Ports,
    processes::{Phases, Processes},
    prototypes::Prototypes,
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
    /// Most counter rows; what comes on top is counted in the `other` row. `None`: as
    /// many as 64 MiB hold, at least 1,024 and at most 6,144.
    pub max_rows: Option<u32>,
    /// Tell each refused SYN, which anybody may send in any number: not where what is lost of the records matters.
    pub tell_refused: bool,
    /// Show the programs' own log lines (target `finwatch::probe_log` of `tracing`).
    pub log: bool,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            ring_bytes: 4 << 20,
            max_rows: None,
            tell_refused: false,
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
    /// Which closes are told.
    pub closes: Closes,
    /// The table of ports.
    pub ports: Ports,
    /// How the programs are.
    pub stats: Stats,
    /// What was lost.
    pub losses: LossCounters,
    /// Names of the reset reasons: `enum sk_rst_reason` of the running kernel, or `inferred_*` from 128 on.
    pub reasons: Reasons,
    /// Who listened when the programs had been attached; who listens since then is told by records.
    pub listeners: Vec<SurveyRow>,
    /// Network namespaces that could not be entered, in words: their older sockets are not known.
    pub unseeded: Vec<String>,
}

impl Probe {
    /// Reads the kernel's BTF, loads and attaches every program, and seeds the sockets of every network
    /// namespace it may enter. Blocking; a third of a second, most of it the verifier's.
    ///
    /// # Errors
    /// Names what the kernel or the process lacks.
    pub fn load(options: &ProbeOptions) -> Result<Self, ProbeError> {
        load::load(options)
    }
}
