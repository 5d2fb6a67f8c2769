//! The ring buffer's reader: bytes in, checked records out.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    sync::OnceLock,
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use finwatch_common::{
    CloseRecord, ExitRecord, KIND_CLOSE, KIND_EXIT, KIND_LISTENER, KIND_RESET, KIND_SIGNAL,
    KIND_UNREAD, ListenerRecord, RecordHeader, ResetRecord, SignalRecord, UnreadRecord, Wire,
    WireError,
};
use tokio::io::{Interest, unix::AsyncFd};

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

/// See the module.
pub(super) struct Ring {
    ring: RingBuf<MapData>,
    /// Made on first use, as it needs a runtime and not every user of the probe has one.
    waker: OnceLock<Option<AsyncFd<OwnedFd>>>,
    malformed: u64,
}

impl Ring {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self {
            ring,
            waker: OnceLock::new(),
            malformed: 0,
        }
    }

    /// Drains at most `max` records into `each`; malformed ones are counted and passed over.
    pub(super) fn drain(&mut self, max: usize, mut each: impl FnMut(Record)) -> usize {
        for drained in 0..max {
            let Some(bytes) = self.ring.next() else {
                return drained;
            };
            match Record::from_bytes(&bytes) {
                Ok(record) => each(record),
                Err(_) => self.malformed += 1,
            }
        }
        max
    }

    /// Waits for a wake-up of the programs, or until `timeout` has passed.
    pub(super) async fn ready(&self, timeout: Duration) {
        let waker = self.waker.get_or_init(|| {
            let fd = self.ring.as_fd().try_clone_to_owned().ok()?;
            // SAFETY: the descriptor is the waker's own, open until the waker is dropped.
            unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.ok()
        });
        let Some(waker) = waker else {
            return tokio::time::sleep(timeout).await;
        };
        // The descriptor is readable whenever a record is there, but is only signalled by the programs'
        // wake-ups: edge-triggered, so that it does not spin.
        if let Ok(Ok(mut guard)) = tokio::time::timeout(timeout, waker.readable()).await {
            guard.clear_ready();
        }
    }

    /// Records whose bytes were malformed.
    pub(super) const fn malformed(&self) -> u64 {
        self.malformed
    }
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
