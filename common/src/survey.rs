//! Rows of the survey: what the BPF iterator writes about sockets that are there right now.

use crate::{Process, ServiceKey, Wire, WireError};

/// Values of [`SurveyRow::kind`].
pub mod survey_kind {
    /// A listener: `a` is its backlog, `b` the backlog's limit.
    pub const LISTENER: u8 = 1;
    /// A connection that owes (server) or awaits (client) an answer: `a` is `asked`, `b` `since_read`.
    pub const AWAITING: u8 = 2;
    /// A mini-socket in substate TIME_WAIT: `a` is the local port, `b` the remote one; no service.
    pub const TIME_WAIT: u8 = 3;
    /// A mini-socket in substate FIN_WAIT2: as [`TIME_WAIT`].
    pub const FIN_WAIT2: u8 = 4;
    /// A connection that is open and neither owes nor awaits an answer, of an instance that drains or reloads, or that no
    /// program has accepted yet: `a` and `b` as in [`AWAITING`].
    pub const OPEN: u8 = 5;
    /// A connection that is closing and has not ended (FIN_WAIT1 to LAST_ACK), of an instance that drains or
    /// reloads: `a` is its TCP state.
    pub const CLOSING: u8 = 6;
}

/// One socket of note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct SurveyRow {
    /// Whose it is; zeros but for `netns` in a mini-socket.
    pub service: ServiceKey,
    /// The process that listened or connected; zeros in a mini-socket.
    pub owner: Process,
    /// Socket cookie; 0 when it has none.
    pub cookie: u64,
    /// When it was established (`bpf_ktime_get_ns`); 0 unknown, or a listener.
    pub opened_at_ns: u64,
    /// By `kind`.
    pub a: u32,
    /// By `kind`.
    pub b: u32,
    /// One of `survey_kind`.
    pub kind: u8,
    /// Of [`survey_kind::AWAITING`] and [`survey_kind::OPEN`]: 1 when surely nothing was sent since its instance began to drain or reload.
    pub quiet: u8,
    /// 1: a server's connection that no program has accepted yet.
    pub queued: u8,
    /// Always zero.
    pub pad: u8,
    /// Of one that is queued: for how long its peer's last bytes have been there by now, in milliseconds and at least 1; 0: it asked
    /// nothing yet, or the peer left.
    pub waits_ms: u32,
}

// SAFETY: repr(C), 40+16+8+8+4+4+1+1+1+1+4 = 88 bytes without padding, integers only.
unsafe impl Wire for SurveyRow {
    fn check(&self) -> Result<(), WireError> {
        match self.kind {
            survey_kind::LISTENER..=survey_kind::CLOSING => self.service.check(),
            value => Err(WireError::Value {
                field: "kind",
                value: value.into(),
            }),
        }
    }
}

/// Who holds a socket that was there before the programs, found in `/proc/<pid>/fd`, by inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct OwnerSeed {
    /// Start time of the process, nanoseconds since boot.
    pub start_ns: u64,
    /// Its name.
    pub comm: [u8; 16],
    /// Its thread-group id.
    pub tgid: u32,
    /// Always zero.
    pub pad: u32,
}

// SAFETY: repr(C), 8+16+4+4 = 32 bytes without padding, integers only.
unsafe impl Wire for OwnerSeed {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}

const _: () = assert!(size_of::<SurveyRow>() == 88);
const _: () = assert!(size_of::<OwnerSeed>() == 32);

/// Counters of what was lost in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Loss {
    /// Close records the full ring refused.
    CloseRecords = 0,
    /// Reset records the full ring refused.
    ResetRecords = 1,
    /// Listener records the full ring refused.
    ListenerRecords = 2,
    /// Counts that fell to the `other` row as the map was full.
    RowsFull = 3,
    /// Sockets that got no storage.
    StorageFailed = 4,
    /// MPTCP subflows, which are left out.
    MptcpSubflows = 5,
    /// No loss: transitions that the recursion guard skipped and the second program made good.
    MadeGood = 6,
    /// Signal records the full ring refused.
    SignalRecords = 7,
    /// Exit records the full ring refused.
    ExitRecords = 8,
    /// Processes of an instance, or phases, that the full table refused.
    ProcessesFull = 9,
    /// Unread records the full ring refused.
    UnreadRecords = 10,
}

impl Loss {
    /// Number of counters.
    pub const COUNT: usize = 11;
}
