//! The figures as text: the same tables for the terminal and for docs/performance.md.

use std::fs;

use super::Figures;
use super::compare::{Comparison, Sample};
use super::held::Held;
use super::life;
use super::meter::{Metered, Programs};
use super::parts::{NEW, OLD};
use super::services::{self, Process};
use super::start::Starts;
use super::stats::{median, median_ratio};
use super::targets::{self, all, mib, per_second};
use super::text::{heading, line, range, row};

/// All tables.
pub(super) fn figures(figures: &Figures) -> String {
    let Figures {
        starts,
        processes,
        lives,
        metered,
        churn,
        web,
    } = figures;
    let mut text = String::new();
    targets_table(&mut text, figures);
    if let Some(churn) = churn {
        comparison(&mut text, "Side by side: full churn", churn);
    }
    if let Some(web) = web {
        comparison(
            &mut text,
            "Side by side: nginx, a request a connection",
            web,
        );
    }
    if let Some(lives) = lives {
        life::write(&mut text, lives);
    }
    if let Some(metered) = metered {
        self::metered(&mut text, metered);
    }
    if let Some(starts) = starts {
        self::starts(&mut text, starts);
    }
    if !processes.is_empty() {
        self::processes(&mut text, processes, churn.as_ref());
    }
    if let Some(churn) = churn {
        counts(&mut text, "Counted, beside done: full churn", churn);
    }
    if let Some(web) = web {
        counts(&mut text, "Counted, beside done: nginx", web);
    }
    text
}

/// The page of the documentation around the tables, and the part about many sockets, which another run measures.
pub(super) fn page(command: &str, tables: &str, sockets: &str) -> String {
    PAGE.replace("{command}", command)
        .replace("{machine}", &machine())
        .replace("{figures}", tables.trim())
        .replace("{sockets}", sockets.trim())
}

const PAGE: &str = include_str!("performance.md");

fn targets_table(text: &mut String, figures: &Figures) {
    let targets = targets::judge(figures);
    if targets.is_empty() {
        return;
    }
    heading(text, "Targets");
    row(text, &["", "target", "measured", ""]);
    row(text, &["---"; 4]);
    for target in &targets {
        let verdict = if target.met { "met" } else { "**missed**" };
        row(
            text,
            &[&target.what, &target.limit, &target.figure, verdict],
        );
    }
    for target in targets.iter().filter(|target| !target.met) {
        line(
            text,
            format!("\nMissed: {}. {}", target.what, target.when_missed),
        );
    }
}

fn comparison(text: &mut String, title: &str, comparison: &Comparison) {
    let nothing = comparison.nothing();
    heading(text, title);
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
    for (name, samples) in &comparison.observed {
        let throughput = median_ratio(&per_second(samples), &per_second(nothing));
        let cpu = median_ratio(&all(samples, Sample::cpu_us), &all(nothing, Sample::cpu_us));
        row(
            text,
            &[
                (*name).to_owned(),
                format!("{:.0}", median(&per_second(samples))),
                format!("{:.1} %", 100.0 * throughput),
                format!("{:.1} us", median(&all(samples, Sample::cpu_us))),
                format!("{:.1} %", 100.0 * cpu),
                format!("{:.1} %", median(&all(samples, Sample::observer_percent))),
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
    let (new, old) = (comparison.of(NEW), comparison.of(OLD));
    if !old.is_empty() {
        line(
            text,
            format!(
                "\nOf `{OLD}` in the same round: throughput {:.3}, CPU of a connection {:.3}.",
                median_ratio(&per_second(new), &per_second(old)),
                median_ratio(&all(new, Sample::cpu_us), &all(old, Sample::cpu_us))
            ),
        );
    }
}

fn metered(text: &mut String, metered: &Metered) {
    let Metered { finwatches, peers } = metered;
    for (name, programs) in finwatches {
        heading(text, &format!("BPF run time of {name}"));
        by_program(text, programs);
    }
    if let [(_, new), (_, old), ..] = finwatches.as_slice() {
        line(
            text,
            format!(
                "\nOf `{OLD}` in the same round: a socket's life {:.3}, a read {:.3}.",
                median_ratio(&new.per_socket, &old.per_socket),
                median_ratio(&new.read_net, &old.read_net)
            ),
        );
    }
    if !peers.is_empty() {
        line(
            text,
            "\nA socket's life with the peers, by the same meter:\n",
        );
    }
    for (name, per_socket) in peers {
        line(text, line_of(&format!("`{name}`"), per_socket));
    }
}

fn by_program(text: &mut String, programs: &Programs) {
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
    for (name, runs, mean, share) in programs.shares() {
        row(
            text,
            &[
                format!("`{name}`"),
                format!("{runs:.2}"),
                format!("{mean:.0} ns"),
                format!("{share:.0} ns"),
            ],
        );
    }
    let Programs {
        per_socket,
        per_socket_net,
        meter,
        read_net,
        ..
    } = programs;
    line(text, "");
    for (what, values) in [
        ("a socket's life, all programs", per_socket),
        ("the same, less the meter of each run", per_socket_net),
        ("the meter: a run of an empty program", meter),
        ("a read (`finwatch_read`), less the meter", read_net),
    ] {
        line(text, line_of(what, values));
    }
}

fn line_of(what: &str, nanos: &[f64]) -> String {
    format!(
        "- {what}: {:.0} ns (median of {} rounds; {} ns)",
        median(nanos),
        nanos.len(),
        range(nanos)
    )
}

fn starts(text: &mut String, starts: &Starts) {
    let Starts {
        finwatches,
        bpftrace_run,
    } = starts;
    heading(text, "The start");
    row(text, &["", "until it watches", "started and ended"]);
    row(text, &["---"; 3]);
    for (name, start) in finwatches {
        row(
            text,
            &[
                (*name).to_owned(),
                format!("{:.0} ms", median(&start.watches)),
                format!("{:.0} ms", median(&start.run)),
            ],
        );
    }
    row(
        text,
        &["count.bt", "", &format!("{:.0} ms", median(bpftrace_run))],
    );
    line(text, format!("\nMedians of {} rounds.", bpftrace_run.len()));
}

fn processes(text: &mut String, processes: &[(&'static str, Process)], churn: Option<&Comparison>) {
    heading(text, "The daemon's process");
    row(text, &["", "", "resident memory", "CPU, of one core"]);
    row(text, &["---"; 4]);
    for (name, process) in processes {
        let Process { idle, thousand } = process;
        let memory = |kib| format!("{:.1} MiB", mib(kib));
        row(
            text,
            &[
                (*name).to_owned(),
                "while it starts".to_owned(),
                memory(idle.peak_kib),
                String::new(),
            ],
        );
        row(
            text,
            &[
                (*name).to_owned(),
                "idle".to_owned(),
                memory(idle.rss_kib),
                format!("{:.2} %", idle.cpu_percent),
            ],
        );
        if let Some(churn) = churn {
            let samples = churn.of(name);
            row(
                text,
                &[
                    (*name).to_owned(),
                    "full churn".to_owned(),
                    format!(
                        "{:.1} MiB",
                        median(&all(samples, |sample| mib(sample.rss_kib)))
                    ),
                    format!("{:.1} %", median(&all(samples, Sample::observer_percent))),
                ],
            );
        }
        row(
            text,
            &[
                (*name).to_owned(),
                format!("{} services, scraped", services::SERVICES),
                memory(thousand.rss_kib),
                String::new(),
            ],
        );
    }
    for (name, process) in processes {
        let Process { idle, thousand } = process;
        line(
            text,
            format!(
                "\nOf {name}'s memory, {:.1} MiB are the kernel's: the counter rows, and the ring buffer, \
                 which is mapped twice. The kernel's memory of all its maps is {:.1} MiB: {}. A scrape of {} services takes {:.1} ms (median of {}; {} ms): {} series, {} KiB of text.",
                mib(idle.maps_kib),
                mib(idle.kernel_kib()),
                large_maps(&idle.maps),
                services::SERVICES,
                median(&thousand.scrape_ms),
                thousand.scrape_ms.len(),
                range(&thousand.scrape_ms),
                thousand.series,
                thousand.kib
            ),
        );
    }
}

/// The maps that are more than a tenth of a MiB.
fn large_maps(maps: &[(String, u64)]) -> String {
    let large = maps.iter().filter(|(_, bytes)| 10 * bytes >= 1 << 20);
    let named = large.map(|(name, bytes)| format!("`{name}` {:.1}", mib(bytes / 1024)));
    named.collect::<Vec<_>>().join(", ")
}

/// What each observer missed, over all rounds.
fn counts(text: &mut String, title: &str, comparison: &Comparison) {
    heading(text, title);
    row(text, &["observer", "", "done", "counted", "difference"]);
    row(text, &["---"; 5]);
    for (observer, samples) in &comparison.observed {
        let kinds = samples.first().map_or(0, |sample| sample.held.len());
        for kind in 0..kinds {
            let held = || samples.iter().map(|sample| &sample.held[kind]);
            let done: u64 = held().map(|held| held.done).sum();
            let counted: u64 = held().map(|held| held.counted).sum();
            let difference: u64 = held().map(Held::difference).sum();
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

/// Cores, their model and the kernel.
pub(super) fn machine() -> String {
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
