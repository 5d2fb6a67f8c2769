//! Transitions that no program saw, made good at the socket's next one.
//!
//! Beside the recursion guard, which the second program makes up for, a kernel may leave a tracepoint's
//! programs out for reasons of its own. Every later transition tells by its old state what came before.
//! Whose turn it was then is not judged: the moment to tell has passed.

use finwatch_common::{Cell, Loss};
use finwatch_probe::tcp::state;

use super::{
    conn::{Conn, flag},
    counters::Row,
    kernel::Tcp,
    losses,
    open::{left, left_close_wait, opened},
};

/// The connection leaves `old`, so it was open: with TCP Fast Open before it was established, else
/// because the transition to ESTABLISHED was not seen.
#[inline(always)]
pub(super) fn on_opened(sk: *const u8, tcp: Tcp, conn: &mut Conn, row: Row, old: u8) {
    // It has its listener's flags until then.
    conn.be_child(tcp);
    if conn.has(flag::OPENED) {
        return;
    }
    if !conn.has(flag::TURNS) {
        conn.begin_turns_early(tcp);
    }
    Conn::name(sk);
    opened(conn, row);
    if old != state::SYN_RECV {
        losses::count(Loss::MadeGood);
    }
}

/// The connection leaves CLOSE_WAIT, so it came there.
#[inline(always)]
pub(super) fn on_close_wait(sk: *const u8, tcp: Tcp, conn: &mut Conn, row: Row, old: u8) {
    on_opened(sk, tcp, conn, row, old);
    if !conn.has(flag::JUDGED) {
        losses::count(Loss::MadeGood);
        conn.set(flag::CLOSE_WAIT);
        conn.set(flag::JUDGED);
        row.inc(Cell::CLOSE_WAIT_IN);
    }
}

/// The connection ends in `old`, so it took the steps that lead there.
#[inline(always)]
pub(super) fn on_closing(sk: *const u8, tcp: Tcp, conn: &mut Conn, row: Row, old: u8) {
    match old {
        state::FIN_WAIT1 | state::FIN_WAIT2 | state::CLOSING if !conn.has(flag::LOCAL_FIN) => {
            losses::count(Loss::MadeGood);
            left(conn, row);
            conn.set(flag::LOCAL_FIN);
            conn.set(flag::JUDGED);
            conn.fin_rcv_nxt = tcp.rcv_nxt();
        }
        state::CLOSE_WAIT => on_close_wait(sk, tcp, conn, row, old),
        state::LAST_ACK => {
            on_close_wait(sk, tcp, conn, row, old);
            left_close_wait(conn, row);
        }
        _ => {}
    }
}
