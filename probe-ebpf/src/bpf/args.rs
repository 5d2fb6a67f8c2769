//! A tracepoint's arguments, for who must not trust their types.

use aya_ebpf::{EbpfContext as _, programs::BtfTracePointContext};

/// The arguments of a tracepoint as plain numbers: nothing the verifier knows a type of.
#[inline(always)]
pub(super) fn scalar_args<const N: usize>(ctx: &BtfTracePointContext) -> Option<[u64; N]> {
    // SAFETY: the context holds at least as many arguments as the prototype; the caller asks for no
    // more than the running kernel's prototype has.
    unsafe { aya_ebpf::helpers::bpf_probe_read_kernel(ctx.as_ptr().cast::<[u64; N]>()) }.ok()
}
