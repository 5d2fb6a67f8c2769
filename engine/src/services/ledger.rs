//! The ledger: which service counts into which series, and what each series has come to. It adds what the
//! kernel's maps held before they were emptied to what they hold now, so that no shown counter goes backwards.
//!
//! A service keeps the series it was given at first sight: a better name found later would move its counts.
//! It knows neither the kernel nor the clock, and is told who owns a service.

use std::collections::{HashMap, HashSet};

use finwatch_common::{
    Cell, CounterRow, ListenerRecord, Lost, PHASES, Phase, ResetKey, Role, ServiceKey,
};

use super::{
    Filter, Gauges, ResetSeries, SeriesLabels, View,
    gaps::Listeners,
    settle,
    shelf::{SeriesId, Shelf},
    unsettled::Views,
};
use crate::{
    input::Reading,
    model::{Workload, WorkloadKind},
};

/// Most services known at once, by key; about 150 bytes each. What comes on top is counted in `other`.
pub const KEYS_MAX: usize = 16_384;

/// How much is shown and kept.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most services of role `server` with series of their own.
    pub servers: usize,
    /// Most services of role `client` with series of their own.
    pub clients: usize,
    /// A service with no listener, nothing open and nothing counted for this long is retired.
    pub retention_ns: u64,
    /// Most retired series whose totals are kept for their return.
    pub retired: usize,
    /// Which services get series of their own at all.
    pub filter: Filter,
}

/// Services, series and totals.
#[derive(Debug)]
pub struct Ledger {
    shelf: Shelf,
    keys: HashMap<ServiceKey, Key>,
    /// Services that came when `keys` was full, until the next rotation: what was shown of them in `other`
    /// must stay there. Bounded by the rows of one generation of the kernel's map.
    overflow: HashSet<ServiceKey>,
    unknown: u64,
}

#[derive(Debug)]
struct Key {
    series: SeriesId,
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
    pub fn new(limits: Limits) -> Self {
        Self {
            shelf: Shelf::new(limits),
            keys: HashMap::new(),
            overflow: HashSet::new(),
            unknown: 0,
        }
    }

    /// Gives every service of the reading its series, while its owner can still be told.
    pub fn observe(
        &mut self,
        live: &Reading,
        now_ns: u64,
        mut attribute: impl FnMut(&ServiceKey) -> Workload,
    ) {
        for (key, _) in &live.rows {
            self.pin(key, now_ns, &mut attribute);
        }
        for (key, _) in &live.resets {
            self.pin(&key.service, now_ns, &mut attribute);
        }
    }

    /// Adds what the kernel's maps held before they were emptied.
    pub fn absorb(
        &mut self,
        rotated: &Reading,
        now_ns: u64,
        mut attribute: impl FnMut(&ServiceKey) -> Workload,
    ) {
        for (key, row) in &rotated.rows {
            let id = self.pin(key, now_ns, &mut attribute);
            if let Some(known) = self.keys.get_mut(&steady(key)) {
                known.held.add(row);
                known.active_ns = now_ns;
            }
            if let Some(series) = self.shelf.get_mut(id) {
                settle::add(&mut series.totals.rows.0[phase(key) as usize], row);
            }
        }
        for (key, count) in &rotated.resets {
            let id = self.pin(&key.service, now_ns, &mut attribute);
            if let Some(known) = self.keys.get_mut(&steady(&key.service)) {
                known.active_ns = now_ns;
            }
            if let Some(series) = self.shelf.get_mut(id) {
                *series.totals.resets.entry(reset_series(key)).or_default() += count;
            }
        }
        self.overflow.clear();
    }

    /// Retires what is long gone. Only right after [`Ledger::absorb`]: then nothing of a service that is
    /// retired was shown from the kernel's maps.
    pub fn retire(&mut self, now_ns: u64) {
        let retention_ns = self.shelf.retention_ns();
        let mut released = Vec::new();
        self.keys.retain(|_, key| {
            let idle = now_ns.saturating_sub(key.active_ns) >= retention_ns;
            let gone = idle && key.held.nothing();
            if gone {
                released.push(key.series);
            }
            !gone
        });
        // The map has no order; which series is forgotten first must not depend on it.
        released.sort_unstable();
        for id in released {
            self.shelf.release(id);
        }
    }

    /// Takes a listener's coming or going. Its service is given a series at once, as its owner may be gone soon.
    pub fn listener(
        &mut self,
        record: &ListenerRecord,
        attribute: impl FnMut(&ServiceKey) -> Workload,
    ) {
        let at_ns = record.header.at_ns;
        if record.up == 1 {
            self.listener_seen(&record.service, record.cookie, at_ns, attribute);
        } else if let Some(known) = self.keys.get(&steady(&record.service))
            && let Some(series) = self.shelf.get_mut(known.series)
        {
            series.listeners.closed(record.cookie, at_ns);
        }
    }

    /// Takes a listener that is there.
    pub fn listener_seen(
        &mut self,
        key: &ServiceKey,
        cookie: u64,
        at_ns: u64,
        mut attribute: impl FnMut(&ServiceKey) -> Workload,
    ) {
        let id = self.pin(key, at_ns, &mut attribute);
        if let Some(series) = self.shelf.get_mut(id)
            && !series.is_other()
            && let Some(gap_ns) = series.listeners.opened(cookie, at_ns)
        {
            series.totals.gap_ns += gap_ns;
            series.totals.gaps += 1;
        }
    }

    /// Forgets who listens, as records of it were lost: the next survey tells again.
    pub fn forget_listeners(&mut self) {
        for series in self.shelf.iter_mut() {
            series.listeners = Listeners::default();
        }
    }

    /// Everything that is shown now: totals and the live reading, with `gauges` of services by key added.
    pub fn view(
        &mut self,
        live: &Reading,
        gauges: impl IntoIterator<Item = (ServiceKey, Gauges)>,
        now_ns: u64,
        attribute: impl FnMut(&ServiceKey) -> Workload,
    ) -> View {
        self.observe(live, now_ns, attribute);
        let mut views = Views::of_totals(&self.shelf);
        for key in self.keys.values_mut() {
            key.live = Held::default();
        }
        for (key, row) in &live.rows {
            if let Some(known) = self.keys.get_mut(&steady(key)) {
                known.live.add(row);
            }
            if let Some(view) = views.get_mut(self.pinned(key)) {
                settle::add(&mut view.rows[phase(key) as usize], row);
            }
        }
        for (key, count) in &live.resets {
            if let Some(view) = views.get_mut(self.pinned(&key.service)) {
                *view.resets.entry(reset_series(key)).or_default() += count;
            }
        }
        for key in self.keys.values() {
            if let Some(view) = views.get_mut(Some(key.series)) {
                key.held.plus(key.live).show(&mut view.gauges);
            }
        }
        for (key, more) in gauges {
            if let Some(view) = views.get_mut(self.pinned(&key)) {
                view.gauges.mini_sockets.add(more.mini_sockets);
                view.gauges.surveyed.add(more.surveyed);
            }
        }
        View {
            series: views.settle(&mut self.shelf),
            folded: self.shelf.folded(),
            limited: self.shelf.limited_count(),
            unknown: self.unknown,
            keys: self.keys.len(),
            retired: self.shelf.retired(),
        }
    }

    /// What the series that these labels name has come to in one cell, by [`Phase`], without a view of all the others.
    /// `live` tells what a service's row holds in the kernel. A service that was not observed yet counts by its labels.
    /// Not for cells that are settled.
    ///
    /// # Errors
    /// The first one of `live`.
    pub fn counted<E>(
        &self,
        key: &ServiceKey,
        labels: &SeriesLabels,
        cell: Cell,
        mut live: impl FnMut(&ServiceKey) -> Result<CounterRow, E>,
    ) -> Result<[u64; PHASES], E> {
        let series = self.shelf.id(labels);
        let mut sums = series
            .and_then(|id| self.shelf.get(id))
            .map_or([0; PHASES], |series| {
                series.totals.rows.0.map(|row| row[cell.index()])
            });
        let key = steady(key);
        let unobserved = (!self.keys.contains_key(&key)).then_some(key);
        let observed = self
            .keys
            .iter()
            .filter_map(|(key, known)| (Some(known.series) == series).then_some(*key));
        for service in observed.chain(unobserved) {
            for (sum, phase) in
                sums.iter_mut()
                    .zip([Phase::Steady, Phase::Draining, Phase::Reloading])
            {
                *sum += live(&service.in_phase(phase))?[cell.index()];
            }
        }
        Ok(sums)
    }

    /// The series of a service that was observed.
    fn pinned(&self, key: &ServiceKey) -> Option<SeriesId> {
        match self.keys.get(&steady(key)) {
            Some(known) => Some(known.series),
            None => self.shelf.id(&SeriesLabels::other(role(key))),
        }
    }

    fn pin(
        &mut self,
        key: &ServiceKey,
        now_ns: u64,
        attribute: &mut impl FnMut(&ServiceKey) -> Workload,
    ) -> SeriesId {
        let key = steady(key);
        if let Some(known) = self.keys.get(&key) {
            return known.series;
        }
        let role = role(&key);
        if self.overflow.contains(&key) {
            return self.shelf.other(role);
        }
        if self.keys.len() >= KEYS_MAX {
            self.overflow.insert(key);
            return self.shelf.limited(role);
        }
        let series = if key == ServiceKey::other(role, Phase::Steady) {
            self.shelf.other(role)
        } else {
            let workload = attribute(&key);
            self.unknown += u64::from(workload.kind == WorkloadKind::Other);
            self.shelf.assign(SeriesLabels {
                workload,
                port: key.port,
                role,
            })
        };
        if let Some(shelved) = self.shelf.get_mut(series) {
            shelved.keys += 1;
        }
        let fresh = Key {
            series,
            held: Held::default(),
            live: Held::default(),
            active_ns: now_ns,
        };
        self.keys.insert(key, fresh);
        series
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
