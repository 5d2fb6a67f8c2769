//! What is known of one socket, kept in its socket-local storage: made when it listens or connects,
//! copied from the listener into each accepted child (`BPF_F_CLONE`), freed with the socket.
//!
//! Written under the socket's lock, or in softirq where nobody holds it; never shared between sockets.
//! Memory: one [`Conn`] a socket, charged to the socket's own option memory.

use aya_ebpf::{
    bindings::{BPF_F_CLONE, BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE, bpf_map_type},
    helpers::{bpf_get_socket_cookie, bpf_sk_storage_get},
};
use finwatch_common::{
    Cell, Loss, OwnerSeed, Phase, PortOwner, Role, RowId, ServiceKey, other_row,
};
use finwatch_probe::{
    manner::Manner,
    tcp::{seq_after, state},
    turns::Turns,
};

pub(super) use super::flag;
use super::{
    counters::{self, Row},
    kernel::{Tcp, offset},
    losses, phases, ports,
    task::Task,
    turn,
};

/// No [`finwatch_common::Cut`] and no [`finwatch_common::Evidence`].
pub(super) const NONE: u8 = 0xff;

/// Values of [`Conn::kind`].
pub(super) mod kind {
    /// Just created.
    pub(crate) const NEW: u8 = 0;
    /// A listener, or a child that still holds its listener's copy.
    pub(crate) const LISTENER: u8 = 1;
    /// A connection, or an attempt at one.
    pub(crate) const CONNECTION: u8 = 2;
    /// An MPTCP subflow: left out.
    pub(crate) const IGNORED: u8 = 3;
}

/// Values of [`Conn::pending`]: what a later event settles.
pub(super) mod pending {
    /// Nothing.
    pub(crate) const NOTHING: u8 = 0;
    /// An RST of ours follows at once.
    pub(crate) const RESET_FOLLOWS: u8 = 1;
    /// The peer's RST, unless one of ours follows.
    pub(crate) const RECEIVED: u8 = 2;
    /// No mini-socket could be had, unless an RST of ours follows.
    pub(crate) const NO_MINI_SOCKET: u8 = 3;
}

/// See the module. The first 56 bytes share a cache line with what the kernel reads to find them, so
/// what every event needs stands there; the rest is a second one.
#[repr(C)]
pub(super) struct Conn {
    pub(super) turns: Turns,
    pub(super) kind: u8,
    pub(super) pending: u8,
    pub(super) cut: u8,
    pub(super) evidence: u8,
    /// The transition last worked on: `old << 8 | new`.
    pub(super) last: u16,
    /// The [`Phase`] of [`Conn::row`].
    pub(super) phase: u8,
    /// The [`Role`] of it.
    role: u8,
    flags: u32,
    /// Where it is counted.
    row: RowId,
    /// Segments with data that had come at the last read.
    pub(super) segments: u32,
    /// [`Turns::began`] of the last question of which more came after some of it was read.
    pub(super) parted: u32,
    /// `rcv_nxt` when our FIN went out.
    pub(super) fin_rcv_nxt: u32,
    pub(super) closer_tgid: u32,
    pub(super) opened_at_ns: u64,
    pub(super) start_ns: u64,
    /// When the program last read, in a time when anything drained; 0 in no such time.
    pub(super) last_read_ns: u64,
    pub(super) owner_tgid: u32,
    /// The turn that was judged.
    pub(super) since_read: u32,
    pub(super) asked: u32,
    /// Unread at CLOSE.
    pub(super) unread: u32,
    /// See [`finwatch_common::CloseRecord::waited_cs`], in milliseconds.
    pub(super) waited_ms: u32,
    /// State left for CLOSE.
    pub(super) old_state: u8,
    pub(super) pad: u8,
    /// Tenths of a second that it had been idle when our FIN went out; 0: it was not at rest.
    pub(super) idle_ds: u16,
    /// See [`Conn::forget`].
    scratch: u64,
}

// The kernel's own part is 72 bytes, and it allocates 192 together.
const _: () = assert!(core::mem::offset_of!(Conn, opened_at_ns) == 56 && size_of::<Conn>() <= 112);

/// A BTF map definition: the kernel wants `BPF_F_NO_PREALLOC`; `BPF_F_CLONE` is what this adds to
/// the library's own.
#[repr(C)]
struct Storage {
    r#type: *const [i32; bpf_map_type::BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const Conn,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

// SAFETY: the pointers only carry types for the loader; nobody reads them.
unsafe impl Sync for Storage {}

#[unsafe(link_section = ".maps")]
#[unsafe(export_name = "SOCKETS")]
static SOCKETS: Storage = Storage {
    r#type: core::ptr::null(),
    key: core::ptr::null(),
    value: core::ptr::null(),
    max_entries: core::ptr::null(),
    map_flags: core::ptr::null(),
};

impl Conn {
    /// The storage of a socket, if it has one. `sk` may be null or no full socket.
    #[inline(always)]
    pub(super) fn find(sk: *const u8) -> Option<&'static mut Self> {
        Self::storage(sk, 0)
    }

    /// The storage of a socket, created when it has none.
    #[inline(always)]
    pub(super) fn find_or_create(sk: *const u8) -> Option<&'static mut Self> {
        let found = Self::storage(sk, BPF_SK_STORAGE_GET_F_CREATE.into());
        if found.is_none() {
            losses::count(Loss::StorageFailed);
        }
        found
    }

    #[inline(always)]
    fn storage(sk: *const u8, flags: u64) -> Option<&'static mut Self> {
        let map = (&raw const SOCKETS).cast_mut().cast();
        // SAFETY: the helper checks the socket; the value lives as long as the socket, longer than
        // the program's run, and only the holder of the socket writes it.
        unsafe {
            bpf_sk_storage_get(map, sk.cast_mut().cast(), core::ptr::null_mut(), flags)
                .cast::<Self>()
                .as_mut()
        }
    }

    /// Flags are read from memory each time: what the compiler keeps in a register the verifier tracks
    /// bit by bit, along every path.
    #[inline(always)]
    pub(super) fn has(&self, flag: u32) -> bool {
        // SAFETY: a reference is always readable.
        unsafe { (&raw const self.flags).read_volatile() & flag != 0 }
    }

    #[inline(always)]
    pub(super) fn set(&mut self, flag: u32) {
        let flags = &raw mut self.flags;
        // SAFETY: a reference is always readable and writable.
        unsafe { flags.write_volatile(flags.read_volatile() | flag) };
    }

    #[inline(always)]
    pub(super) fn clear(&mut self, flag: u32) {
        let flags = &raw mut self.flags;
        // SAFETY: a reference is always readable and writable.
        unsafe { flags.write_volatile(flags.read_volatile() & !flag) };
    }

    #[inline(always)]
    pub(super) fn toggle(&mut self, flag: u32) {
        let flags = &raw mut self.flags;
        // SAFETY: a reference is always readable and writable.
        unsafe { flags.write_volatile(flags.read_volatile() ^ flag) };
    }

    /// What the conversation says of the peer's last bytes, as its server stands.
    #[inline(always)]
    pub(super) fn manner(&self) -> Manner {
        let steady = self.phase == Phase::Steady as u8 || self.has(flag::LEFT_STEADY);
        if steady && !self.has(flag::BY_EXIT) {
            turn::manner(&self.turns, false)
        } else {
            turn::manner(&self.turns, true)
        }
    }

    /// Whether the last question came in several parts: the peer may not have been at its end when it was answered.
    #[inline(always)]
    pub(super) const fn is_parted(&self) -> bool {
        self.turns.count > 0 && self.parted == self.turns.began
    }

    /// See [`finwatch_common::CloseRecord::waited_cs`].
    #[inline(always)]
    pub(super) const fn waited_cs(&self) -> u16 {
        const MOST: u32 = u16::MAX as u32;
        let waited = self.waited_ms / 10;
        if waited > MOST {
            u16::MAX
        } else {
            waited as u16
        }
    }

    /// Passes a number through memory. The verifier follows what it knows of a number along every path,
    /// and of memory it knows nothing: paths that differ in such numbers alone become one, and the
    /// program stays within what kernels are willing to verify.
    #[inline(always)]
    pub(super) fn forget(&mut self, number: u32) -> u32 {
        self.through_memory(number.into()) as u32
    }

    /// A pointer as the number that it is: a place computed from it is not for the verifier to judge.
    #[inline(always)]
    pub(super) fn as_number(&mut self, pointer: *const u8) -> u64 {
        self.through_memory(pointer as u64)
    }

    #[inline(always)]
    fn through_memory(&mut self, number: u64) -> u64 {
        let scratch = &raw mut self.scratch;
        // SAFETY: a reference is always readable and writable.
        unsafe {
            scratch.write_volatile(number);
            scratch.read_volatile()
        }
    }

    #[inline(always)]
    pub(super) const fn is_server(&self) -> bool {
        self.role == Role::Server as u8
    }

    /// The service that it is counted to, in its phase.
    #[inline(always)]
    pub(super) fn service(&self) -> ServiceKey {
        match counters::head(self.row) {
            Some(head) => head.service,
            None => self.other(),
        }
    }

    /// Inode number of its network namespace.
    #[inline(always)]
    pub(super) fn netns_inum(&self) -> u32 {
        match counters::head(self.row) {
            Some(head) => head.netns_inum,
            None => 0,
        }
    }

    #[inline(always)]
    fn other(&self) -> ServiceKey {
        let mut other = ServiceKey::other(Role::Server, Phase::Steady);
        other.role = self.role;
        other.phase = self.phase;
        other
    }

    /// The row that it is counted in, by its id. Who is not among its holders makes sure that it is still the same service's.
    #[inline(always)]
    pub(super) fn row_id(&self) -> RowId {
        let holds = self.has(flag::HOLDS) && self.kind != kind::LISTENER;
        if holds || counters::head(self.row).is_some() {
            self.row
        } else {
            other_row(self.role, self.phase)
        }
    }

    /// The row that it is counted in, on this CPU.
    #[inline(always)]
    pub(super) fn row(&self) -> Option<Row> {
        counters::at(self.row_id())
    }

    /// It may count in its row from now on, until [`Conn::let_go`].
    #[inline(always)]
    pub(super) fn hold(&mut self) {
        if !self.has(flag::HOLDS) {
            self.set(flag::HOLDS);
            if let Some(row) = counters::at(self.row) {
                row.hold();
            }
        }
    }

    /// It counts no more, but what it draws at once.
    #[inline(always)]
    pub(super) fn let_go(&mut self) {
        if self.has(flag::HOLDS) {
            self.clear(flag::HOLDS);
            if let Some(row) = counters::at(self.row) {
                row.let_go();
            }
        }
    }

    /// It is left out: an MPTCP subflow.
    #[inline(always)]
    pub(super) fn ignore(&mut self) {
        if self.kind == kind::LISTENER {
            // The listener holds, and not its copy.
            self.clear(flag::HOLDS);
        } else {
            self.let_go();
        }
        self.kind = kind::IGNORED;
    }

    /// Forgets everything: the socket begins a new life.
    #[inline(always)]
    pub(super) fn reset(&mut self) {
        if self.kind == kind::CONNECTION || self.kind == kind::IGNORED {
            self.let_go();
        }
        self.forget_connection();
        self.start_ns = 0;
        self.owner_tgid = 0;
    }

    /// It is counted to this service from now on.
    #[inline(always)]
    fn belong_to(&mut self, service: &ServiceKey, netns_inum: u32) {
        self.role = service.role;
        self.phase = service.phase;
        self.row = counters::assign(service, netns_inum);
    }

    /// The same of a socket, with its program's name.
    #[inline(always)]
    pub(super) fn belong(&mut self, tcp: Tcp, role: Role, port: u16, comm: [u8; 16]) {
        let net = tcp.net();
        let service = ServiceKey {
            cgroup: tcp.cgroup(),
            netns: net.get(offset!(net_cookie)),
            comm,
            port,
            role: role as u8,
            phase: phases::of(self.start_ns, self.owner_tgid),
            pad: 0,
        };
        self.belong_to(&service, net.get(offset!(net_inum)));
    }

    /// Forgets all but whose the socket is.
    #[inline(always)]
    fn forget_connection(&mut self) {
        self.opened_at_ns = 0;
        self.turns = Turns::default();
        self.closer_tgid = 0;
        self.since_read = 0;
        self.asked = 0;
        self.fin_rcv_nxt = 0;
        self.unread = 0;
        self.last_read_ns = 0;
        self.segments = 0;
        self.waited_ms = 0;
        self.parted = 0;
        self.flags = 0;
        self.kind = kind::CONNECTION;
        self.pending = pending::NOTHING;
        self.cut = NONE;
        self.evidence = NONE;
        self.old_state = 0;
        self.idle_ds = 0;
    }

    /// Takes on the phase that its instance is in. Once it reached CLOSE it keeps the last: what is settled later
    /// must be counted where it was left open. So does one that is open no more since it was in another than steady: the phase ends
    /// with the old processes, and what they left behind is theirs.
    #[inline(always)]
    pub(super) fn enter_phase(&mut self) {
        let left_in_phase =
            self.phase != Phase::Steady as u8 && self.has(flag::OPENED) && !self.has(flag::OPEN);
        if self.has(flag::CLOSED) || left_in_phase {
            return;
        }
        let phase = phases::of(self.start_ns, self.owner_tgid);
        if phase != self.phase {
            self.move_to(phase);
        }
    }

    #[inline(always)]
    fn move_to(&mut self, phase: u8) {
        let Some(head) = counters::head(self.row) else {
            return;
        };
        let service = ServiceKey {
            phase,
            ..head.service
        };
        let holds = self.has(flag::HOLDS);
        let child = self.kind == kind::LISTENER;
        if holds && !child {
            self.let_go();
        }
        self.belong_to(&service, head.netns_inum);
        if holds && !child {
            self.hold();
        }
    }

    /// The current process owns the socket: it called `listen()` or `connect()`. Returns its name.
    #[inline(always)]
    pub(super) fn own_by_current(&mut self) -> [u8; 16] {
        let task = Task::current();
        let mut comm = [0; 16];
        self.start_ns = task.leader(&mut comm);
        self.owner_tgid = task.tgid();
        comm
    }

    /// A child that holds its listener's copy becomes a connection of its own.
    #[inline(always)]
    pub(super) fn be_child(&mut self, tcp: Tcp) {
        if self.kind != kind::LISTENER {
            return;
        }
        self.forget_connection();
        if counters::head(self.row).is_none() {
            // The listener is long gone.
            self.adopt_child(tcp);
        }
        self.hold();
    }

    /// A child of a listener that no program has seen.
    #[inline(always)]
    pub(super) fn adopt_child(&mut self, tcp: Tcp) {
        self.reset();
        let port = tcp.local_port();
        let mut comm = [0; 16];
        if let Some(owner) = ports::owner(tcp.net_cookie(), port) {
            comm = owner.service.comm;
            self.start_ns = owner.start_ns;
            self.owner_tgid = owner.tgid;
        }
        self.belong(tcp, Role::Server, port, comm);
    }

    /// The program reads before the connection was seen to be established (TCP Fast Open): counts the
    /// turns from the first byte the peer sent.
    #[inline(always)]
    pub(super) fn begin_turns_early(&mut self, tcp: Tcp) {
        self.be_child(tcp);
        self.set(flag::TURNS);
        let received = tcp.get::<u64>(offset!(bytes_received)) as u32;
        self.turns
            .begin(tcp.write_seq(), tcp.rcv_nxt().wrapping_sub(received));
    }

    /// Gives the socket its identity for good, which [`Tcp::cookie`] reads; it must not be asked for before ESTABLISHED.
    #[inline(always)]
    pub(super) fn name(sk: *const u8) {
        // SAFETY: the helper checks the socket.
        let _ = unsafe { bpf_get_socket_cookie(sk.cast_mut().cast()) };
    }

    /// Takes on a socket that no program has seen: it is older than they are. `state` is where it
    /// stands (or the state it leaves now). Counts it into the gauges it belongs to.
    #[inline(always)]
    pub(super) fn adopt(
        &mut self,
        sk: *const u8,
        tcp: Tcp,
        tcp_state: u8,
        seed: Option<&OwnerSeed>,
    ) {
        let port = tcp.local_port();
        let owner = if tcp_state == state::LISTEN {
            None
        } else {
            ports::owner(tcp.net_cookie(), port)
        };
        let server = tcp_state == state::LISTEN || tcp_state == state::SYN_RECV || owner.is_some();
        self.reset();
        if tcp_state == state::LISTEN {
            // A child that is made in the midst of this finds for itself whose it is.
            self.kind = kind::NEW;
        }
        let mut comm = [0; 16];
        if let Some(owner) = owner {
            comm = owner.service.comm;
            self.start_ns = owner.start_ns;
            self.owner_tgid = owner.tgid;
        } else if let Some(seed) = seed {
            comm = seed.comm;
            self.start_ns = seed.start_ns;
            self.owner_tgid = seed.tgid;
        }
        if server {
            self.belong(tcp, Role::Server, port, comm);
        } else {
            self.belong(tcp, Role::Client, tcp.remote_port(), comm);
        }
        self.flags = flag::PREEXISTING | flag::ROLE_BY_PORT | flag::OPENED | flag::TURNS;
        self.hold();
        Self::name(sk);
        self.turns.begin(tcp.write_seq(), tcp.copied_seq());
        self.turns.miss_beginning();
        let Some(row) = self.row() else {
            return;
        };
        match tcp_state {
            state::LISTEN => {
                // Its children must not take these for theirs.
                self.clear(flag::OPENED | flag::TURNS);
                self.note_port();
                row.inc(Cell::LISTEN_UP);
                self.kind = kind::LISTENER;
            }
            state::ESTABLISHED => {
                self.set(flag::OPEN);
                row.inc(Cell::SEEDED);
            }
            state::CLOSE_WAIT => {
                self.set(flag::OPEN | flag::JUDGED | flag::CLOSE_WAIT);
                row.inc(Cell::SEEDED);
                row.inc(Cell::CLOSE_WAIT_IN);
            }
            state::FIN_WAIT1 | state::FIN_WAIT2 | state::CLOSING => {
                self.set(flag::JUDGED | flag::LOCAL_FIN);
                self.fin_rcv_nxt = tcp.rcv_nxt();
            }
            state::LAST_ACK => self.set(flag::JUDGED),
            // It is not established yet: that will be seen.
            _ => self.clear(flag::OPENED),
        }
    }

    /// A listener: keeps its port's owner for what no socket carries.
    #[inline(always)]
    pub(super) fn note_port(&self) {
        let service = self.service();
        let owner = PortOwner {
            service,
            start_ns: self.start_ns,
            tgid: self.owner_tgid,
            netns_inum: self.netns_inum(),
        };
        ports::note(service.netns, service.port, &owner);
    }

    /// Some of what was unread at CLOSE had come before our FIN.
    #[inline(always)]
    pub(super) const fn unread_before_fin(&self, copied_seq: u32) -> bool {
        seq_after(self.fin_rcv_nxt, copied_seq) > 0
    }
}
