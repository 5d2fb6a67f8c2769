//! Tables as kubectl draws them: no borders, two spaces between columns, names in capitals. What is too long for a
//! line of a terminal is shortened where it hurts least.

use anstyle::{AnsiColor, Style};

use super::words::{self, Words, service, span};
use crate::columns::{shortened, width};
use finwatch_engine::model::{
    Drain, Rollout, RolloutState, ServiceState, Verdict, words::Word as _,
};

/// Widest line.
pub(super) const WIDTH: usize = 100;
/// Spaces between two columns.
const GAP: usize = 2;
/// What a shortened cell keeps at least.
const CELL_MIN: usize = 8;

/// One line a service.
pub(crate) fn services_table(services: &[ServiceState]) -> String {
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
        ("SERVICE", Column::Short),
        ("ROLE", Column::Text),
        ("PHASE", Column::Text),
        ("OPEN", Column::Number),
        ("OWED", Column::Number),
        ("CLOSE_WAIT", Column::Number),
        ("TIME_WAIT", Column::Number),
        ("BACKLOG", Column::Number),
        ("OPENED", Column::Number),
        ("CLOSED", Column::Number),
        ("CUT", Column::Number),
    ];
    draw(columns, rows)
}

/// One line a drain.
pub(crate) fn drains_table(drains: &[Drain], words: &Words) -> String {
    let started = drains.first().map(|drain| drain.started_at);
    let started = started_header(started, words);
    let columns = [
        ("ID", Column::Text),
        ("SERVICE", Column::Short),
        ("KIND", Column::Text),
        (started.as_str(), Column::Text),
        ("TOOK", Column::Text),
        ("OPEN", Column::Number),
        ("CUT", Column::Number),
        ("VERDICT", Column::Text),
    ];
    let rows = drains.iter().map(|drain| {
        let exit = drain.exit.as_ref().map(|exit| exit.at);
        let took = drain
            .last_close_at
            .max(exit)
            .filter(|_| drain.ended_at.is_some());
        [
            words::plain(&drain.id).into(),
            service(&drain.service).into(),
            drain.kind.as_str().to_owned().into(),
            words.short_time(drain.started_at).into(),
            took.map_or_else(dash, |at| span(at.duration_since(drain.started_at)))
                .into(),
            drain.open_at_start.to_string().into(),
            drain.counts.cut.total().to_string().into(),
            verdict(drain.ended_at.is_some(), drain.verdict),
        ]
    });
    draw(columns, rows)
}

/// One line a rollout.
pub(crate) fn rollouts_table(rollouts: &[Rollout], words: &Words) -> String {
    let started = rollouts.first().map(|rollout| rollout.started_at);
    let started = started_header(started, words);
    let columns = [
        ("ID", Column::Text),
        ("WORKLOAD", Column::Short),
        ("REVISION", Column::Short),
        (started.as_str(), Column::Text),
        ("TOOK", Column::Text),
        ("DRAINS", Column::Number),
        ("CUT", Column::Number),
        ("VERDICT", Column::Text),
    ];
    let rows = rollouts.iter().map(|rollout| {
        let took = rollout.ended_at;
        [
            words::plain(&rollout.id).into(),
            workload(rollout).into(),
            rollout
                .revision
                .as_deref()
                .map_or_else(dash, words::plain)
                .into(),
            words.short_time(rollout.started_at).into(),
            took.map_or_else(dash, |at| span(at.duration_since(rollout.started_at)))
                .into(),
            rollout.drains.len().to_string().into(),
            rollout.counts.cut.total().to_string().into(),
            verdict(is_over(rollout), rollout.verdict),
        ]
    });
    draw(columns, rows)
}

/// Whose rollout it is, as the announcement or the one service says.
pub(super) fn workload(rollout: &Rollout) -> String {
    let workload = &rollout.workload;
    let name = match workload.namespace.as_deref() {
        None | Some("") => workload.name.clone(),
        Some(namespace) => format!("{namespace}/{}", workload.name),
    };
    words::plain(&match workload.port {
        Some(port) => format!("{name}:{port}"),
        None => name,
    })
}

pub(super) fn is_over(rollout: &Rollout) -> bool {
    rollout.state == RolloutState::Ended
}

/// `running` until it is over.
pub(super) fn verdict_word(is_over: bool, verdict: Verdict) -> &'static str {
    if is_over { verdict.as_str() } else { "running" }
}

pub(super) fn verdict_style(is_over: bool, verdict: Verdict) -> Style {
    let colour = match verdict {
        _ if !is_over => return Style::new().dimmed(),
        Verdict::Pass => AnsiColor::Green,
        Verdict::Warn => AnsiColor::Yellow,
        Verdict::Inconclusive => AnsiColor::Cyan,
        Verdict::Fail => AnsiColor::Red,
    };
    Style::new().fg_color(Some(colour.into())).bold()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Text,
    Number,
    /// Text that may be shortened.
    Short,
}

/// What stands in one column of one line.
#[derive(Debug)]
struct Cell {
    text: String,
    style: Style,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        let style = Style::new();
        Self { text, style }
    }
}

fn verdict(is_over: bool, verdict: Verdict) -> Cell {
    Cell {
        text: verdict_word(is_over, verdict).to_owned(),
        style: verdict_style(is_over, verdict),
    }
}

fn started_header(newest: Option<jiff::Timestamp>, words: &Words) -> String {
    newest.map_or_else(
        || "STARTED".to_owned(),
        |newest| format!("STARTED {}", words.offset(newest)),
    )
}

fn dash() -> String {
    "-".to_owned()
}

/// Shortens the first column that may be, then the next, until the lines fit.
fn draw<const N: usize>(
    columns: [(&str, Column); N],
    rows: impl Iterator<Item = [Cell; N]>,
) -> String {
    let rows: Vec<_> = rows.collect();
    let mut widths = columns.map(|(name, _)| width(name));
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = width(&cell.text).max(*widest);
        }
    }
    let line = widths.iter().sum::<usize>() + GAP * N.saturating_sub(1);
    let mut excess = line.saturating_sub(WIDTH);
    for (widest, (name, column)) in widths.iter_mut().zip(columns) {
        if column == Column::Short {
            let least = CELL_MIN.max(width(name));
            let taken = excess.min(widest.saturating_sub(least));
            *widest -= taken;
            excess -= taken;
        }
    }
    let kinds = columns.map(|(_, kind)| kind);
    let header = columns.map(|(name, _)| Cell::from(name.to_owned()));
    let lines = [header].into_iter().chain(rows);
    lines.map(|cells| write(&cells, &kinds, &widths)).collect()
}

/// One line; no space at its end.
fn write(cells: &[Cell], kinds: &[Column], widths: &[usize]) -> String {
    let mut line = String::new();
    // Spaces that are due before the next character.
    let mut spaces = 0;
    for ((Cell { text, style }, kind), widest) in cells.iter().zip(kinds).zip(widths) {
        let text = shortened(text, *widest);
        let fill = widest - width(&text);
        let (before, after) = match kind {
            Column::Number => (fill, 0),
            Column::Text | Column::Short => (0, fill),
        };
        line.push_str(&format!("{:1$}{style}{text}{style:#}", "", spaces + before));
        spaces = after + GAP;
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_table_is_made_to_fit_by_the_columns_that_may_be_shortened() {
        let columns = [
            ("ID", Column::Text),
            ("A", Column::Short),
            ("B", Column::Short),
            ("N", Column::Number),
        ];
        let row = [
            "i".repeat(30),
            "a".repeat(60),
            "b".repeat(60),
            "7".to_owned(),
        ];
        let drawn = draw(columns, [row.map(Cell::from)].into_iter());
        let widths: Vec<_> = drawn.lines().map(width).collect();
        assert_eq!(widths[1], WIDTH, "{drawn}");
        assert!(drawn.contains(&"i".repeat(30)), "{drawn}");
        assert!(drawn.ends_with("  7\n"), "{drawn}");
    }

    #[test]
    fn columns_stand_under_their_names_whatever_the_script() {
        let columns = [("SERVICE", Column::Short), ("N", Column::Number)];
        let rows = [["決済:8080", "7"], ["checkout:8080", "12"]];
        let rows = rows.map(|row| row.map(|text| Cell::from(text.to_owned())));
        let drawn = draw(columns, rows.into_iter());
        let wanted = [
            "SERVICE         N",
            "決済:8080       7",
            "checkout:8080  12",
        ];
        assert_eq!(drawn.lines().collect::<Vec<_>>(), wanted);
    }
}
