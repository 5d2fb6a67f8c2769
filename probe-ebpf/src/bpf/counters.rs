//! The counter rows: one a service and phase, on each CPU. A socket carries the index of its row; only `listen()`, `connect()` and the
//! change of a phase look for it by name.
//!
//! User space gives the indices out through a queue, and takes one back when nobody holds its row and nobody finds it any more: see
//! [`finwatch_common::RowId`]. A service that has none counts in the `other` row. Memory: 576 bytes a row and CPU, set aside at load:
//! an allocation in softirq may fail, and then a count would go to the wrong row.

use core::{hint::black_box, mem::offset_of};

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_NOEXIST},
    btf_maps::{Array, HashMap, PerCpuArray, PerCpuHashMap, Queue},
    helpers::bpf_get_smp_processor_id,
    macros::btf_map,
};
use finwatch_common::{
    CELLS, Cell, Loss, Lost, ResetRow, RowCells, RowHead, RowId, ServiceKey, next_row_id,
    other_row, row_index,
};

use super::{atomic, kernel, losses};

/// The loader sets the real limits.
const MOST: usize = 8192;

/// Whose each row is. User space reads it, and takes rows back.
#[btf_map]
static HEADS: Array<RowHead, MOST, { BPF_F_MMAPABLE as usize }> = Array::new();
/// The rows of the first CPU, then those of the next, and so on.
#[btf_map]
static ROWS: Array<RowCells, MOST, { BPF_F_MMAPABLE as usize }> = Array::new();
/// The row of each service and phase that has one.
#[btf_map]
static INDEX: HashMap<ServiceKey, RowId, MOST> = HashMap::new();
/// The row that was found last for a name with such a hash, on each CPU: who connects again and again finds it here. It may be
/// another service's by now, which its head tells.
#[btf_map]
static LAST_FOUND: PerCpuArray<RowId, LAST_FOUND_ENTRIES> = PerCpuArray::new();
const LAST_FOUND_ENTRIES: usize = 64;
/// Rows that nobody has.
#[btf_map]
static FREE: Queue<RowId, MOST> = Queue::new();
#[btf_map]
static RESETS: PerCpuHashMap<ResetRow, u64, MOST> = PerCpuHashMap::new();

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

    /// A cell, as this CPU has it.
    #[inline(always)]
    pub(super) fn get(self, cell: Cell) -> u64 {
        let index = black_box(cell.index());
        if index >= CELLS {
            return 0;
        }
        // SAFETY: as above.
        unsafe { self.0.add(index).read_volatile() }
    }

    /// One socket more may count here.
    #[inline(always)]
    pub(super) fn hold(self) {
        self.held(1);
    }

    /// One no longer does.
    #[inline(always)]
    pub(super) fn let_go(self) {
        self.held(u64::MAX);
    }

    #[inline(always)]
    fn held(self, by: u64) {
        // SAFETY: the field is in the row; as above.
        unsafe { atomic::add(self.0.add(offset_of!(RowCells, held) / 8), by) };
    }
}

/// Words of a key.
const KEY_WORDS: usize = size_of::<ServiceKey>() / size_of::<u64>();

/// The row of a service in its phase, given out on first use; the `other` row when there is none left.
#[inline(always)]
pub(super) fn assign(service: &ServiceKey, netns_inum: u32) -> RowId {
    // SAFETY: the pointer is a reference.
    unsafe { finwatch_assign(service, netns_inum) }
}

/// A function of its own, for the verifier (see [`super::turn`]) and for the stack.
///
/// # Safety
///
/// `service` is null, or points to a key.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn finwatch_assign(service: *const ServiceKey, netns_inum: u32) -> RowId {
    if service.is_null() {
        return other_row(0, 0);
    }
    // Older kernels look for no key that lies in a caller's memory.
    let mut key = [0; KEY_WORDS];
    let mut at = 0;
    while at < KEY_WORDS {
        // SAFETY: by the caller; a key is so many words without padding. Volatile, else the copy is left out.
        key[at] = unsafe { service.cast::<u64>().add(at).read_volatile() };
        at += 1;
    }
    let place = (&raw const key).cast::<ServiceKey>();
    // SAFETY: as above.
    let service = unsafe { &*place };
    let last = LAST_FOUND.get_ptr_mut(last_found_at(service));
    // SAFETY: the entry is this CPU's own; one aligned word.
    let again = last.map(|last| unsafe { last.read_volatile() });
    if let Some(id) = again.filter(|id| is_of(*id, service)) {
        return id;
    }
    if let Some(id) = find(service) {
        if let Some(last) = last {
            // SAFETY: as above.
            unsafe { last.write_volatile(id) };
        }
        return id;
    }
    let other = other_row(service.role, service.phase);
    let Ok(Some(id)) = FREE.pop() else {
        losses::count(Loss::RowsFull);
        return other;
    };
    let Some(head) = HEADS.get_ptr_mut(row_index(id)) else {
        return other;
    };
    // In this order: who reads the id before and after all else has it of one life.
    // SAFETY: the entry is this program's own, which took its index out of the queue.
    unsafe {
        let words = (&raw mut (*head).service).cast::<u64>();
        let mut at = 0;
        while at < KEY_WORDS {
            words.add(at).write_volatile(key[at]);
            at += 1;
        }
        (&raw mut (*head).netns_inum).write_volatile(netns_inum);
        (&raw mut (*head).id).write_volatile(id);
    }
    if INDEX.insert(service, id, BPF_NOEXIST.into()).is_ok() {
        return id;
    }
    // Another CPU won the race. Who read this id has it of no life that follows.
    // SAFETY: as above.
    unsafe { (&raw mut (*head).id).write_volatile(0) };
    // There is room: it was taken out.
    let _ = FREE.push(next_row_id(id), 0);
    find(service).unwrap_or(other)
}

/// An entry that is taken away may be another service's in the next instant, so the row itself must say whose it is.
#[inline(always)]
fn find(service: &ServiceKey) -> Option<RowId> {
    // SAFETY: the entry stays readable for the run of the program; one aligned word.
    let id = INDEX.get_ptr(service).map(|id| unsafe { *id })?;
    is_of(id, service).then_some(id)
}

/// Whether a row is this service's.
#[inline(always)]
fn is_of(id: RowId, service: &ServiceKey) -> bool {
    head(id).is_some_and(|head| is_same(&head.service, service))
}

/// Any place will do; that of the services of one program, and of a program in two cgroups, should not be the same.
#[inline(always)]
const fn last_found_at(service: &ServiceKey) -> u32 {
    let bits = service.cgroup as u32 ^ service.netns as u32 ^ (service.port as u32).rotate_left(3);
    let bits = bits ^ service.role as u32 ^ (service.phase as u32) << 1;
    bits & (LAST_FOUND_ENTRIES as u32 - 1)
}

#[inline(always)]
fn is_same(a: &ServiceKey, b: &ServiceKey) -> bool {
    let (a, b): (*const u64, *const u64) =
        (core::ptr::from_ref(a).cast(), core::ptr::from_ref(b).cast());
    let mut other = 0;
    let mut at = 0;
    while at < KEY_WORDS {
        // SAFETY: a key is so many words without padding.
        other |= unsafe { a.add(at).read() ^ b.add(at).read() };
        at += 1;
    }
    other == 0
}

/// Whose row it is, if it is still the one that was given out.
#[inline(always)]
pub(super) fn head(id: RowId) -> Option<&'static RowHead> {
    let head = HEADS.get(row_index(id))?;
    // SAFETY: a reference is always readable; user space writes it, hence volatile.
    (unsafe { (&raw const head.id).read_volatile() } == id).then_some(head)
}

/// A row on this CPU.
#[inline(always)]
pub(super) fn at(id: RowId) -> Option<Row> {
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let at = cpu.wrapping_mul(kernel::rows()).wrapping_add(row_index(id));
    ROWS.get_ptr_mut(at).map(|row| Row(row.cast()))
}

/// Counts an RST that this host sent.
#[inline(always)]
pub(super) fn reset(id: RowId, service: &ServiceKey, reason: u8, lost: Lost) {
    let key = |id, reason| ResetRow {
        row: row_index(id),
        reason,
        lost: lost as u8,
        pad: 0,
    };
    let sent = key(id, reason);
    let mut cell = RESETS.get_ptr_mut(sent);
    if cell.is_none() {
        // Another CPU may win the race: then its entry is found below.
        let _ = RESETS.insert(sent, 0, BPF_NOEXIST.into());
        cell = RESETS.get_ptr_mut(sent);
    }
    if cell.is_none() {
        losses::count(Loss::RowsFull);
        // User space makes these beforehand, with reason 0, so what was thrown away stays exact.
        cell = RESETS.get_ptr_mut(key(other_row(service.role, service.phase), 0));
    }
    if let Some(cell) = cell {
        // SAFETY: the pointer is to this CPU's cell; an interrupt may write it too, hence atomic.
        unsafe { atomic::add(cell, 1) };
    }
}
