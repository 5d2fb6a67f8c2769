//! What services count from one reading of the rows to the next, for the rollouts that concern them.

use std::collections::HashMap;

use finwatch_common::{Cell, Evidence};
use jiff::Timestamp;

use super::{Correlator, Look};
use crate::services::{self, SeriesLabels, SeriesView, View, Windows};

/// Most services that are remembered between two readings.
const REMEMBERED_MAX: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    last: HashMap<SeriesLabels, Counted>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    at_ns: u64,
    abandoned: u64,
    unanswered: u64,
}

impl Rounds {
    /// Tells the rollouts what their services counted since the last reading.
    pub(crate) fn tell(
        &mut self,
        view: &View,
        now_ns: u64,
        at: Timestamp,
        windows: &Windows,
        correlator: &mut Correlator,
    ) {
        let mut last = HashMap::new();
        for series in &view.series {
            let service = services::name(series);
            if !correlator.wants(&service) || last.len() >= REMEMBERED_MAX {
                continue;
            }
            let labels = series.labels.as_ref();
            let now = Counted::of(series, now_ns);
            if let Some(before) = self.last.get(labels) {
                correlator.look(&Look {
                    service,
                    role: labels.role,
                    at,
                    secs: now_ns.saturating_sub(before.at_ns) as f64 / 1e9,
                    abandoned: now.abandoned.saturating_sub(before.abandoned),
                    unanswered: now.unanswered.saturating_sub(before.unanswered),
                    close_wait: series.gauges.close_wait,
                    ordinary: windows.baseline(labels, before.at_ns),
                });
            }
            last.insert(labels.clone(), now);
        }
        self.last = last;
    }
}

impl Counted {
    fn of(series: &SeriesView, at_ns: u64) -> Self {
        let sum = |cell: Cell| -> u64 { series.phases.iter().map(|row| row.get(cell)).sum() };
        Self {
            at_ns,
            abandoned: sum(Cell::ABANDONED),
            unanswered: sum(Cell::unanswered(Evidence::Silent))
                + sum(Cell::unanswered(Evidence::Alert)),
        }
    }
}
