//! The transition to CLOSE: what it was, by the rules of `classify`, counted or left to be settled by
//! what follows.

use finwatch_common::{Cell, Loss, Outcome, Phase, TimeWait};
use finwatch_probe::{
    classify::{End, Verdict, classify, origin},
    tcp::{SOCK_DEAD, SOCK_DONE, errno, seq_after, state, unacked},
    turns::Turn,
};

use super::{
    catch_up,
    conn::{Conn, NONE, flag, kind, pending},
    counters::Row,
    judge,
    kernel::{Tcp, offset},
    losses, mini_socket,
    open::{left, left_close_wait},
    tell::{self, Told},
    wanted,
};

#[inline(always)]
pub(super) fn on_end(sk: *const u8, tcp: Tcp, conn: &mut Conn, row: Row, old: u8) {
    let old = conn.forget(old.into()) as u8;
    if old == state::SYN_SENT
        || (old == state::SYN_RECV && !tcp.has_file() && !conn.has(flag::OPEN))
    {
        return never_established(conn, row, old);
    }
    catch_up::on_opened(sk, tcp, conn, row, old);
    catch_up::on_closing(sk, tcp, conn, row, old);
    let open = old == state::ESTABLISHED || old == state::CLOSE_WAIT;
    if open {
        row.inc(Cell::ESTAB_RESETS);
    }
    left_close_wait(conn, row);
    left(conn, row);
    if open && !tcp.owned() && !is_orphan(tcp) && !tcp.has_file() {
        conn.set(flag::NEVER_ACCEPTED);
        row.inc(Cell::ACCEPT_QUEUE_DROPPED);
    }
    let err: i32 = tcp.sock(offset!(err));
    if !tcp.owned()
        && ((err == errno::EPIPE && old == state::CLOSE_WAIT)
            || (err == errno::ECONNRESET && old != state::CLOSE_WAIT))
    {
        conn.set(flag::RESET_SEEN);
    }
    let time_wait = if err == 0
        && !conn.has(flag::RESET_SEEN)
        && (old == state::FIN_WAIT2 || old == state::CLOSING)
    {
        mini_socket::left_by(tcp, conn)
    } else {
        TimeWait::None as u32
    };
    let time_wait = conn.forget(time_wait);
    let unread = conn.forget(tcp.unread());
    let unacked = unacked(tcp.write_seq(), tcp.get(offset!(snd_una)), old);
    let unacked = conn.forget(unacked);
    conn.unread = unread;
    conn.old_state = old;
    conn.set(flag::CLOSED);
    let verdict = classify(End {
        old_state: old,
        owned: tcp.owned(),
        never_accepted: conn.has(flag::NEVER_ACCEPTED),
        err,
        shutdown: tcp.sock(offset!(shutdown)),
        reset_seen: conn.has(flag::RESET_SEEN),
        reset_before: conn.has(flag::RESET_BEFORE),
        retrying: tcp.retrying(),
        unacked: unacked > 0,
        time_wait: if time_wait == 0 {
            TimeWait::None
        } else {
            TimeWait::TimeWait
        },
    });
    let verdict = conn.forget(verdict.code());

    match Verdict::from_code(verdict) {
        Verdict::ResetFollows | Verdict::Known(Outcome::ResetSent) => {
            judge::ended_by_us(tcp, conn, row, old, unread);
        }
        Verdict::Known(Outcome::ResetReceived) | Verdict::ReceivedUnlessResetFollows => {
            judge::ended_by_peer(tcp, conn, row);
        }
        _ => {}
    }
    judge::small_at_end(conn, row, old);
    judge::came_too_late(tcp, conn, row);
    if unread > 0 && verdict == Verdict::ResetFollows.code() {
        row.inc(Cell::UNREAD);
        row.add(Cell::UNREAD_BYTES, unread.into());
    } else if (unread > 0 || old == state::FIN_WAIT2) && !is_orphan(tcp) {
        conn.set(flag::UNREAD_LATER);
    }
    if unacked > 0 {
        row.inc(Cell::UNACKED);
        row.add(Cell::UNACKED_BYTES, unacked.into());
    }
    count_ways(tcp, conn, row);
    let outcome = count_end(conn, row, old, Verdict::from_code(verdict));
    let outcome = conn.forget(outcome as u32) as u8;
    count_mini_socket(tcp, conn, row, old, outcome, time_wait);
    let told = Told {
        old,
        outcome,
        time_wait: time_wait as u8,
        unread: if conn.has(flag::UNREAD_LATER) {
            0
        } else {
            unread
        },
        unacked,
        err,
    };
    if wanted::is(conn, row, &told) {
        tell::close(tcp, conn, told);
    }
    let_go_if_settled(conn);
}

/// Nothing more is to be counted of it, but what waits for its RST or its destruction.
#[inline(always)]
fn let_go_if_settled(conn: &mut Conn) {
    let settled = conn.pending == pending::NOTHING && !conn.has(flag::UNREAD_LATER);
    if settled && conn.kind == kind::CONNECTION {
        conn.let_go();
    }
}

/// Which way payload went over the connection's life.
#[inline(always)]
fn count_ways(tcp: Tcp, conn: &mut Conn, row: Row) {
    const MESSAGES_MIN: u32 = 4;
    const MESSAGE_BYTES_MAX: u64 = 1_000;
    if !conn.is_server() {
        return;
    }
    let sent: u64 = tcp.get(offset!(bytes_sent));
    // The kernel counts the peer's FIN as a byte.
    let received: u64 = tcp.get(offset!(bytes_received));
    let asked = received > u64::from(tcp.flags() & SOCK_DONE != 0);
    match (asked, sent > 0) {
        (true, true) => count_small(conn, row),
        (true, false) => {
            row.inc(Cell::NEVER_ANSWERED);
            let segments: u32 = tcp.get(offset!(data_segs_in));
            if segments >= MESSAGES_MIN && received < u64::from(segments) * MESSAGE_BYTES_MAX {
                conn.set(flag::MESSAGES);
            }
        }
        (false, true) => row.inc(Cell::NEVER_ASKED),
        (false, false) => row.inc(Cell::NO_PAYLOAD),
    }
}

/// Whether small questions get answers here.
#[inline(always)]
fn count_small(conn: &mut Conn, row: Row) {
    let last = Turn {
        since_read: conn.since_read,
        asked: conn.asked,
    };
    // Of a longer one a part is as short.
    if conn.turns.answered_small(last) && !conn.has(flag::MORE_TO_READ) {
        conn.set(flag::SMALL_ANSWERED);
        row.inc(Cell::SMALL_ANSWERED);
    }
}

/// No program holds the socket any more (`sock_orphan`).
#[inline(always)]
fn is_orphan(tcp: Tcp) -> bool {
    tcp.flags() & SOCK_DEAD != 0
}

#[inline(always)]
fn count_mini_socket(tcp: Tcp, conn: &Conn, row: Row, old: u8, outcome: u8, time_wait: u32) {
    const TIME_WAIT: u32 = TimeWait::TimeWait as u32;
    const FIN_WAIT2: u32 = TimeWait::FinWait2 as u32;
    match time_wait {
        TIME_WAIT => row.inc_at::<{ Cell::TIME_WAIT.index() }>(),
        FIN_WAIT2 => {
            row.inc_at::<{ Cell::FIN_WAIT2.index() }>();
            // Behind requests too short for TLS no late one is an alert, whatever its size.
            let is_plain = conn.turns.count > 0 && !conn.turns.may_be_tls();
            if conn.cut != NONE
                || conn.phase != Phase::Steady as u8
                || conn.has(flag::REST_MAY_COME)
                || is_plain
            {
                mini_socket::remember(tcp.cookie(), mini_socket::Past::of(conn));
            }
            if conn.idle_ds > 0 {
                mini_socket::note_rest(tcp.cookie(), conn.idle_ds);
            }
        }
        _ if old == state::CLOSING && outcome == Outcome::Fin as u8 => {
            row.inc(Cell::NO_MINI_SOCKET_BOTH);
        }
        _ => {}
    }
}

#[inline(always)]
fn never_established(conn: &mut Conn, row: Row, old: u8) {
    if conn.kind == kind::CONNECTION {
        conn.let_go();
    }
    if conn.is_server() {
        row.inc(Cell::EMBRYONIC_FAILED);
        return;
    }
    row.inc(Cell::CONNECT_FAILED);
    if conn.has(flag::RESET_SEEN)
        && let Some(cell) = Cell::resets_received(old)
    {
        row.inc(cell);
    }
}

/// Counts the end, or notes what will settle it. Returns the outcome as it stands.
#[inline(always)]
fn count_end(conn: &mut Conn, row: Row, old: u8, verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Known(outcome) => {
            row.inc(Cell::closes(origin(old), outcome));
            if outcome as u8 == Outcome::ResetReceived as u8
                && let Some(cell) = Cell::resets_received(old)
            {
                row.inc(cell);
            }
            outcome
        }
        Verdict::ResetFollows => {
            conn.pending = pending::RESET_FOLLOWS;
            Outcome::ResetSent
        }
        Verdict::ReceivedUnlessResetFollows => {
            conn.pending = pending::RECEIVED;
            row.inc(if old == state::FIN_WAIT1 {
                Cell::AMBIGUOUS_FW1
            } else {
                Cell::AMBIGUOUS_FW2
            });
            Outcome::ResetReceived
        }
        Verdict::NoMiniSocketUnlessResetFollows => {
            conn.pending = pending::NO_MINI_SOCKET;
            row.inc(Cell::NO_MINI_SOCKET);
            Outcome::Fin
        }
    }
}

/// An RST of ours came after the transition to CLOSE: settles what waited for it. Returns whether
/// anything did.
#[inline(always)]
pub(super) fn settle_by_reset(conn: &mut Conn, row: Row) -> bool {
    let waited = conn.pending;
    conn.pending = pending::NOTHING;
    match waited {
        pending::RESET_FOLLOWS => row.inc(Cell::closes(origin(conn.old_state), Outcome::ResetSent)),
        pending::RECEIVED => row.inc(if conn.old_state == state::FIN_WAIT1 {
            Cell::AMBIGUOUS_FW1_SENT
        } else {
            Cell::AMBIGUOUS_FW2_SENT
        }),
        pending::NO_MINI_SOCKET => row.inc(Cell::NO_MINI_SOCKET_SENT),
        _ => return false,
    }
    true
}

/// `tcp_destroy_sock`: the last event of a socket but for an RST that answers data.
#[inline(always)]
pub(super) fn on_destroy(sk: *const u8) -> i32 {
    let Some(conn) = Conn::find(sk) else {
        return 0;
    };
    let skipped = conn.has(flag::OPENED) && !conn.has(flag::CLOSED);
    if conn.kind == kind::LISTENER || !conn.has(flag::HOLDS) {
        return 0;
    }
    if conn.kind == kind::IGNORED {
        conn.let_go();
        return 0;
    }
    let Some(tcp) = Tcp::of(sk) else {
        return 0;
    };
    let Some(row) = conn.row() else {
        return 0;
    };
    if skipped {
        on_unseen_end(sk, tcp, conn, row);
    }
    if conn.pending == pending::RESET_FOLLOWS {
        // No RST came: a mini-socket could not be had, or the namespace is being torn down.
        if conn.old_state == state::FIN_WAIT2 {
            conn.pending = pending::NO_MINI_SOCKET;
            row.inc(Cell::NO_MINI_SOCKET);
        } else {
            conn.pending = pending::NOTHING;
            row.inc(Cell::closes(origin(conn.old_state), Outcome::Unknown));
        }
    }
    if conn.has(flag::UNREAD_LATER) {
        conn.clear(flag::UNREAD_LATER);
        let unread = tcp.unread();
        if unread > 0 {
            row.inc(Cell::UNREAD);
            row.add(Cell::UNREAD_BYTES, unread.into());
            let (cut, rest_or_request) = judge::never_read(tcp, conn, row, unread);
            tell::unread(tcp, conn, unread, cut, rest_or_request);
        }
    }
    conn.let_go();
    0
}

/// The socket is destroyed and was never seen to end: it ended in the last state it was seen to reach,
/// or the one after.
#[inline(always)]
fn on_unseen_end(sk: *const u8, tcp: Tcp, conn: &mut Conn, row: Row) {
    let old = match conn.last as u8 {
        state::ESTABLISHED => state::ESTABLISHED,
        // Our FIN, which takes a number of its own, was never acknowledged.
        state::FIN_WAIT1 if seq_after(tcp.write_seq(), tcp.get(offset!(snd_una))) > 0 => {
            state::FIN_WAIT1
        }
        state::FIN_WAIT1 => state::FIN_WAIT2,
        state::CLOSE_WAIT => state::CLOSE_WAIT,
        state::LAST_ACK => state::LAST_ACK,
        _ => return,
    };
    losses::count(Loss::MadeGood);
    on_end(sk, tcp, conn, row, old);
}
