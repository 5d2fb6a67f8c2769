//! What every service is doing now.

use finwatch_common::{Cell, Cut};

use std::sync::Arc;

use super::{SeriesLabels, SeriesView, SettledRow, View};
use crate::model::{Cuts, Drain, DrainKind, Phase, Service, ServiceState, Shape, Totals};

/// The state of every service of the view; `running`: the drains that last.
pub fn states(
    view: &View,
    running: &[Arc<Drain>],
    shape: impl Fn(&SeriesLabels) -> Shape,
) -> Vec<ServiceState> {
    view.series
        .iter()
        .map(|series| state(series, running, shape(&series.labels)))
        .collect()
}

fn state(series: &SeriesView, running: &[Arc<Drain>], shape: Shape) -> ServiceState {
    let labels = &series.labels;
    let service = name(series);
    let gauges = &series.gauges;
    let sum = |cell: Cell| -> u64 { series.phases.iter().map(|row| row.get(cell)).sum() };
    ServiceState {
        role: labels.role,
        phase: phase(&service, running),
        listeners: gauges.listeners,
        open: gauges.open,
        awaiting: gauges.surveyed.awaiting,
        close_wait: gauges.close_wait,
        time_wait: gauges.mini_sockets.time_wait,
        fin_wait2: gauges.mini_sockets.fin_wait2,
        backlog: gauges.surveyed.backlog,
        backlog_limit: gauges.surveyed.backlog_limit,
        totals: Totals {
            opened: sum(Cell::OPENED),
            closes: series.phases.iter().map(SettledRow::closes).sum(),
            cut: Cuts {
                unanswered: sum(Cell::cut(Cut::Unanswered)),
                unread: sum(Cell::cut(Cut::Unread)),
                late: sum(Cell::cut(Cut::Late)),
            },
            refused: sum(Cell::REFUSED),
        },
        shape,
        service,
    }
}

/// Whose series it is.
pub(crate) fn name(series: &SeriesView) -> Service {
    let labels = &series.labels;
    Service {
        workload_namespace: labels.workload.namespace.clone(),
        workload_kind: labels.workload.kind.as_str().to_owned(),
        workload: labels.workload.name.clone(),
        port: labels.port,
    }
}

/// A stop goes before a reload.
fn phase(service: &Service, running: &[Arc<Drain>]) -> Phase {
    let of_service = running.iter().filter(|drain| drain.service == *service);
    of_service
        .map(|drain| match drain.kind {
            DrainKind::Reload => Phase::Reloading,
            DrainKind::Stop | DrainKind::Kill | DrainKind::Crash => Phase::Draining,
        })
        .fold(Phase::Steady, |phase, more| match (phase, more) {
            (Phase::Draining, _) | (_, Phase::Draining) => Phase::Draining,
            (_, more) => more,
        })
}
