//! The RSTs that pass on a namespace's loopback device, told apart by who sends them: `OutRsts` counts both ends' together, and
//! clients' hosts send their own on a busy machine, to an acknowledgement that comes twice.

use std::{
    collections::BTreeSet,
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

/// IPv4 segments with RST, from the moment it is made.
pub(crate) struct Resets(OwnedFd);

impl Resets {
    /// Watches the calling thread's namespace.
    pub(crate) fn watch() -> Self {
        // SAFETY: no pointers.
        let fd = unsafe {
            libc::socket(
                libc::AF_INET,
                libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
                libc::IPPROTO_TCP,
            )
        };
        assert!(fd >= 0, "a raw socket: {}", io::Error::last_os_error());
        // SAFETY: it is new, and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // Only RSTs are kept, so that the buffer holds the longest test. The filter sees the IP header (RFC 791) first.
        const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
        const IF_BITS: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
        const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        const WHOLE: u32 = 0xffff;
        let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
        let mut steps = [
            step(LOAD_BYTE, 0, 0, (IP_BYTES + FLAGS_AT) as u32),
            step(IF_BITS, 0, 1, u32::from(crate::raw::RST)),
            step(RETURN, 0, 0, WHOLE),
            step(RETURN, 0, 0, 0),
        ];
        let filter = libc::sock_fprog {
            len: steps.len() as u16,
            filter: steps.as_mut_ptr(),
        };
        // SAFETY: the kernel copies the program.
        let attached = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const filter).cast(),
                size_of_val(&filter) as libc::socklen_t,
            )
        };
        assert_eq!(attached, 0, "filter: {}", io::Error::last_os_error());
        Self(socket)
    }

    /// To how many clients one was sent from this port. A client whose FIN crosses its RST gets another one, which no socket sends.
    pub(crate) fn clients_of(&self, port: u16) -> u64 {
        let mut clients = BTreeSet::new();
        let mut packet = [0; 128];
        loop {
            // SAFETY: the buffer is as long as it is said to be. A peek would not go on to the next.
            let length = unsafe {
                libc::recv(
                    self.0.as_raw_fd(),
                    packet.as_mut_ptr().cast(),
                    packet.len(),
                    0,
                )
            };
            let Ok(length) = usize::try_from(length) else {
                return clients.len() as u64;
            };
            assert!(length > IP_BYTES + FLAGS_AT, "a segment of {length} bytes");
            assert_eq!(packet[0], 0x45, "no IP options on {}", Ipv4Addr::LOCALHOST);
            let port_at = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
            if port_at(IP_BYTES) == port {
                clients.insert(port_at(IP_BYTES + 2));
            }
        }
    }
}

/// An IPv4 header without options.
const IP_BYTES: usize = 20;
/// Where a TCP header has its flags (RFC 9293 section 3.1).
const FLAGS_AT: usize = 13;
