//! What is true: the configuration after flags, environment, file and defaults were laid over each other and
//! every value was understood. It does nothing with it.

mod file;
mod keys;
mod layers;
mod values;

use std::{net::SocketAddr, time::Duration};

pub use file::read as read_file;
pub use keys::{KEYS, Key, Shape, nearest};
pub use layers::{CONFIG_ENV, ConfigError, Effective, Layer, Origin, Typed, from_env, typed};

use tracing_subscriber::filter::{LevelFilter, Targets};

use self::values::Reader;
use crate::{
    logging::Format,
    probe::ProbeOptions,
    tracker::{Filter, Limits, Pattern},
};

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

impl Config {
    /// Understands every value.
    ///
    /// # Errors
    /// One for each value that cannot be.
    pub fn new(effective: &Effective) -> Result<Self, Vec<ConfigError>> {
        let mut read = Reader::new(effective);
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
                    "auto, or a number from 64 to 1048576",
                    |item| match item {
                        "auto" => Some(None),
                        rows => rows
                            .parse()
                            .ok()
                            .filter(|rows| (64..=1 << 20).contains(rows))
                            .map(Some),
                    },
                ),
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
    Some(if level == LevelFilter::DEBUG {
        targets.with_targets(
            ["aya", "aya_obj", "hyper", "hyper_util"].map(|name| (name, LevelFilter::INFO)),
        )
    } else {
        targets
    })
}

fn port(item: &str) -> Option<u16> {
    item.parse().ok().filter(|port| *port > 0)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
