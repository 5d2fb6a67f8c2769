//! The road of the records: one ring buffer, so that a socket's records keep their order. A reader is
//! woken only when the fill passes a quarter of the ring; else it comes at its own interval.

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::bpf_ktime_get_ns,
    macros::map,
    maps::{RingBuf, ring_buf::RingBufEntry},
};
use finwatch_common::{CloseRecord, Loss, RecordHeader};

use super::{kernel::ring_wake_bytes, losses};

/// The loader sets the real size.
#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// A record that is being written.
pub(super) struct Slot<T: 'static>(RingBufEntry<T>);

impl<T> Slot<T> {
    /// Room for a record; a full ring is counted as `loss`.
    #[inline(always)]
    pub(super) fn reserve(loss: Loss) -> Option<Self> {
        let entry = RECORDS.reserve::<T>(0);
        if entry.is_none() {
            losses::count(loss);
        }
        entry.map(Self)
    }

    /// Where the record goes. The caller writes every field.
    #[inline(always)]
    pub(super) fn record(&mut self) -> *mut T {
        MaybeUninit::as_mut_ptr(&mut self.0)
    }

    /// Hands the record over and wakes the reader: what it tells is to be looked at while it lasts.
    #[inline(always)]
    pub(super) fn submit_at_once(self) {
        self.0.submit(BPF_RB_FORCE_WAKEUP.into());
    }

    /// Hands the record over.
    #[inline(always)]
    pub(super) fn submit(self) {
        let used = RECORDS.query(BPF_RB_AVAIL_DATA.into());
        let step = ring_wake_bytes();
        // A little more than one record, as other CPUs write too: to wake twice does no harm.
        let passed = step != 0 && used % step < 4 * size_of::<CloseRecord>() as u64 && used >= step;
        self.0.submit(if passed {
            BPF_RB_FORCE_WAKEUP.into()
        } else {
            BPF_RB_NO_WAKEUP.into()
        });
    }
}

/// The head of a record of type `T`, at this instant.
#[inline(always)]
pub(super) fn header<T>(kind: u32) -> RecordHeader {
    RecordHeader {
        kind,
        size: size_of::<T>() as u32,
        // SAFETY: the helper has no preconditions.
        at_ns: unsafe { bpf_ktime_get_ns() },
    }
}
