//! Births and deaths in the families of processes that own services.

use aya_ebpf::programs::BtfTracePointContext;
use finwatch_common::{ExitRecord, KIND_EXIT, Loss, Process};

use super::{
    args::scalar_args,
    family,
    kernel::{Raw, offset},
    ring::{Slot, header},
};

/// `sched_process_fork`.
#[inline(always)]
pub(super) fn on_fork(ctx: &BtfTracePointContext) -> i32 {
    if let Some([parent, child]) = scalar_args::<2>(ctx) {
        family::grow(Raw(parent), Raw(child));
    }
    0
}

/// `sched_process_exec`.
#[inline(always)]
pub(super) fn on_exec(ctx: &BtfTracePointContext) -> i32 {
    if let Some([task]) = scalar_args::<1>(ctx) {
        family::estrange(Raw(task).get(offset!(tgid)));
    }
    0
}

/// `sched_process_exit`: a thread ends, and with the last one its process. Its files are still open.
#[inline(always)]
pub(super) fn on_exit(ctx: &BtfTracePointContext) -> i32 {
    let Some([task]) = scalar_args::<1>(ctx) else {
        return 0;
    };
    let task = Raw(task);
    let tgid: u32 = task.get(offset!(tgid));
    let Some(entry) = family::find(tgid) else {
        return 0;
    };
    // `do_exit` has taken this thread off the count already.
    let alive: i32 = task.follow(offset!(signal)).get(offset!(signal_live));
    if alive > 0 {
        return 0;
    }
    family::forget(tgid);
    let Some(mut slot) = Slot::<ExitRecord>::reserve(Loss::ExitRecords) else {
        return 0;
    };
    let record = ExitRecord {
        header: header::<ExitRecord>(KIND_EXIT),
        instance: entry.instance,
        process: Process {
            start_ns: entry.start_ns,
            tgid,
            pad: 0,
        },
        born_ns: entry.born_ns,
        comm: task.follow(offset!(group_leader)).get(offset!(comm)),
        status: task.get(offset!(exit_code)),
        kinship: entry.kinship,
        pad: [0; 3],
    };
    // SAFETY: the slot is room for exactly this record.
    unsafe { slot.record().write(record) };
    slot.submit_at_once();
    0
}
