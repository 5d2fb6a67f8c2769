//! Where the running kernel keeps the fields that the programs read. User space fills the table from
//! the kernel's BTF at load; the programs see it as constants.

/// An offset that the running kernel does not have.
pub const MISSING: u32 = u32::MAX;

/// One field to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    /// Name in [`Offsets`].
    pub name: &'static str,
    /// `struct.member.member...`; anonymous members are passed through.
    pub path: &'static str,
    /// Bytes the programs read there; 0 when only the place matters.
    pub size: u32,
    /// Whether finwatch works without it.
    pub optional: bool,
}

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident: $path:literal, $size:literal $(, $optional:ident)?;)+) => {
        /// Byte offsets, each from the start of the structure that its path names first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(C)]
        pub struct Offsets {
            $($(#[$doc])* pub $name: u32,)+
        }

        impl Offsets {
            /// Every field, in the order of the structure.
            pub const FIELDS: &[FieldSpec] = &[
                $(FieldSpec {
                    name: stringify!($name),
                    path: $path,
                    size: $size,
                    optional: false $(|| { let $optional = true; $optional })?,
                },)+
            ];

            /// A table in which nothing was found.
            pub const fn missing() -> Self {
                Self { $($name: MISSING,)+ }
            }

            /// The offsets in the order of [`Offsets::FIELDS`].
            pub fn slots(&mut self) -> [&mut u32; Self::FIELDS.len()] {
                let Self { $($name,)+ } = self;
                [$($name,)+]
            }
        }
    };
}

offsets! {
    /// Address family.
    family: "sock.__sk_common.skc_family", 2;
    /// Remote IPv4 address.
    daddr: "sock.__sk_common.skc_daddr", 4;
    /// Local IPv4 address.
    rcv_saddr: "sock.__sk_common.skc_rcv_saddr", 4;
    /// Remote port, network byte order.
    dport: "sock.__sk_common.skc_dport", 2;
    /// Local port, host byte order; 0 at CLOSE.
    num: "sock.__sk_common.skc_num", 2;
    /// Hash of the four-tuple.
    hash: "sock.__sk_common.skc_hash", 4;
    /// TCP state.
    state: "sock.__sk_common.skc_state", 1;
    /// Remote IPv6 address.
    v6_daddr: "sock.__sk_common.skc_v6_daddr", 16;
    /// Local IPv6 address.
    v6_rcv_saddr: "sock.__sk_common.skc_v6_rcv_saddr", 16;
    /// Network namespace.
    net: "sock.__sk_common.skc_net.net", 8;
    /// Socket cookie.
    cookie: "sock.__sk_common.skc_cookie", 8;
    /// Link of the established hash.
    nulls_node: "sock.__sk_common.skc_nulls_node", 0;
    /// `enum sock_flags` as a bit set.
    sk_flags: "sock.__sk_common.skc_flags", 8;
    /// Protocol.
    protocol: "sock.sk_protocol", 2;
    /// Pending error.
    err: "sock.sk_err", 4;
    /// `RCV_SHUTDOWN` and `SEND_SHUTDOWN`.
    shutdown: "sock.sk_shutdown", 1;
    /// Whether process context holds the socket.
    owned: "sock.sk_lock.owned", 4;
    /// The file's side of the socket.
    socket: "sock.sk_socket", 8;
    /// cgroup of the socket.
    cgroup: "sock.sk_cgrp_data.cgroup", 8, optional;
    /// Waiting to be accepted.
    ack_backlog: "sock.sk_ack_backlog", 4;
    /// Most that may wait.
    max_ack_backlog: "sock.sk_max_ack_backlog", 4;
    /// Local port, network byte order; valid at CLOSE too.
    sport: "inet_sock.inet_sport", 2;
    /// Unanswered retransmissions.
    retransmits: "inet_connection_sock.icsk_retransmits", 1;
    /// Timer back-off.
    backoff: "inet_connection_sock.icsk_backoff", 1;
    /// Unanswered probes.
    probes_out: "inet_connection_sock.icsk_probes_out", 1;
    /// Next sequence number to receive.
    rcv_nxt: "tcp_sock.rcv_nxt", 4;
    /// Next sequence number that the program reads.
    copied_seq: "tcp_sock.copied_seq", 4;
    /// First unacknowledged sequence number.
    snd_una: "tcp_sock.snd_una", 4;
    /// Sequence number after the last byte sent.
    snd_nxt: "tcp_sock.snd_nxt", 4;
    /// Sequence number after the last byte written.
    write_seq: "tcp_sock.write_seq", 4;
    /// Payload received.
    bytes_received: "tcp_sock.bytes_received", 8;
    /// Segments with payload received.
    data_segs_in: "tcp_sock.data_segs_in", 4;
    /// Payload sent, retransmissions included.
    bytes_sent: "tcp_sock.bytes_sent", 8;
    /// Payload retransmitted.
    bytes_retrans: "tcp_sock.bytes_retrans", 8;
    /// Segments retransmitted.
    total_retrans: "tcp_sock.total_retrans", 4;
    /// Smoothed round-trip time, eighths of a microsecond.
    srtt: "tcp_sock.srtt_us", 4;
    /// Lifetime of an orphan in FIN_WAIT2; negative: none.
    linger2: "tcp_sock.linger2", 4;
    /// Whether the socket carries an MPTCP subflow.
    is_mptcp: "tcp_sock.is_mptcp", 1, optional;
    /// Cookie of a network namespace.
    net_cookie: "net.net_cookie", 8;
    /// Inode number of a network namespace.
    net_inum: "net.ns.inum", 4;
    /// Table of mini-sockets: a structure, or before 6.1 a pointer to one.
    death_row: "net.ipv4.tcp_death_row", 0;
    /// The hash tables, from the death row.
    death_row_hashinfo: "inet_timewait_death_row.hashinfo", 8;
    /// Buckets of the established hash.
    ehash: "inet_hashinfo.ehash", 8;
    /// Their number less one.
    ehash_mask: "inet_hashinfo.ehash_mask", 4;
    /// Substate of a mini-socket.
    tw_substate: "inet_timewait_sock.tw_substate", 1;
    /// Of a mini-socket, the next sequence number to receive.
    tw_rcv_nxt: "sock.__sk_common.skc_tw_rcv_nxt", 4;
    /// Node of a cgroup in its file system.
    cgroup_kn: "cgroup.kn", 8;
    /// Its id.
    kn_id: "kernfs_node.id", 8;
    /// Thread-group id.
    tgid: "task_struct.tgid", 4;
    /// `PF_` flags.
    task_flags: "task_struct.flags", 4;
    /// Leader of the thread group.
    group_leader: "task_struct.group_leader", 8;
    /// Name of a thread.
    comm: "task_struct.comm", 16;
    /// When a task started, nanoseconds since boot.
    start_boottime: "task_struct.start_boottime", 8;
    /// Parent of a task, whoever traces it.
    real_parent: "task_struct.real_parent", 8;
    /// What the threads of a process share.
    signal: "task_struct.signal", 8;
    /// Threads that have not ended.
    signal_live: "signal_struct.live", 4;
    /// How a task ended.
    exit_code: "task_struct.exit_code", 4;
    /// Signal handlers of a process.
    sighand: "task_struct.sighand", 8;
    /// The handlers, by signal less one.
    sigactions: "sighand_struct.action", 0;
    /// Address of a handler, 0 for the default action, 1 for none.
    sa_handler: "k_sigaction.sa.sa_handler", 8;
    /// Signals that a task blocks.
    blocked: "task_struct.blocked", 8;
    /// Where a signal comes from: above zero the kernel.
    si_code: "kernel_siginfo.si_code", 4;
    /// When data was last sent, jiffies.
    lsndtime: "tcp_sock.lsndtime", 4;
    /// Sequence number of the segment that acknowledged anything new last, or changed the window.
    snd_wl1: "tcp_sock.snd_wl1", 4;
    /// When data last came, jiffies.
    lrcvtime: "inet_connection_sock.icsk_ack.lrcvtime", 4;
    /// When a segment of the peer last acknowledged something, jiffies.
    rcv_tstamp: "tcp_sock.rcv_tstamp", 4;
    /// Private area of a segment.
    skb_cb: "sk_buff.cb", 0;
    /// Start of a segment's buffer.
    skb_head: "sk_buff.head", 8;
    /// Transport header, from the head.
    skb_transport_header: "sk_buff.transport_header", 2;
    /// Device of a segment.
    skb_dev: "sk_buff.dev", 8;
    /// Network header, from the head.
    skb_network_header: "sk_buff.network_header", 2;
    /// Network namespace of a device.
    dev_net: "net_device.nd_net.net", 8;
    /// First sequence number of a segment.
    cb_seq: "tcp_skb_cb.seq", 4;
    /// Sequence number after a segment.
    cb_end_seq: "tcp_skb_cb.end_seq", 4;
    /// What a segment acknowledges.
    cb_ack_seq: "tcp_skb_cb.ack_seq", 4;
    /// TCP header flags of a segment.
    cb_flags: "tcp_skb_cb.tcp_flags", 0;
    /// The inode's place beside a socket.
    socket_inode: "socket_alloc.vfs_inode", 0;
    /// The socket's place beside its inode.
    socket_in_alloc: "socket_alloc.socket", 0;
    /// Inode number.
    inode_ino: "inode.i_ino", 8;
}

/// What the running kernel offers beyond the floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Features {
    /// `tcp_send_reset` carries an `enum sk_rst_reason` and is called without a socket too (6.10).
    pub reset_reason: u32,
    /// `net.ipv4.tcp_death_row` is a pointer (5.18 to 6.0).
    pub death_row_is_pointer: u32,
    /// Bytes in the ring buffer that make a reader worth waking.
    pub ring_wake_bytes: u32,
    /// Nanoseconds of a jiffy.
    pub tick_ns: u32,
    /// Size of `struct k_sigaction`.
    pub sigaction_bytes: u32,
    /// Whether each refused SYN is told: anybody may send them in any number, so that only those ask for it whose records prove
    /// nothing.
    pub tell_refused: u32,
    /// Counter rows on each CPU.
    pub rows: u32,
}
