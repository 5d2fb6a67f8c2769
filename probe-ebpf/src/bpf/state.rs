//! Every transition of a TCP socket: births, closing transitions and ends, counted as they happen.
//!
//! Two programs run this. The second finds a transition that the first worked on by [`Conn::last`], and
//! does the work itself when the kernel's recursion guard kept the first away.

use aya_ebpf::{helpers::bpf_ktime_get_ns, programs::BtfTracePointContext};
use finwatch_common::{
    Cell, CloseRecord, Cut, Evidence, KIND_CLOSE, KIND_LISTENER, ListenerRecord, Loss, Lost,
    Outcome, Role, TimeWait, close_flags,
};
use finwatch_probe::{
    classify::{End, Verdict, classify, origin},
    tcp::{IPPROTO_TCP, SOCK_DEAD, SOCK_DONE, errno, state, unacked, unread},
    turns::{SMALL_BYTES, is_goodbye},
};

use super::{
    conn::{Conn, NONE, flag, kind, pending},
    counters::{self, Row},
    kernel::{Tcp, Typed, offset},
    losses, mini_socket,
    ring::{Slot, header},
    task::Task,
};

/// Which of the two programs runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// The first.
    First,
    /// The one that makes good.
    Second,
}

/// What a transition asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Listen,
    StopListening,
    Connect,
    Establish,
    CloseFirst,
    PeerCloses,
    CloseSecond,
    End,
}

const fn work(old: u8, new: u8) -> Option<Work> {
    Some(match (old, new) {
        (state::CLOSE, state::LISTEN) => Work::Listen,
        (state::LISTEN, state::CLOSE) => Work::StopListening,
        (state::CLOSE, state::SYN_SENT) => Work::Connect,
        (_, state::ESTABLISHED) => Work::Establish,
        (_, state::FIN_WAIT1) => Work::CloseFirst,
        (_, state::CLOSE_WAIT) => Work::PeerCloses,
        (_, state::LAST_ACK) => Work::CloseSecond,
        (_, state::CLOSE) => Work::End,
        _ => return None,
    })
}

/// `inet_sock_set_state`: fires before the state is stored.
#[inline(always)]
pub(super) fn on_state(ctx: &BtfTracePointContext, pass: Pass) -> i32 {
    let sk: *const u8 = ctx.arg(0);
    let old: u32 = ctx.arg(1);
    let new: u32 = ctx.arg(2);
    if old == new || Typed::new(sk).get::<u16>(offset!(protocol)) != IPPROTO_TCP {
        return 0;
    }
    let (old, new) = (old as u8, new as u8);
    let Some(work) = work(old, new) else {
        return 0;
    };
    let Some(tcp) = Tcp::of(sk) else {
        return 0;
    };
    let Some(conn) = Conn::find_or_create(sk) else {
        return 0;
    };
    let transition = u32::from(old) << 8 | u32::from(new);
    if pass == Pass::Second && conn.last == transition {
        return 0;
    }
    match work {
        Work::Listen => listen(sk, tcp, conn),
        Work::Connect => connect(tcp, conn),
        Work::Establish => establish(sk, tcp, conn, old),
        Work::StopListening
        | Work::CloseFirst
        | Work::PeerCloses
        | Work::CloseSecond
        | Work::End => {
            if conn.kind == kind::NEW {
                conn.adopt(sk, tcp, old, None);
            }
            if conn.kind != kind::IGNORED {
                leave(sk, tcp, conn, old, work);
            }
        }
    }
    conn.last = transition;
    0
}

#[inline(always)]
fn listen(sk: *const u8, tcp: Tcp, conn: &mut Conn) {
    conn.reset(tcp, Role::Server, tcp.get(offset!(num)));
    conn.own_by_current();
    conn.kind = kind::LISTENER;
    conn.note_port();
    conn.name(sk);
    if let Some(row) = counters::row(&conn.service) {
        row.inc(Cell::LISTEN_UP);
    }
    tell_listener(tcp, conn, 1);
}

#[inline(always)]
fn connect(tcp: Tcp, conn: &mut Conn) {
    conn.reset(tcp, Role::Client, tcp.remote_port());
    conn.own_by_current();
    if tcp.is_mptcp() {
        conn.kind = kind::IGNORED;
    }
}

#[inline(always)]
fn establish(sk: *const u8, tcp: Tcp, conn: &mut Conn, old: u8) {
    if tcp.is_mptcp() {
        conn.kind = kind::IGNORED;
        losses::count(Loss::MptcpSubflows);
        return;
    }
    match conn.kind {
        // The listener (or the attempt) is older than the programs.
        kind::NEW if old == state::SYN_RECV => conn.adopt_child(tcp),
        kind::NEW => conn.reset(tcp, Role::Client, tcp.remote_port()),
        kind::LISTENER => conn.be_child(),
        // An MPTCP attempt that fell back to TCP.
        kind::IGNORED => conn.kind = kind::CONNECTION,
        _ => {}
    }
    conn.name(sk);
    // SAFETY: the helper has no preconditions.
    conn.opened_at_ns = unsafe { bpf_ktime_get_ns() };
    if conn.turns.count == 0 {
        conn.turns.begin(tcp.write_seq(), tcp.copied_seq());
    }
    if let Some(row) = counters::row(&conn.service) {
        conn.flags |= flag::OPEN;
        row.inc_at::<{ Cell::OPENED.index() }>();
    }
}

#[inline(always)]
fn leave(sk: *const u8, tcp: Tcp, conn: &mut Conn, old: u8, work: Work) {
    let Some(row) = counters::row(&conn.service) else {
        return;
    };
    match work {
        Work::StopListening => {
            row.inc(Cell::LISTEN_DOWN);
            tell_listener(tcp, conn, 0);
        }
        Work::CloseFirst => {
            open_early(sk, tcp, conn, row, old);
            left(conn, row);
            conn.flags |= flag::LOCAL_FIN;
            conn.fin_rcv_nxt = tcp.rcv_nxt();
            closed_by_us(tcp, conn, row, tcp.owned());
        }
        Work::PeerCloses => {
            row.inc_at::<{ Cell::CLOSE_WAIT_IN.index() }>();
            closed_by_peer(tcp, conn, row);
        }
        Work::CloseSecond => {
            row.inc_at::<{ Cell::CLOSE_WAIT_OUT.index() }>();
            left(conn, row);
            if tcp.owned() {
                conn.closer_tgid = Task::current().tgid();
            }
        }
        Work::End => end(sk, tcp, conn, row, old),
        Work::Listen | Work::Connect | Work::Establish => {}
    }
}

/// With TCP Fast Open a connection may be used and closed before it is established.
#[inline(always)]
fn open_early(sk: *const u8, tcp: Tcp, conn: &mut Conn, row: Row, old: u8) {
    if old != state::SYN_RECV || conn.has(flag::OPEN) {
        return;
    }
    if conn.is_listener() {
        conn.begin_turns_early(tcp);
    }
    conn.name(sk);
    conn.flags |= flag::OPEN;
    row.inc(Cell::OPENED);
}

#[inline(always)]
fn left(conn: &mut Conn, row: Row) {
    if conn.has(flag::OPEN) {
        conn.flags &= !flag::OPEN;
        row.inc_at::<{ Cell::LEFT.index() }>();
    }
}

/// The first closing transition is ours: did we owe an answer? `by_process`: the current task did it.
#[inline(always)]
fn closed_by_us(tcp: Tcp, conn: &mut Conn, row: Row, by_process: bool) {
    conn.flags |= flag::JUDGED;
    if by_process {
        let task = Task::current();
        conn.closer_tgid = task.tgid();
        if task.is_exiting() {
            conn.flags |= flag::BY_EXIT;
            row.inc(Cell::EXIT);
        }
    }
    let turn = conn.turns.last(tcp.write_seq());
    conn.since_read = turn.since_read;
    conn.asked = turn.asked;
    if conn.is_server()
        && let Some(evidence) = conn.turns.owed(turn)
    {
        unanswered(conn, row, evidence);
        if evidence as u8 != Evidence::Small as u8 {
            cut(conn, row, Cut::Unanswered);
        }
    }
}

/// The first closing transition is the peer's: did it give up, or leave us without an answer?
#[inline(always)]
fn closed_by_peer(tcp: Tcp, conn: &mut Conn, row: Row) {
    conn.flags |= flag::JUDGED;
    let turn = conn.turns.last(tcp.write_seq());
    conn.since_read = turn.since_read;
    conn.asked = turn.asked;
    if conn.is_server() {
        match conn.turns.owed(turn) {
            // A client may close on the alert, before our FIN.
            Some(Evidence::Alert) => {
                unanswered(conn, row, Evidence::Alert);
                cut(conn, row, Cut::Unanswered);
            }
            Some(Evidence::Silent) => {
                conn.flags |= flag::ABANDONED;
                row.inc(Cell::ABANDONED);
            }
            Some(Evidence::Small) | None => {}
        }
    } else if let Some(evidence) = conn.turns.awaited(turn, tcp.unread()) {
        unanswered(conn, row, evidence);
    }
}

#[inline(always)]
fn unanswered(conn: &mut Conn, row: Row, evidence: Evidence) {
    conn.evidence = evidence as u8;
    row.inc(Cell::unanswered(evidence));
}

/// Each connection counts once, by its first cause.
#[inline(always)]
pub(super) fn cut(conn: &mut Conn, row: Row, cause: Cut) {
    if conn.cut == NONE {
        conn.cut = cause as u8;
        row.inc(Cell::cut(cause));
    }
}

#[inline(always)]
fn end(sk: *const u8, tcp: Tcp, conn: &mut Conn, row: Row, old: u8) {
    let err: i32 = tcp.get(offset!(err));
    let flags = tcp.flags();
    let dead = flags & SOCK_DEAD != 0;
    let owned = tcp.owned();
    let has_file = tcp.has_file();
    let reset_seen = conn.has(flag::RESET_SEEN)
        || (!owned
            && ((err == errno::EPIPE && old == state::CLOSE_WAIT)
                || (err == errno::ECONNRESET && old != state::CLOSE_WAIT)));
    if old == state::SYN_SENT || (old == state::SYN_RECV && !has_file && !conn.has(flag::OPEN)) {
        return never_established(conn, row, old);
    }
    open_early(sk, tcp, conn, row, old);
    let never_accepted =
        !owned && !dead && !has_file && (old == state::ESTABLISHED || old == state::CLOSE_WAIT);
    let time_wait = if err == 0 && !reset_seen && (old == state::FIN_WAIT2 || old == state::CLOSING)
    {
        mini_socket::left_by(tcp, conn.cookie)
    } else {
        TimeWait::None
    };
    let copied_seq = tcp.copied_seq();
    let unread = unread(tcp.rcv_nxt(), copied_seq, flags & SOCK_DONE != 0);
    let unacked = unacked(tcp.write_seq(), tcp.get(offset!(snd_una)), old);
    let verdict = classify(End {
        old_state: old,
        owned,
        never_accepted,
        err,
        shutdown: tcp.get(offset!(shutdown)),
        reset_seen,
        reset_before: conn.has(flag::RESET_BEFORE),
        retrying: tcp.retrying(),
        unacked: unacked > 0,
        time_wait,
    });
    if old == state::ESTABLISHED || old == state::CLOSE_WAIT {
        row.inc(Cell::ESTAB_RESETS);
        if old == state::CLOSE_WAIT {
            row.inc(Cell::CLOSE_WAIT_OUT);
        }
    }
    left(conn, row);
    conn.flags |= flag::CLOSED;
    conn.old_state = old;
    conn.unread = unread;
    if never_accepted {
        conn.flags |= flag::NEVER_ACCEPTED;
        row.inc(Cell::ACCEPT_QUEUE_DROPPED);
    }

    let ours = matches!(
        verdict,
        Verdict::ResetFollows | Verdict::Known(Outcome::ResetSent)
    );
    judge_end(
        tcp,
        conn,
        row,
        EndFacts {
            old,
            ours,
            reset_seen,
            owned,
            never_accepted,
            unread,
            copied_seq,
        },
    );
    if unread > 0 {
        if verdict_is_abort(verdict) {
            row.inc(Cell::UNREAD);
            row.add(Cell::UNREAD_BYTES, unread.into());
        } else if !dead {
            conn.flags |= flag::UNREAD_LATER;
        }
    } else if !dead && old == state::FIN_WAIT2 {
        conn.flags |= flag::UNREAD_LATER;
    }
    if unacked > 0 {
        row.inc(Cell::UNACKED);
        row.add(Cell::UNACKED_BYTES, unacked.into());
    }

    let outcome = count_end(conn, row, old, verdict);
    match time_wait {
        TimeWait::None
            if old == state::CLOSING && matches!(verdict, Verdict::Known(Outcome::Fin)) =>
        {
            row.inc(Cell::NO_MINI_SOCKET_BOTH);
        }
        TimeWait::None => {}
        TimeWait::TimeWait => row.inc_at::<{ Cell::TIME_WAIT.index() }>(),
        TimeWait::FinWait2 => {
            row.inc_at::<{ Cell::FIN_WAIT2.index() }>();
            if conn.cut != NONE {
                mini_socket::remember_cut(conn.cookie);
            }
        }
    }
    tell_close(
        tcp,
        conn,
        Told {
            old,
            outcome,
            time_wait,
            unread,
            unacked,
            err,
        },
    );
}

#[inline(always)]
const fn verdict_is_abort(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::ResetFollows)
}

#[inline(always)]
fn never_established(conn: &mut Conn, row: Row, old: u8) {
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

/// What [`judge_end`] needs to know.
struct EndFacts {
    old: u8,
    ours: bool,
    reset_seen: bool,
    owned: bool,
    never_accepted: bool,
    unread: u32,
    copied_seq: u32,
}

#[inline(always)]
fn judge_end(tcp: Tcp, conn: &mut Conn, row: Row, facts: EndFacts) {
    let EndFacts {
        old,
        ours,
        reset_seen,
        owned,
        never_accepted,
        unread,
        copied_seq,
    } = facts;
    let lost = unread >= SMALL_BYTES && !is_goodbye(unread);
    if !conn.has(flag::JUDGED) {
        if ours {
            if conn.is_server() && lost {
                cut(conn, row, Cut::Unread);
            }
            closed_by_us(tcp, conn, row, owned || never_accepted);
        } else if reset_seen {
            closed_by_peer(tcp, conn, row);
        }
    } else if ours
        && conn.is_server()
        && conn.has(flag::LOCAL_FIN)
        && lost
        && old != state::CLOSE_WAIT
    {
        let cause = if conn.unread_before_fin(copied_seq) {
            Cut::Unread
        } else {
            Cut::Late
        };
        cut(conn, row, cause);
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
    if conn.kind != kind::CONNECTION
        || (conn.pending != pending::RESET_FOLLOWS && !conn.has(flag::UNREAD_LATER))
    {
        return 0;
    }
    let Some(tcp) = Tcp::of(sk) else {
        return 0;
    };
    let Some(row) = counters::row(&conn.service) else {
        return 0;
    };
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
        conn.flags &= !flag::UNREAD_LATER;
        let unread = tcp.unread();
        if unread > 0 {
            row.inc(Cell::UNREAD);
            row.add(Cell::UNREAD_BYTES, unread.into());
        }
    }
    0
}

#[inline(always)]
fn tell_listener(tcp: Tcp, conn: &Conn, up: u8) {
    let Some(mut slot) = Slot::<ListenerRecord>::reserve(Loss::ListenerRecords) else {
        return;
    };
    let task = Task::current();
    let owned = tcp.owned();
    let mut local_addr = [0; 16];
    tcp.local_addr(&mut local_addr);
    let record = ListenerRecord {
        header: header::<ListenerRecord>(KIND_LISTENER),
        cookie: conn.cookie,
        service: conn.service,
        start_ns: conn.start_ns,
        local_addr,
        tgid: if owned { task.tgid() } else { 0 },
        netns_inum: conn.netns_inum,
        backlog: tcp.get(offset!(ack_backlog)),
        backlog_limit: tcp.get(offset!(max_ack_backlog)),
        up,
        by_exit: u8::from(owned && task.is_exiting()),
        pad: [0; 6],
    };
    // SAFETY: the slot is room for exactly this record.
    unsafe { slot.record().write(record) };
    slot.submit();
}

/// What [`tell_close`] needs beside the connection's own memory.
struct Told {
    old: u8,
    outcome: Outcome,
    time_wait: TimeWait,
    unread: u32,
    unacked: u32,
    err: i32,
}

#[inline(always)]
fn tell_close(tcp: Tcp, conn: &Conn, told: Told) {
    let Some(mut slot) = Slot::<CloseRecord>::reserve(Loss::CloseRecords) else {
        return;
    };
    let Told {
        old,
        outcome,
        time_wait,
        unread,
        unacked,
        err,
    } = told;
    let to = slot.record();
    // Field by field, straight into the ring: a copy on the stack would take half of it.
    // SAFETY: the slot is room for exactly this record, and every field is written.
    unsafe {
        (&raw mut (*to).header).write(header::<CloseRecord>(KIND_CLOSE));
        (&raw mut (*to).cookie).write(conn.cookie);
        (&raw mut (*to).service).write(conn.service);
        (&raw mut (*to).opened_at_ns).write(conn.opened_at_ns);
        let sent: u64 = tcp.get(offset!(bytes_sent));
        let again: u64 = tcp.get(offset!(bytes_retrans));
        (&raw mut (*to).bytes_sent).write(sent.wrapping_sub(again));
        // The kernel counts the peer's FIN as a byte.
        let received: u64 = tcp.get(offset!(bytes_received));
        let fin = u64::from(tcp.flags() & SOCK_DONE != 0 && received > 0);
        (&raw mut (*to).bytes_received).write(received - fin);
        tcp.local_addr(&mut *(&raw mut (*to).local_addr));
        tcp.remote_addr(&mut *(&raw mut (*to).remote_addr));
        (&raw mut (*to).local_port).write(tcp.local_port());
        (&raw mut (*to).remote_port).write(tcp.remote_port());
        (&raw mut (*to).owner_tgid).write(conn.owner_tgid);
        (&raw mut (*to).closer_tgid).write(conn.closer_tgid);
        (&raw mut (*to).turns).write(conn.turns.count);
        (&raw mut (*to).since_read).write(conn.since_read);
        (&raw mut (*to).asked).write(conn.asked);
        (&raw mut (*to).unread).write(unread);
        (&raw mut (*to).unacked).write(unacked);
        (&raw mut (*to).srtt_us).write(tcp.get::<u32>(offset!(srtt)) >> 3);
        (&raw mut (*to).retransmits).write(tcp.get(offset!(total_retrans)));
        (&raw mut (*to).flags).write(told_flags(conn));
        (&raw mut (*to).sk_err).write(err as u16);
        (&raw mut (*to).old_state).write(old);
        (&raw mut (*to).origin).write(origin(old) as u8);
        (&raw mut (*to).outcome).write(outcome as u8);
        (&raw mut (*to).time_wait).write(time_wait as u8);
        (&raw mut (*to).cut).write(conn.cut);
        (&raw mut (*to).evidence).write(conn.evidence);
        (&raw mut (*to).reason).write(0);
        (&raw mut (*to).lost).write(Lost::Nothing as u8);
    }
    slot.submit();
}

#[inline(always)]
const fn told_flags(conn: &Conn) -> u16 {
    let mut flags = 0;
    if conn.has(flag::PREEXISTING) {
        flags |= close_flags::PREEXISTING;
    }
    if conn.has(flag::BY_EXIT) {
        flags |= close_flags::BY_EXIT;
    }
    if conn.has(flag::NEVER_ACCEPTED) {
        flags |= close_flags::NEVER_ACCEPTED;
    }
    if conn.has(flag::ABANDONED) {
        flags |= close_flags::ABANDONED;
    }
    if conn.has(flag::ROLE_BY_PORT) {
        flags |= close_flags::ROLE_BY_PORT;
    }
    match conn.pending {
        pending::RECEIVED => flags |= close_flags::AMBIGUOUS,
        pending::NO_MINI_SOCKET => flags |= close_flags::NO_MINI_SOCKET,
        _ => {}
    }
    flags
}
