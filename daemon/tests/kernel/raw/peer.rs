//! The host at the far end of the TUN device: it hands segments to the connections they belong to.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use super::{ACK, RawConn, SYN, Segment, tun::Tun};
use crate::harness::sock;

/// How long a segment that must come may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which protocol a connection runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// The far host. The kernel of the namespace is its only neighbour.
pub(crate) struct RawPeer {
    tun: Tun,
    /// Came while another connection was waited for.
    stray: RefCell<VecDeque<Segment>>,
    next_port: Cell<u16>,
}

impl RawPeer {
    /// Creates the device and the host behind it.
    pub(crate) fn new() -> Self {
        Self {
            tun: Tun::create(Ipv4Addr::new(10, 0, 0, 1), OUR_V6),
            stray: RefCell::default(),
            next_port: Cell::new(40_000),
        }
    }

    /// A listener of the kernel that the peer can reach.
    pub(crate) fn listener(&self, family: Family) -> TcpListener {
        TcpListener::bind((kernel_address(family), 0)).unwrap()
    }

    /// Where the kernel can reach the peer; the peer answers on every port.
    pub(crate) fn address(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(peer_address(family), port)
    }

    /// Connects to a listener of the kernel, up to the peer's last ACK.
    pub(crate) fn connect(&self, listener: &TcpListener) -> RawConn<'_> {
        let mut conn = self.half_open(listener.local_addr().unwrap());
        conn.send(ACK, b"");
        conn
    }

    /// Connects, and accepts at the kernel's end.
    pub(crate) fn accepted(&self, listener: &TcpListener) -> (RawConn<'_>, TcpStream) {
        let conn = self.connect(listener);
        (conn, sock::accept(listener))
    }

    /// Sends a SYN, again and again, and takes the SYN-ACK; the ACK is still to be sent.
    pub(crate) fn half_open(&self, to: SocketAddr) -> RawConn<'_> {
        let mut conn = self.dial(to);
        conn.open();
        conn
    }

    /// A connection of which no segment has been sent.
    pub(crate) fn dial(&self, to: SocketAddr) -> RawConn<'_> {
        let port = self.next_port.get();
        self.next_port.set(port + 1);
        RawConn::new(self, SocketAddr::new(peer_of(to.ip()), port), to)
    }

    /// Waits for the SYN of a kernel's connect() to `port` of the peer.
    pub(crate) fn syn(&self, port: u16) -> RawConn<'_> {
        let syn = self
            .take(PATIENCE, |s| s.destination_port == port && s.flags == SYN)
            .unwrap_or_else(|| panic!("no SYN to port {port}"));
        let mut conn = RawConn::new(
            self,
            SocketAddr::new(syn.destination, port),
            SocketAddr::new(syn.source, syn.source_port),
        );
        conn.heard(&syn);
        conn
    }

    /// Lets the kernel connect to the peer: the peer's end, the kernel's end.
    pub(crate) fn connected(&self, family: Family) -> (RawConn<'_>, TcpStream) {
        let to = self.address(family, 7);
        let stream = sock::connect_nonblocking(to);
        let mut conn = self.syn(7);
        conn.send(SYN | ACK, b"");
        conn.expect(ACK);
        stream.set_nonblocking(false).unwrap();
        (conn, stream)
    }

    /// Takes the kernel's IPv4 route to the peer away.
    pub(crate) fn cut_route(&self) {
        self.tun.cut_route();
    }

    pub(super) fn send(&self, segment: &Segment) {
        self.tun.write(&segment.encode());
    }

    /// The next segment that `wanted` takes, or `None` when none came in time. Others wait for their
    /// connection.
    pub(super) fn take(
        &self,
        patience: Duration,
        wanted: impl Fn(&Segment) -> bool,
    ) -> Option<Segment> {
        let found = self.stray.borrow().iter().position(&wanted);
        if let Some(at) = found {
            return self.stray.borrow_mut().remove(at);
        }
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let segment = Segment::decode(&self.tun.read(left)?);
            match segment {
                Some(segment) if wanted(&segment) => return Some(segment),
                Some(segment) => self.stray.borrow_mut().push_back(segment),
                None => (),
            }
        }
    }
}

const OUR_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);

fn kernel_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 0, 0, 1).into(),
        Family::V6 => OUR_V6.into(),
    }
}

fn peer_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 0, 0, 2).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).into(),
    }
}

fn peer_of(kernel: IpAddr) -> IpAddr {
    match kernel {
        IpAddr::V4(_) => peer_address(Family::V4),
        IpAddr::V6(_) => peer_address(Family::V6),
    }
}
