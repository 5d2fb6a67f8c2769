//! The ledger: which service counts into which series, and what each series has come to. It adds what the
//! kernel's maps held before they were emptied to what they hold now, so that no shown counter goes backwards.
//!
//! A service whose name is not known yet is counted and not shown; all of it is shown when the name comes. A better name
//! that comes later takes effect from the next reading on, in another series: a shown series never changes its labels,
//! and no count is lost or shown twice. It knows neither the kernel nor the clock.

use std::collections::{HashMap, HashSet};

use finwatch_common::{Cell, CounterRow, Lost, Phase, ResetKey, Role, ServiceKey};

use super::{
    Gauges, KEYS_MAX, Limits, ResetSeries, SeriesLabels, View,
    names::Names,
    retired::Totals,
    series::{AllSeries, SeriesId},
    settle,
    unsettled::Views,
};
use crate::{input::Reading, model::WorkloadKind};

/// Services, series and totals.
#[derive(Debug)]
pub(crate) struct Ledger {
    series: AllSeries,
    keys: HashMap<ServiceKey, Key>,
    /// Services that came when `keys` was full, until the next rotation: what was shown of them in `other`
    /// must stay there. Bounded by the rows of one generation of the kernel's map.
    overflow: HashSet<ServiceKey>,
    /// Series that a service left for a better name, and when: they are shown for as long as one that is idle.
    left: Vec<(SeriesId, u64)>,
    unknown: u64,
}

#[derive(Debug)]
struct Key {
    /// None while its name is pending.
    series: Option<SeriesId>,
    /// What rotations brought while its name was pending.
    unnamed: Option<Box<Totals>>,
    /// Another name was told: from the next reading on it counts elsewhere.
    renamed: bool,
    /// What of the live rows was counted in the series before.
    elsewhere: Option<Box<Totals>>,
    /// From what rotations brought.
    held: Held,
    /// From the reading that is being looked at.
    live: Held,
    active_ns: u64,
}

/// What a service holds in the kernel; negative when a part of it was counted in `other`.
#[derive(Debug, Default, Clone, Copy)]
struct Held {
    open: i64,
    close_wait: i64,
    listeners: i64,
}

// === impl Ledger ===

impl Ledger {
    /// An empty one.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            series: AllSeries::new(limits),
            keys: HashMap::new(),
            overflow: HashSet::new(),
            left: Vec::new(),
            unknown: 0,
        }
    }

    /// Gives every service of the reading its series, or asks for its name while its owner can still be told.
    pub(crate) fn observe(&mut self, live: &Reading, now_ns: u64, names: &mut Names) {
        for (key, _) in &live.rows {
            self.pin(key, now_ns, names);
        }
        for (key, _) in &live.resets {
            self.pin(&key.service, now_ns, names);
        }
    }

    /// A service was seen elsewhere: it is given a series at once, as its owner may be gone soon.
    pub(crate) fn meet(&mut self, key: &ServiceKey, now_ns: u64, names: &mut Names) {
        self.pin(key, now_ns, names);
    }

    /// A name was told: what waited for it is shown, or, if there was one before, from the next reading on another series
    /// counts.
    pub(crate) fn named(&mut self, key: &ServiceKey, names: &Names) {
        let key = steady(key);
        let Some(known) = self.keys.get_mut(&key) else {
            return;
        };
        if known.series.is_some() {
            known.renamed = true;
            return;
        }
        let id = assign(&mut self.series, &mut self.unknown, &key, names);
        known.series = Some(id);
        let unnamed = known.unnamed.take();
        if let Some(series) = self.series.get_mut(id) {
            series.keys += 1;
            if let Some(unnamed) = unnamed {
                series.totals.add(&unnamed);
            }
        }
    }

    /// A service is nobody's here. What was shown of it stays, until it is retired.
    pub(crate) fn forget(&mut self, key: &ServiceKey) {
        let key = steady(key);
        if let Some(known) = self.keys.get_mut(&key) {
            known.held = Held::default();
            if known.series.is_none() {
                self.keys.remove(&key);
            }
        }
    }

    /// Adds what the kernel's maps held before they were emptied.
    pub(crate) fn absorb(&mut self, rotated: &Reading, now_ns: u64, names: &mut Names) {
        self.rename(rotated, now_ns, names);
        for (key, row) in &rotated.rows {
            let pinned = self.pin(key, now_ns, names);
            let phase = phase(key);
            let known = self.keys.get_mut(&steady(key));
            let row = match known {
                Some(known) => {
                    known.held.add(row);
                    known.active_ns = now_ns;
                    known.less_elsewhere(phase, row)
                }
                None => *row,
            };
            if let Some(totals) = self.totals(key, pinned) {
                settle::add(&mut totals.rows.0[phase as usize], &row);
            }
        }
        for (key, count) in &rotated.resets {
            let pinned = self.pin(&key.service, now_ns, names);
            let series = reset_series(key);
            let mut count = *count;
            if let Some(known) = self.keys.get_mut(&steady(&key.service)) {
                known.active_ns = now_ns;
                count = known.resets_less_elsewhere(series, count);
            }
            if let Some(totals) = self.totals(&key.service, pinned) {
                *totals.resets.entry(series).or_default() += count;
            }
        }
        for known in self.keys.values_mut() {
            known.elsewhere = None;
        }
        self.overflow.clear();
    }

    /// Retires what is long gone. Only right after [`Ledger::absorb`]: then nothing of a service that is
    /// retired was shown from the kernel's maps.
    pub(crate) fn retire(&mut self, now_ns: u64) {
        let retention_ns = self.series.retention_ns();
        let mut released = Vec::new();
        self.keys.retain(|_, key| {
            let idle = now_ns.saturating_sub(key.active_ns) >= retention_ns;
            let gone = idle && key.held.nothing();
            if gone {
                released.extend(key.series);
            }
            !gone
        });
        let over =
            |(_, left_ns): &mut (SeriesId, u64)| now_ns.saturating_sub(*left_ns) >= retention_ns;
        let left = self.left.extract_if(.., over);
        released.extend(left.map(|(id, _)| id));
        // The map has no order; which series is forgotten first must not depend on it.
        released.sort_unstable();
        for id in released {
            self.series.release(id);
        }
    }

    /// Nobody listened for a while, after this service had.
    pub(crate) fn gap(&mut self, key: &ServiceKey, gap_ns: u64) {
        if let Some(id) = self.pinned(key)
            && let Some(series) = self.series.get_mut(id)
            && !series.is_other()
        {
            series.totals.gap_ns += gap_ns;
            series.totals.gaps += 1;
        }
    }

    /// Whether a service is known.
    pub(crate) fn knows(&self, key: &ServiceKey) -> bool {
        self.keys.contains_key(&steady(key))
    }

    /// Everything that is shown now: totals and the live reading, with `gauges` of services by key added.
    pub(crate) fn view(
        &mut self,
        live: &Reading,
        gauges: impl IntoIterator<Item = (ServiceKey, Gauges)>,
        now_ns: u64,
        names: &mut Names,
    ) -> View {
        self.observe(live, now_ns, names);
        self.rename(live, now_ns, names);
        let mut views = Views::of_totals(&self.series);
        for key in self.keys.values_mut() {
            key.live = Held::default();
        }
        for (key, row) in &live.rows {
            let phase = phase(key);
            let row = match self.keys.get_mut(&steady(key)) {
                Some(known) => {
                    known.live.add(row);
                    known.less_elsewhere(phase, row)
                }
                None => *row,
            };
            if let Some(view) = views.get_mut(self.pinned(key)) {
                settle::add(&mut view.rows[phase as usize], &row);
            }
        }
        for (key, count) in &live.resets {
            let series = reset_series(key);
            let known = self.keys.get(&steady(&key.service));
            let count = known.map_or(*count, |known| known.resets_less_elsewhere(series, *count));
            if let Some(view) = views.get_mut(self.pinned(&key.service)) {
                *view.resets.entry(series).or_default() += count;
            }
        }
        for key in self.keys.values() {
            if let Some(view) = views.get_mut(key.series) {
                key.held.plus(key.live).show(&mut view.gauges);
            }
        }
        for (key, mut more) in gauges {
            // A survey is older than the rows: what owed an answer then may have ended since.
            let open = self.keys.get(&steady(&key)).map_or(0, Key::open);
            more.surveyed.awaiting = more.surveyed.awaiting.min(open);
            if let Some(view) = views.get_mut(self.pinned(&key)) {
                view.gauges.mini_sockets.add(more.mini_sockets);
                view.gauges.surveyed.add(more.surveyed);
            }
        }
        View {
            series: views.settle(&mut self.series),
            folded: self.series.folded(),
            limited: self.series.limited_count(),
            unknown: self.unknown,
            keys: self.keys.len(),
            retired: self.series.retired(),
        }
    }

    /// The series of a service that was observed; none while its name is pending.
    fn pinned(&self, key: &ServiceKey) -> Option<SeriesId> {
        match self.keys.get(&steady(key)) {
            Some(known) => known.series,
            None => self.series.id(&SeriesLabels::other(role(key))),
        }
    }

    fn pin(&mut self, key: &ServiceKey, now_ns: u64, names: &mut Names) -> Option<SeriesId> {
        let key = steady(key);
        if let Some(known) = self.keys.get(&key) {
            return known.series;
        }
        let role = role(&key);
        if self.overflow.contains(&key) {
            return Some(self.series.other(role));
        }
        if self.keys.len() >= KEYS_MAX {
            self.overflow.insert(key);
            return Some(self.series.limited(role));
        }
        names.meet(&key, now_ns);
        let series = if key == ServiceKey::other(role, Phase::Steady) {
            Some(self.series.other(role))
        } else if names.is_pending(&key) {
            None
        } else {
            Some(assign(&mut self.series, &mut self.unknown, &key, names))
        };
        if let Some(counted_into) = series.and_then(|id| self.series.get_mut(id)) {
            counted_into.keys += 1;
        }
        let fresh = Key {
            series,
            unnamed: None,
            renamed: false,
            elsewhere: None,
            held: Held::default(),
            live: Held::default(),
            active_ns: now_ns,
        };
        self.keys.insert(key, fresh);
        series
    }

    /// Where a service's totals are kept.
    fn totals(&mut self, key: &ServiceKey, pinned: Option<SeriesId>) -> Option<&mut Totals> {
        match pinned {
            Some(id) => self.series.get_mut(id).map(|series| &mut series.totals),
            None => {
                let known = self.keys.get_mut(&steady(key))?;
                Some(known.unnamed.get_or_insert_default())
            }
        }
    }

    /// Moves services that have a better name to another series: what the rows hold by now stays where it was shown.
    fn rename(&mut self, reading: &Reading, now_ns: u64, names: &Names) {
        let mut renamed: Vec<ServiceKey> = self
            .keys
            .iter()
            .filter(|(_, known)| known.renamed)
            .map(|(key, _)| *key)
            .collect();
        renamed.sort_unstable();
        for key in renamed {
            let id = assign(&mut self.series, &mut self.unknown, &key, names);
            let Some(known) = self.keys.get_mut(&key) else {
                continue;
            };
            known.renamed = false;
            let Some(before) = known.series.filter(|before| *before != id) else {
                continue;
            };
            let mut shown = Totals::default();
            for (of, row) in reading.rows.iter().filter(|(of, _)| steady(of) == key) {
                settle::add(&mut shown.rows.0[phase(of) as usize], row);
            }
            for (of, count) in &reading.resets {
                if steady(&of.service) == key {
                    *shown.resets.entry(reset_series(of)).or_default() += count;
                }
            }
            let mut more = shown.clone();
            if let Some(earlier) = known.elsewhere.take() {
                more.subtract(&earlier);
            }
            known.elsewhere = Some(Box::new(shown));
            known.series = Some(id);
            if let Some(series) = self.series.get_mut(id) {
                series.keys += 1;
            }
            if let Some(series) = self.series.get_mut(before) {
                series.totals.add(&more);
            }
            self.left.push((before, now_ns));
        }
    }
}

fn assign(all: &mut AllSeries, unknown: &mut u64, key: &ServiceKey, names: &Names) -> SeriesId {
    let labels = names.labels(key);
    *unknown += u64::from(labels.workload.kind == WorkloadKind::Other);
    all.assign(labels)
}

// === impl Key ===

impl Key {
    /// Connections that are open by the reading that is being looked at.
    fn open(&self) -> u64 {
        u64::try_from(self.held.plus(self.live).open).unwrap_or(0)
    }

    /// What a live row holds that was not counted in another series.
    fn less_elsewhere(&self, phase: Phase, row: &CounterRow) -> CounterRow {
        match &self.elsewhere {
            Some(elsewhere) => {
                let counted = &elsewhere.rows.0[phase as usize];
                std::array::from_fn(|at| row[at].saturating_sub(counted[at]))
            }
            None => *row,
        }
    }

    fn resets_less_elsewhere(&self, series: ResetSeries, count: u64) -> u64 {
        let elsewhere = self.elsewhere.as_ref();
        let counted = elsewhere.and_then(|elsewhere| elsewhere.resets.get(&series));
        count.saturating_sub(counted.copied().unwrap_or(0))
    }
}

// === impl Held ===

impl Held {
    fn add(&mut self, row: &CounterRow) {
        let at = |cell: Cell| i64::try_from(row[cell.index()]).unwrap_or(i64::MAX);
        self.open += at(Cell::OPENED) + at(Cell::SEEDED) - at(Cell::LEFT);
        self.close_wait += at(Cell::CLOSE_WAIT_IN) - at(Cell::CLOSE_WAIT_OUT);
        self.listeners += at(Cell::LISTEN_UP) - at(Cell::LISTEN_DOWN);
    }

    fn plus(self, other: Self) -> Self {
        Self {
            open: self.open + other.open,
            close_wait: self.close_wait + other.close_wait,
            listeners: self.listeners + other.listeners,
        }
    }

    fn nothing(&self) -> bool {
        self.open <= 0 && self.close_wait <= 0 && self.listeners <= 0
    }

    fn show(self, gauges: &mut Gauges) {
        let count = |held: i64| u64::try_from(held).unwrap_or(0);
        gauges.open += count(self.open);
        gauges.close_wait += count(self.close_wait);
        gauges.listeners += count(self.listeners);
    }
}

fn steady(key: &ServiceKey) -> ServiceKey {
    key.in_phase(Phase::Steady)
}

/// Bytes out of range, which decoding refuses, count as the first value.
fn phase(key: &ServiceKey) -> Phase {
    key.phase().unwrap_or(Phase::Steady)
}

fn role(key: &ServiceKey) -> Role {
    key.role().unwrap_or(Role::Server)
}

fn reset_series(key: &ResetKey) -> ResetSeries {
    ResetSeries {
        phase: phase(&key.service),
        reason: key.reason,
        lost: Lost::from_u8(key.lost).unwrap_or(Lost::Nothing),
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
