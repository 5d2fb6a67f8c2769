//! The look: a BPF iterator over the sockets of one network namespace. It seeds sockets that no program
//! has seen, and says who listens, who owes an answer, and which mini-sockets stand.

use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, seq_file},
    btf_maps::{Array, HashMap},
    helpers::bpf_seq_write,
    macros::btf_map,
};
use finwatch_common::{
    OwnerSeed, Phase, Process, Role, ServiceKey, SurveyRow, TimeWait, survey_kind,
};
use finwatch_probe::{
    frames::SMALL_BYTES,
    tcp::{IPPROTO_TCP, state},
};

use super::{
    conn::{Conn, kind},
    judge,
    kernel::{Raw, Tcp, offset},
    mini_socket, phases, sent, turn,
};

/// Who holds which socket, by inode: written by user space before it seeds, emptied after.
#[btf_map]
static OWNERS: HashMap<u64, OwnerSeed, 65536, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// 1 once the tracepoint programs are attached. Before, a connection that is taken on could end unseen,
/// so only listeners are.
#[btf_map]
static ATTACHED: Array<u32, 1> = Array::new();

/// `struct bpf_iter__tcp`.
#[repr(C)]
pub(super) struct IterContext {
    meta: *const IterMeta,
    sk_common: *const u8,
    uid: u64,
}

/// `struct bpf_iter_meta`.
#[repr(C)]
struct IterMeta {
    seq: *mut seq_file,
}

/// A full socket: seeds it, and writes a row if it is of note.
#[inline(always)]
pub(super) fn on_socket(ctx: *const IterContext) -> i32 {
    // SAFETY: the kernel passes the context; the verifier knows its layout.
    let (seq, sk) = unsafe { ((*(*ctx).meta).seq, (*ctx).sk_common) };
    if sk.is_null() {
        return 0;
    }
    let Some(tcp) = Tcp::of_common(sk) else {
        return 0;
    };
    if tcp.sock::<u16>(offset!(protocol)) != IPPROTO_TCP {
        return 0;
    }
    let tcp_state: u8 = tcp.sock(offset!(state));
    // A child that is not established yet still holds its listener's copy.
    if tcp_state == state::SYN_RECV
        || tcp_state == state::CLOSE
        || tcp.is_mptcp() && tcp_state != state::LISTEN
    {
        return 0;
    }
    if tcp_state != state::LISTEN && ATTACHED.get(0).is_none_or(|attached| *attached == 0) {
        return 0;
    }
    let Some(conn) = Conn::find_or_create(sk) else {
        return 0;
    };
    if conn.kind == kind::NEW {
        conn.adopt(sk, tcp, tcp_state, seed(tcp));
    }
    if let Some(row) = row(tcp, conn, tcp_state) {
        write(seq, &row);
    }
    0
}

#[inline(always)]
fn row(tcp: Tcp, conn: &Conn, tcp_state: u8) -> Option<SurveyRow> {
    let mut quiet = false;
    let mut queued = false;
    let mut waits_ms = 0;
    let (kind, a, b) = match (conn.kind, tcp_state) {
        (kind::LISTENER, state::LISTEN) => (
            survey_kind::LISTENER,
            tcp.sock(offset!(ack_backlog)),
            tcp.sock(offset!(max_ack_backlog)),
        ),
        (kind::CONNECTION, state::ESTABLISHED | state::CLOSE_WAIT) => {
            let unread = tcp.unread();
            let (turn, evidence) = turn::judged(&conn.turns, tcp.write_seq(), unread, false);
            let waits = if conn.is_server() {
                evidence.is_some()
                    && (turn.asked >= SMALL_BYTES || conn.manner().is_small_question(turn.asked))
            } else {
                conn.turns.awaited(turn, unread).is_some()
            };
            quiet = sent::nothing_in_phase(tcp, conn);
            queued = conn.is_server() && !tcp.has_file();
            if queued && unread > 0 && tcp_state == state::ESTABLISHED {
                waits_ms = judge::age_ms(tcp.get(offset!(lrcvtime))) | 1;
            }
            if waits && tcp_state == state::ESTABLISHED {
                (survey_kind::AWAITING, turn.asked, turn.since_read)
            } else if in_phase(conn) || queued {
                (survey_kind::OPEN, turn.asked, turn.since_read)
            } else {
                return None;
            }
        }
        (
            kind::CONNECTION,
            state::FIN_WAIT1 | state::FIN_WAIT2 | state::CLOSING | state::LAST_ACK,
        ) if in_phase(conn) || left_in_phase(conn) => (survey_kind::CLOSING, tcp_state.into(), 0),
        _ => return None,
    };
    Some(SurveyRow {
        service: conn.service().in_phase(Phase::Steady),
        owner: Process {
            start_ns: conn.start_ns,
            tgid: conn.owner_tgid,
            pad: 0,
        },
        cookie: tcp.cookie(),
        opened_at_ns: conn.opened_at_ns,
        a,
        b,
        kind,
        quiet: quiet.into(),
        queued: queued.into(),
        pad: 0,
        waits_ms,
    })
}

/// Its instance drains or reloads.
#[inline(always)]
fn in_phase(conn: &Conn) -> bool {
    phases::of(conn.start_ns, conn.owner_tgid) != Phase::Steady as u8
}

/// It is closing since its instance drained or reloaded, which may be over.
#[inline(always)]
const fn left_in_phase(conn: &Conn) -> bool {
    conn.phase != Phase::Steady as u8
}

/// Who holds the socket, if user space found it.
#[inline(always)]
fn seed(tcp: Tcp) -> Option<&'static OwnerSeed> {
    let socket: u64 = Raw(tcp.ptr() as u64).get(offset!(socket));
    if socket == 0 {
        return None;
    }
    let alloc = Raw(socket.wrapping_sub(offset!(socket_in_alloc) as u64));
    let inode: u64 = alloc.get(offset!(socket_inode) + offset!(inode_ino));
    let found = OWNERS.get_ptr(inode)?;
    // SAFETY: only user space writes the entry, before the iterator runs.
    unsafe { found.as_ref() }
}

/// A mini-socket: its namespace, ports and substate.
#[inline(always)]
pub(super) fn on_mini_socket(ctx: *const IterContext) -> i32 {
    // SAFETY: the kernel passes the context; the verifier knows its layout.
    let (seq, sk) = unsafe { ((*(*ctx).meta).seq, (*ctx).sk_common) };
    if sk.is_null() {
        return 0;
    }
    let mini = Raw(sk as u64);
    if mini.get::<u8>(offset!(state)) != state::TIME_WAIT {
        return 0;
    }
    let mut service = ServiceKey::other(Role::Server, Phase::Steady);
    service.netns = mini.follow(offset!(net)).get(offset!(net_cookie));
    let row = SurveyRow {
        service,
        owner: Process::default(),
        cookie: mini.get(offset!(cookie)),
        opened_at_ns: 0,
        a: mini.get::<u16>(offset!(num)).into(),
        b: u16::from_be(mini.get(offset!(dport))).into(),
        kind: match mini_socket::substate_of(sk) {
            TimeWait::FinWait2 => survey_kind::FIN_WAIT2,
            TimeWait::TimeWait | TimeWait::None => survey_kind::TIME_WAIT,
        },
        quiet: 0,
        queued: 0,
        pad: 0,
        waits_ms: 0,
    };
    write(seq, &row);
    0
}

#[inline(always)]
fn write(seq: *mut seq_file, row: &SurveyRow) {
    // A full buffer makes the kernel call again for the same socket; nothing is lost.
    // SAFETY: the row is plain bytes without padding.
    let _ = unsafe {
        bpf_seq_write(
            seq,
            core::ptr::from_ref(row).cast_mut().cast(),
            size_of::<SurveyRow>() as u32,
        )
    };
}
