//! Lists: services, drains and rollouts, one line each.

use jiff::Timestamp;

use super::{
    finding::verdict_word,
    tree::{Cell, Column, Kind, Span, Table, Tone},
    units::{Times, plain, service, span},
};
use crate::model::{
    Basis, Drain, Incident, Phase, Role, Rollout, ServiceState, Shape, Verdict, words::Word as _,
};

/// One line a service. What hardly anybody has stands there only where somebody has it.
pub fn services(services: &[ServiceState]) -> Table {
    let any = |some: fn(&ServiceState) -> bool| services.iter().any(some);
    // Of a name there is more to see where what is the same of all is left out.
    let phase = any(|state| state.phase != Phase::Steady);
    let owed = any(|state| state.awaiting > 0);
    let late = any(|state| state.totals.cut.late > 0);
    let close_wait = any(|state| state.close_wait > 0);
    let backlog = any(|state| state.backlog > 0);
    let shape = any(|state| state.shape.basis != Basis::Unknown);
    let columns = [
        (true, "SERVICE", Kind::Name),
        (true, "ROLE", Kind::Text),
        (phase, "PHASE", Kind::Text),
        (true, "OPEN", Kind::Number),
        (owed, "OWED", Kind::Number),
        (close_wait, "CLOSE_WAIT", Kind::Number),
        (true, "TIME_WAIT", Kind::Number),
        (backlog, "BACKLOG", Kind::Number),
        (true, "OPENED", Kind::Number),
        (true, "CUT", Kind::Number),
        (late, "LATE", Kind::Number),
        (true, "REFUSED", Kind::Number),
        (shape, "SHAPE", Kind::Text),
    ];
    let rows = services.iter().map(service_cells);
    table_of_shown(columns, rows)
}

/// A cell for every column of [`services`].
fn service_cells(state: &ServiceState) -> [Cell; 13] {
    let ServiceState {
        service: name,
        role,
        phase,
        listeners,
        open,
        awaiting,
        close_wait,
        time_wait,
        fin_wait2,
        backlog,
        backlog_limit,
        totals,
        shape,
    } = state;
    let backlog = match listeners {
        0 => dash(),
        _ => format!("{backlog}/{backlog_limit}"),
    };
    // Who asks loses requests by others; who serves is asked here.
    let served = |count: u64| match role {
        Role::Server => count.to_string(),
        Role::Client => dash(),
    };
    // Where nobody waits for an answer, one that did not come is no loss.
    let unjudged = match shape.waits_for_answers() {
        true => 0,
        false => totals.cut.unanswered,
    };
    [
        service(name),
        role.word().to_owned(),
        phase.word().to_owned(),
        open.to_string(),
        awaiting.to_string(),
        close_wait.to_string(),
        (time_wait + fin_wait2).to_string(),
        backlog,
        totals.opened.to_string(),
        served(totals.cut.total() - unjudged),
        served(totals.cut.late),
        served(totals.refused),
        told_shape(shape),
    ]
    .map(Cell::from)
}

/// Of few connections with a question mark.
fn told_shape(shape: &Shape) -> String {
    const SURE: u64 = 20;
    match shape.basis {
        Basis::Unknown => dash(),
        Basis::Guessed | Basis::Learned if shape.connections < SURE => format!("{}?", shape.kind),
        _ => shape.kind.to_string(),
    }
}

/// One line a drain.
pub fn drains(drains: &[Drain], times: &Times) -> Table {
    let started = drains.first().map(|drain| drain.started_at);
    let started = started_header(started, times);
    let columns = [
        ("ID", Kind::Text),
        ("SERVICE", Kind::Name),
        ("KIND", Kind::Text),
        (started.as_str(), Kind::Text),
        ("TOOK", Kind::Text),
        ("OPEN", Kind::Number),
        ("CUT", Kind::Number),
        ("VERDICT", Kind::Text),
    ];
    let rows = drains.iter().map(|drain| {
        [
            id(&drain.id),
            service(&drain.service).into(),
            drain.kind.as_str().to_owned().into(),
            times.short(drain.started_at).into(),
            took(drain).into(),
            drain.open_at_start.to_string().into(),
            drain.lost().total().to_string().into(),
            verdict(drain.ended_at.is_some(), drain.verdict),
        ]
    });
    table(columns, rows)
}

/// From T0 to the last that was seen of it.
pub(crate) fn took(drain: &Drain) -> String {
    let last = drain.last_seen_at();
    last.map_or_else(dash, |at| span(at.duration_since(drain.started_at)))
}

/// One line a rollout.
pub fn rollouts(rollouts: &[Rollout], times: &Times) -> Table {
    let started = rollouts.first().map(|rollout| rollout.started_at);
    let started = started_header(started, times);
    let columns = [
        ("ID", Kind::Text),
        ("WORKLOAD", Kind::Name),
        ("REVISION", Kind::Name),
        (started.as_str(), Kind::Text),
        ("TOOK", Kind::Text),
        ("DRAINS", Kind::Number),
        ("CUT", Kind::Number),
        ("VERDICT", Kind::Text),
    ];
    let rows = rollouts.iter().map(|rollout| {
        let took = rollout.last_seen_at();
        [
            id(&rollout.id),
            workload(rollout).into(),
            rollout.revision.as_deref().map_or_else(dash, plain).into(),
            times.short(rollout.started_at).into(),
            took.map_or_else(dash, |at| span(at.duration_since(rollout.started_at)))
                .into(),
            rollout.drains.len().to_string().into(),
            rollout.lost().total().to_string().into(),
            verdict(rollout.is_over(), rollout.verdict),
        ]
    });
    table(columns, rows)
}

/// One line an incident.
pub fn incidents(incidents: &[Incident], times: &Times) -> Table {
    let started = incidents.first().map(|incident| incident.started_at);
    let started = started_header(started, times);
    let columns = [
        ("ID", Kind::Text),
        ("SERVICE", Kind::Name),
        (started.as_str(), Kind::Text),
        ("LASTED", Kind::Text),
        ("LOST", Kind::Number),
        ("CAUSE", Kind::Text),
    ];
    let rows = incidents.iter().map(|incident| {
        let lasted = incident.last_at.duration_since(incident.started_at);
        let lasted: Cell = match incident.is_over() {
            true => span(lasted).into(),
            false => verdict(false, incident.verdict),
        };
        [
            id(&incident.id),
            service(&incident.service).into(),
            times.short(incident.started_at).into(),
            lasted,
            incident.lost().to_string().into(),
            incident.cause.as_str().to_owned().into(),
        ]
    });
    table(columns, rows)
}

/// Whose rollout it is, as the announcement or the one service says.
pub(crate) fn workload(rollout: &Rollout) -> String {
    let workload = &rollout.workload;
    let name = match workload.namespace.as_deref() {
        None | Some("") => workload.name.clone(),
        Some(namespace) => format!("{namespace}/{}", workload.name),
    };
    plain(&match workload.port {
        Some(port) => format!("{name}:{port}"),
        None => name,
    })
}

pub(crate) fn id(id: &str) -> Cell {
    Span {
        tone: Tone::Id,
        text: plain(id),
    }
}

pub(crate) fn verdict(is_over: bool, verdict: Verdict) -> Cell {
    let (tone, word) = verdict_word(is_over, verdict);
    Span {
        tone,
        text: word.to_owned(),
    }
}

fn started_header(newest: Option<Timestamp>, times: &Times) -> String {
    newest.map_or_else(
        || "STARTED".to_owned(),
        |newest| format!("STARTED {}", times.offset(newest)),
    )
}

fn dash() -> String {
    "-".to_owned()
}

fn table<const N: usize>(
    columns: [(&str, Kind); N],
    rows: impl Iterator<Item = [Cell; N]>,
) -> Table {
    table_of_shown(columns.map(|(name, kind)| (true, name, kind)), rows)
}

/// A table of those columns that are to be shown.
pub(crate) fn table_of_shown<const N: usize>(
    columns: [(bool, &str, Kind); N],
    rows: impl Iterator<Item = [Cell; N]>,
) -> Table {
    let is_shown = columns.map(|(shown, ..)| shown);
    let of_shown = |row: [Cell; N]| {
        let cells = row.into_iter().zip(is_shown);
        cells
            .filter_map(|(cell, shown)| shown.then_some(cell))
            .collect()
    };
    let shown = columns.into_iter().filter(|(shown, ..)| *shown);
    let columns = shown.map(|(_, name, kind)| Column {
        name: name.to_owned(),
        kind,
    });
    Table {
        columns: columns.collect(),
        rows: rows.map(of_shown).collect(),
    }
}
