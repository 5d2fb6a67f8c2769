//! Typed reads of kernel structures at offsets that user space took from the running kernel's BTF.

use core::hint::black_box;

use aya_ebpf::helpers::{
    bpf_probe_read_kernel, bpf_skc_to_tcp_sock,
    generated::bpf_probe_read_kernel as bpf_probe_read_kernel_raw,
};
use finwatch_common::{Features, MISSING, Offsets};
use finwatch_probe::tcp::{SOCK_DONE, unread};

/// Filled in by the loader before the programs are verified.
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets::missing();

/// Filled in by the loader before the programs are verified.
#[unsafe(no_mangle)]
static FEATURES: Features = Features {
    reset_reason: 0,
    death_row_is_pointer: 0,
    ring_wake_bytes: 0,
    tick_ns: 0,
    sigaction_bytes: 0,
    tell_refused: 0,
    rows: 0,
};

/// The offset of a field of [`Offsets`], as the loader set it.
macro_rules! offset {
    ($name:ident) => {
        $crate::bpf::kernel::load(&$crate::bpf::kernel::offsets().$name)
    };
}
pub(super) use offset;

/// The table, for [`offset!`].
#[inline(always)]
pub(super) const fn offsets() -> &'static Offsets {
    &OFFSETS
}

/// An entry of the table. Volatile: the loader rewrites it behind the compiler's back.
#[inline(always)]
pub(super) fn load(entry: &'static u32) -> usize {
    // SAFETY: a reference is always readable.
    unsafe { core::ptr::from_ref(entry).read_volatile() as usize }
}

/// Whether `tcp_send_reset` has a reason.
#[inline(always)]
pub(super) fn has_reset_reason() -> bool {
    load(&FEATURES.reset_reason) != 0
}

/// Whether the table of mini-sockets is behind a pointer.
#[inline(always)]
pub(super) fn death_row_is_pointer() -> bool {
    load(&FEATURES.death_row_is_pointer) != 0
}

/// Bytes in the ring that make a reader worth waking.
#[inline(always)]
pub(super) fn ring_wake_bytes() -> u64 {
    load(&FEATURES.ring_wake_bytes) as u64
}

/// Nanoseconds of a jiffy.
#[inline(always)]
pub(super) fn tick_ns() -> u64 {
    load(&FEATURES.tick_ns) as u64
}

/// Size of `struct k_sigaction`.
#[inline(always)]
pub(super) fn sigaction_bytes() -> u64 {
    load(&FEATURES.sigaction_bytes) as u64
}

/// Whether refused SYNs are told. Where they are not, the verifier leaves that out.
#[inline(always)]
pub(super) fn tell_refused() -> bool {
    load(&FEATURES.tell_refused) != 0
}

/// Counter rows on each CPU.
#[inline(always)]
pub(super) fn rows() -> u32 {
    load(&FEATURES.rows) as u32
}

/// A kernel structure whose type the verifier knows.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Typed(*const u8);

impl Typed {
    #[inline(always)]
    pub(super) const fn new(ptr: *const u8) -> Self {
        Self(ptr)
    }

    #[inline(always)]
    pub(super) const fn ptr(self) -> *const u8 {
        self.0
    }

    /// A field. A bad pointer reads as zeros: the verifier makes these loads fault-tolerant.
    #[inline(always)]
    pub(super) fn get<T: Copy>(self, offset: usize) -> T {
        // SAFETY: the verifier admits only offsets that lie in the structure and fit the field.
        unsafe { self.0.add(offset).cast::<T>().read() }
    }

    /// The structure that a field points to.
    #[inline(always)]
    pub(super) fn follow(self, offset: usize) -> Self {
        Self(self.get::<*const u8>(offset))
    }

    #[inline(always)]
    pub(super) fn is_null(self) -> bool {
        self.0.is_null()
    }
}

/// A full TCP socket.
#[derive(Clone, Copy)]
pub(super) struct Tcp {
    /// As `struct tcp_sock`, which begins with `struct sock`.
    tcp: Typed,
    /// As whatever came with the event: `struct sock` from a tracepoint, whose loads newer kernels do
    /// not have to guard.
    sock: Typed,
}

impl Tcp {
    /// Of a tracepoint's `struct sock`. `None` when it is no full TCP socket.
    #[inline(always)]
    pub(super) fn of(sk: *const u8) -> Option<Self> {
        let mut tcp = Self::of_common(sk)?;
        tcp.sock = Typed::new(sk);
        Some(tcp)
    }

    /// Of a `struct sock_common`. `None` when it is a mini-socket, a request socket or not TCP.
    #[inline(always)]
    pub(super) fn of_common(sk: *const u8) -> Option<Self> {
        // SAFETY: the helper checks the socket itself.
        let tcp = unsafe { bpf_skc_to_tcp_sock(sk.cast_mut().cast()) };
        let tcp = Typed::new(tcp.cast::<u8>().cast_const());
        (!tcp.is_null()).then_some(Self { tcp, sock: tcp })
    }

    /// A field of `struct tcp_sock` or of what it begins with.
    #[inline(always)]
    pub(super) fn get<T: Copy>(self, offset: usize) -> T {
        self.tcp.get(offset)
    }

    /// A field of `struct sock`.
    #[inline(always)]
    pub(super) fn sock<T: Copy>(self, offset: usize) -> T {
        self.sock.get(offset)
    }

    #[inline(always)]
    pub(super) const fn ptr(self) -> *const u8 {
        self.tcp.ptr()
    }

    #[inline(always)]
    pub(super) fn net_cookie(self) -> u64 {
        self.net().get(offset!(net_cookie))
    }

    /// The socket's cookie; 0 before anybody asked for it (see [`super::conn::Conn::name`]).
    #[inline(always)]
    pub(super) fn cookie(self) -> u64 {
        self.get(offset!(cookie))
    }

    #[inline(always)]
    pub(super) fn net(self) -> Typed {
        self.follow(offset!(net))
    }

    /// The structure that a field of `struct sock` points to. From [`Self::tcp`], as newer verifiers look through all of the
    /// kernel's types to learn what is behind a pointer of what they trust, each time they come by: a millisecond.
    #[inline(always)]
    fn follow(self, offset: usize) -> Typed {
        self.tcp.follow(offset)
    }

    /// cgroup v2 id: of the socket, inherited from the listener, valid in every context.
    #[inline(always)]
    pub(super) fn cgroup(self) -> u64 {
        if offset!(cgroup) == MISSING as usize {
            return 0;
        }
        self.follow(offset!(cgroup))
            .follow(offset!(cgroup_kn))
            .get(offset!(kn_id))
    }

    /// Local port. `skc_num` reads 0 once the port was put back; this does not.
    #[inline(always)]
    pub(super) fn local_port(self) -> u16 {
        u16::from_be(self.get(offset!(sport)))
    }

    #[inline(always)]
    pub(super) fn remote_port(self) -> u16 {
        u16::from_be(self.sock(offset!(dport)))
    }

    /// Whether process context holds the socket: only then is `current` the one who acts.
    #[inline(always)]
    pub(super) fn owned(self) -> bool {
        self.sock::<u32>(offset!(owned)) != 0
    }

    #[inline(always)]
    pub(super) fn has_file(self) -> bool {
        // Opaque, else the compiler joins this test with others by arithmetic on the pointer, which the
        // verifier refuses.
        black_box(!self.follow(offset!(socket)).is_null())
    }

    #[inline(always)]
    pub(super) fn flags(self) -> u64 {
        self.sock(offset!(sk_flags))
    }

    #[inline(always)]
    pub(super) fn write_seq(self) -> u32 {
        self.get(offset!(write_seq))
    }

    #[inline(always)]
    pub(super) fn copied_seq(self) -> u32 {
        self.get(offset!(copied_seq))
    }

    #[inline(always)]
    pub(super) fn rcv_nxt(self) -> u32 {
        self.get(offset!(rcv_nxt))
    }

    #[inline(always)]
    pub(super) fn unread(self) -> u32 {
        unread(
            self.rcv_nxt(),
            self.copied_seq(),
            self.flags() & SOCK_DONE != 0,
        )
    }

    /// Retransmissions or probes are unanswered.
    #[inline(always)]
    pub(super) fn retrying(self) -> bool {
        self.get::<u8>(offset!(retransmits))
            | self.get::<u8>(offset!(probes_out))
            | self.get::<u8>(offset!(backoff))
            != 0
    }

    #[inline(always)]
    pub(super) fn is_mptcp(self) -> bool {
        let offset = offset!(is_mptcp);
        offset != MISSING as usize && self.get::<u8>(offset) & 1 != 0
    }

    #[inline(always)]
    pub(super) fn local_addr(self, out: &mut [u8; 16]) {
        self.addr(offset!(rcv_saddr), offset!(v6_rcv_saddr), out);
    }

    #[inline(always)]
    pub(super) fn remote_addr(self, out: &mut [u8; 16]) {
        self.addr(offset!(daddr), offset!(v6_daddr), out);
    }

    #[inline(always)]
    fn addr(self, v4: usize, v6: usize, out: &mut [u8; 16]) {
        const AF_INET6: u16 = 10;
        let out = out.as_mut_ptr().cast::<u32>();
        let words: [u32; 4] = if self.sock::<u16>(offset!(family)) == AF_INET6 {
            [
                self.sock(v6),
                self.sock(v6 + 4),
                self.sock(v6 + 8),
                self.sock(v6 + 12),
            ]
        } else {
            v4_mapped(self.sock(v4))
        };
        let mut i = 0;
        while i < 4 {
            // SAFETY: four words fill the sixteen bytes; records keep addresses 4-aligned.
            unsafe { out.add(i).write(words[i]) };
            i += 1;
        }
    }
}

/// `::ffff:a.b.c.d` in words of network byte order.
#[inline(always)]
pub(super) const fn v4_mapped(v4: u32) -> [u32; 4] {
    [0, 0, 0xffff_u32.to_be(), v4]
}

/// A kernel structure that nobody vouches for: read by copy, and a bad address reads as zero.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Raw(pub(super) u64);

impl Raw {
    #[inline(always)]
    pub(super) fn get<T: Copy + Default>(self, offset: usize) -> T {
        let at = self.0.wrapping_add(offset as u64) as *const T;
        // SAFETY: the helper checks the address and copies.
        unsafe { bpf_probe_read_kernel(at) }.unwrap_or_default()
    }

    /// As [`Raw::get`], into memory that is there already.
    #[inline(always)]
    pub(super) fn copy(self, offset: usize, to: &mut [u64]) {
        let at = self.0.wrapping_add(offset as u64) as *const _;
        let bytes = size_of_val(to) as u32;
        // SAFETY: the helper checks the address, and writes as many bytes as there are; zeros when the address is bad.
        let _ = unsafe { bpf_probe_read_kernel_raw(to.as_mut_ptr().cast(), bytes, at) };
    }

    #[inline(always)]
    pub(super) fn follow(self, offset: usize) -> Self {
        Self(self.get::<u64>(offset))
    }
}
