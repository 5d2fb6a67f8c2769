//! What a verdict does not speak of, although it could have been meant.

use super::{
    lists::workload,
    tree::{Line, Section, Tone},
    units::{count, cuts, plain},
};
use crate::model::Rollout;

/// Most rollouts that are shown.
const SHOWN_MAX: usize = 5;

/// A line for each of the first of these rollouts, below a verdict; nothing where there is none.
pub fn not_judged(others: &[Rollout]) -> Option<Section> {
    if others.is_empty() {
        return None;
    }
    let number = count(others.len() as u64, "other rollout");
    let mut section = Section::new(Line::default().and(
        Tone::Plain,
        format!("not judged here: {number}; --rollout or --workload names one"),
    ));
    for other in others.iter().take(SHOWN_MAX) {
        section.field("", line(other));
    }
    if let Some(more) = others.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        section.field("", format!("and {more} more"));
    }
    Some(section)
}

fn line(other: &Rollout) -> Line {
    let (tone, word) = if other.is_over() {
        let word = other.verdict.as_str().to_uppercase();
        (Tone::Verdict(other.verdict), word)
    } else {
        (Tone::Plain, "running".to_owned())
    };
    let cut = match other.lost() {
        cut if cut.total() > 0 => format!("  cut: {}", cuts(cut)),
        _ => String::new(),
    };
    Line::default()
        .and(tone, word)
        .and(Tone::Plain, format!("  {}  rollout ", workload(other)))
        .and(Tone::Id, plain(&other.id))
        .and(Tone::Plain, cut)
}
