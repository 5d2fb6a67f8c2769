//! The token that a first program leaves for its second one: this event is done. A look here costs a fraction of a look at the
//! socket.
//!
//! One on each CPU, where only its own programs write, first and second in turn. An interrupt between the two brings events of its
//! own: then the token is another's, and the second program looks closer.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};

#[btf_map]
static TOKEN: PerCpuArray<Done, 1> = PerCpuArray::new();

/// An event that was worked on: a socket's address, and what it went through.
#[repr(C)]
struct Done {
    socket: *const u8,
    transition: u64,
}

/// An event, as both programs see it.
#[derive(Clone, Copy)]
pub(super) struct Token {
    slot: *mut Done,
    socket: *const u8,
    transition: u16,
}

impl Token {
    /// `None` cannot be: it is for the verifier, which would follow every path twice if it were carried on.
    #[inline(always)]
    pub(super) fn of(socket: *const u8, transition: u16) -> Option<Self> {
        Some(Self {
            slot: TOKEN.get_ptr_mut(0)?,
            socket,
            transition,
        })
    }

    /// The first program begins: whatever was left is of an event whose second one never came.
    #[inline(always)]
    pub(super) fn begin(self) {
        // SAFETY: the slot is this CPU's own.
        unsafe { (*self.slot).socket = core::ptr::null() };
    }

    /// The first program is done.
    #[inline(always)]
    pub(super) fn leave(self) {
        // SAFETY: the slot is this CPU's own.
        unsafe {
            (*self.slot).socket = self.socket;
            (*self.slot).transition = self.transition.into();
        }
    }

    /// Whether the first program is done. Takes the token away.
    #[inline(always)]
    pub(super) fn take(self) -> bool {
        // SAFETY: as above.
        unsafe {
            let found = core::ptr::eq((*self.slot).socket, self.socket)
                && (*self.slot).transition == self.transition.into();
            if found {
                (*self.slot).socket = core::ptr::null();
            }
            found
        }
    }
}
