//! The figures of many sockets as text.

use std::time::Duration;

use super::drain::{Cost, Start};
use super::others::Latencies;
use super::walk::Survey;
use super::{Opened, Sockets, Surveys};
use crate::bench::held::Held;
use crate::bench::report::machine;
use crate::bench::stats::{median, quantile};
use crate::bench::targets::mib;
use crate::bench::text::{line, row};

/// The heading of the part.
pub(super) const HEADING: &str = "## A million sockets";
const PART: &str = include_str!("part.md");

/// The part of the page.
pub(in crate::bench) fn write(sockets: &Sockets) -> String {
    let Sockets {
        connections,
        alone,
        watched,
        surveys,
        start,
        open_at_start,
        end,
        held,
        hidden,
    } = sockets;
    let part = PART
        .replace("{heading}", HEADING)
        .replace("{machine}", &machine())
        .replace("{connections}", &connections.to_string())
        .replace("{sockets}", &(2 * connections).to_string())
        .replace(
            "{memory}",
            table(|text| memory(text, alone, watched)).trim(),
        )
        .replace(
            "{each}",
            &format!("{:.0}", watched.each.kept - alone.each.kept),
        )
        .replace(
            "{surveys}",
            table(|text| self::surveys(text, surveys)).trim(),
        )
        .replace("{others}", table(|text| others(text, surveys)).trim())
        .replace("{shown}", &shown(start))
        .replace(
            "{drain}",
            table(|text| costs(text, &start.cost, end)).trim(),
        )
        .replace("{hidden}", &hidden.to_string())
        .replace(
            "{counts}",
            table(|text| counts(text, start, *open_at_start, *connections, held)).trim(),
        );
    format!("\n{part}")
}

fn table(fill: impl FnOnce(&mut String)) -> String {
    let mut text = String::new();
    fill(&mut text);
    text
}

fn memory(text: &mut String, alone: &Opened, watched: &Opened) {
    row(
        text,
        &[
            "",
            "slabs of a socket",
            "of which the kernel cannot free",
            "opened in",
        ],
    );
    row(text, &["---"; 4]);
    for (name, opened) in [("nothing", alone), ("finwatch", watched)] {
        let Opened { took, each } = opened;
        row(
            text,
            &[
                name.to_owned(),
                format!("{:.0} bytes", each.slab),
                format!("{:.0} bytes", each.kept),
                format!("{:.1} s", took.as_secs_f64()),
            ],
        );
    }
}

fn surveys(text: &mut String, surveys: &Surveys) {
    row(text, &["walk", "median", "longest"]);
    row(text, &["---"; 3]);
    let mut walk = |name: &str, walk: fn(&Survey) -> Duration| {
        let times: Vec<f64> = surveys.made.iter().map(|s| millis(walk(s))).collect();
        row(
            text,
            &[
                name.to_owned(),
                format!("{:.0} ms", median(&times)),
                format!("{:.0} ms", quantile(&times, 1.0)),
            ],
        );
    };
    walk("full sockets", |survey| survey.sockets);
    walk("mini-sockets", |survey| survey.mini_sockets);
    walk("both", |survey| survey.total());
    line(text, format!("\nOf {} surveys.", surveys.made.len()));
}

fn others(text: &mut String, surveys: &Surveys) {
    row(
        text,
        &[
            "others' connections",
            "number",
            "median",
            "99 of 100 within",
            "longest",
        ],
    );
    row(text, &["---"; 5]);
    let both = [
        ("without surveys", &surveys.quiet),
        ("with surveys without a pause", &surveys.meanwhile),
    ];
    for (name, latencies) in both {
        let micros = |value: f64| format!("{value:.0} us");
        row(
            text,
            &[
                name.to_owned(),
                latencies.count().to_string(),
                micros(Latencies::median(latencies)),
                micros(latencies.p99()),
                micros(latencies.longest()),
            ],
        );
    }
}

fn shown(start: &Start) -> String {
    let told = |time: Option<Duration>| {
        time.map_or_else(
            || "never".to_owned(),
            |time| format!("after {:.0} ms", millis(time)),
        )
    };
    format!(
        "shows the drain {}, and how many connections were open at its beginning {}",
        told(start.shown),
        told(start.counted)
    )
}

fn costs(text: &mut String, start: &Cost, end: &Cost) {
    row(
        text,
        &[
            "",
            "time",
            "CPU of the daemon",
            "its memory before",
            "at its most",
            "after",
            "longest answer",
        ],
    );
    row(text, &["---"; 7]);
    for (name, cost) in [("the drain lasts", start), ("all connections end", end)] {
        let memory = |kib| format!("{:.1} MiB", mib(kib));
        row(
            text,
            &[
                name.to_owned(),
                format!("{:.1} s", cost.time.as_secs_f64()),
                format!("{:.2} s", cost.cpu.as_secs_f64()),
                memory(cost.rss_before_kib),
                memory(cost.peak_kib),
                memory(cost.rss_after_kib),
                format!("{:.0} ms", millis(cost.longest_answer)),
            ],
        );
    }
}

fn counts(text: &mut String, start: &Start, at_end: u64, connections: u64, held: &[Held]) {
    let of_drain = [
        ("the drain: open at its start", start.open_at_start),
        ("the drain: still open", start.still_open),
        ("the drain when all ended: open at its start", at_end),
    ];
    row(text, &["", "done", "counted", "difference"]);
    row(text, &["---"; 4]);
    let of_drain = of_drain.map(|(what, counted)| Held {
        what,
        done: connections,
        counted,
    });
    for held in of_drain.iter().chain(held) {
        row(
            text,
            &[
                held.what.to_owned(),
                held.done.to_string(),
                held.counted.to_string(),
                held.difference().to_string(),
            ],
        );
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
