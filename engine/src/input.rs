//! What the engine is told: a closed list. Records of the ring and readings of the rows are decoded and checked; whoever tells
//! them has done the I/O.

use finwatch_common::{
    CloseRecord, CounterRow, ExitRecord, KIND_CLOSE, KIND_EXIT, KIND_LISTENER, KIND_RESET,
    KIND_SIGNAL, KIND_UNREAD, ListenerRecord, ProcessEntry, RecordHeader, ResetKey, ResetRecord,
    ServiceKey, SignalRecord, SurveyRow, UnreadRecord, Wire, WireError,
};

use crate::model::{DeployEvent, Named};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Records of the ring, in their order.
    Records(&'a [Record]),
    /// Records that were lost in the kernel so far, of all kinds. To be told before each tick: what was lost by then marks
    /// every drain that lasts.
    Lost {
        /// Since the programs were attached.
        total: u64,
    },
    /// The kernel's rows.
    Counters(Counters<'a>),
    /// The sockets of one network namespace.
    Survey(Survey<'a>),
    /// A survey that was wanted failed: the namespace is gone, or cannot be entered.
    SurveyFailed {
        /// Cookie of the namespace.
        netns: u64,
    },
    /// The mini-sockets of one network namespace, as [`crate::Want::MiniSockets`] asked.
    MiniSockets {
        /// Cookie of the namespace.
        netns: u64,
        /// One a mini-socket.
        rows: &'a [SurveyRow],
    },
    /// Which network namespaces there are.
    Namespaces {
        /// Cookies of those that were surveyed.
        alive: &'a [u64],
        /// How many could not be entered.
        refused: u64,
    },
    /// The kernel's whole table of processes.
    Processes(&'a [(u32, ProcessEntry)]),
    /// Whose services are: answers, and better names that came later.
    Names(&'a [(ServiceKey, Named)]),
    /// Services that are another node's: nothing of them is counted or told from now on.
    Elsewhere(&'a [ServiceKey]),
    /// A deploy event.
    Deploy(&'a DeployEvent),
    /// Time passes.
    Tick,
}

/// What was read of the kernel's rows.
#[derive(Debug, Clone, Copy)]
pub enum Counters<'a> {
    /// All live rows.
    Live(&'a Reading),
    /// What all rows held when they were emptied.
    Emptied(&'a Reading),
    /// The live rows of some services, as [`crate::Want::Counters`] asked.
    Some {
        /// Which; a service of which there is no row counted nothing.
        services: &'a [ServiceKey],
        /// Their rows.
        reading: &'a Reading,
    },
    /// They could not be read.
    Failed,
}

/// A look at the sockets of one network namespace.
#[derive(Debug, Clone, Copy)]
pub struct Survey<'a> {
    /// Cookie of the namespace.
    pub netns: u64,
    /// When it began, on the kernel's clock, nanoseconds.
    pub began_ns: u64,
    /// Sockets of note.
    pub rows: &'a [SurveyRow],
    /// Mini-sockets whose peer may still send a request (FIN_WAIT2), where a drain wanted the survey; none: it was made at
    /// leisure.
    pub minis: Option<&'a [SurveyRow]>,
    /// The kernel's own number of mini-sockets, if it was read.
    pub mini_sockets: Option<u64>,
}

/// One record of the ring buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// The end of a connection.
    Close(CloseRecord),
    /// An RST that this host sent.
    Reset(ResetRecord),
    /// A listener that opened or closed.
    Listener(ListenerRecord),
    /// A signal for a process that belongs to a service.
    Signal(SignalRecord),
    /// Such a process ended.
    Exit(ExitRecord),
    /// What a connection that had ended still held when its program let go of it.
    Unread(UnreadRecord),
}

impl Record {
    /// The service that it speaks of; those of a process are known by its instance alone.
    pub const fn service(&self) -> Option<&ServiceKey> {
        match self {
            Self::Close(close) => Some(&close.service),
            Self::Reset(reset) => Some(&reset.service),
            Self::Listener(listener) => Some(&listener.service),
            Self::Unread(unread) => Some(&unread.service),
            Self::Signal(_) | Self::Exit(_) => None,
        }
    }

    /// Checks bytes that came from the kernel.
    ///
    /// # Errors
    /// When kind, length or a field is not what the programs of this version write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let head = bytes
            .get(..size_of::<RecordHeader>())
            .ok_or(WireError::Length {
                want: size_of::<RecordHeader>(),
                got: bytes.len(),
            })?;
        let header = RecordHeader::from_bytes(head)?;
        match header.kind {
            KIND_CLOSE => CloseRecord::from_bytes(bytes).map(Self::Close),
            KIND_RESET => ResetRecord::from_bytes(bytes).map(Self::Reset),
            KIND_LISTENER => ListenerRecord::from_bytes(bytes).map(Self::Listener),
            KIND_SIGNAL => SignalRecord::from_bytes(bytes).map(Self::Signal),
            KIND_EXIT => ExitRecord::from_bytes(bytes).map(Self::Exit),
            KIND_UNREAD => UnreadRecord::from_bytes(bytes).map(Self::Unread),
            kind => Err(WireError::Value {
                field: "kind",
                value: kind.into(),
            }),
        }
    }
}

/// What the counter maps held at one instant.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reading {
    /// When the rows began to be read, on the kernel's clock, nanoseconds.
    pub read_ns: u64,
    /// Rows by service and phase.
    pub rows: Vec<(ServiceKey, CounterRow)>,
    /// RSTs sent by service, phase, reason and what they threw away.
    pub resets: Vec<(ResetKey, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u32, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        bytes[..4].copy_from_slice(&kind.to_ne_bytes());
        bytes
    }

    #[test]
    fn well_formed_records_are_told_apart() {
        let close = header(KIND_CLOSE, size_of::<CloseRecord>());
        assert!(matches!(Record::from_bytes(&close), Ok(Record::Close(_))));
        let reset = header(KIND_RESET, size_of::<ResetRecord>());
        assert!(matches!(Record::from_bytes(&reset), Ok(Record::Reset(_))));
        let listener = header(KIND_LISTENER, size_of::<ListenerRecord>());
        assert!(matches!(
            Record::from_bytes(&listener),
            Ok(Record::Listener(_))
        ));
    }

    #[test]
    fn malformed_bytes_are_refused() {
        assert!(Record::from_bytes(&[]).is_err());
        assert!(Record::from_bytes(&header(KIND_CLOSE, 15)[..15]).is_err());
        assert!(Record::from_bytes(&header(77, 64)).is_err(), "unknown kind");
        let short = header(KIND_CLOSE, size_of::<CloseRecord>() - 1);
        assert!(Record::from_bytes(&short).is_err());
        let long = header(KIND_CLOSE, size_of::<CloseRecord>() + 8);
        assert!(Record::from_bytes(&long).is_err());
        for byte in 0..8 {
            let mut close = header(KIND_CLOSE, size_of::<CloseRecord>());
            let at = close.len() - 12 + byte;
            close[at] = 0xfe;
            let known = matches!(byte, 0 | 6);
            assert_eq!(Record::from_bytes(&close).is_ok(), known, "byte {byte}");
        }
    }
}
