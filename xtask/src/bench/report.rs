//! The figures as text: the same tables for the terminal and for docs/performance.md.

use std::fmt::Write as _;
use std::fs;

use super::Figures;
use super::compare::{Comparison, Sample};
use super::meter::Metered;
use super::services::{self, Idle, Thousand};
use super::stats::{median, median_ratio};
use super::targets::{self, all, mib, per_second};

/// All tables.
pub(super) fn figures(figures: &Figures) -> String {
    let mut text = String::new();
    targets_table(&mut text, figures);
    comparison(&mut text, &figures.comparison);
    metered(&mut text, &figures.metered);
    process(&mut text, figures);
    counts(&mut text, &figures.comparison);
    text
}

/// The page of the documentation around the tables.
pub(super) fn page(figures: &Figures, tables: &str) -> String {
    let command = format!(
        "cargo xtask bench --rounds {} --seconds {} --write",
        figures.rounds, figures.seconds
    );
    PAGE.replace("{command}", &command)
        .replace("{machine}", &machine())
        .replace("{figures}", tables.trim())
}

const PAGE: &str = include_str!("performance.md");

fn targets_table(text: &mut String, figures: &Figures) {
    let targets = targets::judge(figures);
    heading(text, "Targets");
    row(text, &["", "target", "measured", ""]);
    row(text, &["---"; 4]);
    for target in &targets {
        let verdict = if target.met { "met" } else { "**missed**" };
        row(text, &[target.what, &target.limit, &target.figure, verdict]);
    }
    for target in targets.iter().filter(|target| !target.met) {
        line(
            text,
            format!("\nMissed: {}. {}", target.what, target.when_missed),
        );
    }
}

fn comparison(text: &mut String, comparison: &Comparison) {
    let Comparison {
        nothing,
        finwatch,
        bpftrace,
    } = comparison;
    heading(text, "Side by side");
    row(
        text,
        &[
            "",
            "connections a second",
            "of nothing attached",
            "CPU of a connection",
            "of nothing attached",
            "CPU of the observer",
        ],
    );
    row(text, &["---"; 6]);
    for (name, samples) in [
        ("nothing", nothing),
        ("finwatch", finwatch),
        ("bpftrace", bpftrace),
    ] {
        let throughput = median_ratio(&per_second(samples), &per_second(nothing));
        let cpu = median_ratio(&all(samples, Sample::cpu_us), &all(nothing, Sample::cpu_us));
        row(
            text,
            &[
                name,
                &format!("{:.0}", median(&per_second(samples))),
                &format!("{:.1} %", 100.0 * throughput),
                &format!("{:.1} us", median(&all(samples, Sample::cpu_us))),
                &format!("{:.1} %", 100.0 * cpu),
                &format!("{:.1} %", median(&all(samples, Sample::observer_percent))),
            ],
        );
    }
    line(
        text,
        format!(
            "\nMedians of {} rounds; the ratios are medians of each round's ratio. With nothing attached the \
             rounds ranged from {} connections a second.",
            nothing.len(),
            range(&per_second(nothing))
        ),
    );
}

fn metered(text: &mut String, metered: &Metered) {
    heading(text, "BPF run time");
    row(
        text,
        &[
            "program",
            "runs in a socket's life",
            "time of a run",
            "in a socket's life",
        ],
    );
    row(text, &["---"; 4]);
    for (name, runs, mean, share) in metered.programs() {
        row(
            text,
            &[
                &format!("`{name}`"),
                &format!("{runs:.2}"),
                &format!("{mean:.0} ns"),
                &format!("{share:.0} ns"),
            ],
        );
    }
    let rounds = metered.per_socket.len();
    let line_of = |what: &str, values: &[f64]| {
        format!(
            "- {what}: {:.0} ns (median of {rounds} rounds; {} ns)",
            median(values),
            range(values)
        )
    };
    line(text, "");
    line(
        text,
        line_of("a socket's life, all programs", &metered.per_socket),
    );
    line(
        text,
        line_of(
            "the same with bpftrace's `count.bt`",
            &metered.count_per_socket,
        ),
    );
    line(
        text,
        line_of(
            "the same with bpftrace's `guess.bt`, which counts less",
            &metered.guess_per_socket,
        ),
    );
    line(
        text,
        line_of("the meter: a run of an empty program", &metered.meter),
    );
    line(
        text,
        line_of(
            "a read (`finwatch_read`), less the meter",
            &metered.read_net,
        ),
    );
}

fn process(text: &mut String, figures: &Figures) {
    let Idle {
        rss_kib,
        maps_kib,
        cpu_percent,
    } = figures.idle;
    let Thousand {
        scrape_ms,
        series,
        kib,
        rss_kib: thousand_rss_kib,
    } = &figures.thousand;
    let samples = &figures.comparison.finwatch;
    let churn_rss = all(samples, |sample| mib(sample.rss_kib));
    let churn_cpu = median(&all(samples, Sample::observer_percent));
    heading(text, "The daemon's process");
    row(text, &["", "resident memory", "CPU, of one core"]);
    row(text, &["---"; 3]);
    row(
        text,
        &[
            "idle",
            &format!("{:.1} MiB", mib(rss_kib)),
            &format!("{cpu_percent:.2} %"),
        ],
    );
    row(
        text,
        &[
            "full churn",
            &format!("{:.1} MiB", median(&churn_rss)),
            &format!("{churn_cpu:.1} %"),
        ],
    );
    let scraped = format!("{} services, scraped", services::SERVICES);
    row(
        text,
        &[&scraped, &format!("{:.1} MiB", mib(*thousand_rss_kib)), ""],
    );
    line(
        text,
        format!(
            "\nOf each, {:.1} MiB are the ring buffer between the kernel and the daemon: the kernel's memory, which is mapped twice.",
            mib(maps_kib)
        ),
    );
    line(
        text,
        format!(
            "\nA scrape of {} services takes {:.1} ms (median of {}; {} ms): {series} series, {kib} KiB of text.",
            services::SERVICES,
            median(scrape_ms),
            scrape_ms.len(),
            range(scrape_ms)
        ),
    );
}

/// What each observer missed, over all rounds.
fn counts(text: &mut String, comparison: &Comparison) {
    heading(text, "Counted, beside done");
    row(text, &["observer", "", "done", "counted", "difference"]);
    row(text, &["---"; 5]);
    for (observer, samples) in [
        ("finwatch", &comparison.finwatch),
        ("bpftrace", &comparison.bpftrace),
    ] {
        let kinds = samples.first().map_or(0, |sample| sample.held.len());
        for kind in 0..kinds {
            let held = || samples.iter().map(|sample| &sample.held[kind]);
            let done: u64 = held().map(|held| held.done).sum();
            let counted: u64 = held().map(|held| held.counted).sum();
            let difference: u64 = held().map(super::compare::Held::difference).sum();
            row(
                text,
                &[
                    observer,
                    samples[0].held[kind].what,
                    &done.to_string(),
                    &counted.to_string(),
                    &difference.to_string(),
                ],
            );
        }
    }
}

fn heading(text: &mut String, title: &str) {
    line(text, format!("\n## {title}\n"));
}

fn row(text: &mut String, cells: &[&str]) {
    line(text, format!("| {} |", cells.join(" | ")));
}

fn line(text: &mut String, content: impl AsRef<str>) {
    // Writing to a string cannot fail.
    let _written = writeln!(text, "{}", content.as_ref());
}

fn range(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let digits = usize::from(most < 100.0);
    format!("{least:.digits$} to {most:.digits$}")
}

/// Cores, their model and the kernel.
fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let virtual_machine = if cpuinfo.contains("hypervisor") {
        ", in a virtual machine"
    } else {
        ""
    };
    format!(
        "{cores} cores ({model}{virtual_machine}), Linux {}",
        kernel.trim()
    )
}
