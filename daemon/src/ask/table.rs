//! Tables as kubectl draws them: no borders, two spaces between columns, names in capitals. What is too long for a
//! line of a terminal is shortened where it hurts least.

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table, presets};

use super::words::{self, Words, service, span};
use finwatch_engine::model::{Drain, Rollout, RolloutState, ServiceState, Verdict};

/// Widest line.
pub(super) const WIDTH: usize = 100;
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
        vec![
            service(name),
            role.as_str().to_owned(),
            phase.as_str().to_owned(),
            open.to_string(),
            awaiting.to_string(),
            close_wait.to_string(),
            (time_wait + fin_wait2).to_string(),
            backlog,
            totals.opened.to_string(),
            totals.closes.to_string(),
            totals.cut.total().to_string(),
        ]
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
    let (text, _) = draw(&columns, rows.collect());
    text
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
        vec![
            words::plain(&drain.id),
            service(&drain.service),
            drain.kind.as_str().to_owned(),
            words.short_time(drain.started_at),
            took.map_or_else(dash, |at| span(at.duration_since(drain.started_at))),
            drain.open_at_start.to_string(),
            drain.counts.cut.total().to_string(),
            verdict_word(drain.ended_at.is_some(), drain.verdict).to_owned(),
        ]
    });
    let verdicts = drains
        .iter()
        .map(|drain| (drain.ended_at.is_some(), drain.verdict));
    with_colours(draw(&columns, rows.collect()), verdicts)
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
        vec![
            words::plain(&rollout.id),
            workload(rollout),
            rollout.revision.as_deref().map_or_else(dash, words::plain),
            words.short_time(rollout.started_at),
            took.map_or_else(dash, |at| span(at.duration_since(rollout.started_at))),
            rollout.drains.len().to_string(),
            rollout.counts.cut.total().to_string(),
            verdict_word(is_over(rollout), rollout.verdict).to_owned(),
        ]
    });
    let verdicts = rollouts
        .iter()
        .map(|rollout| (is_over(rollout), rollout.verdict));
    with_colours(draw(&columns, rows.collect()), verdicts)
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
fn draw(columns: &[(&str, Column)], mut rows: Vec<Vec<String>>) -> (String, usize) {
    let mut drawn = render(columns, &rows);
    for (at, (name, column)) in columns.iter().enumerate() {
        let widest = drawn.lines().map(|line| line.chars().count()).max();
        let excess = widest.unwrap_or(0).saturating_sub(WIDTH);
        if excess == 0 {
            break;
        }
        if *column == Column::Short {
            let longest = rows.iter().map(|row| row[at].chars().count()).max();
            let least = CELL_MIN.max(name.len());
            let most = longest.unwrap_or(0).saturating_sub(excess).max(least);
            for row in &mut rows {
                row[at] = shortened(&row[at], most);
            }
            drawn = render(columns, &rows);
        }
    }
    let count = rows.len();
    (drawn, count)
}

fn render(columns: &[(&str, Column)], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(columns.iter().map(|(name, _)| *name));
    table.add_rows(rows);
    for (column, (_, kind)) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if *kind == Column::Number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

/// The end of a name tells more than its middle: a port, a revision's number.
fn shortened(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let tail = (most - 1) / 2;
    let head: String = text.chars().take(most - 1 - tail).collect();
    let tail: String = text.chars().skip(length - tail).collect();
    format!("{head}…{tail}")
}

/// Colours the verdict, which ends its line: the table itself measures plain text only.
fn with_colours(
    (drawn, rows): (String, usize),
    verdicts: impl Iterator<Item = (bool, Verdict)>,
) -> String {
    let mut text = String::with_capacity(drawn.len() * 2);
    let header = drawn.lines().count() - rows;
    for line in drawn.lines().take(header) {
        text.push_str(line);
        text.push('\n');
    }
    for (line, (is_over, verdict)) in drawn.lines().skip(header).zip(verdicts) {
        let word = verdict_word(is_over, verdict);
        let style = verdict_style(is_over, verdict);
        let before = line.strip_suffix(word).unwrap_or(line);
        text.push_str(&format!("{before}{style}{word}{style:#}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_too_long_loses_its_middle() {
        assert_eq!(shortened("checkout:8080", 20), "checkout:8080");
        assert_eq!(
            shortened("a-long-name-of-a-service:8080", 11),
            "a-lon…:8080"
        );
    }

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
        let (drawn, _) = draw(&columns, vec![row.to_vec()]);
        let widths: Vec<_> = drawn.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths[1], WIDTH, "{drawn}");
        assert!(drawn.contains(&"i".repeat(30)), "{drawn}");
        assert!(drawn.ends_with("  7\n"), "{drawn}");
    }
}
