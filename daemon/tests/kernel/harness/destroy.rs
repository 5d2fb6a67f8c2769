//! What `ss -K` does: ends a socket by its addresses, through sock_diag (SOCK_DESTROY).

use std::{
    io, mem,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

const SOCK_DESTROY: u16 = 21;
const NO_COOKIE: u32 = !0;

/// `struct inet_diag_req_v2` behind its netlink header.
#[repr(C)]
struct Request {
    header: libc::nlmsghdr,
    family: u8,
    protocol: u8,
    extensions: u8,
    pad: u8,
    states: u32,
    // Ports and addresses in network byte order.
    source_port: [u8; 2],
    destination_port: [u8; 2],
    source: [u8; 16],
    destination: [u8; 16],
    interface: u32,
    cookie: [u32; 2],
}

/// Ends a socket of the calling thread's namespace.
#[track_caller]
pub(crate) fn destroy(socket: &impl AsRawFd) {
    let local = address(socket, libc::getsockname).expect("the socket is bound");
    // A listener has no peer: zeros stand for it.
    let peer = address(socket, libc::getpeername);
    let remote = peer.unwrap_or_else(|| connecting_to(local));
    let request = Request {
        header: libc::nlmsghdr {
            nlmsg_len: size_of::<Request>() as u32,
            nlmsg_type: SOCK_DESTROY,
            nlmsg_flags: (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16,
            nlmsg_seq: 1,
            nlmsg_pid: 0,
        },
        family: if local.is_ipv4() {
            libc::AF_INET as u8
        } else {
            libc::AF_INET6 as u8
        },
        protocol: libc::IPPROTO_TCP as u8,
        extensions: 0,
        pad: 0,
        states: !0,
        source_port: local.port().to_be_bytes(),
        destination_port: remote.port().to_be_bytes(),
        source: bytes(local.ip()),
        destination: bytes(remote.ip()),
        interface: 0,
        cookie: [NO_COOKIE; 2],
    };
    let answer = exchange(&request);
    assert_eq!(
        answer,
        0,
        "SOCK_DESTROY: {}",
        io::Error::from_raw_os_error(-answer)
    );
}

/// A socket in SYN_SENT has no peer yet by getpeername(); the table knows whom it calls.
fn connecting_to(local: SocketAddr) -> SocketAddr {
    let entry = super::sockets()
        .into_iter()
        .find(|entry| entry.local_port == local.port())
        .expect("the socket is in the table");
    let ip: IpAddr = match (entry.remote_port, local.ip()) {
        (0, IpAddr::V4(_)) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        (0, IpAddr::V6(_)) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        // The only host that lets a connect() wait is the raw peer.
        (_, IpAddr::V4(_)) => std::net::Ipv4Addr::new(10, 0, 0, 2).into(),
        (_, IpAddr::V6(_)) => std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).into(),
    };
    SocketAddr::new(ip, entry.remote_port)
}

fn exchange(request: &Request) -> i32 {
    const NETLINK_SOCK_DIAG: libc::c_int = 4;
    // SAFETY: no memory is involved.
    let fd = unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            NETLINK_SOCK_DIAG,
        )
    };
    assert!(fd >= 0, "netlink socket: {}", io::Error::last_os_error());
    // SAFETY: the descriptor is new and belongs to nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut answer = [0u8; 256];
    // SAFETY: the request is read and the answer written within their sizes.
    let received = unsafe {
        let size = size_of::<Request>();
        let sent = libc::send(fd.as_raw_fd(), (&raw const *request).cast(), size, 0);
        assert_eq!(sent, size as isize, "send: {}", io::Error::last_os_error());
        libc::recv(fd.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0)
    };
    // An acknowledgement is an error message (`struct nlmsgerr`) whose first field is 0 or -errno.
    let at = size_of::<libc::nlmsghdr>();
    assert!(
        received >= at as isize + 4,
        "netlink answer of {received} bytes"
    );
    i32::from_ne_bytes(answer[at..at + 4].try_into().unwrap())
}

type NameOf =
    unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

fn address(socket: &impl AsRawFd, name_of: NameOf) -> Option<SocketAddr> {
    // SAFETY: zeros are a value of the plain `sockaddr_storage`; the kernel writes at most its size.
    let (storage, result) = unsafe {
        let mut storage: libc::sockaddr_storage = mem::zeroed();
        let mut size = size_of_val(&storage) as libc::socklen_t;
        let result = name_of(socket.as_raw_fd(), (&raw mut storage).cast(), &raw mut size);
        (storage, result)
    };
    if result != 0 {
        return None;
    }
    let raw = &raw const storage;
    // SAFETY: the family says which address the storage holds, and it is large enough for both.
    Some(unsafe {
        if libc::c_int::from(storage.ss_family) == libc::AF_INET {
            let v4 = &*raw.cast::<libc::sockaddr_in>();
            let ip = std::net::Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            SocketAddr::new(ip.into(), u16::from_be(v4.sin_port))
        } else {
            let v6 = &*raw.cast::<libc::sockaddr_in6>();
            let ip = std::net::Ipv6Addr::from(v6.sin6_addr.s6_addr);
            SocketAddr::new(ip.into(), u16::from_be(v6.sin6_port))
        }
    })
}

fn bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}
