//! Loads the embedded object and attaches its programs.

use std::{
    io,
    panic::resume_unwind,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Btf, Ebpf, EbpfError, EbpfLoader,
    maps::{Array, MapData, MapError},
    programs::{BtfTracePoint, Program, ProgramError},
};
use finwatch_common::{Features, Offsets, RowCells};

use super::{
    Closes, Probe, ProbeError, ProbeOptions,
    error::refused,
    log, meanings,
    object::{ITERATORS, OBJECT, TRACEPOINT_PROGRAMS, map, program},
    offsets::Kernel,
    ports::Ports,
    processes::{Phases, Processes},
    reasons::reasons,
    ring::Ring,
    row_table,
    rows::Rows,
    seed,
    stats::{LossCounters, Stats},
    survey::Survey,
};

/// Most programs that are verified at once: there are no more that take long.
const MAX_THREADS: usize = 4;
/// The programs that the verifier takes longest for, the longest first.
const LONGEST: [&str; 4] = [
    "finwatch_state",
    "finwatch_state_again",
    "finwatch_destroy",
    "finwatch_read",
];

/// The object's globals, for the library.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Global<T: Copy + 'static>(T);

// SAFETY: both are repr(C) structures of u32 alone.
unsafe impl aya::Pod for Global<Offsets> {}
// SAFETY: as above.
unsafe impl aya::Pod for Global<Features> {}

/// Loads and attaches every program, and seeds the sockets that are there.
pub(super) fn load(options: &ProbeOptions) -> Result<Probe, ProbeError> {
    let (mut kernel, mut loader, btf) = types()?;
    if let Some(name) = kernel.missing_tracepoint() {
        return Err(ProbeError::Tracepoint { name });
    }
    kernel.features.ring_wake_bytes = options.ring_bytes / 4;
    kernel.features.tell_refused = options.tell_refused.into();
    let cpus = row_table::cpus().map_err(|error| ProbeError::Counters(error.into()))?;
    let max_rows = options.max_rows.unwrap_or_else(|| rows_by_memory(cpus));
    kernel.features.rows = max_rows;
    let offsets = Global(kernel.offsets);
    let features = Global(kernel.features);
    let log_level = log::level(options.log);
    let mut ebpf = loader
        .override_global("OFFSETS", &offsets, true)
        .override_global("FEATURES", &features, true)
        .override_global(aya_log::LEVEL, &log_level, false)
        .map_max_entries("RECORDS", options.ring_bytes)
        .map_max_entries("HEADS", max_rows)
        .map_max_entries(
            "ROWS",
            max_rows.saturating_mul(u32::try_from(cpus).unwrap_or(1)),
        )
        .map_max_entries("INDEX", max_rows)
        .map_max_entries("FREE", max_rows)
        .map_max_entries("RESETS", max_rows.saturating_mul(RESETS_A_ROW))
        .load(OBJECT)
        .map_err(object_error)?;
    verify(&mut ebpf, btf)?;
    if options.log {
        log::start(&mut ebpf);
    }
    let rows = Rows::new(&mut ebpf, max_rows, cpus)?;
    meanings::fill(&mut ebpf)?;
    let processes = Processes::new(&mut ebpf)?;
    let phases = Phases::new(&mut ebpf)?;
    let closes = Closes::new(&mut ebpf)?;
    let ports = Ports::new(&mut ebpf)?;
    let losses = LossCounters::new(&mut ebpf)?;
    let ring = Ring::new(map(&mut ebpf, "RECORDS")?, losses.clone());
    let stats = Stats::new(&mut ebpf, max_rows.into())?;
    // Listeners first, so that a connection seen in the next milliseconds knows its role.
    seed::run(&mut ebpf);
    attach(&mut ebpf)?;
    let seeded = seed::run(&mut ebpf);
    Ok(Probe {
        rows,
        ring,
        survey: Survey::new(ebpf),
        processes,
        phases,
        closes,
        ports,
        stats,
        losses,
        reasons: reasons(kernel.reset_reasons),
        listeners: seeded.listeners,
        unseeded: seeded.refused,
    })
}

/// What the programs are told of the kernel's types; a loader; and all types, for the library, which reads them its own way. One
/// after the other: each reads some megabytes and makes more of them, and the most memory that the daemon ever takes is
/// taken here. A loader reads all types when it is made, for relocations of a kind that our object has none of, and lets go of
/// them at once.
fn types<'a>() -> Result<(Kernel, EbpfLoader<'a>, Btf), ProbeError> {
    let kernel = Kernel::look_up()?;
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    let btf = Btf::from_sys_fs().map_err(|error| object_error(EbpfError::BtfError(error)))?;
    Ok((kernel, loader, btf))
}

/// Hands every program to the kernel's verifier: most of the time that a start takes, so on every CPU at once. Those that
/// take longest are begun first. The types are half of what the daemon holds by then, and go with the last program.
fn verify(ebpf: &mut Ebpf, btf: Btf) -> Result<(), ProbeError> {
    let mut programs: Vec<(&'static str, &mut Program)> = Vec::new();
    for (name, program) in ebpf.programs_mut() {
        let known = TRACEPOINT_PROGRAMS.iter().map(|(name, _)| name);
        if let Some(name) = known.chain(&ITERATORS).find(|known| **known == name) {
            programs.push((name, program));
        }
    }
    if let Some(name) = missing(&programs) {
        return Err(ProbeError::Missing { name });
    }
    programs.sort_by_key(|(name, _)| LONGEST.iter().rev().position(|long| long == name));
    let waiting = Mutex::new(programs);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work =
        || std::iter::from_fn(next).try_for_each(|(name, program)| load_one(name, program, &btf));
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads()).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done = done.and(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    })
}

fn missing(there: &[(&'static str, &mut Program)]) -> Option<&'static str> {
    let wanted = TRACEPOINT_PROGRAMS.iter().map(|(name, _)| name);
    let is_there = |wanted: &&&str| there.iter().any(|(name, _)| name == *wanted);
    wanted
        .chain(&ITERATORS)
        .find(|name| !is_there(name))
        .copied()
}

fn load_one(name: &'static str, program: &mut Program, btf: &Btf) -> Result<(), ProbeError> {
    let loaded = match program {
        Program::Iter(program) => program.load("tcp", btf),
        Program::BtfTracePoint(program) => {
            let found = TRACEPOINT_PROGRAMS.iter().find(|(its, _)| *its == name);
            let (_, tracepoint) = found.ok_or(ProbeError::Missing { name })?;
            program.load(tracepoint, btf)
        }
        _ => return Err(ProbeError::Missing { name }),
    };
    loaded.map_err(|source| program_error("load", name, source))
}

fn threads() -> usize {
    thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MAX_THREADS)
}

/// Room for RSTs of so many kinds, by reason and by what is lost, as a row has on average: most have none.
const RESETS_A_ROW: u32 = 4;

/// As many counter rows as fit into 64 MiB of kernel memory: each has its cells on every CPU.
fn rows_by_memory(cpus: usize) -> u32 {
    const BUDGET_BYTES: usize = 64 << 20;
    const { assert!(size_of::<RowCells>() < 1024) };
    let rows = BUDGET_BYTES / (cpus.max(1) * size_of::<RowCells>());
    u32::try_from(rows).unwrap_or(u32::MAX).clamp(1024, 6144)
}

/// Attaches every tracepoint program, in the order of the table, and lets the survey take on connections.
fn attach(ebpf: &mut Ebpf) -> Result<(), ProbeError> {
    for (name, _) in TRACEPOINT_PROGRAMS {
        let program: &mut BtfTracePoint = program(ebpf, name)?;
        program
            .attach()
            .map_err(|source| program_error("attach", name, source))?;
    }
    let name = "ATTACHED";
    let mut attached: Array<MapData, u32> = map(ebpf, name)?;
    attached
        .set(0, 1, 0)
        .map_err(|source| ProbeError::Map { name, source })
}

fn program_error(what: &'static str, name: &'static str, source: ProgramError) -> ProbeError {
    let denied = match &source {
        ProgramError::LoadError { io_error, .. } => copy_of(io_error),
        ProgramError::SyscallError(error) => copy_of(&error.io_error),
        _ => None,
    };
    denied
        .and_then(|error| refused("load BPF programs", error))
        .unwrap_or(ProbeError::Program { what, name, source })
}

fn object_error(error: EbpfError) -> ProbeError {
    let denied = match &error {
        EbpfError::MapError(MapError::CreateError { io_error, .. }) => copy_of(io_error),
        EbpfError::MapError(MapError::SyscallError(error)) => copy_of(&error.io_error),
        _ => None,
    };
    denied
        .and_then(|error| refused("create BPF maps", error))
        .unwrap_or(ProbeError::Object(error))
}

fn copy_of(error: &io::Error) -> Option<io::Error> {
    error.raw_os_error().map(io::Error::from_raw_os_error)
}
