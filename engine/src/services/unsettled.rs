//! Views in the making: what every series counts is summed up here, and settled when all of it is there. The rows are
//! most of a view's memory, so each series has them once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use finwatch_common::{CounterRow, PHASES};

use super::{
    Gauges, ResetSeries, SeriesLabels, SeriesView,
    series::{AllSeries, SeriesId},
    settle,
};

/// Of every series, in the order of the labels.
pub(super) struct Views {
    at: HashMap<SeriesId, usize>,
    views: Vec<Unsettled>,
}

/// A [`SeriesView`] with rows that are still sums.
pub(super) struct Unsettled {
    id: SeriesId,
    labels: Arc<SeriesLabels>,
    pub(super) rows: [CounterRow; PHASES],
    pub(super) resets: BTreeMap<ResetSeries, u64>,
    pub(super) gauges: Gauges,
    gap_ns: u64,
    gaps: u64,
}

// === impl Views ===

impl Views {
    pub(super) fn of_totals(all: &AllSeries) -> Self {
        let mut at = HashMap::with_capacity(all.len());
        let mut views = Vec::with_capacity(all.len());
        for (id, series) in all.iter() {
            at.insert(id, views.len());
            views.push(Unsettled {
                id,
                labels: Arc::clone(&series.labels),
                rows: *series.totals.rows.0,
                resets: series.totals.resets.clone(),
                gauges: Gauges::default(),
                gap_ns: series.totals.gap_ns,
                gaps: series.totals.gaps,
            });
        }
        Self { at, views }
    }

    pub(super) fn get_mut(&mut self, id: Option<SeriesId>) -> Option<&mut Unsettled> {
        self.views.get_mut(*self.at.get(&id?)?)
    }

    pub(super) fn settle(self, all: &mut AllSeries) -> Vec<SeriesView> {
        let settle_one = |one: Unsettled| {
            let mut phases = one.rows.map(|row| settle::settle(&row));
            let marks = all.get_mut(one.id).map(|series| &mut series.totals.marks);
            for (mark, row) in marks.into_iter().flatten().zip(&mut phases) {
                mark.hold(row);
            }
            SeriesView {
                labels: one.labels,
                phases,
                resets: one.resets,
                gauges: one.gauges,
                gap_ns: one.gap_ns,
                gaps: one.gaps,
            }
        };
        self.views.into_iter().map(settle_one).collect()
    }
}
