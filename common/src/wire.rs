//! Checked decoding of bytes that came from the kernel. A record is copied out, never cast in place.

use core::fmt;

/// Why bytes were not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// The length is not the length of the type.
    Length {
        /// Bytes that the type has.
        want: usize,
        /// Bytes that came.
        got: usize,
    },
    /// A field holds a value outside its enumeration.
    Value {
        /// Name of the field.
        field: &'static str,
        /// What it held.
        value: u64,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { want, got } => write!(f, "record of {got} bytes, expected {want}"),
            Self::Value { field, value } => write!(f, "field {field} holds {value}"),
        }
    }
}

impl core::error::Error for WireError {}

/// A plain-old-data type of the contract.
///
/// # Safety
/// The type is `repr(C)`, has no padding, and every bit pattern is a valid value of every field.
pub unsafe trait Wire: Copy + Sized + 'static {
    /// Refuses values that no program of this version writes.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    fn check(&self) -> Result<(), WireError>;

    /// Copies the value out of `bytes`, which need not be aligned.
    ///
    /// # Errors
    /// When the length is not exactly the type's, or [`Wire::check`] refuses the value.
    fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() != size_of::<Self>() {
            return Err(WireError::Length {
                want: size_of::<Self>(),
                got: bytes.len(),
            });
        }
        // SAFETY: the length was checked, `Wire` promises that any bits are a value, and the read
        // makes no assumption about alignment.
        let value = unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() };
        value.check()?;
        Ok(value)
    }

    /// The bytes of the value, as the kernel would write them.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: `Wire` promises that there is no padding, so every byte is initialised.
        unsafe {
            core::slice::from_raw_parts(core::ptr::from_ref(self).cast::<u8>(), size_of::<Self>())
        }
    }
}
