//! Tokens that a first program leaves for its second one: this event is done. A look here costs a tenth of a
//! look into the socket's storage.
//!
//! On each CPU only its own programs write, first and second in turn; the second clears what it finds. A
//! token is lost when another event takes its place, and then the second program looks closer.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};

const SLOTS: u32 = 256;

#[btf_map]
static TOKENS: PerCpuArray<u64, { SLOTS as usize }> = PerCpuArray::new();

/// An event, as both programs see it.
pub(super) struct Token {
    slot: Option<*mut u64>,
    value: u64,
}

impl Token {
    /// Of a socket's hash (of its four-tuple) and its transition. A socket without one leaves no token.
    #[inline(always)]
    pub(super) fn of(hash: u32, transition: u32) -> Self {
        Self {
            slot: if hash == 0 {
                None
            } else {
                TOKENS.get_ptr_mut(hash & (SLOTS - 1))
            },
            value: u64::from(transition) << 32 | u64::from(hash),
        }
    }

    /// The first program is done.
    #[inline(always)]
    pub(super) fn leave(&self) {
        if let Some(slot) = self.slot {
            // SAFETY: the slot is this CPU's own.
            unsafe { *slot = self.value };
        }
    }

    /// Whether the first program is done. Clears the token.
    #[inline(always)]
    pub(super) fn take(&self) -> bool {
        let Some(slot) = self.slot else {
            return false;
        };
        // SAFETY: the slot is this CPU's own.
        let found = unsafe { *slot } == self.value;
        if found {
            // SAFETY: as above.
            unsafe { *slot = 0 };
        }
        found
    }
}
