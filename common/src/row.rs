//! The table of counter rows: a service and phase has an index, which its sockets carry, and a row of cells on each CPU. Programs
//! count in rows by index alone; user space maps the tables into its memory and reads them there.
//!
//! An index is given out and taken back. So that nobody counts in a row that became another service's, whoever kept an index
//! without being counted among its holders shows the whole [`RowId`], which differs from life to life.

use crate::{CounterRow, Lost, PHASES, Phase, Role, ServiceKey, Wire, WireError};

/// An index into the tables, and above it how often that had been given out: [`ROW_LIFE_SHIFT`]. Never 0.
pub type RowId = u32;

/// Of a [`RowId`]: what is below is the index.
pub const ROW_LIFE_SHIFT: u32 = 16;

/// Most rows: indices have as many bits.
pub const ROWS_MAX: u32 = 1 << ROW_LIFE_SHIFT;

/// The first rows are those of [`ServiceKey::other`], for each role and phase; they are never taken back.
pub const OTHER_ROWS: u32 = 2 * PHASES as u32;

/// Index of a row.
pub const fn row_index(id: RowId) -> u32 {
    id & (ROWS_MAX - 1)
}

/// A row's first id.
pub const fn first_row_id(index: u32) -> RowId {
    1 << ROW_LIFE_SHIFT | index
}

/// The id that an index is given out with after this one.
pub const fn next_row_id(id: RowId) -> RowId {
    let life = (id >> ROW_LIFE_SHIFT) + 1;
    let life = if life >> (u32::BITS - ROW_LIFE_SHIFT) == 0 {
        life
    } else {
        1
    };
    life << ROW_LIFE_SHIFT | row_index(id)
}

/// The row of [`ServiceKey::other`]. Bytes out of range count as the first value.
pub const fn other_row(role: u8, phase: u8) -> RowId {
    let role = if role == Role::Client as u8 { 1 } else { 0 };
    let phase = if (phase as usize) < PHASES {
        phase as u32
    } else {
        Phase::Steady as u32
    };
    first_row_id(role * PHASES as u32 + phase)
}

/// Whose a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct RowHead {
    /// The service, in its phase.
    pub service: ServiceKey,
    /// Inode number of its network namespace, as in `/proc/<pid>/ns/net`; 0 where no socket told it.
    pub netns_inum: u32,
    /// The row's id; 0 when it belongs to nobody.
    pub id: RowId,
}

/// A row on one CPU: nine cache lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct RowCells {
    /// The counters.
    pub cells: CounterRow,
    /// Sockets that may still count here, less those that no longer do; over all CPUs, modulo 2^64.
    pub held: u64,
    /// Always zero.
    pub pad: u64,
}

/// Key of the RSTs sent, by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct ResetRow {
    /// Index of the row.
    pub row: u32,
    /// `enum sk_rst_reason` of the running kernel; from 128 on inferred (before 6.10).
    pub reason: u8,
    /// A [`Lost`].
    pub lost: u8,
    /// Always zero.
    pub pad: u16,
}

// SAFETY: repr(C), 40+4+4 = 48 bytes without padding, integers only.
unsafe impl Wire for RowHead {
    fn check(&self) -> Result<(), WireError> {
        self.service.check()
    }
}

// SAFETY: repr(C), 4+1+1+2 = 8 bytes without padding, integers only.
unsafe impl Wire for ResetRow {
    fn check(&self) -> Result<(), WireError> {
        match Lost::from_u8(self.lost) {
            Some(_) => Ok(()),
            None => Err(WireError::Value {
                field: "lost",
                value: self.lost.into(),
            }),
        }
    }
}

const _: () = assert!(size_of::<RowHead>() == 48);
const _: () = assert!(size_of::<RowCells>() == 576);
const _: () = assert!(size_of::<ResetRow>() == 8);
