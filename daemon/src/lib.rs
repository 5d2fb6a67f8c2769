//! finwatch: the stages of the daemon, wired in the order in which data flows.

pub mod accounts;
mod ask;
pub mod attribution;
pub mod chronicle;
pub mod cli;
pub mod clock;
mod columns;
pub mod config;
pub mod deploy;
pub mod families;
pub mod http;
mod lifecycle;
pub mod logging;
pub mod metrics;
mod mounts;
pub mod netns;
pub mod preflight;
pub mod probe;
pub mod store;
mod watch;

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::RwLock;

use crate::{
    accounts::Accounts,
    attribution::{Attribution, AttributionOptions},
    chronicle::Chronicle,
    config::Config,
    http::Readiness,
    lifecycle::{LiveKernel, Notify, Signals, Surveyor, Tasks},
    metrics::Exporter,
    probe::Probe,
};

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
    let attribution = Attribution::new(&AttributionOptions::default());
    let counters = probe.counters();
    if config.keep_capabilities {
        tracing::info!("every capability is kept, as configured");
    } else {
        lifecycle::drop_capabilities(|| counters.live().is_ok())?;
    }

    // With the rights that are left: its secrets must be readable later too, when they have been rotated.
    let (deploy_events, deployed) = tokio::sync::mpsc::channel(deploy::QUEUE);
    let intake = Arc::new(deploy::Intake::new(&config.deploys, deploy_events)?);

    let probe = Arc::new(RwLock::new(probe));
    let kernel = LiveKernel::new(counters, Arc::clone(&probe));
    let accounts = Arc::new(Accounts::new(kernel, config.series.clone(), attribution));
    accounts.deploys_are_counted_in(intake.tallies());
    let chronicle = Arc::new(Chronicle::open(Arc::clone(&accounts), &config));
    let surveyor = Surveyor::new(
        Arc::clone(&probe),
        Arc::clone(&accounts),
        Arc::clone(&chronicle),
    );
    let readiness = Arc::new(Readiness::default());
    let exporter = Exporter::new(Arc::clone(&accounts), started);
    let router = http::router(
        exporter,
        Arc::clone(&readiness),
        Some(Arc::clone(&chronicle) as Arc<dyn http::Story>),
    );

    let mut tasks = Tasks::new();
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
            http::deploys::router(intake),
            async move {
                stop.said().await;
            },
        ),
    );
    let (reading, read_out) = tokio::sync::oneshot::channel();
    tasks.spawn(
        "storyteller",
        lifecycle::tell_stories(
            Arc::clone(&chronicle),
            Arc::clone(&probe),
            deployed,
            read_out,
            tasks.stop_word(),
        ),
    );
    tasks.spawn(
        "reader",
        lifecycle::read_records(
            Arc::clone(&probe),
            Arc::clone(&accounts),
            Arc::clone(&chronicle),
            reading,
            tasks.stop_word(),
        ),
    );
    let surveyor = tokio::task::spawn_blocking(move || {
        let mut surveyor = surveyor;
        surveyor.once();
        surveyor
    })
    .await?;
    tasks.spawn(
        "surveyor",
        lifecycle::survey(surveyor, config.survey_interval, tasks.stop_word()),
    );
    tasks.spawn(
        "bookkeeper",
        lifecycle::keep_books(accounts, chronicle, tasks.stop_word()),
    );
    tasks.spawn("watchdog", lifecycle::feed_watchdog(tasks.stop_word()));
    lifecycle::return_memory();
    readiness.ready();
    Notify::Ready.tell();
    tracing::info!("ready");

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
    tracing::info!("stopped");
    Ok(())
}
