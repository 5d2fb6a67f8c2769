//! The tables of counter rows, as the programs and this process have them in common: whose each row is, and its cells on every CPU. It does
//! not know when a row is another's.

use std::{fs, io, mem::offset_of, sync::atomic::Ordering};

use aya::Ebpf;
use finwatch_common::{CELLS, CounterRow, RowCells, RowHead, RowId, Wire as _};

use super::{ProbeError, mapped::Mapped};

/// See the module.
pub(super) struct RowTable {
    heads: Mapped<RowHead>,
    cells: Mapped<RowCells>,
    rows: usize,
    cpus: usize,
}

// === impl RowTable ===

impl RowTable {
    /// Of so many rows on each of so many CPUs.
    pub(super) fn new(ebpf: &mut Ebpf, rows: usize, cpus: usize) -> Result<Self, ProbeError> {
        Ok(Self {
            heads: Mapped::new(ebpf, "HEADS")?,
            cells: Mapped::new(ebpf, "ROWS")?,
            rows,
            cpus,
        })
    }

    /// How many rows there are.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// Those that are somebody's.
    pub(super) fn used(&self) -> impl Iterator<Item = (usize, RowHead)> + '_ {
        (0..self.rows).filter_map(|row| Some((row, self.head(row)?)))
    }

    /// A program may give the row out in the midst of this: what is read is of one life when the id is the same before and after.
    pub(super) fn head(&self, row: usize) -> Option<RowHead> {
        loop {
            let id = self.id(row);
            if id == 0 {
                return None;
            }
            let head = RowHead::from_bytes(&self.heads.bytes(row)).ok()?;
            if head.id == id && self.id(row) == id {
                return Some(head);
            }
        }
    }

    fn id(&self, row: usize) -> RowId {
        const WORD: usize = offset_of!(RowHead, id) / size_of::<u64>();
        const IN_WORD: usize = offset_of!(RowHead, id) % size_of::<u64>();
        let word = self.heads.words(row).get(WORD);
        let bytes = word.map_or([0; 8], |word| word.load(Ordering::Acquire).to_ne_bytes());
        let id = bytes[IN_WORD..].first_chunk();
        id.map_or(0, |id| RowId::from_ne_bytes(*id))
    }

    /// Makes a row somebody's, or nobody's.
    pub(super) fn write_head(&self, row: usize, head: &RowHead) {
        for (word, bytes) in self
            .heads
            .words(row)
            .iter()
            .zip(head.as_bytes().chunks_exact(8))
        {
            let value = bytes.try_into().map_or(0, u64::from_ne_bytes);
            word.store(value, Ordering::Release);
        }
    }

    /// What a row holds, over all CPUs.
    pub(super) fn sum(&self, row: usize) -> CounterRow {
        let mut sum = [0; CELLS];
        for cpu in 0..self.cpus {
            for (sum, word) in sum.iter_mut().zip(self.cells.words(cpu * self.rows + row)) {
                *sum += word.load(Ordering::Relaxed);
            }
        }
        sum
    }

    /// Sockets that may still count in it: by two looks that agree, as a socket may be counted on one CPU and off on another. Where none
    /// do, sockets come and go: then it is one at least.
    pub(super) fn held(&self, row: usize) -> u64 {
        const AT: usize = offset_of!(RowCells, held) / size_of::<u64>();
        const LOOKS: usize = 16;
        let look = || -> Vec<u64> {
            let of = |cpu| {
                let words = self.cells.words(cpu * self.rows + row);
                words.get(AT).map_or(0, |word| word.load(Ordering::Acquire))
            };
            (0..self.cpus).map(of).collect()
        };
        let sum = |cpus: &[u64]| cpus.iter().copied().fold(0, u64::wrapping_add);
        let mut last = look();
        for _ in 0..LOOKS {
            let again = look();
            if again == last {
                return sum(&again);
            }
            last = again;
        }
        sum(&last).max(1)
    }

    /// Whether a row is still of that life.
    pub(super) fn is(&self, row: usize, head: &RowHead) -> bool {
        self.id(row) == head.id
    }

    /// Empties a row.
    pub(super) fn clear(&self, row: usize) {
        for cpu in 0..self.cpus {
            for word in self.cells.words(cpu * self.rows + row) {
                word.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// As many CPUs as the kernel has numbers for: rows are found by a CPU's number.
///
/// # Errors
/// When the kernel does not say.
pub(super) fn cpus() -> io::Result<usize> {
    let possible = fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = possible.trim().rsplit([',', '-']).next();
    let last = last.and_then(|last| last.parse::<usize>().ok());
    Ok(last.map_or(1, |last| last + 1))
}
