//! Who owns a port: the keys of the counter maps.

use crate::{Wire, WireError};

/// Which side of the connections this host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Role {
    /// They were accepted: the port is this host's.
    Server = 0,
    /// They were made from here: the port is the peer's.
    Client = 1,
}

impl Role {
    /// Decodes the wire value.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Server),
            1 => Some(Self::Client),
            _ => None,
        }
    }
}

/// What a service is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Phase {
    /// Its ordinary work.
    #[default]
    Steady = 0,
    /// A stop signal arrived, and old processes are still there.
    Draining = 1,
    /// A reload signal arrived, and old processes are still there.
    Reloading = 2,
}

/// Number of [`Phase`]s.
pub const PHASES: usize = 3;

impl Phase {
    /// Decodes the wire value.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Steady),
            1 => Some(Self::Draining),
            2 => Some(Self::Reloading),
            _ => None,
        }
    }
}

/// What bytes of the peer an RST threw away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Lost {
    /// No payload.
    Nothing = 0,
    /// Only a TLS alert or a control frame: the peer's goodbye, lost without harm.
    Goodbye = 1,
    /// Anything else: a request or a part of one.
    Data = 2,
}

impl Lost {
    /// Decodes the wire value.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Nothing),
            1 => Some(Self::Goodbye),
            2 => Some(Self::Data),
            _ => None,
        }
    }
}

/// Key of a counter row: {cgroup, network namespace, program, port, role} and the phase.
///
/// A key of zeros but for role and phase is the `other` row, which takes what a full map refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct ServiceKey {
    /// cgroup v2 id of the socket (`sock_cgroup_data`); 1 is the root; 0 in the `other` row.
    pub cgroup: u64,
    /// Cookie of the network namespace (`net->net_cookie`), never reused while the host is up.
    pub netns: u64,
    /// Name of the program that listened or connected: the thread-group leader's `comm`.
    pub comm: [u8; 16],
    /// Server: the local port. Client: the remote port. Host byte order.
    pub port: u16,
    /// A [`Role`].
    pub role: u8,
    /// A [`Phase`].
    pub phase: u8,
    /// Always zero.
    pub pad: u32,
}

impl ServiceKey {
    /// The row that takes what belongs to nobody known, or what a full map refused.
    pub const fn other(role: Role, phase: Phase) -> Self {
        Self {
            cgroup: 0,
            netns: 0,
            comm: [0; 16],
            port: 0,
            role: role as u8,
            phase: phase as u8,
            pad: 0,
        }
    }

    /// The same service in another phase.
    #[must_use]
    pub const fn in_phase(mut self, phase: Phase) -> Self {
        self.phase = phase as u8;
        self
    }

    /// The role, or `None` when the byte is out of range.
    pub const fn role(&self) -> Option<Role> {
        Role::from_u8(self.role)
    }

    /// The phase, or `None` when the byte is out of range.
    pub const fn phase(&self) -> Option<Phase> {
        Phase::from_u8(self.phase)
    }

    /// The program's name up to its first NUL; empty when unknown or not UTF-8.
    pub fn comm(&self) -> &str {
        let end = self.comm.iter().position(|b| *b == 0).unwrap_or(16);
        core::str::from_utf8(&self.comm[..end]).unwrap_or("")
    }
}

// SAFETY: repr(C), 8+8+16+2+1+1+4 = 40 bytes without padding, integers only.
unsafe impl Wire for ServiceKey {
    fn check(&self) -> Result<(), WireError> {
        if self.role().is_none() {
            return Err(WireError::Value {
                field: "role",
                value: self.role.into(),
            });
        }
        if self.phase().is_none() {
            return Err(WireError::Value {
                field: "phase",
                value: self.phase.into(),
            });
        }
        Ok(())
    }
}

/// Reset reasons told by where the RST comes from, on kernels that give none (before 6.10).
pub mod inferred_reason {
    /// Not to be told.
    pub const UNKNOWN: u8 = 128;
    /// Data came after close().
    pub const ABORT_ON_DATA: u8 = 129;
    /// close() with unread data.
    pub const ABORT_ON_CLOSE: u8 = 130;
    /// close() with TCP_LINGER2 below zero.
    pub const ABORT_ON_LINGER: u8 = 131;
    /// Too many orphans or too little memory.
    pub const ABORT_ON_MEMORY: u8 = 132;
    /// SO_LINGER 0, disconnect, an abort by the administrator, or a listener closed over its queue.
    pub const TCP_STATE: u8 = 133;
    /// Keepalive probes had no answer.
    pub const KEEPALIVE_TIMEOUT: u8 = 134;
    /// A segment that no state allows.
    pub const INVALID_SEGMENT: u8 = 135;
}

/// Key of a row of RSTs sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct ResetKey {
    /// Who sent it.
    pub service: ServiceKey,
    /// `enum sk_rst_reason` of the running kernel; from 128 on inferred (before 6.10).
    pub reason: u8,
    /// A [`Lost`].
    pub lost: u8,
    /// Always zero.
    pub pad: [u8; 6],
}

// SAFETY: repr(C), 40+1+1+6 = 48 bytes without padding, integers only.
unsafe impl Wire for ResetKey {
    fn check(&self) -> Result<(), WireError> {
        self.service.check()?;
        match Lost::from_u8(self.lost) {
            Some(_) => Ok(()),
            None => Err(WireError::Value {
                field: "lost",
                value: self.lost.into(),
            }),
        }
    }
}

/// Key of the table of ports that somebody listens, or once listened, on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct PortKey {
    /// Cookie of the network namespace.
    pub netns: u64,
    /// Local port, host byte order.
    pub port: u32,
    /// Always zero.
    pub pad: u32,
}

// SAFETY: repr(C), 16 bytes without padding, integers only.
unsafe impl Wire for PortKey {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}

/// The last known owner of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct PortOwner {
    /// The service, in phase `steady`.
    pub service: ServiceKey,
    /// Start time of the listening process (`task->start_boottime`), nanoseconds since boot; 0 unknown.
    pub start_ns: u64,
    /// Thread-group id of the process that called `listen()`; 0 unknown.
    pub tgid: u32,
    /// Inode number of the network namespace, as in `/proc/<pid>/ns/net`.
    pub netns_inum: u32,
}

// SAFETY: repr(C), 40+8+4+4 = 56 bytes without padding, integers only.
unsafe impl Wire for PortOwner {
    fn check(&self) -> Result<(), WireError> {
        self.service.check()
    }
}

const _: () = assert!(size_of::<ServiceKey>() == 40 && align_of::<ServiceKey>() == 8);
const _: () = assert!(size_of::<ResetKey>() == 48);
const _: () = assert!(size_of::<PortKey>() == 16);
const _: () = assert!(size_of::<PortOwner>() == 56);
