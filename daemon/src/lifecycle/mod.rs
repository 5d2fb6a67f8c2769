//! How the daemon lives: its tasks around the engine, its runtime, its signals, and how it ends. It knows no metric.

mod around;
mod engine;
mod history;
mod message;
mod names;
mod notify;
mod privileges;
mod processes;
mod ring;
mod rows;
mod signals;
mod story;
mod survey;
mod tasks;

use std::process::ExitCode;

use crate::{
    config::Config,
    preflight::{self, PreflightOptions},
};

pub use self::{
    around::{Around, Intervals, Sources},
    rows::{LiveRows, RowSource},
    story::{LiveSource, LiveStory},
    survey::SurveySource,
    tasks::{Stop, Tasks},
};
pub(crate) use self::{
    history::flush,
    notify::{Notify, feed_watchdog},
    privileges::drop_capabilities,
    signals::Signals,
};

/// From this size on a block is large: the value that glibc begins with.
#[cfg(target_env = "gnu")]
const LARGE_BLOCK_BYTES: libc::c_int = 128 * 1024;

/// Runs the daemon on one thread, with others for what blocks: it has little to do, and it should stay out of
/// the way of what it watches.
pub(crate) fn block_on(
    daemon: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<ExitCode> {
    share_memory();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(16)
        .thread_keep_alive(std::time::Duration::from_secs(20))
        .build()?;
    let ended = runtime.block_on(daemon);
    // What still blocks when the deadline has passed must not hold up the exit.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::SUCCESS)
}

/// Looks at what the host lacks. What only costs something is logged.
///
/// # Errors
/// Names everything without which the daemon cannot do its job, with the remedies.
pub(crate) fn preflight(config: &Config) -> anyhow::Result<()> {
    if config.listen.is_empty() {
        anyhow::bail!("`listen` is empty: nobody could read /metrics");
    }
    let report = preflight::run(&PreflightOptions {
        listen: config.listen.clone(),
        cgroup_root: None,
        kubernetes: config.kubernetes.clone(),
        ask: false,
    });
    report.log();
    let failures: Vec<_> = report
        .failures()
        .map(|check| format!("{}; {}", check.finding, check.remedy))
        .collect();
    anyhow::ensure!(
        failures.is_empty(),
        "this host lacks what finwatch needs: {}",
        failures.join(" | ")
    );
    Ok(())
}

/// One arena for all threads: with one each, every thread that ever served a scrape would keep what its
/// largest scrape took. Large blocks are mapped apart from it, so that they go back to the system when they are freed:
/// glibc begins so too, but with each one that is freed it calls only larger ones large, up to 32 MiB, and a view or
/// two would stay with the process.
fn share_memory() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallopt takes no pointer; no other thread exists yet. A refusal (0) only costs memory.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES);
        }
    }
}

/// Gives the memory that loading took back to the system: parsing the kernel's BTF leaves much garbage.
pub(crate) fn return_memory() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: malloc_trim takes no pointer and may be called at any time from any thread.
        unsafe { libc::malloc_trim(0) };
    }
}
