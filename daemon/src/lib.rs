//! finwatch: the stages of the daemon, wired in the order in which data flows.

pub mod attribution;
pub mod cli;
mod client;
pub mod clock;
pub mod config;
pub mod deploy;
pub mod families;
pub mod http;
pub mod kubernetes;
pub mod lifecycle;
pub mod logging;
pub mod metrics;
mod mounts;
mod nearest;
pub mod netns;
mod ports;
pub mod preflight;
pub mod probe;
pub mod store;
mod watch;

use std::{ops::ControlFlow, sync::Arc};

use anyhow::Context as _;
use finwatch_engine::{
    Engine, Options, Reasons, Remembered, diagnoses::JudgeOptions, rollouts::CorrelatorOptions,
    timing,
};

use crate::{
    attribution::{Attribution, AttributionOptions},
    config::Config,
    http::Readiness,
    lifecycle::{Around, Intervals, LiveRows, Notify, Signals, Sources, Tasks},
    metrics::Exporter,
    probe::Probe,
    store::{History, Interrupted},
};

/// Rollouts of an earlier run that are shown on /metrics again.
const SHOWN_AGAIN: usize = 20;

/// Runs the daemon until a signal stops it.
///
/// # Errors
/// When something that it needs is missing, or a part of it fails while it runs.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let started = clock::wall();
    let mut signals = Signals::new().context("cannot take signals")?;
    lifecycle::preflight(&config)?;
    // The port first: when it is taken, nothing has been loaded yet.
    let listeners = http::bind(&config.listen)?;
    let deploy_listeners =
        http::bind_for(&config.deploys.listen, "deploy events", "--deploys-listen")?;

    let probe = Probe::load(&config.probe).context("cannot load the kernel programs")?;
    let (mut attribution, pods) = who_names(&config.kubernetes)?;
    if config.keep_capabilities {
        tracing::info!("every capability is kept, as configured");
    } else {
        lifecycle::drop_capabilities(|| probe.rows.live().is_ok())?;
    }
    // With the rights that are left: its secrets must be readable later too, when they have been rotated.
    let (deploy_events, deployed) = tokio::sync::mpsc::channel(deploy::QUEUE);
    let intake = Arc::new(deploy::Intake::new(&config.deploys, deploy_events)?);
    let (history, remembered) = open_history(&config);

    let mut tasks = Tasks::new();
    let Probe {
        rows,
        ring,
        survey,
        processes,
        phases,
        closes,
        ports,
        stats,
        losses,
        reasons,
        listeners: _,
        unseeded: _,
    } = probe;
    attribution.ask_for_owners(move |service| ports.owner(service));
    let sources = Sources {
        rows: LiveRows {
            rows,
            stats,
            losses: losses.clone(),
        },
        survey,
        ring: Some((ring, losses)),
        tables: Some((processes, phases, closes)),
        attribution,
        pods,
        deployed,
        tallies: intake.tallies(),
        history,
    };
    let engine = Engine::new(engine_options(&config, reasons), &remembered);
    let intervals = Intervals {
        rows: timing::ROWS_READ,
        survey: config.survey_interval,
    };
    let around = Around::start(&mut tasks, engine, intervals, sources);
    let readiness = Arc::new(Readiness::default());
    let router = http::router(
        Exporter::new(around.source(), started),
        Arc::clone(&readiness),
        Some(Arc::new(around.story())),
    );
    let mut stop = tasks.stop_word();
    tasks.spawn(
        "http",
        http::serve(listeners, router, async move { stop.said().await }),
    );
    let mut stop = tasks.stop_word();
    tasks.spawn(
        "deploy events",
        http::serve(
            deploy_listeners,
            http::deploys::router(intake, Some(Arc::new(around.story()))),
            async move {
                stop.said().await;
            },
        ),
    );
    around.first_look().await;
    tasks.spawn("watchdog", lifecycle::feed_watchdog(tasks.stop_word()));

    lifecycle::return_memory();
    readiness.ready();
    Notify::Ready.tell();
    tracing::info!("ready");

    let history = around.into_history();
    tokio::select! {
        signal = signals.next() => tracing::info!(signal, "stopping"),
        error = tasks.first_end() => return Err(error),
    }
    readiness.stopping();
    Notify::Stopping.tell();
    tokio::select! {
        stopped = tasks.stop(config.shutdown_deadline) => stopped?,
        signal = signals.next() => anyhow::bail!("stopped at once by a second signal ({signal})"),
    }
    tokio::task::spawn_blocking(move || lifecycle::flush(&history)).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Who knows whose services are, and the API server that tells of pods.
fn who_names(
    options: &kubernetes::Options,
) -> anyhow::Result<(Attribution, Option<kubernetes::Api>)> {
    let source = kubernetes::Source::choose(options, &kubernetes::Found::here());
    if let (kubernetes::Mode::Api, Some(why)) = (options.mode, source.why_not_api) {
        anyhow::bail!("kubernetes.mode is api, and the API server cannot be asked: {why}");
    }
    tracing::info!(%source, "names of pods");
    let attribution = Attribution::new(&AttributionOptions {
        pods: source.clone(),
        ..AttributionOptions::default()
    });
    Ok((attribution, source.api))
}

fn engine_options(config: &Config, reasons: Reasons) -> Options {
    Options {
        limits: config.series.clone(),
        settle_limit: config.drains.settle_limit,
        stream_ports: config.drains.stream_ports.clone(),
        baseline_window: config.drains.baseline_window,
        rollouts: CorrelatorOptions {
            window: config.rollouts.window,
            quiet: config.rollouts.quiet,
            ..CorrelatorOptions::default()
        },
        judge: JudgeOptions {
            burst_warn: config
                .drains
                .time_wait_warn
                .or_else(ports::that_matter)
                .unwrap_or(JudgeOptions::default().burst_warn),
            ..JudgeOptions::default()
        },
        reasons,
        own_tgid: std::process::id(),
    }
}

/// Opens the history and closes what a restart interrupted. Blocking.
fn open_history(config: &Config) -> (Arc<History>, Remembered) {
    let (history, interrupted) = History::open(&config.history, clock::moment().wall());
    let Interrupted {
        drains,
        rollouts,
        incidents,
    } = interrupted;
    let mut last_rollouts = Vec::new();
    history.rollouts(&mut |rollout| {
        last_rollouts.push(rollout);
        if last_rollouts.len() < SHOWN_AGAIN {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    let remembered = Remembered {
        interrupted_drains: drains,
        interrupted_rollouts: rollouts,
        last_rollouts,
        interrupted_incidents: incidents,
    };
    (Arc::new(history), remembered)
}
