//! Whether anything was sent on a connection since its instance began to drain or reload.

use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns};

use super::{
    conn::Conn,
    kernel::{Tcp, offset, tick_ns},
    phases,
};

/// Surely nothing was: what followed the last question is no goodbye.
#[inline(always)]
pub(super) fn nothing_in_phase(tcp: Tcp, conn: &Conn) -> bool {
    let since_ns = phases::since_ns(conn.start_ns, conn.owner_tgid);
    since_ns != 0 && is_before(tcp, since_ns)
}

/// Something was, or up to two ticks before.
#[inline(always)]
pub(super) fn in_phase(tcp: Tcp, conn: &Conn) -> bool {
    let since_ns = phases::since_ns(conn.start_ns, conn.owner_tgid);
    since_ns != 0 && !is_before(tcp, since_ns)
}

/// Whether data was last sent before this time.
#[inline(always)]
fn is_before(tcp: Tcp, since_ns: u64) -> bool {
    // SAFETY: the helpers have no preconditions. The kernel keeps the lower half (`tcp_jiffies32`).
    let (now_ns, now) = unsafe { (bpf_ktime_get_ns(), bpf_jiffies64() as u32) };
    let age = now.wrapping_sub(tcp.get::<u32>(offset!(lsndtime)));
    // A tick may have begun long before, and the clocks are not read at once.
    u64::from(age.saturating_sub(2)) * tick_ns() > now_ns.saturating_sub(since_ns)
}
