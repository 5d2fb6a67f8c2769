//! What a connection that had ended still held when its program let go of it.

use crate::{Cut, RecordHeader, ServiceKey, Wire, WireError, record::NONE};

/// [`RecordHeader::kind`] of an [`UnreadRecord`].
pub const KIND_UNREAD: u32 = 6;

/// A program let go of a connection that had reached CLOSE before, and bytes of the peer lay unread in it. It follows a
/// [`CloseRecord`](crate::CloseRecord) with [`HELD`](crate::close_flags::HELD); without it everything was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct UnreadRecord {
    /// `kind` is [`KIND_UNREAD`]; `at_ns` is when the socket was destroyed (`tcp_v4_destroy_sock`).
    pub header: RecordHeader,
    /// Socket cookie.
    pub cookie: u64,
    /// Whose connection it was, and the phase at its end.
    pub service: ServiceKey,
    /// IPv6, or v4-mapped.
    pub local_addr: [u8; 16],
    /// IPv6, or v4-mapped.
    pub remote_addr: [u8; 16],
    /// Host byte order.
    pub local_port: u16,
    /// Host byte order.
    pub remote_port: u16,
    /// Received bytes the program never read; at least 1.
    pub unread: u32,
    /// A [`Cut`] when these bytes make the connection a cut one, or 0xff.
    pub cut: u8,
    /// 1 when they are counted by [`crate::Cell::REST_OR_REQUEST`].
    pub rest_or_request: u8,
    /// As [`CloseRecord::idle_ds`](crate::CloseRecord::idle_ds) of the connection.
    pub idle_ds: u16,
    /// Always zero.
    pub tail: [u8; 4],
}

impl UnreadRecord {
    /// Why the connection counts as cut from now on, if it does.
    pub const fn cut(&self) -> Option<Cut> {
        Cut::from_u8(self.cut)
    }
}

// SAFETY: repr(C); the assertion below holds the size to the sum of the fields; integers only.
unsafe impl Wire for UnreadRecord {
    fn check(&self) -> Result<(), WireError> {
        self.service.check()?;
        if self.cut != NONE && self.cut().is_none() {
            return Err(WireError::Value {
                field: "cut",
                value: self.cut.into(),
            });
        }
        Ok(())
    }
}

const _: () = assert!(size_of::<UnreadRecord>() == 16 + 8 + 40 + 32 + 4 + 4 + 8);
