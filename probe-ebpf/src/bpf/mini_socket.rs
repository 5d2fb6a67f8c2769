//! Mini-sockets (TIME_WAIT): whether one was left, what is remembered of those whose connection
//! already counts as cut, and how long others had been idle when this side closed them.
//!
//! Memory of each table: 8192 entries of 64 bytes, least recently used first out.

use aya_ebpf::{btf_maps::LruHashMap, macros::btf_map};
use finwatch_common::TimeWait;
use finwatch_probe::{
    manner::{Manner, may_ask},
    tcp::state,
};

use super::{
    conn::{Conn, NONE, flag},
    kernel::{self, Raw, Tcp, Typed, offset},
};

/// Most steps along hash chains; the mini-socket stands at the head of its own or close behind.
const STEPS: usize = 24;

/// By cookie, of connections that left a FIN_WAIT2 mini-socket: a late request must not count one that is cut again, and
/// belongs to the phase in which its connection ended.
#[btf_map]
static PASTS: LruHashMap<u64, u16, 8192> = LruHashMap::new();

/// By cookie, of connections that left a FIN_WAIT2 mini-socket and were at rest when this side closed them: for how many tenths of
/// a second. A table of its own, as nothing is counted by it: there may be many in ordinary time, and they must not push out
/// what is.
#[btf_map]
static RESTS: LruHashMap<u64, u16, 8192> = LruHashMap::new();

/// What is remembered of a connection.
#[derive(Clone, Copy)]
pub(super) struct Past(u16);

impl Past {
    const CUT: u16 = 1 << 7;
    const KNOWN: u16 = 1 << 8;
    const SHORT_BEGINNING: u16 = 1 << 9;
    const REST_MAY_COME: u16 = 1 << 10;

    const PHASE: u8 = 0b111;

    /// Of a connection that ends.
    #[inline(always)]
    pub(super) fn of(conn: &Conn) -> Self {
        let mut bits = Self::KNOWN;
        if conn.cut != NONE {
            bits |= Self::CUT;
        }
        if conn.turns.has_short_beginning() {
            bits |= Self::SHORT_BEGINNING;
        }
        if conn.has(flag::REST_MAY_COME) {
            bits |= Self::REST_MAY_COME;
        }
        let phase = conn.phase & Self::PHASE;
        Self(bits | u16::from(phase | conn.manner().bits()))
    }

    /// It counts as cut from now on.
    #[inline(always)]
    pub(super) const fn and_cut(self) -> Self {
        Self(self.0 | Self::CUT)
    }

    /// Whether it already counts as cut.
    #[inline(always)]
    pub(super) const fn is_cut(self) -> bool {
        self.0 & Self::CUT != 0
    }

    /// The phase in which it ended.
    #[inline(always)]
    pub(super) const fn phase(self) -> u8 {
        self.0 as u8 & Self::PHASE
    }

    /// What its conversation said of its peer's last bytes.
    #[inline(always)]
    pub(super) const fn manner(self) -> Manner {
        Manner::from_bits(self.0 as u8)
    }

    /// See [`flag::REST_MAY_COME`].
    #[inline(always)]
    pub(super) const fn rest_may_come(self) -> bool {
        self.0 & Self::REST_MAY_COME != 0
    }

    /// Whether so few bytes may be a question, as far as is known.
    #[inline(always)]
    pub(super) const fn may_ask(self, bytes: u32) -> bool {
        self.0 & Self::KNOWN != 0 && may_ask(bytes, self.0 & Self::SHORT_BEGINNING != 0)
    }
}

/// Remembers a connection.
#[inline(always)]
pub(super) fn remember(cookie: u64, past: Past) {
    // A full table drops its oldest entry; it cannot fail for good.
    let _ = PASTS.insert(cookie, past.0, 0);
}

/// What is remembered of a connection; of an unknown one, that nothing happened.
#[inline(always)]
pub(super) fn past_of(cookie: u64) -> Past {
    match PASTS.get_ptr(cookie) {
        // SAFETY: the entry stays readable for the run of the program; two bytes.
        Some(past) => Past(unsafe { *past }),
        None => Past(0),
    }
}

/// Remembers that a connection had been idle for so many tenths of a second.
#[inline(always)]
pub(super) fn note_rest(cookie: u64, idle_ds: u16) {
    // As above.
    let _ = RESTS.insert(cookie, idle_ds, 0);
}

/// For how many tenths of a second a connection had been idle; 0: it was not, or that is not known.
#[inline(always)]
pub(super) fn rest_of(cookie: u64) -> u16 {
    match RESTS.get_ptr(cookie) {
        // SAFETY: the entry stays readable for the run of the program; two bytes.
        Some(idle_ds) => unsafe { *idle_ds },
        None => 0,
    }
}

/// The mini-socket that `inet_twsk_alloc` made of this socket, looked up in the established hash, where
/// it stands before the transition to CLOSE. Exact: by the cookie that both share; by the hash of the
/// four-tuple where the socket had no cookie yet when the mini-socket was made.
///
/// The walk takes no lock. It starts over when it was led into another chain, as the kernel's own
/// lookups do (`__inet_lookup_established`): the list's end tells which chain it is.
#[inline(always)]
pub(super) fn left_by(tcp: Tcp, conn: &mut Conn) -> u32 {
    let hashinfo = hashinfo(tcp.net());
    let mask: u32 = hashinfo.get(offset!(ehash_mask));
    let hash: u32 = tcp.sock(offset!(hash));
    let ehash = conn.as_number(hashinfo.follow(offset!(ehash)).ptr());
    finwatch_mini_socket(ehash, mask, hash, tcp.cookie())
}

/// The substate of the mini-socket with such a hash or cookie, as a [`TimeWait`]. A function of its own, for the verifier: see
/// [`super::turn`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn finwatch_mini_socket(ehash: u64, mask: u32, hash: u32, cookie: u64) -> u32 {
    let chain = u64::from(hash & mask);
    let bucket = Raw(ehash.wrapping_add(chain * 8));
    let mut node: u64 = bucket.get(0);
    for _ in 0..STEPS {
        if node & 1 != 0 || node == 0 {
            if node >> 1 == chain || node == 0 {
                return TimeWait::None as u32;
            }
            node = bucket.get(0);
            continue;
        }
        let mini = Raw(node.wrapping_sub(offset!(nulls_node) as u64));
        let its = Glance::at(mini);
        // The socket itself is out of the table by now, so who has its cookie is its mini-socket.
        if its.cookie == cookie || (its.cookie == 0 && is_mini_socket_of(mini, hash)) {
            return its.substate as u32;
        }
        node = its.next;
    }
    TimeWait::None as u32
}

/// What the walk needs of an entry, which is a mini-socket or a socket.
struct Glance {
    cookie: u64,
    /// The next entry of the chain.
    next: u64,
    /// Of a mini-socket; behind a socket's first fields it is some number.
    substate: TimeWait,
}

impl Glance {
    /// In one copy, where the three stand close together; a copy costs more than all that is done with it.
    #[inline(always)]
    fn at(mini: Raw) -> Self {
        const BYTES: usize = 64;
        let begin = offset!(cookie);
        let (next, substate) = (offset!(nulls_node), offset!(tw_substate));
        let within = |at: usize, bytes: usize| at >= begin && at + bytes <= begin + BYTES;
        if !(within(next, 8) && within(substate, 1)) {
            return Self {
                cookie: mini.get(begin),
                next: mini.get(next),
                substate: substate_of_byte(mini.get(substate)),
            };
        }
        let mut copy = [0u64; BYTES / 8];
        mini.copy(begin, &mut copy);
        let copy = copy.as_ptr().cast::<u8>();
        // SAFETY: both lie in the copy, as was asked above.
        unsafe {
            Self {
                cookie: copy.cast::<u64>().read(),
                next: copy.add(next - begin).cast::<u64>().read(),
                substate: substate_of_byte(copy.add(substate - begin).read()),
            }
        }
    }
}

#[inline(always)]
fn is_mini_socket_of(mini: Raw, hash: u32) -> bool {
    mini.get::<u8>(offset!(state)) == state::TIME_WAIT && mini.get::<u32>(offset!(hash)) == hash
}

#[inline(always)]
const fn substate_of_byte(byte: u8) -> TimeWait {
    match byte {
        state::FIN_WAIT2 => TimeWait::FinWait2,
        _ => TimeWait::TimeWait,
    }
}

/// Substate of a mini-socket that the iterator came upon.
#[inline(always)]
pub(super) fn substate_of(mini: *const u8) -> TimeWait {
    substate_of_byte(Raw(mini as u64).get(offset!(tw_substate)))
}

/// `net->ipv4.tcp_death_row.hashinfo`: per namespace since 6.1, and the row itself a pointer before.
#[inline(always)]
fn hashinfo(net: Typed) -> Typed {
    if kernel::death_row_is_pointer() {
        return net
            .follow(offset!(death_row))
            .follow(offset!(death_row_hashinfo));
    }
    net.follow(offset!(death_row) + offset!(death_row_hashinfo))
}
