//! The read hook. It runs once a read of every program on the host, so it does next to nothing.

use aya_ebpf::helpers::bpf_ktime_get_ns;

use finwatch_common::{Cell, WAITED_MS};
use finwatch_probe::tcp::seq_after;

use super::{
    conn::{Conn, flag},
    judge,
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
    let began = conn.turns.began;
    let written = conn.turns.written;
    let first = conn.turns.count == 0;
    let more = conn.has(flag::MORE_TO_READ);
    conn.turns.on_read(tcp.write_seq(), tcp.copied_seq(), new);
    // A peek took nothing, and leaves everything.
    if conn.turns.read != before {
        if (tcp.unread() > 0) != more {
            conn.toggle(flag::MORE_TO_READ);
        }
        if first {
            note_wait(tcp, conn);
        } else if conn.turns.written != written {
            // A question behind an answer.
            let follows = more || judge::was_sent_unanswered(tcp, before);
            if follows != conn.has(flag::FOLLOWS) {
                conn.toggle(flag::FOLLOWS);
            }
        } else if new > 0 && conn.turns.began == began {
            // More of the question came since some of it was read.
            conn.parted = began;
        }
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

/// The first question is read: it had been there for so long. Who is slow to ask has not waited, and the rest of a question that
/// still came makes it less, never more.
#[inline(always)]
fn note_wait(tcp: Tcp, conn: &mut Conn) {
    if !conn.is_server() || conn.has(flag::PREEXISTING) {
        return;
    }
    conn.waited_ms = judge::age_ms(tcp.get(offset!(lrcvtime)));
    if conn.waited_ms >= WAITED_MS
        && let Some(row) = conn.row()
    {
        row.inc_at::<{ Cell::WAITED.index() }>();
    }
}
