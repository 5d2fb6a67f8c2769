//! Which instances drain or reload: set here at the instant of the signal, looked up wherever something is
//! counted, and removed by user space when the old processes are gone; of one of which nothing is left, when no
//! connection of it can be asked any more.
//!
//! Most of the time nothing drains, so a look-up begins with two numbers: how many entries the programs made, and
//! how many user space removed. 1024 entries of about 90 bytes, set aside at load.
//!
//! User space removes an entry some time after it knew that the phase is over. A signal may come in between, so each leaves its
//! time, and what was asked for since is left as it is.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    btf_maps::{Array, HashMap},
    helpers::bpf_ktime_get_ns,
    macros::btf_map,
};
use finwatch_common::{Loss, Phase, PhaseEntry, Process};

use super::{atomic, losses};

#[btf_map]
static PHASES: HashMap<Process, PhaseEntry, 1024> = HashMap::new();
/// Entries made (by the programs) and removed (by user space) so far.
#[btf_map]
static PHASES_MADE: Array<u64, 2> = Array::new();

/// Whether any instance drains or reloads.
#[inline(always)]
pub(super) fn any() -> bool {
    match (PHASES_MADE.get(0), PHASES_MADE.get(1)) {
        (Some(made), Some(removed)) => made != removed,
        _ => false,
    }
}

/// The phase of an instance, as its byte.
#[inline(always)]
pub(super) fn of(start_ns: u64, tgid: u32) -> u8 {
    if !any() {
        return Phase::Steady as u8;
    }
    let instance = Process {
        start_ns,
        tgid,
        pad: 0,
    };
    match PHASES.get_ptr(instance) {
        // SAFETY: the entry stays readable for the run of the program.
        Some(entry) => unsafe { (*entry).phase as u8 },
        None => Phase::Steady as u8,
    }
}

/// When an instance began to drain or reload; 0 when it does neither.
#[inline(always)]
pub(super) fn since_ns(start_ns: u64, tgid: u32) -> u64 {
    if !any() {
        return 0;
    }
    let instance = Process {
        start_ns,
        tgid,
        pad: 0,
    };
    match PHASES.get_ptr(instance) {
        // SAFETY: the entry stays readable for the run of the program.
        Some(entry) => unsafe { (*entry).since_ns },
        None => 0,
    }
}

/// An instance begins to drain, or to reload unless it drains.
#[inline(always)]
pub(super) fn set(instance: Process, phase: Phase) {
    // SAFETY: the helper has no preconditions.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let entry = PhaseEntry {
        since_ns: now_ns,
        signalled_ns: now_ns,
        phase: phase as u32,
        pad: 0,
    };
    if PHASES.insert(instance, entry, BPF_NOEXIST.into()).is_ok() {
        if let Some(made) = PHASES_MADE.get_ptr_mut(0) {
            // SAFETY: the pointer is to the map's only element; other CPUs write it too, hence atomic.
            unsafe { atomic::add(made, 1) };
        }
        return;
    }
    match PHASES.get_ptr_mut(instance) {
        Some(there) => {
            // SAFETY: as below.
            unsafe { (&raw mut (*there).signalled_ns).write_volatile(now_ns) };
            if matches!(phase, Phase::Draining) {
                // SAFETY: the entry stays writable for the run of the program; one aligned word.
                unsafe { (&raw mut (*there).phase).write_volatile(phase as u32) };
            }
        }
        None => losses::count(Loss::ProcessesFull),
    }
}
