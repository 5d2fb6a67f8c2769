//! `cargo xtask bench`: what finwatch costs, beside nothing and beside a bpftrace script, in one run. Figures
//! depend on the machine and on what else it does: they are printed with their targets, never asserted.

mod bpf;
mod bpftrace;
mod compare;
mod daemon;
mod load;
mod meter;
mod report;
mod services;
mod snmp;
mod start;
mod stats;
mod sys;
mod targets;

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::build;
use crate::paths::Paths;
use crate::setup::{self, Apt, Permission, Scope};
use crate::shell::{is_root, say, which};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rounds of the comparison; each runs the load three times
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds that the load runs at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Write the figures to docs/performance.md
    #[arg(long)]
    write: bool,
    /// Measure target/release/finwatch as it is, without building it
    #[arg(long)]
    no_build: bool,
    /// Install nothing: say what is missing, and the command that installs it
    #[arg(long)]
    no_install: bool,
}

/// Everything that was measured.
struct Figures {
    rounds: u32,
    seconds: u32,
    comparison: compare::Comparison,
    metered: meter::Metered,
    starts: start::Starts,
    idle: services::Idle,
    thousand: services::Thousand,
}

/// Rounds with the kernel's statistics on; they scatter less than throughput does.
const METERED_ROUNDS: usize = 5;
const STARTS: usize = 5;
const IDLE: Duration = Duration::from_secs(10);

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<()> {
    let Args {
        rounds,
        seconds,
        write,
        no_build,
        no_install,
    } = *args;
    if !is_root() {
        bail!(
            "the benchmark loads programs into the kernel and makes network namespaces: run it as root"
        );
    }
    if !no_build {
        setup::run(paths, &setup::Args::new(Scope::Build, no_install))?;
        build::run(paths, &build::Args::release())?;
    }
    ensure_bpftrace(no_install)?;
    sys::raise_open_files()?;
    sys::prefer_this_process()?;

    let time = Duration::from_secs(u64::from(seconds));
    let figures = Figures {
        rounds,
        seconds,
        starts: start::starts(paths, STARTS)?,
        idle: services::idle(paths, IDLE)?,
        thousand: services::thousand(paths)?,
        metered: meter::run(paths, METERED_ROUNDS, time)?,
        comparison: compare::run(paths, rounds as usize, time)?,
    };
    let text = report::figures(&figures);
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("print the figures")?;
    if write {
        let page = paths.root.join("docs/performance.md");
        say(format!("writing {}", page.display()));
        fs::create_dir_all(paths.root.join("docs")).context("create docs")?;
        fs::write(&page, report::page(&figures, &text))
            .with_context(|| format!("write {}", page.display()))?;
    }
    Ok(())
}

/// Only the benchmark wants it, so it is no part of setup's scopes.
fn ensure_bpftrace(no_install: bool) -> Result<()> {
    if which("bpftrace").is_some() {
        return Ok(());
    }
    let permission = Permission {
        install: !no_install,
    };
    Apt::new(permission).install(
        &["bpftrace"],
        "bpftrace (what finwatch is compared with in the benchmark)",
    )
}
