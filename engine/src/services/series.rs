//! The series and their totals: which labels are shown on their own, and what became of those that are not
//! shown any more. It does not know which service counts into which series.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use finwatch_common::Role;

use super::{
    Filter, Folded, SeriesLabels,
    retired::{Retired, Totals},
};

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

/// Names a series; never used twice.
pub(super) type SeriesId = u32;

/// One series.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) labels: Arc<SeriesLabels>,
    /// Services that count into it.
    pub(super) keys: usize,
    pub(super) totals: Totals,
}

/// All series.
#[derive(Debug)]
pub(super) struct AllSeries {
    limits: Limits,
    ids: BTreeMap<Arc<SeriesLabels>, SeriesId>,
    series: HashMap<SeriesId, Series>,
    next_id: SeriesId,
    shown: [usize; 2],
    retired: Retired,
    limited: u64,
}

// === impl Series ===

impl Series {
    pub(super) fn is_other(&self) -> bool {
        *self.labels == SeriesLabels::other(self.labels.role)
    }
}

// === impl AllSeries ===

impl AllSeries {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            retired: Retired::new(limits.retired),
            limits,
            ids: BTreeMap::new(),
            series: HashMap::new(),
            next_id: 0,
            shown: [0; 2],
            limited: 0,
        }
    }

    /// The series for these labels: its own where lists and limits leave room, else `other`.
    pub(super) fn assign(&mut self, labels: SeriesLabels) -> SeriesId {
        if let Some(id) = self.ids.get(&labels) {
            return *id;
        }
        let role = labels.role;
        let limit = match role {
            Role::Server => self.limits.servers,
            Role::Client => self.limits.clients,
        };
        if !self.limits.filter.admits(&labels) {
            return self.other(role);
        }
        if self.shown[role as usize] >= limit {
            return self.limited(role);
        }
        self.shown[role as usize] += 1;
        self.open(labels)
    }

    /// The series `other`, without a word.
    pub(super) fn other(&mut self, role: Role) -> SeriesId {
        let labels = SeriesLabels::other(role);
        match self.ids.get(&labels) {
            Some(id) => *id,
            None => self.open(labels),
        }
    }

    /// The series `other`, as a limit was reached.
    pub(super) fn limited(&mut self, role: Role) -> SeriesId {
        self.limited += 1;
        self.other(role)
    }

    pub(super) fn id(&self, labels: &SeriesLabels) -> Option<SeriesId> {
        self.ids.get(labels).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    pub(super) fn get_mut(&mut self, id: SeriesId) -> Option<&mut Series> {
        self.series.get_mut(&id)
    }

    /// In the order of the labels.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SeriesId, &Series)> {
        self.ids
            .values()
            .filter_map(|id| Some((*id, self.series.get(id)?)))
    }

    /// One service less counts into the series; with the last one it is retired.
    pub(super) fn release(&mut self, id: SeriesId) {
        let Some(series) = self.series.get_mut(&id) else {
            return;
        };
        series.keys -= 1;
        if series.keys > 0 || series.is_other() {
            return;
        }
        if let Some(series) = self.series.remove(&id) {
            self.shown[series.labels.role as usize] -= 1;
            self.ids.remove(&series.labels);
            self.retired.put(series.labels, series.totals);
        }
    }

    pub(super) fn retention_ns(&self) -> u64 {
        self.limits.retention_ns
    }

    pub(super) fn folded(&self) -> Folded {
        self.retired.folded()
    }

    pub(super) fn retired(&self) -> usize {
        self.retired.len()
    }

    pub(super) fn limited_count(&self) -> u64 {
        self.limited
    }

    fn open(&mut self, labels: SeriesLabels) -> SeriesId {
        let labels = Arc::new(labels);
        let id = self.next_id;
        self.next_id += 1;
        let series = Series {
            totals: self.retired.take(&labels).unwrap_or_default(),
            labels: Arc::clone(&labels),
            keys: 0,
        };
        self.series.insert(id, series);
        self.ids.insert(labels, id);
        id
    }
}
