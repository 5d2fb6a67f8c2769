//! Lists: services, drains and rollouts, one line each.

use jiff::Timestamp;

use super::{
    finding::verdict_word,
    tree::{Cell, Column, Kind, Span, Table, Tone},
    units::{Times, plain, service, span},
};
use crate::model::{Drain, Rollout, ServiceState, Verdict, words::Word as _};

/// One line a service.
pub fn services(services: &[ServiceState]) -> Table {
    let rows = services.iter().map(|state| {
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
        } = state;
        let backlog = match listeners {
            0 => "-".to_owned(),
            _ => format!("{backlog}/{backlog_limit}"),
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
            totals.closes.to_string(),
            totals.cut.total().to_string(),
        ]
        .map(Cell::from)
    });
    let columns = [
        ("SERVICE", Kind::Name),
        ("ROLE", Kind::Text),
        ("PHASE", Kind::Text),
        ("OPEN", Kind::Number),
        ("OWED", Kind::Number),
        ("CLOSE_WAIT", Kind::Number),
        ("TIME_WAIT", Kind::Number),
        ("BACKLOG", Kind::Number),
        ("OPENED", Kind::Number),
        ("CLOSED", Kind::Number),
        ("CUT", Kind::Number),
    ];
    table(columns, rows)
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
        let exit = drain.exit.as_ref().map(|exit| exit.at);
        let took = drain
            .last_close_at
            .max(exit)
            .filter(|_| drain.ended_at.is_some());
        [
            id(&drain.id),
            service(&drain.service).into(),
            drain.kind.as_str().to_owned().into(),
            times.short(drain.started_at).into(),
            took.map_or_else(dash, |at| span(at.duration_since(drain.started_at)))
                .into(),
            drain.open_at_start.to_string().into(),
            drain.counts.cut.total().to_string().into(),
            verdict(drain.ended_at.is_some(), drain.verdict),
        ]
    });
    table(columns, rows)
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
        let took = rollout.ended_at;
        [
            id(&rollout.id),
            workload(rollout).into(),
            rollout.revision.as_deref().map_or_else(dash, plain).into(),
            times.short(rollout.started_at).into(),
            took.map_or_else(dash, |at| span(at.duration_since(rollout.started_at)))
                .into(),
            rollout.drains.len().to_string().into(),
            rollout.counts.cut.total().to_string().into(),
            verdict(rollout.is_over(), rollout.verdict),
        ]
    });
    table(columns, rows)
}

/// Whose rollout it is, as the announcement or the one service says.
pub(super) fn workload(rollout: &Rollout) -> String {
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

fn id(id: &str) -> Cell {
    Span {
        tone: Tone::Id,
        text: plain(id),
    }
}

fn verdict(is_over: bool, verdict: Verdict) -> Cell {
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
    let columns = columns.map(|(name, kind)| Column {
        name: name.to_owned(),
        kind,
    });
    Table {
        columns: columns.into(),
        rows: rows.map(Vec::from).collect(),
    }
}
