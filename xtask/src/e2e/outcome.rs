//! What came of a scenario: both truths side by side, and what is wrong where they differ.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::agent::{Counted, Told};
use super::client::Truth;
use super::scenarios::Scenario;

/// What finwatch said, on all nodes together.
#[derive(Default, PartialEq)]
pub(super) struct Said {
    /// Counted of the servers, and of the clients.
    pub(super) servers: Counted,
    pub(super) clients: Counted,
    pub(super) told: Told,
}

/// What came of one scenario.
pub(super) struct Outcome {
    truth: Truth,
    said: Said,
    /// What is not as it should be.
    pub(super) wrong: Vec<String>,
}

/// Two columns of a kind are the clients' own number, and finwatch's.
pub(super) const HEAD: [&str; 11] = [
    "scenario",
    "opened",
    "",
    "lost",
    "cut",
    "refused",
    "",
    "failed dials",
    "",
    "told",
    "",
];

// === impl Outcome ===

impl Outcome {
    pub(super) fn of(scenario: &Scenario, truth: Truth, said: Said) -> Self {
        let mut wrong = Vec::new();
        let Said {
            servers,
            clients,
            told,
        } = &said;
        for (what, theirs, ours) in [
            ("connections", truth.connected, servers.opened),
            ("ends of connections", truth.connected, servers.closed),
            ("lost requests", truth.lost, servers.cut),
            ("refused dials", truth.refused, servers.refused),
            ("connections dialled", truth.connected, clients.opened),
            ("dials that failed", truth.failed(), clients.failed),
        ] {
            if theirs != ours {
                wrong.push(format!(
                    "{what}: {theirs} by the clients, {ours} by finwatch"
                ));
            }
        }
        if truth.asked != truth.answered + truth.lost {
            wrong.push(format!(
                "the clients do not agree with themselves: {}",
                truth.all
            ));
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
        let whose = scenario.workload();
        if told.workloads.iter().ne([&whose]) {
            wrong.push(format!(
                "the drains are of {:?}, not of {whose}",
                told.workloads
            ));
        }
        Self { truth, said, wrong }
    }

    pub(super) fn row(&self, scenario: &Scenario, took: Duration) -> [String; HEAD.len()] {
        let Self { truth, said, wrong } = self;
        let Said {
            servers,
            clients,
            told,
        } = said;
        let ok = if wrong.is_empty() { "ok" } else { "WRONG" };
        [
            scenario.name.to_owned(),
            truth.connected.to_string(),
            servers.opened.to_string(),
            truth.lost.to_string(),
            servers.cut.to_string(),
            truth.refused.to_string(),
            servers.refused.to_string(),
            truth.failed().to_string(),
            clients.failed.to_string(),
            format!(
                "{}: {} drains in {} rollouts",
                worst(&told.verdicts),
                told.drains,
                told.rollouts.len()
            ),
            format!("{ok} in {:.0} s", took.as_secs_f32()),
        ]
    }
}

/// The worst of some verdicts.
fn worst(verdicts: &BTreeSet<String>) -> &'static str {
    let order = ["fail", "warn", "inconclusive", "pass"];
    let found = order
        .into_iter()
        .find(|verdict| verdicts.contains(*verdict));
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
        let verdicts = ["pass".to_owned(), "fail".to_owned()].into();
        assert_eq!(worst(&verdicts), "fail");
        assert_eq!(worst(&BTreeSet::new()), "none");
    }
}
