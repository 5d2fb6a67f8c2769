//! Processes that own a service: who they are, the signals that reach them, and their ends.

use crate::{Phase, RecordHeader, Wire, WireError};

/// [`RecordHeader::kind`] of a [`SignalRecord`].
pub const KIND_SIGNAL: u32 = 4;
/// [`RecordHeader::kind`] of an [`ExitRecord`].
pub const KIND_EXIT: u32 = 5;

/// A process, told apart from a later one with the same number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Process {
    /// Start time (`task->start_boottime` of the thread-group leader), nanoseconds since boot, cut to 10 ms as
    /// `/proc/<pid>/stat` shows it; 0 unknown.
    pub start_ns: u64,
    /// Thread-group id; 0 unknown.
    pub tgid: u32,
    /// Always zero.
    pub pad: u32,
}

// SAFETY: repr(C), 8+8+4+4 = 24 bytes without padding, integers only.
unsafe impl Wire for Process {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}

/// What a process is to the instance it belongs to. The instance is named by the process that called `listen()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kinship {
    /// It called `listen()`.
    Owner = 0,
    /// Its stop is the instance's stop: a parent that holds the socket, a container's process 1, a unit's main process.
    Controller = 1,
    /// It was forked by one of the instance's processes and holds the socket as they do.
    Member = 2,
}

impl Kinship {
    /// Decodes the wire value.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Owner),
            1 => Some(Self::Controller),
            2 => Some(Self::Member),
            _ => None,
        }
    }
}

/// What a signal's target would do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Disposition {
    /// Not to be told.
    Unknown = 0,
    /// It has a handler.
    Handled = 1,
    /// The default action.
    Default = 2,
    /// `SIG_IGN`, or dropped as process 1 of its namespace has no handler.
    Ignored = 3,
    /// Blocked, to be taken by `sigwait` or a signalfd.
    Blocked = 4,
}

impl Disposition {
    /// Decodes the wire value.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Unknown),
            1 => Some(Self::Handled),
            2 => Some(Self::Default),
            3 => Some(Self::Ignored),
            4 => Some(Self::Blocked),
            _ => None,
        }
    }
}

/// What a signal asks of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Intent {
    /// Neither to stop nor to reload; or it went to one worker alone.
    Nothing = 0,
    /// To stop.
    Stop = 1,
    /// To reload.
    Reload = 2,
    /// Nobody knows what the program makes of it (it handles SIGUSR1, say): a reload, if something follows that a reload does.
    Unclear = 3,
}

impl Intent {
    /// Decodes the wire value.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Nothing),
            1 => Some(Self::Stop),
            2 => Some(Self::Reload),
            3 => Some(Self::Unclear),
            _ => None,
        }
    }

    /// The phase that it puts the instance in.
    pub const fn phase(self) -> Phase {
        match self {
            Self::Stop => Phase::Draining,
            Self::Reload => Phase::Reloading,
            Self::Nothing | Self::Unclear => Phase::Steady,
        }
    }
}

/// An entry of the table of processes: what a process is, and to which instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct ProcessEntry {
    /// The instance.
    pub instance: Process,
    /// Start time of this process, cut as in [`Process`].
    pub start_ns: u64,
    /// The same, to the nanosecond where a program saw its birth.
    pub born_ns: u64,
    /// A [`Kinship`].
    pub kinship: u8,
    /// Always zero.
    pub pad: [u8; 7],
}

// SAFETY: repr(C), 16+8+8+1+7 = 40 bytes without padding, integers only.
unsafe impl Wire for ProcessEntry {
    fn check(&self) -> Result<(), WireError> {
        kinship(self.kinship)
    }
}

/// Whose signal means what, as a trie finds it: the longest prefix of signal and name that user space put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct MeaningKey {
    /// Number of the signal.
    pub signal: u32,
    /// Name of the target, filled up with NULs.
    pub comm: [u8; 16],
}

impl MeaningKey {
    /// Bits of all of it: what is looked up.
    pub const BITS: u32 = 8 * size_of::<Self>() as u32;

    /// Bits of the signal and of so many bytes of the name.
    pub const fn bits(name_bytes: u32) -> u32 {
        8 * (size_of::<u32>() as u32 + name_bytes)
    }
}

// SAFETY: repr(C), 4+16 = 20 bytes without padding, integers only.
unsafe impl Wire for MeaningKey {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}

/// A signal that was sent to a process of an instance (`signal_generate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct SignalRecord {
    /// `kind` is [`KIND_SIGNAL`]; `at_ns` is T0.
    pub header: RecordHeader,
    /// The instance.
    pub instance: Process,
    /// The process that it was sent to.
    pub target: Process,
    /// Name of the target.
    pub target_comm: [u8; 16],
    /// Name of the sender; zeros when the kernel sent it.
    pub sender_comm: [u8; 16],
    /// Thread-group id of the sender; 0 when the kernel sent it.
    pub sender_tgid: u32,
    /// Number of the signal.
    pub signal: u8,
    /// A [`Disposition`].
    pub disposition: u8,
    /// A [`Kinship`] of the target.
    pub kinship: u8,
    /// An [`Intent`]: what it asks of this target.
    pub intent: u8,
}

impl SignalRecord {
    /// What it asks of its target; a checked record has no other value.
    pub fn intent(&self) -> Intent {
        Intent::from_u8(self.intent).unwrap_or(Intent::Nothing)
    }
}

// SAFETY: repr(C), 16+16+16+16+16+4+4 = 88 bytes without padding, integers only.
unsafe impl Wire for SignalRecord {
    fn check(&self) -> Result<(), WireError> {
        kinship(self.kinship)?;
        if Disposition::from_u8(self.disposition).is_none() {
            return Err(WireError::Value {
                field: "disposition",
                value: self.disposition.into(),
            });
        }
        match Intent::from_u8(self.intent) {
            Some(_) => Ok(()),
            None => Err(WireError::Value {
                field: "intent",
                value: self.intent.into(),
            }),
        }
    }
}

/// A process of an instance ended (`sched_process_exit` of its last thread). Its sockets close after this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct ExitRecord {
    /// `kind` is [`KIND_EXIT`].
    pub header: RecordHeader,
    /// The instance.
    pub instance: Process,
    /// The process that ended.
    pub process: Process,
    /// When it was born: its start time to the nanosecond, since boot.
    pub born_ns: u64,
    /// Its name.
    pub comm: [u8; 16],
    /// `task->exit_code` as `waitpid` gives it: the signal in the low 7 bits, or the exit code in the next byte.
    pub status: u32,
    /// A [`Kinship`].
    pub kinship: u8,
    /// Always zero.
    pub pad: [u8; 3],
}

// SAFETY: repr(C), 16+16+16+8+16+4+1+3 = 80 bytes without padding, integers only.
unsafe impl Wire for ExitRecord {
    fn check(&self) -> Result<(), WireError> {
        kinship(self.kinship)
    }
}

/// An entry of the table of phases, by instance: present while a drain or reload lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct PhaseEntry {
    /// When it was set, `bpf_ktime_get_ns`.
    pub since_ns: u64,
    /// When a signal last asked for it, the first one or another, `bpf_ktime_get_ns`: earlier than its record says.
    pub signalled_ns: u64,
    /// A [`Phase`].
    pub phase: u32,
    /// Always zero.
    pub pad: u32,
}

// SAFETY: repr(C), 8+4+4 = 16 bytes without padding, integers only.
unsafe impl Wire for PhaseEntry {
    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}

/// A name as the kernel keeps it, up to its first NUL; empty when it is not UTF-8.
pub fn comm_str(comm: &[u8; 16]) -> &str {
    let end = comm.iter().position(|b| *b == 0).unwrap_or(16);
    core::str::from_utf8(&comm[..end]).unwrap_or("")
}

const fn kinship(value: u8) -> Result<(), WireError> {
    match Kinship::from_u8(value) {
        Some(_) => Ok(()),
        None => Err(WireError::Value {
            field: "kinship",
            value: value as u64,
        }),
    }
}

const _: () = assert!(size_of::<Process>() == 16);
const _: () = assert!(size_of::<ProcessEntry>() == 40);
const _: () = assert!(size_of::<MeaningKey>() == 20);
const _: () = assert!(size_of::<SignalRecord>() == 88);
const _: () = assert!(size_of::<ExitRecord>() == 80);
const _: () = assert!(size_of::<PhaseEntry>() == 24);
