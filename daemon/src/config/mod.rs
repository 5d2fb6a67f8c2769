//! What is true: the configuration after flags, environment, file and defaults were laid over each other and
//! every value was understood. It does nothing with it.

mod file;
mod keys;
mod layers;
mod values;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub use file::read as read_file;
pub use keys::{KEYS, Key, Shape, nearest};
pub use layers::{CONFIG_ENV, ConfigError, Effective, Layer, Origin, Typed, from_env, typed};

use tracing_subscriber::filter::{LevelFilter, Targets};

use self::values::Reader;
use crate::{kubernetes, logging::Format, probe::ProbeOptions};
use finwatch_engine::services::{Filter, Limits, Pattern};

/// What the daemon runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses of the HTTP server.
    pub listen: Vec<SocketAddr>,
    /// How and what to log.
    pub log: Log,
    /// What the kernel programs are loaded with.
    pub probe: ProbeOptions,
    /// How much is shown and kept.
    pub series: Limits,
    /// How often sockets are surveyed.
    pub survey_interval: Duration,
    /// How drains are told.
    pub drains: Drains,
    /// How rollouts are told.
    pub rollouts: Rollouts,
    /// Where they are kept.
    pub history: History,
    /// How deploy events are taken.
    pub deploys: Deploys,
    /// Who is asked for names of pods.
    pub kubernetes: kubernetes::Options,
    /// How long a stop may take.
    pub shutdown_deadline: Duration,
    /// Drop no capability after start.
    pub keep_capabilities: bool,
}

/// How and what to log.
#[derive(Debug, Clone)]
pub struct Log {
    /// Which events.
    pub level: Targets,
    /// In which form.
    pub format: Format,
}

/// How drains are told.
#[derive(Debug, Clone)]
pub struct Drains {
    /// How much ordinary time a drain is compared with.
    pub baseline_window: Duration,
    /// How long a drain waits for late requests after the last old process.
    pub settle_limit: Duration,
    /// Ports where turns are not judged.
    pub stream_ports: Vec<u16>,
    /// So many TIME_WAITs above the ordinary are a warning; none: as the host's limits say.
    pub time_wait_warn: Option<u64>,
}

/// How rollouts are told.
#[derive(Debug, Clone)]
pub struct Rollouts {
    /// How long an announced rollout with no announced end takes in what happens.
    pub window: Duration,
    /// How long nothing must happen before an unannounced one is over.
    pub quiet: Duration,
}

/// Where drains and rollouts are kept.
#[derive(Debug, Clone)]
pub struct History {
    /// None: in memory only.
    pub directory: Option<PathBuf>,
    /// Most of each that are kept.
    pub limit: usize,
    /// How long they are kept.
    pub max_age: Duration,
}

/// How deploy events are taken.
#[derive(Debug, Clone)]
pub struct Deploys {
    /// Addresses of the listener; empty: none.
    pub listen: Vec<SocketAddr>,
    /// File with the token that senders show.
    pub token_file: Option<PathBuf>,
    /// File with the secret of GitHub's webhook.
    pub github_secret_file: Option<PathBuf>,
    /// File with the key of Flux's generic-hmac provider.
    pub flux_secret_file: Option<PathBuf>,
    /// How far event time and receive time may differ unflagged.
    pub skew_tolerance: Duration,
}

impl Config {
    /// Understands every value.
    ///
    /// # Errors
    /// One for each value that cannot be.
    #[expect(
        clippy::too_many_lines,
        reason = "one literal of every setting: data, in the order of the reference"
    )]
    pub fn new(effective: &Effective) -> Result<Self, Vec<ConfigError>> {
        let mut read = Reader::new(effective);
        let token_file = read.one("deploys.token_file", "a file, or nothing", path);
        let config = Self {
            listen: read.some(
                "listen",
                "an address and port, as in 127.0.0.1:10346 or [::]:10346",
                |item| item.parse().ok(),
            ),
            log: Log {
                level: read.one(
                    "log.level",
                    "error, warn, info, debug, trace, or levels by module",
                    level,
                ),
                format: read.one("log.format", "text or json", Format::parse),
            },
            probe: ProbeOptions {
                ring_bytes: read.one(
                    "probe.ring_bytes",
                    "a power of two from 65536 to 268435456",
                    |item| {
                        let bytes: u32 = item.parse().ok()?;
                        (bytes.is_power_of_two() && (1 << 16..=1 << 28).contains(&bytes))
                            .then_some(bytes)
                    },
                ),
                max_rows: read.one(
                    "probe.max_rows",
                    "auto, or a number from 64 to 65536",
                    |item| match item {
                        "auto" => Some(None),
                        rows => rows
                            .parse()
                            .ok()
                            .filter(|rows| (64..=finwatch_common::ROWS_MAX).contains(rows))
                            .map(Some),
                    },
                ),
                tell_refused: false,
                log: read.switch("log.probe"),
            },
            series: Limits {
                servers: read.number("series.server_limit", 0, 100_000),
                clients: read.number("series.client_limit", 0, 100_000),
                retention_ns: nanos(read.duration(
                    "series.retention",
                    MINUTE,
                    30 * 24 * 60 * MINUTE,
                )),
                retired: read.number("series.retired_limit", 0, 1_000_000),
                filter: Filter {
                    allow_ports: read.list("series.allow_ports", PORT, port),
                    deny_ports: read.list("series.deny_ports", PORT, port),
                    allow_workloads: read.list("series.allow_workloads", PATTERN, Pattern::parse),
                    deny_workloads: read.list("series.deny_workloads", PATTERN, Pattern::parse),
                },
            },
            survey_interval: read.duration("gauges.survey_interval", SECOND, 60 * MINUTE),
            drains: Drains {
                baseline_window: read.duration(
                    "drains.baseline_window",
                    10 * SECOND,
                    24 * 60 * MINUTE,
                ),
                settle_limit: read.duration("drains.settle_limit", Duration::ZERO, 10 * MINUTE),
                stream_ports: read.list("drains.stream_ports", PORT, port),
                time_wait_warn: read.one(
                    "drains.time_wait_warn",
                    "auto, or a number",
                    |item| match item {
                        "auto" => Some(None),
                        sockets => sockets.parse().ok().map(Some),
                    },
                ),
            },
            rollouts: Rollouts {
                window: read.duration("rollouts.window", SECOND, 24 * 60 * MINUTE),
                quiet: read.duration("rollouts.quiet", Duration::ZERO, 60 * MINUTE),
            },
            history: History {
                directory: read.one("history.directory", "a directory, or nothing", path),
                limit: read.number("history.limit", 1, 100_000),
                max_age: read.duration("history.max_age", MINUTE, 10 * 365 * 24 * 60 * MINUTE),
            },
            deploys: Deploys {
                listen: read.list(
                    "deploys.listen",
                    "an address and port, as in 127.0.0.1:10347; others than loopback need deploys.token_file",
                    |item| {
                        item.parse().ok().filter(|address: &SocketAddr| {
                            token_file.is_some() || address.ip().is_loopback()
                        })
                    },
                ),
                token_file: token_file.clone(),
                github_secret_file: read.one(
                    "deploys.github_secret_file",
                    "a file, or nothing",
                    path,
                ),
                flux_secret_file: read.one("deploys.flux_secret_file", "a file, or nothing", path),
                skew_tolerance: read.duration(
                    "deploys.skew_tolerance",
                    Duration::ZERO,
                    24 * 60 * MINUTE,
                ),
            },
            kubernetes: kubernetes::Options {
                mode: read.one(
                    "kubernetes.mode",
                    "auto, api, names or off",
                    kubernetes::Mode::parse,
                ),
                node: read.one("kubernetes.node_name", "a node's name, or nothing", |item| {
                    Some((!item.is_empty()).then(|| item.to_owned()))
                }),
                kubeconfig: read.one("kubernetes.kubeconfig", "a file, or nothing", path),
            },
            shutdown_deadline: read.duration("shutdown_deadline", SECOND / 10, 5 * MINUTE),
            keep_capabilities: read.switch("keep_capabilities"),
        };
        read.finish(config)
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const PORT: &str = "ports from 1 to 65535";
const PATTERN: &str = "names, or beginnings of names and `*`";

/// One level for everything, where the libraries' own debugging is left out below `trace`; or levels by module.
fn level(item: &str) -> Option<Targets> {
    let Ok(level) = item.parse::<LevelFilter>() else {
        return item.parse().ok();
    };
    let targets = Targets::new().with_default(level);
    if level == LevelFilter::TRACE {
        return Some(targets);
    }
    // What goes wrong there is told by whoever asked.
    let targets = targets.with_targets(
        [
            "kube_client",
            "kube_runtime",
            "rustls_platform_verifier",
            "tower",
        ]
        .map(|name| (name, LevelFilter::OFF)),
    );
    Some(if level == LevelFilter::DEBUG {
        targets.with_targets(
            ["aya", "aya_obj", "hyper", "hyper_util", "rustls"]
                .map(|name| (name, LevelFilter::INFO)),
        )
    } else {
        targets
    })
}

/// A path; nothing said is none.
#[expect(
    clippy::unnecessary_wraps,
    reason = "readers of values may refuse them"
)]
fn path(item: &str) -> Option<Option<PathBuf>> {
    Some((!item.is_empty()).then(|| PathBuf::from(item)))
}

fn port(item: &str) -> Option<u16> {
    item.parse().ok().filter(|port| *port > 0)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
