//! The ring buffer's reader: bytes in, checked records out.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    sync::OnceLock,
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use finwatch_engine::input::Record;
use tokio::io::{Interest, unix::AsyncFd};

use super::LossCounters;

/// The ring buffer of records. It has one reader.
pub struct Ring {
    ring: RingBuf<MapData>,
    /// Made on first use, as it needs a runtime and not every user of the probe has one.
    waker: OnceLock<Option<AsyncFd<OwnedFd>>>,
    losses: LossCounters,
}

impl Ring {
    pub(super) fn new(ring: RingBuf<MapData>, losses: LossCounters) -> Self {
        Self {
            ring,
            waker: OnceLock::new(),
            losses,
        }
    }

    /// Drains at most `max` records into `each`; malformed ones are counted and passed over.
    pub fn drain(&mut self, max: usize, mut each: impl FnMut(Record)) -> usize {
        for drained in 0..max {
            let Some(bytes) = self.ring.next() else {
                return drained;
            };
            match Record::from_bytes(&bytes) {
                Ok(record) => each(record),
                Err(_) => self.losses.malformed(),
            }
        }
        max
    }

    /// Waits for a wake-up of the programs, or until `timeout` has passed.
    pub async fn ready(&self, timeout: Duration) {
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
}
