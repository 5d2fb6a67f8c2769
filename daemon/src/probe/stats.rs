//! The kernel's figures about the programs and maps, and what the programs say they lost.

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray},
    programs::Program,
};
use finwatch_common::Loss;

use super::{
    ProbeError,
    object::{ITERATORS, TRACEPOINT_PROGRAMS, map},
    rows::Rows,
};

/// What was lost, and counted: each number only grows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Losses {
    /// Records the full ring buffer refused, by kind: close, reset, listener, signal, exit, unread.
    pub ring_full: [u64; 6],
    /// Processes of services, or phases, that a full table refused.
    pub processes_full: u64,
    /// Counter updates that fell to the `other` row as the map was full.
    pub rows_full: u64,
    /// Records whose bytes were malformed.
    pub malformed: u64,
    /// Sockets whose storage could not be created (optmem, memory).
    pub storage_failed: u64,
    /// MPTCP subflows, which are left out.
    pub mptcp_subflows: u64,
    /// No loss: transitions that the recursion guard skipped and the second program made good.
    pub made_good: u64,
}

/// One program's own figures.
#[derive(Debug, Clone)]
pub struct ProgramStats {
    /// Name of the program.
    pub name: &'static str,
    /// Whether it is attached; an iterator, loaded and opened whenever it is wanted, always is.
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

/// Tells what was lost, to everybody who wants to know: the programs and the ring's reader alone write it.
#[derive(Clone)]
pub struct LossCounters {
    programs: Arc<PerCpuArray<MapData, u64>>,
    malformed: Arc<AtomicU64>,
}

/// Tells how the programs and maps are.
pub struct Stats {
    programs: Vec<(&'static str, OwnedFd)>,
    row_capacity: u64,
}

// === impl LossCounters ===

impl LossCounters {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            programs: Arc::new(map(ebpf, "LOSSES")?),
            malformed: Arc::default(),
        })
    }

    /// The ring's reader refused a record.
    pub(super) fn malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    /// What was lost so far.
    pub fn read(&self) -> Losses {
        let count = |loss: Loss| -> u64 {
            self.programs
                .get(&(loss as u32), 0)
                .map_or(0, |cpus| cpus.iter().sum())
        };
        Losses {
            ring_full: [
                count(Loss::CloseRecords),
                count(Loss::ResetRecords),
                count(Loss::ListenerRecords),
                count(Loss::SignalRecords),
                count(Loss::ExitRecords),
                count(Loss::UnreadRecords),
            ],
            processes_full: count(Loss::ProcessesFull),
            rows_full: count(Loss::RowsFull),
            malformed: self.malformed.load(Ordering::Relaxed),
            storage_failed: count(Loss::StorageFailed),
            mptcp_subflows: count(Loss::MptcpSubflows),
            made_good: count(Loss::MadeGood),
        }
    }
}

// === impl Losses ===

impl Losses {
    /// Records that nobody was told, of any kind, and processes of which no record is written.
    pub fn records(&self) -> u64 {
        self.ring_full.iter().sum::<u64>() + self.malformed + self.processes_full
    }
}

// === impl Stats ===

impl Stats {
    pub(super) fn new(ebpf: &mut Ebpf, row_capacity: u64) -> Result<Self, ProbeError> {
        let names = TRACEPOINT_PROGRAMS.iter().map(|(name, _)| *name);
        let programs = names
            .chain(ITERATORS)
            .map(|name| Ok((name, program_fd(ebpf, name)?)))
            .collect::<Result<_, ProbeError>>()?;
        Ok(Self {
            programs,
            row_capacity,
        })
    }

    /// Every program's figures, from `/proc/self/fdinfo`: it needs no capability.
    pub fn programs(&self) -> Vec<ProgramStats> {
        self.programs
            .iter()
            .map(|(name, fd)| {
                let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))
                    .unwrap_or_default();
                ProgramStats {
                    name,
                    attached: true,
                    runs: figure(&text, "run_cnt"),
                    run_time_ns: figure(&text, "run_time_ns"),
                    recursion_misses: figure(&text, "recursion_misses"),
                }
            })
            .collect()
    }

    /// Every table's fill.
    pub fn maps(&self, rows: &Rows) -> Vec<MapStats> {
        let (services, resets) = rows.fill();
        let capacity = self.row_capacity;
        [("services", services), ("resets", resets)]
            .map(|(name, entries)| MapStats {
                name,
                entries,
                capacity,
            })
            .to_vec()
    }
}

fn program_fd(ebpf: &mut Ebpf, name: &'static str) -> Result<OwnedFd, ProbeError> {
    let program = ebpf.program(name).ok_or(ProbeError::Missing { name })?;
    let fd = match program {
        Program::BtfTracePoint(program) => program.fd(),
        Program::Iter(program) => program.fd(),
        _ => return Err(ProbeError::Missing { name }),
    };
    fd.map_err(|source| ProbeError::Program {
        what: "use",
        name,
        source,
    })?
    .as_fd()
    .try_clone_to_owned()
    .map_err(|source: io::Error| ProbeError::Figures { name, source })
}

/// The number behind `name:` in a text of `/proc/<pid>/fdinfo`; 0 when the kernel does not say.
fn figure(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix(':')?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_program() {
        let text =
            "pos:\t0\nprog_type:\t26\nrun_time_ns:\t1234\nrun_cnt:\t7\nrecursion_misses:\t2\n";
        assert_eq!(figure(text, "run_cnt"), 7);
        assert_eq!(figure(text, "run_time_ns"), 1234);
        assert_eq!(figure(text, "recursion_misses"), 2);
        assert_eq!(figure("pos:\t0\n", "recursion_misses"), 0, "before 5.12");
    }
}
