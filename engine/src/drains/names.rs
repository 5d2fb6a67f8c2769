//! Names that people know: signals, dispositions, kinships, addresses. Linux numbers on x86 and arm64.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use finwatch_common::{Disposition, Kinship};

/// SIGKILL.
pub(super) const SIGKILL: u8 = 9;
/// SIGUSR2: by it a server starts a successor of itself.
pub(super) const SIGUSR2: u8 = 12;

/// Signals by which a program's own fault ends it: ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS.
const FAULTS: [u8; 7] = [4, 5, 6, 7, 8, 11, 31];

const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Whether a signal is a fault of the program that gets it.
pub(super) fn is_fault(signal: u8) -> bool {
    FAULTS.contains(&signal)
}

/// `SIGTERM`, ...; real-time signals by their number.
pub fn signal(number: u8) -> String {
    let named = usize::from(number)
        .checked_sub(1)
        .and_then(|at| SIGNALS.get(at));
    match named {
        Some(name) => (*name).to_owned(),
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
pub(super) fn peer(addr: [u8; 16], port: u16) -> String {
    let addr = IpAddr::V6(Ipv6Addr::from(addr)).to_canonical();
    SocketAddr::new(addr, port).to_string()
}
