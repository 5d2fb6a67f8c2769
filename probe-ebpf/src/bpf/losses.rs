//! What was lost, counted: written here alone, atomically; read by user space. 8 cells on each CPU.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};
use finwatch_common::Loss;

use super::atomic;

#[btf_map]
static LOSSES: PerCpuArray<u64, { Loss::COUNT }> = PerCpuArray::new();

/// Adds one.
#[inline(always)]
pub(super) fn count(loss: Loss) {
    if let Some(cell) = LOSSES.get_ptr_mut(loss as u32) {
        // SAFETY: the pointer is to this CPU's cell; an interrupt may write it too, hence atomic.
        unsafe { atomic::add(cell, 1) };
    }
}
