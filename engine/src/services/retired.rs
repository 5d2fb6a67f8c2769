//! Totals of services long gone: kept for their return up to a limit, then folded into sums without labels.
//! The limit bounds memory: a kept series takes about 400 bytes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use finwatch_common::{Cell, CounterRow, Cut, PHASES};

use super::{
    Folded, ResetSeries, SeriesLabels,
    settle::{EMPTY, HighWater, add, settle},
};

/// Counters of one series, without its labels.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    pub(super) rows: Rows,
    pub(super) resets: BTreeMap<ResetSeries, u64>,
    pub(super) marks: [HighWater; PHASES],
    pub(super) gap_ns: u64,
    pub(super) gaps: u64,
}

/// A row a phase.
#[derive(Debug, Clone)]
pub(super) struct Rows(pub(super) Box<[CounterRow; PHASES]>);

/// The memory: least recently retired first out.
#[derive(Debug, Default)]
pub(super) struct Retired {
    limit: usize,
    kept: HashMap<Arc<SeriesLabels>, Kept>,
    by_age: BTreeMap<u64, Arc<SeriesLabels>>,
    next: u64,
    folded: Folded,
}

#[derive(Debug)]
struct Kept {
    age: u64,
    cells: Box<[(u8, u16, u64)]>,
    resets: BTreeMap<ResetSeries, u64>,
    marks: [HighWater; PHASES],
    gap_ns: u64,
    gaps: u64,
}

// === impl Totals ===

impl Totals {
    /// Adds counters of the same series.
    pub(super) fn add(&mut self, more: &Self) {
        for (row, more) in self.rows.0.iter_mut().zip(more.rows.0.iter()) {
            add(row, more);
        }
        for (reset, count) in &more.resets {
            *self.resets.entry(*reset).or_default() += count;
        }
        self.gap_ns += more.gap_ns;
        self.gaps += more.gaps;
    }

    /// Takes away counters that are a part of these.
    pub(super) fn subtract(&mut self, less: &Self) {
        for (row, less) in self.rows.0.iter_mut().zip(less.rows.0.iter()) {
            for (count, less) in row.iter_mut().zip(less) {
                *count = count.saturating_sub(*less);
            }
        }
        for (reset, less) in &less.resets {
            if let Some(count) = self.resets.get_mut(reset) {
                *count = count.saturating_sub(*less);
            }
        }
    }
}

// === impl Retired ===

impl Retired {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    pub(super) fn put(&mut self, labels: Arc<SeriesLabels>, totals: Totals) {
        let age = self.next;
        self.next += 1;
        self.kept
            .insert(Arc::clone(&labels), Kept::pack(age, totals));
        self.by_age.insert(age, labels);
        while self.kept.len() > self.limit
            && let Some((_, oldest)) = self.by_age.pop_first()
            && let Some(kept) = self.kept.remove(&oldest)
        {
            self.folded.add(&kept.unpack());
        }
    }

    pub(super) fn take(&mut self, labels: &SeriesLabels) -> Option<Totals> {
        let kept = self.kept.remove(labels)?;
        self.by_age.remove(&kept.age);
        Some(kept.unpack())
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn folded(&self) -> Folded {
        self.folded
    }
}

// === impl Kept ===

impl Kept {
    /// Most cells of most services are zero: only the others are kept.
    fn pack(age: u64, totals: Totals) -> Self {
        let Totals {
            rows,
            resets,
            marks,
            gap_ns,
            gaps,
        } = totals;
        let mut cells = Vec::new();
        for (phase, row) in (0u8..).zip(rows.0.iter()) {
            for (cell, count) in (0u16..).zip(row) {
                if *count != 0 {
                    cells.push((phase, cell, *count));
                }
            }
        }
        Self {
            age,
            cells: cells.into_boxed_slice(),
            resets,
            marks,
            gap_ns,
            gaps,
        }
    }

    fn unpack(self) -> Totals {
        let mut rows = Rows::default();
        for (phase, cell, count) in self.cells {
            rows.0[usize::from(phase)][usize::from(cell)] = count;
        }
        Totals {
            rows,
            resets: self.resets,
            marks: self.marks,
            gap_ns: self.gap_ns,
            gaps: self.gaps,
        }
    }
}

// === impl Folded ===

impl Folded {
    fn add(&mut self, totals: &Totals) {
        self.series += 1;
        for row in totals.rows.0.iter() {
            let row = settle(row);
            self.opened += row.get(Cell::OPENED);
            self.closes += row.closes();
            self.cut += Cut::ALL
                .iter()
                .map(|cut| row.get(Cell::cut(*cut)))
                .sum::<u64>();
        }
    }
}

// === impl Rows ===

impl Default for Rows {
    fn default() -> Self {
        Self(Box::new([EMPTY; PHASES]))
    }
}
