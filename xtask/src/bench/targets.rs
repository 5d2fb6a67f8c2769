//! What finwatch promises to cost, and whether it keeps the promise in the figures at hand.

use super::Figures;
use super::compare::Sample;
use super::stats::{median, median_ratio};

pub(super) struct Target {
    pub(super) what: &'static str,
    pub(super) limit: String,
    pub(super) figure: String,
    pub(super) met: bool,
    /// What a miss means; shown only then.
    pub(super) when_missed: &'static str,
}

const SOCKET_NS_MAX: f64 = 2_000.0;
const READ_NS_MAX: f64 = 100.0;
const THROUGHPUT_LOSS_MAX: f64 = 0.03;
const RSS_MIB_MAX: f64 = 30.0;
const STARTS_MS_MAX: f64 = 500.0;
const CHURN_CPU_PERCENT_MAX: f64 = 5.0;

pub(super) fn judge(figures: &Figures) -> Vec<Target> {
    let Figures {
        comparison,
        metered,
        starts,
        idle,
        thousand,
        ..
    } = figures;
    let nothing = per_second(&comparison.nothing);
    let finwatch = median_ratio(&per_second(&comparison.finwatch), &nothing);
    let bpftrace = median_ratio(&per_second(&comparison.bpftrace), &nothing);
    let per_socket = median(&metered.per_socket);
    let read = median(&metered.read_net);
    let churn_rss = comparison.finwatch.iter().map(|sample| sample.rss_kib);
    let rss = churn_rss.chain([idle.rss_kib, thousand.rss_kib]).max();
    let rss = mib(rss.unwrap_or(0));
    let churn = median(&all(&comparison.finwatch, Sample::observer_percent));
    let watches = median(&starts.watches);
    let lost: u64 = comparison.finwatch.iter().map(Sample::lost).sum();
    vec![
        Target {
            what: "BPF time of a socket's life (one side, the meter included)",
            limit: format!("at most {:.1} us", SOCKET_NS_MAX / 1e3),
            figure: format!("{:.2} us", per_socket / 1e3),
            met: per_socket <= SOCKET_NS_MAX,
            when_missed: "The table of programs below says which one takes the time; every transition of a \
                          socket runs two programs, and the meter counts in each run.",
        },
        Target {
            what: "BPF time of a read, less the meter",
            limit: format!("at most {READ_NS_MAX:.0} ns"),
            figure: format!("{read:.0} ns"),
            met: read <= READ_NS_MAX,
            when_missed: "It varies with what else uses the machine's caches: see the range below.",
        },
        Target {
            what: "throughput with finwatch, of nothing attached",
            limit: format!("at least {:.0} %", 100.0 * (1.0 - THROUGHPUT_LOSS_MAX)),
            figure: format!("{:.1} %", 100.0 * finwatch),
            met: finwatch >= 1.0 - THROUGHPUT_LOSS_MAX,
            when_missed: "Each connection is the shortest there can be, and nothing is done for its answer: a server that \
                          works for its answers loses a smaller share. Beside the programs' own time above, the kernel \
                          clones and frees the storage of every socket, which its statistics do not show.",
        },
        Target {
            what: "throughput with finwatch, beside bpftrace",
            limit: "more".to_owned(),
            figure: format!("{:.1} % beside {:.1} %", 100.0 * finwatch, 100.0 * bpftrace),
            met: finwatch > bpftrace,
            when_missed: "The script does less: it looks up no mini-socket to know that a TIME_WAIT was really left, \
                          tells no owner, outcome or reason, judges no turns, makes nothing good that the recursion \
                          guard skipped, and sends no records.",
        },
        Target {
            what: "resident memory of the daemon, at its most",
            limit: format!("at most {RSS_MIB_MAX:.0} MiB"),
            figure: format!("{rss:.1} MiB"),
            met: rss <= RSS_MIB_MAX,
            when_missed: "It grows with the services shown: the table of memory says when it was most, and how much of it is the \
                          kernel's ring buffer.",
        },
        Target {
            what: "CPU of the daemon at full churn",
            limit: format!("at most {CHURN_CPU_PERCENT_MAX:.0} % of a core"),
            figure: format!("{churn:.1} %"),
            met: churn <= CHURN_CPU_PERCENT_MAX,
            when_missed: "It is the reading of two records a connection, and grows with their rate.",
        },
        Target {
            what: "until `finwatch watch` watches",
            limit: format!("at most {:.1} s", STARTS_MS_MAX / 1e3),
            figure: format!(
                "{:.2} s; its run, when it ends at once, takes {:.2} of bpftrace's",
                watches / 1e3,
                median_ratio(&starts.run, &starts.bpftrace_run)
            ),
            met: watches <= STARTS_MS_MAX,
            when_missed: "Most of it is the kernel's verifier, which shares the processors with whatever else runs.",
        },
        Target {
            what: "lost counts",
            limit: "0".to_owned(),
            figure: lost.to_string(),
            met: lost == 0,
            when_missed: "A defect: please report it with the figures.",
        },
    ]
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
