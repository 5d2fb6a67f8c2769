//! The families of processes that own services: who called `listen()`, who was forked by them, and whom user
//! space names beside them.
//!
//! Written where `listen()`, `fork()`, `execve()` and the last exit of a process happen, and by user space for
//! processes that are older than the programs and for controllers, which no event names. 8192 entries of
//! about 100 bytes, set aside at load.

use aya_ebpf::{btf_maps::HashMap, macros::btf_map};
use finwatch_common::{Kinship, Loss, Process, ProcessEntry};

use super::{
    kernel::{Raw, offset},
    losses,
    task::start_ns,
};

#[btf_map]
static PROCESSES: HashMap<u32, ProcessEntry, 8192> = HashMap::new();

/// What a process is, if it belongs to an instance.
#[inline(always)]
pub(super) fn find(tgid: u32) -> Option<ProcessEntry> {
    let found = PROCESSES.get_ptr(tgid)?;
    // SAFETY: the entry stays readable for the run of the program; a torn read could only mix two
    // processes of the same number.
    Some(unsafe { *found })
}

/// Whether an entry is of the process that has its number now. User space may enter one that ended meanwhile.
#[inline(always)]
pub(super) const fn is_still(entry: &ProcessEntry, start_ns: u64) -> bool {
    entry.start_ns == 0 || entry.start_ns == start_ns
}

/// The current process called `listen()`: the instance that it belongs to, or is from now on.
#[inline(always)]
pub(super) fn of_listener(tgid: u32, start_ns: u64) -> Process {
    if let Some(entry) = find(tgid)
        && entry.kinship != Kinship::Controller as u8
        && is_still(&entry, start_ns)
    {
        return entry.instance;
    }
    let instance = Process {
        start_ns,
        tgid,
        pad: 0,
    };
    if tgid != 0 {
        insert(tgid, instance, start_ns, start_ns, Kinship::Owner);
    }
    instance
}

/// A process of an instance forked: the child holds what it holds.
#[inline(always)]
pub(super) fn grow(parent: Raw, child: Raw) {
    let parent_tgid: u32 = parent.get(offset!(tgid));
    let tgid: u32 = child.get(offset!(tgid));
    if parent_tgid == tgid {
        return;
    }
    let Some(entry) = find(parent_tgid) else {
        return;
    };
    if entry.kinship == Kinship::Controller as u8
        || !is_still(&entry, start_ns(parent.follow(offset!(group_leader))))
    {
        return;
    }
    let born_ns = child.get(offset!(start_boottime));
    insert(
        tgid,
        entry.instance,
        start_ns(child),
        born_ns,
        Kinship::Member,
    );
}

/// A process runs another program now: a member leaves the family, as what it does is no longer the server's
/// own work.
#[inline(always)]
pub(super) fn estrange(tgid: u32) {
    if let Some(entry) = find(tgid)
        && entry.kinship == Kinship::Member as u8
    {
        forget(tgid);
    }
}

/// A process is gone.
#[inline(always)]
pub(super) fn forget(tgid: u32) {
    // It fails only when it is gone already.
    let _ = PROCESSES.remove(tgid);
}

#[inline(always)]
fn insert(tgid: u32, instance: Process, start_ns: u64, born_ns: u64, kinship: Kinship) {
    let entry = ProcessEntry {
        instance,
        start_ns,
        born_ns,
        kinship: kinship as u8,
        pad: [0; 7],
    };
    if PROCESSES.insert(tgid, entry, 0).is_err() {
        losses::count(Loss::ProcessesFull);
    }
}
