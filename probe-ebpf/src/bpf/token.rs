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
    slot: *mut u64,
    value: u64,
}

impl Token {
    /// Of a socket's hash (of its four-tuple) and its transition. A socket without one leaves no token. `None` cannot be: it is
    /// for the verifier, which would follow every path twice if it were carried on.
    #[inline(always)]
    pub(super) fn of(hash: u32, transition: u32) -> Option<Self> {
        Some(Self {
            slot: TOKENS.get_ptr_mut(hash & (SLOTS - 1))?,
            value: u64::from(transition) << 32 | u64::from(hash),
        })
    }

    /// The first program is done.
    #[inline(always)]
    pub(super) fn leave(&self) {
        if self.is_of_a_hash() {
            // SAFETY: the slot is this CPU's own.
            unsafe { *self.slot = self.value };
        }
    }

    /// Whether the first program is done. Clears the token.
    #[inline(always)]
    pub(super) fn take(&self) -> bool {
        // SAFETY: the slot is this CPU's own.
        let found = self.is_of_a_hash() && unsafe { *self.slot } == self.value;
        if found {
            // SAFETY: as above.
            unsafe { *self.slot = 0 };
        }
        found
    }

    #[inline(always)]
    const fn is_of_a_hash(&self) -> bool {
        self.value as u32 != 0
    }
}
