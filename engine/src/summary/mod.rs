//! The answer, to be read at a glance: one line that says what clients lost and why, each diagnosis once with its remedy,
//! the worst drains. What it may take is counted in lines of [`COLUMNS`]; everything is told by the reports of [`crate::render`].

mod drains;
mod groups;
mod headline;
mod lost;
mod room;
mod subject;
mod verdict;
mod when;

use self::{
    groups::groups,
    headline::fitting,
    room::{Room, lines},
    subject::{Subject, lost_in},
    when::when,
};
pub use self::{
    headline::{headline, incident_headline},
    verdict::{judged, together},
};
use crate::model::{Drain, Incident, Rollout};
use crate::render::{
    COLUMNS,
    columns::{fitted, width},
    finding::verdict_word,
    tree::{Line, Section, Tone},
    units::{Times, many, plain},
};

/// Lines of a report of one drain.
const LINES_OF_ONE: usize = 10;
/// Lines of any other.
const LINES: usize = 29;
/// What belongs to a report stands so much further in than its first line.
const INDENT: usize = 2;

/// What a rollout comes to.
pub fn rollout(rollout: &Rollout, times: &Times) -> Section {
    summary(&Subject::of_rollout(rollout), times, None)
}

/// What a rollout comes to, with something to be said of its verdict.
fn rollout_with(rollout: &Rollout, times: &Times, note: &str) -> Section {
    summary(&Subject::of_rollout(rollout), times, Some(note))
}

/// What a drain comes to.
pub fn drain(drain: &Drain, times: &Times) -> Section {
    summary(&Subject::of_drain(drain), times, None)
}

/// What an incident comes to.
pub fn incident(incident: &Incident, times: &Times) -> Section {
    let counts = lost_in(incident);
    let note = incident.drain.as_deref().map(told_by);
    let subject = Subject::of_incident(incident, &counts);
    summary(&subject, times, note.as_deref())
}

/// Where all of an incident is told that a drain counts.
fn told_by(drain: &str) -> String {
    format!(
        "all of it is told by its drain: finwatch drains show {}",
        plain(drain)
    )
}

fn summary(subject: &Subject<'_>, times: &Times, note: Option<&str>) -> Section {
    let groups = groups(subject);
    let room = COLUMNS - INDENT;
    let before = width(&title(subject, "").plain());
    let headline = fitting(subject, &groups, COLUMNS.saturating_sub(before));
    let mut section = Section::new(title(subject, &headline));
    section.field("", when(subject, times, &headline, room));
    if let Some(note) = note {
        section.field("", fitted(note, room, 1));
    }
    if subject.drains.len() > 1 {
        section.table = Some(drains::worst(subject));
    }
    section.more = Some(more(subject));
    let most = match subject.drains.len() {
        0 | 1 => LINES_OF_ONE,
        _ => LINES,
    };
    section.parts = Room {
        lines: most.saturating_sub(lines(&section, room)),
        columns: room,
        times,
    }
    .fill(&groups);
    section
}

/// `FAIL  checkout.service v42: 3 requests lost`.
fn title(subject: &Subject<'_>, headline: &str) -> Line {
    let (tone, word) = verdict_word(subject.is_over, subject.verdict);
    let of = format!("  {}: {headline}", subject.name);
    Line::default()
        .and(tone, word.to_uppercase())
        .and(Tone::Plain, of)
}

/// Where everything is told.
fn more(subject: &Subject<'_>) -> Line {
    let hidden = subject.drains.len().saturating_sub(drains::SHOWN_MAX);
    let what = match hidden {
        0 => "more: ".to_owned(),
        _ => format!("and {}: ", many(hidden as u64, "more drain")),
    };
    Line::default()
        .and(Tone::Dim, what)
        .and(Tone::Id, format!("{} --verbose", subject.command))
}

#[cfg(test)]
mod tests;
