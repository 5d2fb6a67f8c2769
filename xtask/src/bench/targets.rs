//! What finwatch promises to cost, and whether it keeps the promise in the figures at hand.

use super::Figures;
use super::compare::{Comparison, Sample};
use super::parts::NEW;
use super::stats::{median, median_ratio};

pub(super) struct Target {
    pub(super) what: String,
    pub(super) limit: String,
    pub(super) figure: String,
    pub(super) met: bool,
    /// What a miss means; shown only then.
    pub(super) when_missed: &'static str,
}

const SOCKET_NS_MAX: f64 = 1_600.0;
const SOCKET_NET_NS_MAX: f64 = 1_000.0;
const READ_NS_MAX: f64 = 80.0;
const THROUGHPUT_MIN: f64 = 0.94;
const CHURN_CPU_PERCENT_MAX: f64 = 1.0;
const SERIES_MAX: f64 = 40.0;
const SCRAPE_MS_MAX: f64 = 20.0;
const SCRAPE_MB_MAX: f64 = 5.0;
const RSS_MIB_MAX: f64 = 22.0;
const PEAK_MIB_MAX: f64 = 30.0;
const ROWS_MIB_MAX: f64 = 8.0;
const STARTS_MS_MAX: f64 = 500.0;
/// The script that counts the same.
const PEER: &str = "count.bt";

/// Of all parts that were measured, with the peers that were.
pub(super) fn judge(figures: &Figures) -> Vec<Target> {
    let mut targets = Vec::new();
    metered(&mut targets, figures);
    if let Some(churn) = &figures.churn {
        throughput(&mut targets, "throughput at full churn", churn);
    }
    if let Some(web) = &figures.web {
        throughput(&mut targets, "throughput of nginx", web);
    }
    process(&mut targets, figures);
    starts(&mut targets, figures);
    lost(&mut targets, figures);
    targets
}

pub(super) fn per_second(samples: &[Sample]) -> Vec<f64> {
    all(samples, |sample| sample.outcome.per_second())
}

pub(super) fn all(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> Vec<f64> {
    samples.iter().map(figure).collect()
}

pub(super) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn metered(targets: &mut Vec<Target>, figures: &Figures) {
    let Some(metered) = &figures.metered else {
        return;
    };
    let Some((_, programs)) = metered.finwatches.first() else {
        return;
    };
    let per_socket = median(&programs.per_socket);
    let net = median(&programs.per_socket_net);
    let read = median(&programs.read_net);
    let peer = metered.peers.iter().find(|(name, _)| *name == PEER);
    targets.push(Target {
        what: "BPF time of a socket's life (one side, the meter included)".to_owned(),
        limit: format!("at most {:.1} us", SOCKET_NS_MAX / 1e3),
        figure: format!("{:.2} us", per_socket / 1e3),
        met: per_socket <= SOCKET_NS_MAX,
        when_missed: "The tables of transitions and of programs below say which one takes the time.",
    });
    if let Some((_, peer)) = peer {
        targets.push(Target {
            what: format!("the same, beside bpftrace's `{PEER}`"),
            limit: "less".to_owned(),
            figure: format!(
                "{:.2} us beside {:.2} us",
                per_socket / 1e3,
                median(peer) / 1e3
            ),
            met: per_socket < median(peer),
            when_missed: "The script does less: it looks up no mini-socket to know that a TIME_WAIT was really left, \
                          tells no owner, outcome or reason, judges no turns, makes nothing good that the recursion \
                          guard skipped, and sends no records.",
        });
    }
    targets.push(Target {
        what: "BPF time of a socket's life, less the meter".to_owned(),
        limit: format!("at most {:.1} us", SOCKET_NET_NS_MAX / 1e3),
        figure: format!("{:.2} us", net / 1e3),
        met: net <= SOCKET_NET_NS_MAX,
        when_missed: "As above.",
    });
    targets.push(Target {
        what: "BPF time of a read, less the meter".to_owned(),
        limit: format!("at most {READ_NS_MAX:.0} ns"),
        figure: format!("{read:.0} ns"),
        met: read <= READ_NS_MAX,
        when_missed: "It varies with what else uses the machine's caches: see the range below.",
    });
}

fn throughput(targets: &mut Vec<Target>, what: &str, comparison: &Comparison) {
    let nothing = per_second(comparison.nothing());
    let of_nothing = |name| median_ratio(&per_second(comparison.of(name)), &nothing);
    let finwatch = of_nothing(NEW);
    targets.push(Target {
        what: format!("{what}, of nothing attached"),
        limit: format!("at least {:.0} %", 100.0 * THROUGHPUT_MIN),
        figure: format!("{:.1} %", 100.0 * finwatch),
        met: finwatch >= THROUGHPUT_MIN,
        when_missed: "Each connection is the shortest there can be, and nearly nothing is done for its answer: a server that \
                      works for its answers loses a smaller share. Beside the programs' own time, the kernel \
                      clones and frees the storage of every socket.",
    });
    if comparison.of(PEER).is_empty() {
        return;
    }
    let peer = of_nothing(PEER);
    targets.push(Target {
        what: format!("{what}, beside bpftrace's `{PEER}`"),
        limit: "more".to_owned(),
        figure: format!("{:.1} % beside {:.1} %", 100.0 * finwatch, 100.0 * peer),
        met: finwatch > peer,
        when_missed: "The script does less, as said above of the programs' time.",
    });
}

fn process(targets: &mut Vec<Target>, figures: &Figures) {
    let churn = figures.churn.as_ref().map(|churn| churn.of(NEW));
    if let Some(churn) = churn {
        let cpu = median(&all(churn, Sample::observer_percent));
        targets.push(Target {
            what: "CPU of the daemon at full churn".to_owned(),
            limit: format!("at most {CHURN_CPU_PERCENT_MAX:.0} % of a core"),
            figure: format!("{cpu:.1} %"),
            met: cpu <= CHURN_CPU_PERCENT_MAX,
            when_missed: "It is the reading of records, and grows with their rate.",
        });
    }
    let Some((_, process)) = figures.processes.first() else {
        return;
    };
    let thousand = &process.thousand;
    let rows = mib(process.idle.rows_kib());
    targets.push(Target {
        what: "kernel memory of rows".to_owned(),
        limit: format!("at most {ROWS_MIB_MAX:.0} MiB"),
        figure: format!("{rows:.1} MiB"),
        met: rows <= ROWS_MIB_MAX,
        when_missed: "It grows with the processors of the machine.",
    });
    let peak = mib(process.idle.peak_kib);
    targets.push(Target {
        what: "resident memory of the daemon while it starts".to_owned(),
        limit: format!("at most {PEAK_MIB_MAX:.0} MiB"),
        figure: format!("{peak:.1} MiB"),
        met: peak <= PEAK_MIB_MAX,
        when_missed: "It is what the kernel's types are read with.",
    });
    let series = thousand.series_each();
    let (took, size) = (median(&thousand.scrape_ms), thousand.mb());
    targets.push(Target {
        what: "series a service".to_owned(),
        limit: format!("at most {SERIES_MAX:.0}"),
        figure: format!("{series:.0}"),
        met: series <= SERIES_MAX,
        when_missed: "What is born at zero counts in full.",
    });
    targets.push(Target {
        what: "a scrape of a thousand services".to_owned(),
        limit: format!("at most {SCRAPE_MS_MAX:.0} ms, {SCRAPE_MB_MAX:.0} MB"),
        figure: format!("{took:.0} ms, {size:.1} MB"),
        met: took <= SCRAPE_MS_MAX && size <= SCRAPE_MB_MAX,
        when_missed: "It grows with the series.",
    });
    let at_churn = churn.into_iter().flatten().map(|sample| sample.rss_kib);
    let at_rest = [process.idle.rss_kib, thousand.rss_kib];
    let rss = mib(at_churn.chain(at_rest).max().unwrap_or(0));
    targets.push(Target {
        what: "resident memory of the daemon, at its most".to_owned(),
        limit: format!("at most {RSS_MIB_MAX:.0} MiB"),
        figure: format!("{rss:.1} MiB"),
        met: rss <= RSS_MIB_MAX,
        when_missed: "Half of it is memory of the kernel's that the daemon looks into, and that is there anyway: the counter rows, and the \
                      ring buffer, which is shown twice. The rest grows with the services shown: see the table of memory.",
    });
}

fn starts(targets: &mut Vec<Target>, figures: &Figures) {
    let Some(starts) = &figures.starts else {
        return;
    };
    let Some((_, start)) = starts.finwatches.first() else {
        return;
    };
    let watches = median(&start.watches);
    targets.push(Target {
        what: "until `finwatch watch` watches".to_owned(),
        limit: format!("at most {:.1} s", STARTS_MS_MAX / 1e3),
        figure: format!("{:.2} s", watches / 1e3),
        met: watches <= STARTS_MS_MAX,
        when_missed: "Most of it is the kernel's verifier, which shares the processors with whatever else runs.",
    });
}

fn lost(targets: &mut Vec<Target>, figures: &Figures) {
    let Figures { churn, web, .. } = figures;
    let comparisons: Vec<&Comparison> = [churn, web].into_iter().flatten().collect();
    if comparisons.is_empty() {
        return;
    }
    let samples = comparisons.iter().flat_map(|comparison| comparison.of(NEW));
    let lost: u64 = samples.map(Sample::lost).sum();
    targets.push(Target {
        what: "lost counts".to_owned(),
        limit: "0".to_owned(),
        figure: lost.to_string(),
        met: lost == 0,
        when_missed: "A defect: please report it with the figures.",
    });
}
