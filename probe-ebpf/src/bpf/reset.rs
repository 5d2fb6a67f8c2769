//! RSTs: those this host sends, with the reason and what bytes of the peer they throw away, and the
//! mark that one was received.
//!
//! Nothing typed is dereferenced here: the kernel calls `tcp_send_reset` without a segment, without a
//! socket, and with a mini-socket, and some kernels tell the verifier otherwise.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map, programs::BtfTracePointContext};
use aya_log_ebpf::debug;
use finwatch_common::{
    Cell, Cut, Lost, Phase, Role, RowId, ServiceKey, inferred_reason, reset_flags,
};
use finwatch_probe::{
    manner::Manner,
    tcp::{SOCK_DONE, TH_ACK, TH_FIN, TH_SYN, seq_after, state, unread},
};

use super::{
    args::scalar_args,
    conn::{Conn, NONE, flag, kind},
    counters::{self, Row},
    end::settle_by_reset,
    inferred,
    judge::{answered_early, cut, early, is_body, rest_or_request},
    kernel::{Raw, Tcp, has_reset_reason, offset, tell_refused},
    mini_socket, phases, ports,
    tell::{self, ToldReset},
};

/// Which of the two programs runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// The first.
    First,
    /// The one that makes good what the recursion guard skipped.
    Second,
}

/// Tokens of the events that the first program worked on and the second has not yet seen, by address of
/// the segment or else the socket. Written on this CPU only, cleared by the second program.
#[btf_map]
static WORKED_ON: PerCpuArray<u64, { TOKENS as usize }> = PerCpuArray::new();
const TOKENS: u32 = 256;

/// One call of `tcp_send_reset`.
#[derive(Clone, Copy)]
struct Event {
    /// The socket, a mini-socket, or 0.
    sk: Raw,
    /// The segment that is answered, or 0 for an RST of our own accord.
    skb: Raw,
    /// `enum sk_rst_reason`; 0 before 6.10.
    reason: u8,
}

/// `tcp_send_reset`.
#[inline(always)]
pub(super) fn on_send_reset(ctx: &BtfTracePointContext, pass: Pass) -> i32 {
    let event = if has_reset_reason() {
        let Some([sk, skb, reason]) = scalar_args::<3>(ctx) else {
            return 0;
        };
        Event {
            sk: Raw(sk),
            skb: Raw(skb),
            reason: reason as u8,
        }
    } else {
        let Some([sk, skb]) = scalar_args::<2>(ctx) else {
            return 0;
        };
        Event {
            sk: Raw(sk),
            skb: Raw(skb),
            reason: 0,
        }
    };
    let token = if event.skb.0 != 0 {
        event.skb.0
    } else {
        event.sk.0
    };
    let slot = WORKED_ON.get_ptr_mut((token >> 6) as u32 & (TOKENS - 1));
    if pass == Pass::Second
        && let Some(slot) = slot
        // SAFETY: the slot is this CPU's own.
        && unsafe { *slot } == token
    {
        // SAFETY: as above.
        unsafe { *slot = 0 };
        return 0;
    }
    work(ctx, event);
    debug!(
        ctx,
        "RST, reason {}, of {} bytes",
        event.reason,
        payload(event.skb)
    );
    if pass == Pass::First
        && let Some(slot) = slot
    {
        // SAFETY: as above.
        unsafe { *slot = token };
    }
    0
}

#[inline(always)]
fn work(ctx: &BtfTracePointContext, event: Event) {
    if event.sk.0 == 0 {
        return without_socket(event);
    }
    match event.sk.get::<u8>(offset!(state)) {
        state::TIME_WAIT => by_mini_socket(event),
        state::NEW_SYN_RECV => without_socket(event),
        tcp_state => by_socket(ctx, event, tcp_state),
    }
}

/// Payload of the segment that is answered: what it takes in sequence space, less SYN and FIN.
#[inline(always)]
fn payload(skb: Raw) -> u32 {
    if skb.0 == 0 {
        return 0;
    }
    let cb = Raw(skb.0.wrapping_add(offset!(skb_cb) as u64));
    let space = cb
        .get::<u32>(offset!(cb_end_seq))
        .wrapping_sub(cb.get::<u32>(offset!(cb_seq)));
    let flags = tcp_flags(skb);
    space.saturating_sub(u32::from(flags & TH_SYN != 0) + u32::from(flags & TH_FIN != 0))
}

/// What the segment's sender wrote up to the segment's end, and the closed end of the connection never took. It is more than the
/// payload where bytes before it are missing: a segment that comes in the instant in which a mini-socket takes its socket's
/// place is dropped without a word (`tcp_rcv_state_process`, TCP_CLOSE), and then the FIN behind it draws the RST.
#[inline(always)]
fn never_taken(skb: Raw, rcv_nxt: u32) -> u32 {
    let flags = tcp_flags(skb);
    if flags & TH_SYN != 0 {
        // It begins another conversation, whose numbers say nothing of this one.
        return payload(skb);
    }
    let cb = Raw(skb.0.wrapping_add(offset!(skb_cb) as u64));
    let end = cb.get::<u32>(offset!(cb_end_seq));
    seq_after(end.wrapping_sub(u32::from(flags & TH_FIN != 0)), rcv_nxt)
}

#[inline(always)]
fn tcp_flags(skb: Raw) -> u8 {
    Raw(skb.0.wrapping_add(offset!(skb_cb) as u64)).get(offset!(cb_flags))
}

/// What a segment acknowledges.
#[inline(always)]
fn ack_of(skb: Raw) -> u32 {
    Raw(skb.0.wrapping_add(offset!(skb_cb) as u64)).get(offset!(cb_ack_seq))
}

#[inline(always)]
const fn lost(bytes: u32, manner: Manner) -> Lost {
    if bytes == 0 {
        Lost::Nothing
    } else if manner.is_goodbye(bytes) {
        Lost::Goodbye
    } else {
        Lost::Data
    }
}

/// The same of what a closed end never took; the last segment of it held `payload` bytes.
#[inline(always)]
const fn lost_at_close(bytes: u32, payload: u32, manner: Manner) -> Lost {
    if manner.is_goodbye_at_close(bytes, payload) {
        Lost::Goodbye
    } else {
        lost(bytes, manner)
    }
}

/// Whoever last listened on the port, in the phase that it is in, or was in when it ended; else nobody, in that namespace.
#[inline(always)]
fn owner_of(netns: u64, port: u16) -> (ServiceKey, u32) {
    match ports::owner(netns, port) {
        Some(owner) => (
            ServiceKey {
                phase: phases::of(owner.start_ns, owner.tgid),
                ..owner.service
            },
            owner.netns_inum,
        ),
        None => (nobody(netns, Role::Server), 0),
    }
}

#[inline(always)]
const fn nobody(netns: u64, role: Role) -> ServiceKey {
    let mut service = ServiceKey::other(role, Phase::Steady);
    service.netns = netns;
    service
}

/// A segment for which there is no socket (6.10 and later).
#[inline(always)]
fn without_socket(event: Event) {
    let Event { skb, reason, .. } = event;
    if skb.0 == 0 {
        return;
    }
    let netns: u64 = skb
        .follow(offset!(skb_dev))
        .follow(offset!(dev_net))
        .get(offset!(net_cookie));
    let segment = header_at(skb, offset!(skb_transport_header));
    // The source port is the first two bytes, the destination port the next (RFC 9293 section 3.1).
    let local_port = u16::from_be(segment.get(2));
    let (service, netns_inum) = owner_of(netns, local_port);
    let row = counters::assign(&service, netns_inum);
    let bytes = payload(skb);
    let lost = lost(bytes, Manner::default());
    counters::reset(row, &service, reason, lost);
    if tcp_flags(skb) & (TH_SYN | TH_ACK) != TH_SYN {
        return;
    }
    if let Some(row) = counters::at(row) {
        row.inc(Cell::REFUSED);
    }
    if tell_refused() {
        let told = ToldReset {
            local_port,
            remote_port: u16::from_be(segment.get(0)),
            bytes,
            flags: reset_flags::REFUSED,
            state: state::CLOSE,
            reason,
            lost,
            idle_ds: 0,
        };
        tell::refused(header_at(skb, offset!(skb_network_header)), &service, told);
    }
}

/// A header of a segment, by the field that says where it begins.
#[inline(always)]
fn header_at(skb: Raw, field: usize) -> Raw {
    let from_head: u16 = skb.get(field);
    let head = skb.follow(offset!(skb_head)).0;
    Raw(head.wrapping_add(from_head.into()))
}

/// New data for a connection that is closed and waits for the peer's FIN (6.10 and later).
#[inline(always)]
fn by_mini_socket(event: Event) {
    let Event { sk, skb, reason } = event;
    let netns: u64 = sk.follow(offset!(net)).get(offset!(net_cookie));
    let local_port: u16 = sk.get(offset!(num));
    let remote_port = u16::from_be(sk.get(offset!(dport)));
    let owner = ports::owner(netns, local_port);
    let (mut service, netns_inum) = match owner {
        Some(owner) => (owner.service, owner.netns_inum),
        None => (nobody(netns, Role::Client), 0),
    };
    let cookie: u64 = sk.get(offset!(cookie));
    let past = mini_socket::past_of(cookie);
    service.phase = past.phase();
    let bytes = never_taken(skb, sk.get(offset!(tw_rcv_nxt)));
    let lost = lost_at_close(bytes, payload(skb), past.manner());
    let row = counters::assign(&service, netns_inum);
    counters::reset(row, &service, reason, lost);
    let mut flags = reset_flags::MINI_SOCKET;
    if owner.is_some()
        && !past.is_cut()
        && (matches!(lost, Lost::Data) || past.may_ask(bytes))
        && let Some(row) = counters::at(row)
    {
        mini_socket::remember(cookie, past.and_cut());
        let (cell, flag) = if !matches!(lost, Lost::Data) {
            (Cell::SMALL_LATE, reset_flags::SMALL_LATE)
        } else if past.rest_may_come() {
            (Cell::REST_OR_REQUEST, reset_flags::REST_OR_REQUEST)
        } else {
            (Cell::cut(Cut::Late), reset_flags::CUT_LATE)
        };
        row.inc(cell);
        flags |= flag;
    }
    tell::reset(
        sk,
        cookie,
        &service,
        ToldReset {
            local_port,
            remote_port,
            bytes,
            flags,
            state: state::TIME_WAIT,
            reason,
            lost,
            idle_ds: mini_socket::rest_of(cookie),
        },
    );
}

/// An RST of a full socket: a connection's, or a listener's answer to a segment it cannot place.
#[inline(always)]
fn by_socket(ctx: &BtfTracePointContext, event: Event, tcp_state: u8) {
    let Event { sk, skb, reason } = event;
    let typed: *const u8 = ctx.arg(0);
    if typed.is_null() {
        return;
    }
    let Some(conn) = Conn::find(typed) else {
        return unknown_socket(event, tcp_state);
    };
    if conn.kind == kind::IGNORED {
        return;
    }
    if conn.kind != kind::LISTENER {
        conn.enter_phase();
    }
    let answers_segment = skb.0 != 0;
    let closed = tcp_state == state::CLOSE;
    let late = closed && answers_segment && conn.has(flag::LOCAL_FIN);
    let bytes = if late {
        never_taken(skb, sk.get(offset!(rcv_nxt)))
    } else if answers_segment {
        payload(skb)
    } else if closed && conn.has(flag::CLOSED) {
        conn.unread
    } else {
        unread_of(sk)
    };
    let lost = if late {
        lost_at_close(bytes, payload(skb), conn.manner())
    } else {
        lost(bytes, conn.manner())
    };
    let reason = if has_reset_reason() {
        reason
    } else {
        inferred::reason(conn, sk, tcp_state, answers_segment)
    };
    let (service, row) = if conn.kind == kind::LISTENER {
        in_phase_of_listener(conn)
    } else {
        (conn.service(), conn.row_id())
    };
    counters::reset(row, &service, reason, lost);
    if conn.kind != kind::CONNECTION {
        return;
    }
    let Some(row) = counters::at(row) else {
        return;
    };
    let mut flags = 0;
    if closed {
        if settle_by_reset(conn, row) {
            flags |= reset_flags::SETTLES;
        }
        if late && conn.is_server() && conn.cut == NONE {
            flags |= lose_late(conn, row, skb, bytes, lost);
        }
    } else if !answers_segment {
        conn.set(flag::RESET_BEFORE);
    }
    let told = ToldReset {
        local_port: u16::from_be(sk.get(offset!(sport))),
        remote_port: u16::from_be(sk.get(offset!(dport))),
        bytes,
        flags,
        state: tcp_state,
        reason,
        lost,
        idle_ds: conn.idle_ds,
    };
    tell::reset(sk, sk.get(offset!(cookie)), &service, told);
    if flags & reset_flags::SETTLES != 0 && !conn.has(flag::UNREAD_LATER) {
        conn.let_go();
    }
}

/// A listener, whose lock nobody holds here, or a child that has its copy still: its row is looked for by name.
#[inline(always)]
fn in_phase_of_listener(conn: &Conn) -> (ServiceKey, RowId) {
    let service = ServiceKey {
        phase: phases::of(conn.start_ns, conn.owner_tgid),
        ..conn.service()
    };
    (service, counters::assign(&service, conn.netns_inum()))
}

/// Data came behind our FIN, and the RST throws it away. Returns what it was, as `reset_flags`.
#[inline(always)]
fn lose_late(conn: &mut Conn, row: Row, skb: Raw, bytes: u32, lost: Lost) -> u16 {
    if !matches!(lost, Lost::Data) {
        if !conn.turns.may_ask(bytes) {
            return 0;
        }
        row.inc(Cell::SMALL_LATE);
        return reset_flags::SMALL_LATE;
    }
    if answered_early(conn) && !conn.turns.was_answer_seen(ack_of(skb)) {
        early(conn, row);
        reset_flags::EARLY
    } else if conn.has(flag::REST_MAY_COME) || (answered_early(conn) && is_body(conn, payload(skb)))
    {
        rest_or_request(conn, row);
        reset_flags::REST_OR_REQUEST
    } else {
        cut(conn, row, Cut::Late);
        reset_flags::CUT_LATE
    }
}

/// A socket that has no storage: nobody can say whose it is but its port.
#[inline(always)]
fn unknown_socket(event: Event, tcp_state: u8) {
    let Event { sk, skb, reason } = event;
    let netns: u64 = sk.follow(offset!(net)).get(offset!(net_cookie));
    let port = u16::from_be(sk.get(offset!(sport)));
    let (service, netns_inum) = match ports::owner(netns, port) {
        Some(owner) => (owner.service, owner.netns_inum),
        None => (nobody(netns, Role::Client), 0),
    };
    let bytes = if skb.0 != 0 {
        payload(skb)
    } else {
        unread_of(sk)
    };
    let reason = match (has_reset_reason(), tcp_state) {
        (true, _) => reason,
        (false, _) => inferred_reason::UNKNOWN,
    };
    let row = counters::assign(&service, netns_inum);
    counters::reset(row, &service, reason, lost(bytes, Manner::default()));
}

#[inline(always)]
fn unread_of(sk: Raw) -> u32 {
    let done = sk.get::<u64>(offset!(sk_flags)) & SOCK_DONE != 0;
    unread(sk.get(offset!(rcv_nxt)), sk.get(offset!(copied_seq)), done)
}

/// `tcp_receive_reset`: `tcp_reset()` runs. An RST came, or data after our close(): what follows tells.
#[inline(always)]
pub(super) fn on_receive_reset(sk: *const u8) -> i32 {
    if let Some(conn) = Conn::find(sk) {
        if conn.kind == kind::LISTENER
            && let Some(tcp) = Tcp::of(sk)
        {
            conn.be_child(tcp);
        }
        conn.set(flag::RESET_SEEN);
    }
    0
}
