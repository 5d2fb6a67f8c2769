//! Records for the ring: what a listener or a connection did, with its evidence.

use finwatch_common::{
    CloseRecord, KIND_CLOSE, KIND_LISTENER, KIND_RESET, KIND_UNREAD, ListenerRecord, Loss, Lost,
    ResetRecord, ServiceKey, UnreadRecord, close_flags,
};
use finwatch_probe::{classify::origin, tcp::SOCK_DONE};

use super::{
    conn::{Conn, flag, pending},
    kernel::{Raw, Tcp, offset, v4_mapped},
    ring::{Slot, header},
    sent,
    task::Task,
};

#[inline(always)]
pub(super) fn listener(tcp: Tcp, conn: &Conn, up: u8) {
    let Some(mut slot) = Slot::<ListenerRecord>::reserve(Loss::ListenerRecords) else {
        return;
    };
    let task = Task::current();
    let owned = tcp.owned();
    let mut local_addr = [0; 16];
    tcp.local_addr(&mut local_addr);
    let record = ListenerRecord {
        header: header::<ListenerRecord>(KIND_LISTENER),
        cookie: tcp.cookie(),
        service: conn.service(),
        start_ns: conn.start_ns,
        local_addr,
        tgid: if owned { task.tgid() } else { 0 },
        owner_tgid: conn.owner_tgid,
        netns_inum: conn.netns_inum(),
        backlog: tcp.sock(offset!(ack_backlog)),
        backlog_limit: tcp.sock(offset!(max_ack_backlog)),
        up,
        by_exit: u8::from(owned && task.is_exiting()),
        pad: [0; 2],
    };
    // SAFETY: the slot is room for exactly this record.
    unsafe { slot.record().write(record) };
    if up == 1 {
        // User space looks for the processes around it while they are there.
        slot.submit_at_once();
    } else {
        slot.submit();
    }
}

/// What [`close`] needs beside the connection's own memory.
pub(super) struct Told {
    pub(super) old: u8,
    pub(super) outcome: u8,
    pub(super) time_wait: u8,
    pub(super) unread: u32,
    pub(super) unacked: u32,
    pub(super) err: i32,
}

#[inline(always)]
pub(super) fn close(tcp: Tcp, conn: &Conn, told: Told) {
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
        (&raw mut (*to).cookie).write(tcp.cookie());
        (&raw mut (*to).service).write(conn.service());
        (&raw mut (*to).opened_at_ns).write(conn.opened_at_ns);
        (&raw mut (*to).owner_start_ns).write(conn.start_ns);
        (&raw mut (*to).last_read_ns).write(conn.last_read_ns);
        let sent: u64 = tcp.get(offset!(bytes_sent));
        let again: u64 = tcp.get(offset!(bytes_retrans));
        (&raw mut (*to).bytes_sent).write(sent.wrapping_sub(again));
        // The kernel counts the peer's FIN as a byte.
        let received: u64 = tcp.get(offset!(bytes_received));
        let fin = u64::from(tcp.flags() & SOCK_DONE != 0 && received > 0);
        (&raw mut (*to).bytes_received).write(received - fin);
        tcp.local_addr(&mut (*to).local_addr);
        tcp.remote_addr(&mut (*to).remote_addr);
        (&raw mut (*to).local_port).write(tcp.local_port());
        (&raw mut (*to).remote_port).write(tcp.remote_port());
        (&raw mut (*to).owner_tgid).write(conn.owner_tgid);
        (&raw mut (*to).closer_tgid).write(conn.closer_tgid);
        (&raw mut (*to).turns).write(conn.turns.count.into());
        (&raw mut (*to).since_read).write(conn.since_read);
        (&raw mut (*to).asked).write(conn.asked);
        (&raw mut (*to).unread).write(unread);
        (&raw mut (*to).unacked).write(unacked);
        (&raw mut (*to).srtt_us).write(tcp.get::<u32>(offset!(srtt)) >> 3);
        (&raw mut (*to).retransmits).write(tcp.get(offset!(total_retrans)));
        (&raw mut (*to).flags).write(told_flags(tcp, conn));
        (&raw mut (*to).sk_err).write(err as u16);
        (&raw mut (*to).old_state).write(old);
        (&raw mut (*to).origin).write(origin(old) as u8);
        (&raw mut (*to).outcome).write(outcome);
        (&raw mut (*to).time_wait).write(time_wait);
        (&raw mut (*to).cut).write(conn.cut);
        (&raw mut (*to).evidence).write(conn.evidence);
        (&raw mut (*to).reason).write(0);
        (&raw mut (*to).lost).write(Lost::Nothing as u8);
        (&raw mut (*to).idle_ds).write(conn.idle_ds);
        (&raw mut (*to).waited_cs).write(conn.waited_cs());
    }
    slot.submit();
}

#[inline(always)]
fn told_flags(tcp: Tcp, conn: &Conn) -> u16 {
    let mut flags = 0;
    if conn.has(flag::PREEXISTING) {
        flags |= close_flags::PREEXISTING;
    }
    if conn.has(flag::BY_EXIT) {
        flags |= close_flags::BY_EXIT;
    }
    if conn.has(flag::SENDING) {
        flags |= close_flags::SENDING;
    }
    if conn.has(flag::UNREAD_LATER) {
        flags |= close_flags::HELD;
    }
    if conn.has(flag::LEFT_STEADY) {
        flags |= close_flags::LEFT_STEADY;
    }
    if sent::in_phase(tcp, conn) {
        flags |= close_flags::SENT_IN_PHASE;
    }
    if conn.has(flag::NEVER_ACCEPTED) {
        flags |= close_flags::NEVER_ACCEPTED;
    }
    if conn.has(flag::MESSAGES) {
        flags |= close_flags::MESSAGES;
    }
    if conn.has(flag::EARLY) {
        flags |= close_flags::EARLY;
    }
    if conn.has(flag::SMALL_ANSWERED) {
        flags |= close_flags::SMALL_ANSWERED;
    }
    if conn.has(flag::SMALL_LEFT) {
        flags |= close_flags::SMALL_LEFT;
    }
    if conn.has(flag::REST_OR_REQUEST) {
        flags |= close_flags::REST_OR_REQUEST;
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

/// `cut`: as the connection's, when these bytes make it a cut one.
#[inline(always)]
pub(super) fn unread(tcp: Tcp, conn: &Conn, unread: u32, cut: u8, rest_or_request: bool) {
    let Some(mut slot) = Slot::<UnreadRecord>::reserve(Loss::UnreadRecords) else {
        return;
    };
    let to = slot.record();
    // SAFETY: the slot is room for exactly this record, and every field is written.
    unsafe {
        (&raw mut (*to).header).write(header::<UnreadRecord>(KIND_UNREAD));
        (&raw mut (*to).cookie).write(tcp.cookie());
        (&raw mut (*to).service).write(conn.service());
        tcp.local_addr(&mut (*to).local_addr);
        tcp.remote_addr(&mut (*to).remote_addr);
        (&raw mut (*to).local_port).write(tcp.local_port());
        (&raw mut (*to).remote_port).write(tcp.remote_port());
        (&raw mut (*to).unread).write(unread);
        (&raw mut (*to).cut).write(cut);
        (&raw mut (*to).rest_or_request).write(rest_or_request.into());
        (&raw mut (*to).idle_ds).write(conn.idle_ds);
        (&raw mut (*to).tail).write([0; 4]);
    }
    slot.submit();
}

/// What [`reset`] needs beside the socket.
pub(super) struct ToldReset {
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    pub(super) bytes: u32,
    pub(super) flags: u16,
    pub(super) state: u8,
    pub(super) reason: u8,
    pub(super) lost: Lost,
    pub(super) idle_ds: u16,
}

#[inline(always)]
pub(super) fn reset(sk: Raw, cookie: u64, service: &ServiceKey, told: ToldReset) {
    let v6 = sk.get::<u16>(offset!(family)) == 10;
    write_reset(cookie, service, told, |local, remote| {
        // SAFETY: both are room for an address in a record.
        unsafe {
            local.write(if v6 {
                sk.get(offset!(v6_rcv_saddr))
            } else {
                v4_mapped(sk.get(offset!(rcv_saddr)))
            });
            remote.write(if v6 {
                sk.get(offset!(v6_daddr))
            } else {
                v4_mapped(sk.get(offset!(daddr)))
            });
        }
    });
}

/// A SYN that nothing listened for: who sent it stands in its IP header (RFC 791 section 3.1, RFC 8200 section 3).
#[inline(always)]
pub(super) fn refused(ip: Raw, service: &ServiceKey, told: ToldReset) {
    let v6 = ip.get::<u8>(0) >> 4 == 6;
    write_reset(0, service, told, |local, remote| {
        // SAFETY: both are room for an address in a record.
        unsafe {
            remote.write(if v6 { ip.get(8) } else { v4_mapped(ip.get(12)) });
            local.write(if v6 {
                ip.get(24)
            } else {
                v4_mapped(ip.get(16))
            });
        }
    });
}

/// `addresses` writes the local one and the peer's.
#[inline(always)]
fn write_reset(
    cookie: u64,
    service: &ServiceKey,
    told: ToldReset,
    addresses: impl FnOnce(*mut [u32; 4], *mut [u32; 4]),
) {
    let Some(mut slot) = Slot::<ResetRecord>::reserve(Loss::ResetRecords) else {
        return;
    };
    let ToldReset {
        local_port,
        remote_port,
        bytes,
        flags,
        state,
        reason,
        lost,
        idle_ds,
    } = told;
    let to = slot.record();
    // SAFETY: the slot is room for exactly this record, and every field is written.
    unsafe {
        (&raw mut (*to).header).write(header::<ResetRecord>(KIND_RESET));
        (&raw mut (*to).cookie).write(cookie);
        (&raw mut (*to).service).write(*service);
        addresses(
            (&raw mut (*to).local_addr).cast(),
            (&raw mut (*to).remote_addr).cast(),
        );
        (&raw mut (*to).local_port).write(local_port);
        (&raw mut (*to).remote_port).write(remote_port);
        (&raw mut (*to).lost_bytes).write(bytes);
        (&raw mut (*to).flags).write(flags);
        (&raw mut (*to).state).write(state);
        (&raw mut (*to).reason).write(reason);
        (&raw mut (*to).lost).write(lost as u8);
        (&raw mut (*to).pad).write(0);
        (&raw mut (*to).idle_ds).write(idle_ds);
    }
    slot.submit();
}
