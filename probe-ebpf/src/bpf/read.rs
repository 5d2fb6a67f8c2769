//! The read hook. It runs once a read of every program on the host, so it does next to nothing.

use aya_ebpf::helpers::bpf_ktime_get_ns;

use finwatch_probe::tcp::seq_after;

use super::{
    conn::{Conn, flag},
    kernel::{Tcp, offset},
    phases,
};

/// The program took bytes from `sk`.
#[inline(always)]
pub(super) fn on_read(sk: *const u8) -> i32 {
    let Some(conn) = Conn::find(sk) else {
        return 0;
    };
    let Some(tcp) = Tcp::of(sk) else {
        return 0;
    };
    if conn.has(flag::LOCAL_FIN) {
        // Nothing can be answered any more: whose turn it was is judged.
        return 0;
    }
    if !conn.has(flag::TURNS) {
        conn.begin_turns_early(tcp);
    }
    let segments: u32 = tcp.get(offset!(data_segs_in));
    // A client's question makes no room: what it reads is an answer, however short.
    let new = if conn.is_server() {
        segments.wrapping_sub(conn.segments)
    } else {
        0
    };
    conn.segments = segments;
    let before = conn.turns.read;
    conn.turns.on_read(tcp.write_seq(), tcp.copied_seq(), new);
    // A peek took nothing, and leaves everything.
    if conn.turns.read != before && (tcp.unread() > 0) != conn.has(flag::MORE_TO_READ) {
        conn.toggle(flag::MORE_TO_READ);
    }
    // The peer's goodbye in answer to the stop is no question that came after it, and behind a FIN nobody asks in TLS.
    if phases::any()
        && !conn.turns.is_goodbye(seq_after(conn.turns.read, before))
        && !(conn.has(flag::CLOSE_WAIT) && conn.turns.may_be_tls())
    {
        // SAFETY: the helper has no preconditions.
        conn.last_read_ns = unsafe { bpf_ktime_get_ns() };
    }
    0
}
