//! Lives as tables: a row for each event of each step, a column for each observer, and two of finwatch side by side.

use super::laps::Laps;
use super::step::Step;
use super::{Lives, script};
use crate::bench::parts::OLD;
use crate::bench::stats::{median, median_difference, median_ratio};
use crate::bench::text::{heading, line, row};

/// What the lives' tables say, with this finwatch's column first.
pub(super) fn write(text: &mut String, lives: &Lives) {
    by_event(text, lives);
    by_life(text, lives);
    by_step(text, lives);
}

fn by_event(text: &mut String, lives: &Lives) {
    heading(text, "A socket's life by transition");
    header(text, lives, &["step", "side", "event"], Beside::Ratio);
    let Some(first) = lives.nothing.first() else {
        return;
    };
    let mut last = None;
    for (step, event, side) in first.events() {
        let what = if last == Some(step) { "" } else { step.what() };
        last = Some(step);
        let mut cells = vec![what.to_owned(), side.to_string(), event.to_string()];
        cells.extend(lives.figures(Beside::Ratio, |laps| laps.mean_ns(step, event, side)));
        row(text, &cells);
    }
    line(
        text,
        format!(
            "\nNanoseconds by the stopwatch, less those with nothing attached; medians of {} rounds.",
            lives.nothing.len()
        ),
    );
}

/// The steps of a connection's life, and what they are together. Reads are those of a first turn.
const WHOLE: [(&str, &[Step]); 3] = [
    (
        "the server closes first",
        &[
            Step::Open,
            Step::FirstTurn,
            Step::ServerClosesFirst,
            Step::ClientFollows,
        ],
    ),
    (
        "the client closes first",
        &[
            Step::Open,
            Step::FirstTurn,
            Step::ClientClosesFirst,
            Step::ServerFollows,
        ],
    ),
    (
        "the client shuts down its half",
        &[
            Step::Open,
            Step::FirstTurn,
            Step::ClientHalfCloses,
            Step::ServerAnswersAndCloses,
            Step::ClientLetsGo,
        ],
    ),
];

fn by_life(text: &mut String, lives: &Lives) {
    heading(text, "A socket's whole life");
    header(text, lives, &["life", "measured by"], Beside::Difference);
    for (what, steps) in WHOLE {
        for (by, figure) in [
            ("the stopwatch", Laps::events_ns as fn(&Laps, Step) -> f64),
            ("the clock", Laps::elapsed_ns),
        ] {
            let mut cells = vec![what.to_owned(), by.to_owned()];
            cells.extend(lives.figures(Beside::Difference, |laps| {
                let both_ends: f64 = steps.iter().map(|step| figure(laps, *step)).sum();
                both_ends / 2.0
            }));
            row(text, &cells);
        }
    }
    line(
        text,
        "\nNanoseconds a socket: the mean of a connection's two ends. What the clock shows beyond the stopwatch is outside of \
         the programs: the kernel's work for what is kept with each socket.",
    );
}

fn by_step(text: &mut String, lives: &Lives) {
    heading(text, "The same by the clock");
    header(text, lives, &["step", "nothing"], Beside::Difference);
    let Some(first) = lives.nothing.first() else {
        return;
    };
    for step in first.steps() {
        let nothing: Vec<f64> = lives
            .nothing
            .iter()
            .map(|laps| laps.elapsed_ns(step))
            .collect();
        let mut cells = vec![step.what().to_owned(), format!("{:.0}", median(&nothing))];
        cells.extend(lives.figures(Beside::Difference, |laps| laps.elapsed_ns(step)));
        row(text, &cells);
    }
    line(
        text,
        format!(
            "\nNanoseconds a connection, both ends, beyond those with nothing attached but the stopwatch; of each round the lower \
             quartile of its crowds of {} connections.",
            script::CROWD
        ),
    );
}

fn header(text: &mut String, lives: &Lives, before: &[&str], beside: Beside) {
    let mut cells: Vec<String> = before.iter().map(|&cell| cell.to_owned()).collect();
    cells.extend(lives.observed.iter().map(|(name, _)| (*name).to_owned()));
    if lives.is_pair() {
        cells.push(match beside {
            Beside::Ratio => "of old".to_owned(),
            Beside::Difference => "beyond old".to_owned(),
        });
    }
    row(text, &cells);
    row(text, &vec!["---"; cells.len()]);
}

/// How a finwatch is told beside another: a ratio, or a difference where what is compared is itself a small difference.
#[derive(Clone, Copy)]
enum Beside {
    Ratio,
    Difference,
}

// === impl Lives ===

impl Lives {
    /// Of each observer the median of what a round took beyond nothing; and of a pair of finwatches the median of a round's
    /// comparison.
    fn figures(&self, beside: Beside, figure: impl Fn(&Laps) -> f64) -> Vec<String> {
        let net: Vec<Vec<f64>> = self
            .observed
            .iter()
            .map(|(_, rounds)| {
                let pairs = rounds.iter().zip(&self.nothing);
                pairs
                    .map(|(laps, nothing)| figure(laps) - figure(nothing))
                    .collect()
            })
            .collect();
        let mut cells: Vec<String> = net
            .iter()
            .map(|rounds| format!("{:.0}", median(rounds)))
            .collect();
        if self.is_pair()
            && let [new, old, ..] = net.as_slice()
        {
            cells.push(match beside {
                Beside::Ratio => format!("{:.2}", median_ratio(new, old)),
                Beside::Difference => format!("{:+.0}", median_difference(new, old)),
            });
        }
        cells
    }

    /// Whether the second observer is another finwatch.
    fn is_pair(&self) -> bool {
        self.observed.get(1).is_some_and(|(name, _)| *name == OLD)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Event, Side};
    use super::super::laps::tests::of_reads;
    use super::*;

    #[test]
    fn each_round_is_compared_with_itself() {
        let rounds = |means: [u64; 3]| means.map(|mean| of_reads(64, 64, mean)).into();
        let lives = Lives {
            nothing: rounds([10, 100, 10]),
            observed: vec![
                ("finwatch", rounds([60, 150, 70])),
                (OLD, rounds([110, 190, 130])),
            ],
        };
        let read = |laps: &Laps| laps.mean_ns(Step::LongQuestion, Event::Read, Side::Server);
        assert_eq!(lives.figures(Beside::Ratio, read), ["50", "100", "0.50"]);
        assert_eq!(
            lives.figures(Beside::Difference, read),
            ["50", "100", "-50"]
        );
    }
}
