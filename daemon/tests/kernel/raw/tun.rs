//! A point-to-point device of the namespace whose other end is this process: one read or write, one
//! packet. The kernel of every floor has it (`tun`, a module on most distributions).

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    mem,
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{AddressFamily, SocketType, socket},
};

use crate::harness::{interface_up, wait_until};

/// The device.
pub(crate) struct Tun {
    file: File,
}

const NAME: &str = "tun0";

impl Tun {
    /// Creates the device in the namespace of the calling thread, with one address of each family.
    pub(crate) fn create(v4: Ipv4Addr, v6: Ipv6Addr) -> Self {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .unwrap_or_else(|e| panic!("open /dev/net/tun: {e}; load the kernel module `tun`"));
        let mut request = request();
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        ioctl(
            &file,
            libc::TUNSETIFF as _,
            &request,
            "create the TUN device",
        );
        let any = socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
        address_v4(&any, v4);
        interface_up(&any, NAME);
        address_v6(v6);
        // The address serves after the kernel's own work on it, which a worker does.
        wait_until("the device has its IPv6 address", || {
            TcpListener::bind((v6, 0)).is_ok()
        });
        Self { file }
    }

    /// Takes the route to the peer away: the address becomes one without a network.
    pub(crate) fn cut_route(&self) {
        let any = socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
        set_v4(
            &any,
            libc::SIOCSIFNETMASK as _,
            Ipv4Addr::BROADCAST,
            "set the IPv4 mask",
        );
    }

    /// Sends one packet to the kernel.
    pub(crate) fn write(&self, packet: &[u8]) {
        let written = (&self.file).write(packet).unwrap();
        assert_eq!(written, packet.len(), "a packet goes out whole");
    }

    /// The next packet of the kernel, or `None` when none came within `patience`.
    pub(crate) fn read(&self, patience: Duration) -> Option<Vec<u8>> {
        let timeout = Timespec::try_from(patience).unwrap();
        let mut ready = [PollFd::new(&self.file, PollFlags::IN)];
        if poll(&mut ready, Some(&timeout)).unwrap() == 0 {
            return None;
        }
        let mut packet = vec![0; 65_536];
        let length = (&self.file).read(&mut packet).unwrap();
        packet.truncate(length);
        Some(packet)
    }
}

fn request() -> libc::ifreq {
    // SAFETY: `ifreq` is plain data for which zeros are a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(NAME.bytes()) {
        *to = from.cast_signed();
    }
    request
}

fn address_v4(any: &OwnedFd, address: Ipv4Addr) {
    let mask = Ipv4Addr::new(255, 255, 255, 0);
    set_v4(any, libc::SIOCSIFADDR as _, address, "set the IPv4 address");
    set_v4(any, libc::SIOCSIFNETMASK as _, mask, "set the IPv4 mask");
}

fn set_v4(any: &OwnedFd, command: libc::Ioctl, value: Ipv4Addr, what: &str) {
    let mut request = request();
    // SAFETY: `sockaddr` is plain data for which zeros are a value.
    let mut sockaddr: libc::sockaddr = unsafe { mem::zeroed() };
    sockaddr.sa_family = libc::AF_INET as libc::sa_family_t;
    for (to, from) in sockaddr.sa_data[2..6].iter_mut().zip(value.octets()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_addr = sockaddr;
    ioctl(any, command, &request, what);
}

fn address_v6(address: Ipv6Addr) {
    /// `struct in6_ifreq` of `linux/ipv6.h`.
    #[repr(C)]
    struct In6Request {
        address: [u8; 16],
        prefix_length: u32,
        index: i32,
    }
    let any = socket(AddressFamily::INET6, SocketType::DGRAM, None).unwrap();
    let index = rustix::net::netdevice::name_to_index(&any, NAME).unwrap();
    let request = In6Request {
        address: address.octets(),
        prefix_length: 64,
        index: index.cast_signed(),
    };
    ioctl(
        &any,
        libc::SIOCSIFADDR as _,
        &request,
        "set the IPv6 address",
    );
}

fn ioctl<T>(fd: &impl AsRawFd, command: libc::Ioctl, request: &T, what: &str) {
    // SAFETY: every command of this file takes a pointer to the request that is passed with it.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), command, request) };
    assert!(result == 0, "{what}: {}", io::Error::last_os_error());
}
