//! The words for what the kernel's records hold as numbers: those of the metrics contract, in labels, JSON and text
//! alike. Handwritten: renaming a variant must break neither a dashboard nor a script.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use finwatch_common::{Cut, Evidence, Lost, Origin, Outcome, Phase, Role, TimeWait};

/// A value that has one word.
pub trait Word {
    /// The word.
    fn word(self) -> &'static str;
}

impl Word for Role {
    fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

impl Word for Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Draining => "draining",
            Self::Reloading => "reloading",
        }
    }
}

impl Word for Origin {
    fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Both => "both",
            Self::None => "none",
        }
    }
}

impl Word for Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::ResetSent => "reset_sent",
            Self::ResetReceived => "reset_received",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
        }
    }
}

impl Word for Cut {
    fn word(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Unread => "unread",
            Self::Late => "late",
        }
    }
}

impl Word for Evidence {
    fn word(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Alert => "alert",
            Self::Small => "small",
        }
    }
}

impl Word for Lost {
    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Goodbye => "goodbye",
            Self::Data => "data",
        }
    }
}

/// The substate of a mini-socket that was left; `None` when there is none.
pub fn substate(time_wait: TimeWait) -> Option<&'static str> {
    match time_wait {
        TimeWait::None => None,
        TimeWait::TimeWait => Some("time_wait"),
        TimeWait::FinWait2 => Some("fin_wait2"),
    }
}

/// An address of the wire, where all zeros say that it is not known.
pub fn address(bytes: [u8; 16], port: u16) -> Option<SocketAddr> {
    let ip = Ipv6Addr::from(bytes).to_canonical();
    let known = match ip {
        IpAddr::V4(ip) => !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unspecified(),
    };
    known.then(|| SocketAddr::new(ip, port))
}
