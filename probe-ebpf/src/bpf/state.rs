//! Every transition of a TCP socket: births, closing transitions and ends, counted as they happen.
//!
//! Two programs run this. The second finds a transition that the first worked on by [`Conn::last`], and
//! does the work itself when the kernel's recursion guard kept the first away.

use aya_ebpf::{helpers::bpf_ktime_get_ns, programs::BtfTracePointContext};
use aya_log_ebpf::debug;
use finwatch_common::{Cell, Loss, Role};
use finwatch_probe::tcp::{IPPROTO_TCP, state};

use super::{
    catch_up,
    conn::{Conn, flag, kind},
    end, family, judge,
    kernel::{Tcp, Typed, offset},
    losses,
    open::{left, left_close_wait, opened},
    task::Task,
    tell,
    token::Token,
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
    if old == new {
        return None;
    }
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
    let (old, new) = (old as u8, new as u8);
    let Some(work) = work(old, new) else {
        return 0;
    };
    let transition = u16::from(old) << 8 | u16::from(new);
    let Some(token) = Token::of(sk, transition) else {
        return 0;
    };
    if pass == Pass::First {
        token.begin();
    } else if token.take() {
        return 0;
    }
    if Typed::new(sk).get::<u16>(offset!(protocol)) != IPPROTO_TCP {
        return 0;
    }
    if pass == Pass::Second && Conn::find(sk).is_some_and(|conn| conn.last == transition) {
        return 0;
    }
    let Some(tcp) = Tcp::of(sk) else {
        return 0;
    };
    let Some(conn) = Conn::find_or_create(sk) else {
        return 0;
    };
    if pass == Pass::Second {
        losses::count(Loss::MadeGood);
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
            part(sk, tcp, conn, old, work);
        }
    }
    conn.last = transition;
    if pass == Pass::First {
        token.leave();
    }
    debug!(
        ctx,
        "cookie {} port {}: state {} to {}",
        tcp.cookie(),
        tcp.local_port(),
        old,
        new
    );
    0
}

#[inline(always)]
fn listen(sk: *const u8, tcp: Tcp, conn: &mut Conn) {
    conn.reset();
    let comm = conn.own_by_current();
    let instance = family::of_listener(conn.owner_tgid, conn.start_ns);
    conn.owner_tgid = instance.tgid;
    conn.start_ns = instance.start_ns;
    conn.belong(tcp, Role::Server, tcp.sock(offset!(num)), comm);
    conn.hold();
    conn.kind = kind::LISTENER;
    conn.note_port();
    Conn::name(sk);
    if let Some(row) = conn.row() {
        row.inc(Cell::LISTEN_UP);
    }
    tell::listener(tcp, conn, 1);
}

#[inline(always)]
fn connect(tcp: Tcp, conn: &mut Conn) {
    conn.reset();
    let comm = conn.own_by_current();
    conn.belong(tcp, Role::Client, tcp.remote_port(), comm);
    conn.hold();
    if tcp.is_mptcp() {
        // Its row stays its own: it may fall back to TCP.
        conn.kind = kind::IGNORED;
    }
}

#[inline(always)]
fn establish(sk: *const u8, tcp: Tcp, conn: &mut Conn, old: u8) {
    if tcp.is_mptcp() {
        conn.ignore();
        losses::count(Loss::MptcpSubflows);
        return;
    }
    match conn.kind {
        // The listener (or the attempt) is older than the programs.
        kind::NEW if old == state::SYN_RECV => conn.adopt_child(tcp),
        kind::NEW => {
            conn.reset();
            conn.belong(tcp, Role::Client, tcp.remote_port(), [0; 16]);
        }
        kind::LISTENER => conn.be_child(tcp),
        // An MPTCP attempt that fell back to TCP.
        kind::IGNORED => conn.kind = kind::CONNECTION,
        _ => {}
    }
    conn.hold();
    conn.enter_phase();
    Conn::name(sk);
    // SAFETY: the helper has no preconditions.
    conn.opened_at_ns = unsafe { bpf_ktime_get_ns() };
    if !conn.has(flag::TURNS) {
        conn.set(flag::TURNS);
        conn.turns.begin(tcp.write_seq(), tcp.copied_seq());
    }
    if let Some(row) = conn.row() {
        opened(conn, row);
    }
}

/// It leaves what it was: a listener, or a connection.
#[inline(always)]
fn part(sk: *const u8, tcp: Tcp, conn: &mut Conn, old: u8, work: Work) {
    if conn.kind == kind::NEW {
        conn.adopt(sk, tcp, old, None);
    }
    match work {
        // It holds the row of the phase in which it came, and may count its end in another.
        Work::StopListening => conn.let_go(),
        // How it ends says whether it ever became one of its own.
        Work::End => {}
        _ => conn.be_child(tcp),
    }
    conn.enter_phase();
    if conn.kind != kind::IGNORED {
        leave(sk, tcp, conn, old, work);
    }
}

#[inline(always)]
fn leave(sk: *const u8, tcp: Tcp, conn: &mut Conn, old: u8, work: Work) {
    let Some(row) = conn.row() else {
        return;
    };
    match work {
        Work::StopListening => {
            row.inc(Cell::LISTEN_DOWN);
            tell::listener(tcp, conn, 0);
        }
        Work::CloseFirst => {
            catch_up::on_opened(sk, tcp, conn, row, old);
            left(conn, row);
            conn.set(flag::LOCAL_FIN);
            conn.fin_rcv_nxt = tcp.rcv_nxt();
            let unread = tcp.unread();
            judge::closed_by_us(conn, tcp, row, tcp.owned(), tcp.write_seq(), unread);
            judge::note_sending(tcp, conn);
            judge::note_rest(tcp, conn, unread);
        }
        Work::PeerCloses => {
            catch_up::on_opened(sk, tcp, conn, row, old);
            conn.set(flag::CLOSE_WAIT);
            row.inc_at::<{ Cell::CLOSE_WAIT_IN.index() }>();
            judge::closed_by_peer(tcp, conn, row);
        }
        Work::CloseSecond => {
            catch_up::on_close_wait(sk, tcp, conn, row, old);
            left_close_wait(conn, row);
            left(conn, row);
            if tcp.owned() {
                let task = Task::current();
                conn.closer_tgid = task.tgid();
                if task.is_exiting() {
                    conn.set(flag::ANSWERED_BY_EXIT);
                }
            }
        }
        Work::End => end::on_end(sk, tcp, conn, row, old),
        Work::Listen | Work::Connect | Work::Establish => {}
    }
}
