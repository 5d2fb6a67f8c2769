//! The one atomic operation that every BPF machine has.

use core::arch::asm;

/// Adds to a counter that an interrupt on the same CPU may add to as well.
///
/// The compiler's own atomics are not offered for this target, as old BPF machines cannot give the
/// value back; nobody here asks for it.
///
/// # Safety
/// `counter` points into a map's value, is aligned, and the verifier can prove that it is in bounds.
#[inline(always)]
pub(super) unsafe fn add(counter: *mut u64, by: u64) {
    // SAFETY: the caller vouches for the pointer.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) by) };
}
