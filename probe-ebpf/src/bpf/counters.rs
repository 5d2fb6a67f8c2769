//! The counter rows: one a service and phase, on each CPU, in two generations of which one is written.
//!
//! User space flips the generation, waits until no program still writes to the old one, and empties it.
//! So a row is freed without a lost count. A row that a full map refuses falls to the `other` row, which
//! user space makes before the programs run. Memory: 560 bytes a row, CPU and generation, set aside at
//! load: an allocation in softirq may fail, and then a count would go to the wrong row.

use core::hint::black_box;

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    btf_maps::{Array, PerCpuHashMap},
    macros::btf_map,
};
use finwatch_common::{CELLS, Cell, CounterRow, Loss, Phase, ResetKey, Role, ServiceKey};

use super::{atomic, losses};

/// The loader sets the real limits.
const ROWS: usize = 16384;

#[btf_map]
static ROWS_EVEN: PerCpuHashMap<ServiceKey, CounterRow, ROWS> = PerCpuHashMap::new();
#[btf_map]
static ROWS_ODD: PerCpuHashMap<ServiceKey, CounterRow, ROWS> = PerCpuHashMap::new();
#[btf_map]
static RESETS_EVEN: PerCpuHashMap<ResetKey, u64, ROWS> = PerCpuHashMap::new();
#[btf_map]
static RESETS_ODD: PerCpuHashMap<ResetKey, u64, ROWS> = PerCpuHashMap::new();
/// Which generation is written: its lowest bit.
#[btf_map]
static GENERATION: Array<u32, 1> = Array::new();

static EMPTY_ROW: CounterRow = [0; CELLS];

/// One service's row on this CPU.
#[derive(Clone, Copy)]
pub(super) struct Row(*mut u64);

impl Row {
    #[inline(always)]
    pub(super) fn add(self, cell: Cell, by: u64) {
        // The verifier must see the bound, which the compiler knows and would drop.
        let index = black_box(cell.index());
        if index < CELLS {
            // SAFETY: the index is in the row; an interrupt may write the cell too, hence atomic.
            unsafe { atomic::add(self.0.add(index), by) };
        }
    }

    #[inline(always)]
    pub(super) fn inc(self, cell: Cell) {
        self.add(cell, 1);
    }

    /// As [`Row::inc`] for a cell that is known when the program is compiled.
    #[inline(always)]
    pub(super) fn inc_at<const INDEX: usize>(self) {
        const { assert!(INDEX < CELLS) };
        // SAFETY: the index is in the row, as asserted above.
        unsafe { atomic::add(self.0.add(INDEX), 1) };
    }
}

#[inline(always)]
fn odd() -> bool {
    GENERATION
        .get(0)
        .is_some_and(|generation| generation & 1 != 0)
}

macro_rules! find_or_insert {
    ($map:ident, $key:expr, $empty:expr) => {{
        match $map.get_ptr_mut($key) {
            Some(found) => Some(found),
            None => {
                // Another CPU may win the race: then its entry is found below.
                let _ = $map.insert($key, $empty, BPF_NOEXIST.into());
                $map.get_ptr_mut($key)
            }
        }
    }};
}

/// The row of `service`, made on first use; the `other` row when the map is full.
#[inline(always)]
pub(super) fn row(service: &ServiceKey) -> Option<Row> {
    let odd = odd();
    let found = if odd {
        find_or_insert!(ROWS_ODD, service, &EMPTY_ROW)
    } else {
        find_or_insert!(ROWS_EVEN, service, &EMPTY_ROW)
    };
    if let Some(found) = found {
        return Some(Row(found.cast()));
    }
    losses::count(Loss::RowsFull);
    let other = other(service);
    let found = if odd {
        ROWS_ODD.get_ptr_mut(other)
    } else {
        ROWS_EVEN.get_ptr_mut(other)
    };
    found.map(|found| Row(found.cast()))
}

/// Counts an RST that this host sent.
#[inline(always)]
pub(super) fn reset(key: &ResetKey) {
    let odd = odd();
    let mut found = if odd {
        find_or_insert!(RESETS_ODD, key, &0)
    } else {
        find_or_insert!(RESETS_EVEN, key, &0)
    };
    if found.is_none() {
        losses::count(Loss::RowsFull);
        // User space makes these rows with reason 0 beforehand, so what was thrown away stays exact.
        let other = ResetKey {
            service: other(&key.service),
            reason: 0,
            ..*key
        };
        found = if odd {
            RESETS_ODD.get_ptr_mut(other)
        } else {
            RESETS_EVEN.get_ptr_mut(other)
        };
    }
    if let Some(cell) = found {
        // SAFETY: the pointer is to this CPU's cell; an interrupt may write it too, hence atomic.
        unsafe { atomic::add(cell, 1) };
    }
}

#[inline(always)]
fn other(service: &ServiceKey) -> ServiceKey {
    let mut other = ServiceKey::other(Role::Server, Phase::Steady);
    other.role = service.role;
    other.phase = service.phase;
    other
}
