//! What came of a scenario: both truths side by side, and what is wrong where they differ.

use std::fmt::Write as _;
use std::time::Duration;

use super::agent::{Counted, Told};
use super::client::Truth;
use super::scenarios::Scenario;

/// What came of one scenario.
pub(super) struct Outcome {
    truth: Truth,
    counted: Counted,
    told: Told,
    /// What is not as it should be.
    pub(super) wrong: Vec<String>,
}

pub(super) const HEAD: [&str; 11] = [
    "scenario",
    "dialled",
    "opened",
    "asked",
    "lost",
    "cut",
    "refused",
    "(finwatch)",
    "nobody",
    "told",
    "",
];

// === impl Outcome ===

impl Outcome {
    pub(super) fn of(scenario: &Scenario, truth: Truth, counted: Counted, told: Told) -> Self {
        let mut wrong = Vec::new();
        for (what, clients, finwatch) in [
            ("connections", truth.connected, counted.opened),
            ("ends of connections", truth.connected, counted.closed),
            ("lost requests", truth.lost, counted.cut),
            ("refused dials", truth.refused, counted.refused),
            (
                "requests and their ends",
                truth.asked,
                truth.answered + truth.lost,
            ),
        ] {
            if clients != finwatch {
                wrong.push(format!(
                    "{what}: {clients} by the clients, {finwatch} by finwatch"
                ));
            }
        }
        if (truth.lost > 0) != scenario.loses {
            wrong.push(format!(
                "{} requests were lost, which is another scenario",
                truth.lost
            ));
        }
        let worst = worst(&told.verdicts);
        if worst != scenario.verdict {
            wrong.push(format!("the verdict is {worst}, not {}", scenario.verdict));
        }
        Self {
            truth,
            counted,
            told,
            wrong,
        }
    }

    pub(super) fn row(&self, scenario: &Scenario, took: Duration) -> [String; HEAD.len()] {
        let Self {
            truth,
            counted,
            told,
            wrong,
        } = self;
        let ok = if wrong.is_empty() { "ok" } else { "WRONG" };
        [
            scenario.name.to_owned(),
            truth.connected.to_string(),
            counted.opened.to_string(),
            truth.asked.to_string(),
            truth.lost.to_string(),
            counted.cut.to_string(),
            truth.refused.to_string(),
            counted.refused.to_string(),
            truth.unanswered_dials.to_string(),
            format!(
                "{} ({} drains, {} rollouts)",
                worst(&told.verdicts),
                told.drains,
                told.rollouts
            ),
            format!("{ok} in {:.0} s", took.as_secs_f32()),
        ]
    }
}

/// The worst of some verdicts.
fn worst(verdicts: &[String]) -> &'static str {
    let order = ["fail", "warn", "inconclusive", "pass"];
    let found = order
        .into_iter()
        .find(|verdict| verdicts.iter().any(|told| told == verdict));
    found.unwrap_or("none")
}

/// The rows with their columns below each other.
pub(super) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            write!(text, "{cell:width$}  ").ok();
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_verdict_counts() {
        let verdicts = ["pass".to_owned(), "fail".to_owned()];
        assert_eq!(worst(&verdicts), "fail");
        assert_eq!(worst(&[]), "none");
    }
}
