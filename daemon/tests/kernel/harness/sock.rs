//! Sockets as scenarios want them: connected pairs on loopback, and the options that change how a
//! connection ends.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd},
};

use super::{PATIENCE, Patient, sockets, state, wait::is_readable, wait_until};

/// A listener on 127.0.0.1 with a port of the kernel's choice.
pub(crate) fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// Sets the backlog of a listener: its accept queue takes `backlog` + 1 connections.
pub(crate) fn listen_again(listener: &TcpListener, backlog: i32) {
    // SAFETY: no memory is involved.
    let result = unsafe { libc::listen(listener.as_raw_fd(), backlog) };
    check(result, "listen");
}

/// A connection to `listener`: the client's end, the accepted end.
pub(crate) fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, accept(listener))
}

/// The next connection that comes.
#[track_caller]
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    assert!(is_readable(listener, PATIENCE), "nobody connects");
    listener.accept().unwrap().0
}

/// Sends all of `bytes` and waits until they are in the receive queue of `to`.
pub(crate) fn deliver(mut from: &TcpStream, to: &TcpStream, bytes: &[u8]) {
    let before = queued(to);
    from.write_all(bytes).unwrap();
    wait_until("the bytes arrive", || queued(to) >= before + bytes.len());
}

/// Reads exactly `length` bytes.
#[track_caller]
pub(crate) fn read(from: &TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Patient::new(from).read_exact(&mut bytes).unwrap();
    bytes
}

/// Reads until the peer's FIN, which must come without further bytes.
#[track_caller]
pub(crate) fn read_eof(from: &TcpStream) {
    let mut byte = [0];
    assert_eq!(
        Patient::new(from).read(&mut byte).unwrap(),
        0,
        "bytes before the FIN"
    );
}

/// Reads until the peer's FIN, and waits until the peer, a socket of the namespace, has left its mini-socket: while it
/// takes the socket's place, a segment may find neither of them.
pub(crate) fn read_eof_of_closed(from: &TcpStream) {
    read_eof(from);
    let port = from.local_addr().unwrap().port();
    wait_until("the peer leaves its mini-socket", || {
        let its = |entry: &super::table::Entry| {
            entry.remote_port == port && entry.state == state::FIN_WAIT2
        };
        sockets().iter().any(its)
    });
}

/// Closes a socket whose peer is a kernel's, and returns when its mini-socket is there. Were it closed at once, and the
/// peer's ACK came in the instant before `close()` lets go of the socket, it would stay a full one
/// (`tcp_rcv_state_process`, `sock_owned_by_user`).
#[track_caller]
pub(crate) fn close_to_mini(socket: TcpStream) {
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    wait_state(&socket, state::FIN_WAIT2);
}

/// Reads until the connection is reset.
#[track_caller]
pub(crate) fn read_reset(from: &TcpStream) {
    let error = Patient::new(from).read(&mut [0; 64]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// Bytes received and not read.
pub(crate) fn queued(stream: &TcpStream) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    check(result, "FIONREAD");
    usize::try_from(bytes).unwrap()
}

/// The socket's TCP state, by `TCP_INFO`.
pub(crate) fn tcp_state(socket: &impl AsRawFd) -> u8 {
    // The first field.
    tcp_info::<8>(socket)[0]
}

/// What the peer has acknowledged, a client's SYN too, by `TCP_INFO`.
pub(crate) fn bytes_acked(socket: &impl AsRawFd) -> u64 {
    // `tcpi_bytes_acked` (include/uapi/linux/tcp.h), which is longer than the libc crate's.
    const AT: usize = 120;
    let info = tcp_info::<{ AT + 8 }>(socket);
    u64::from_ne_bytes(info[AT..].try_into().unwrap())
}

/// The beginning of `TCP_INFO`.
fn tcp_info<const N: usize>(socket: &impl AsRawFd) -> [u8; N] {
    let mut info = [0u8; N];
    let mut size = N as libc::socklen_t;
    // SAFETY: the kernel writes at most `size` bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    check(result, "TCP_INFO");
    assert_eq!(size as usize, N, "TCP_INFO is shorter");
    info
}

/// Waits until a socket that is still open is in `state`.
#[track_caller]
pub(crate) fn wait_state(socket: &impl AsRawFd, state: u8) {
    wait_until("the socket changes its state", || {
        tcp_state(socket) == state
    });
}

/// Waits until the namespace has a socket in `state` whose local port is `port`, closed or not.
#[track_caller]
pub(crate) fn wait_port_state(port: u16, state: u8) {
    wait_until("a socket of the port changes its state", || {
        let wanted = |entry: &super::table::Entry| entry.local_port == port && entry.state == state;
        sockets().iter().any(wanted)
    });
}

/// Waits until the namespace has no connection with this port at either end but mini-sockets.
#[track_caller]
pub(crate) fn wait_gone(port: u16) {
    wait_until("the port's connections end", || {
        let full = |entry: &super::table::Entry| {
            entry.local_port == port && entry.state != state::LISTEN && entry.inode != 0
        };
        !sockets().iter().any(full)
    });
}

/// Waits until the namespace has no sockets but listeners and mini-sockets.
pub(crate) fn wait_all_closed() {
    wait_until("all connections end", || {
        sockets().iter().all(|entry| match entry.state {
            state::LISTEN | state::TIME_WAIT => true,
            state::FIN_WAIT2 => entry.inode == 0,
            _ => false,
        })
    });
}

/// Makes close() send an RST instead of a FIN.
pub(crate) fn linger_zero(stream: &impl AsRawFd) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    option(stream, libc::SOL_SOCKET, libc::SO_LINGER, linger);
}

/// Sets a TCP option that takes an int.
pub(crate) fn tcp_option(socket: &impl AsRawFd, name: libc::c_int, value: libc::c_int) {
    option(socket, libc::IPPROTO_TCP, name, value);
}

/// Turns keepalive on, with the shortest times there are: a second idle, a second between `probes`.
pub(crate) fn keepalive(stream: &impl AsRawFd, probes: libc::c_int) {
    tcp_option(stream, libc::TCP_KEEPIDLE, 1);
    tcp_option(stream, libc::TCP_KEEPINTVL, 1);
    tcp_option(stream, libc::TCP_KEEPCNT, probes);
    option(
        stream,
        libc::SOL_SOCKET,
        libc::SO_KEEPALIVE,
        1 as libc::c_int,
    );
}

/// connect(AF_UNSPEC): ends the connection and keeps the socket.
pub(crate) fn disconnect(stream: &impl AsRawFd) {
    let address = libc::sockaddr {
        sa_family: libc::AF_UNSPEC as libc::sa_family_t,
        sa_data: [0; 14],
    };
    let size = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is `size` bytes long.
    let result = unsafe { libc::connect(stream.as_raw_fd(), &raw const address, size) };
    check(result, "connect to AF_UNSPEC");
}

/// connect() of a socket that exists, to an IPv4 address.
pub(crate) fn connect_again(stream: &impl AsRawFd, to: SocketAddr) -> io::Result<()> {
    let SocketAddr::V4(to) = to else {
        panic!("{to} is not an IPv4 address")
    };
    let address = sockaddr_v4(to);
    let size = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is `size` bytes long.
    match unsafe { libc::connect(stream.as_raw_fd(), (&raw const address).cast(), size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A socket that connects without waiting for the answer.
pub(crate) fn connect_nonblocking(to: SocketAddr) -> TcpStream {
    let stream = new_stream(&to, libc::SOCK_NONBLOCK, 0);
    start_connect(&stream, to);
    stream
}

/// Starts to connect a socket that does not block.
pub(crate) fn start_connect(stream: &TcpStream, to: SocketAddr) {
    let result = match to {
        SocketAddr::V4(v4) => {
            let address = sockaddr_v4(v4);
            let size = size_of_val(&address) as libc::socklen_t;
            // SAFETY: the address is `size` bytes long.
            unsafe { libc::connect(stream.as_raw_fd(), (&raw const address).cast(), size) }
        }
        SocketAddr::V6(v6) => {
            let address = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: 0,
            };
            let size = size_of_val(&address) as libc::socklen_t;
            // SAFETY: the address is `size` bytes long.
            unsafe { libc::connect(stream.as_raw_fd(), (&raw const address).cast(), size) }
        }
    };
    let error = io::Error::last_os_error();
    assert!(
        result == 0 || error.raw_os_error() == Some(libc::EINPROGRESS),
        "connect to {to}: {error}"
    );
}

/// A socket of the family of `address`, with extra `SOCK_` flags and a protocol (0: TCP).
pub(crate) fn new_stream(
    address: &SocketAddr,
    flags: libc::c_int,
    protocol: libc::c_int,
) -> TcpStream {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags;
    // SAFETY: no memory is involved.
    let fd = unsafe { libc::socket(family, kind, protocol) };
    check(fd, "socket");
    // SAFETY: the descriptor is new and belongs to nobody else.
    unsafe { TcpStream::from_raw_fd(fd) }
}

/// Binds a socket to an IPv4 address.
pub(crate) fn bind(socket: &impl AsRawFd, to: SocketAddr) {
    let SocketAddr::V4(to) = to else {
        panic!("{to} is not an IPv4 address")
    };
    let address = sockaddr_v4(to);
    let size = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is `size` bytes long.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    check(result, "bind");
}

/// Lets other sockets bind to the same port.
pub(crate) fn reuse_port(socket: &impl AsRawFd) {
    option(
        socket,
        libc::SOL_SOCKET,
        libc::SO_REUSEPORT,
        1 as libc::c_int,
    );
}

fn sockaddr_v4(to: std::net::SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: to.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(*to.ip()).to_be(),
        },
        sin_zero: [0; 8],
    }
}

fn option<T>(socket: &impl AsRawFd, level: libc::c_int, name: libc::c_int, value: T) {
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads `size` bytes of `value`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size,
        )
    };
    check(result, "setsockopt");
}

#[track_caller]
fn check(result: libc::c_int, what: &str) {
    assert!(result >= 0, "{what}: {}", io::Error::last_os_error());
}
