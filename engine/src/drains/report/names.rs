//! Names that people know: signals, dispositions, kinships, addresses.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use finwatch_common::{Disposition, Kinship};

/// `SIGTERM`, ...; real-time signals by their number.
pub fn signal(number: u8) -> String {
    match finwatch_common::signal::name(number) {
        Some(name) => name.to_owned(),
        None => format!("SIG{number}"),
    }
}

/// As in JSON; empty when it is not known.
pub fn disposition(value: u8) -> &'static str {
    match Disposition::from_u8(value) {
        Some(Disposition::Handled) => "handled",
        Some(Disposition::Default) => "default",
        Some(Disposition::Ignored) => "ignored",
        Some(Disposition::Blocked) => "blocked",
        Some(Disposition::Unknown) | None => "",
    }
}

/// As in JSON; empty when it is not known.
pub fn kinship(value: u8) -> &'static str {
    match Kinship::from_u8(value) {
        Some(Kinship::Owner) => "owner",
        Some(Kinship::Controller) => "controller",
        Some(Kinship::Member) => "member",
        None => "",
    }
}

/// Address and port, an IPv4 address as such.
pub(crate) fn peer(addr: [u8; 16], port: u16) -> String {
    let addr = IpAddr::V6(Ipv6Addr::from(addr)).to_canonical();
    SocketAddr::new(addr, port).to_string()
}
