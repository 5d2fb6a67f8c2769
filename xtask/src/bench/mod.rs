//! `cargo xtask bench`: what finwatch costs, beside nothing, beside what people know, and beside another finwatch, in one
//! run; and with `--sockets` in another one what very many open connections cost. Figures depend on the machine and on what else
//! it does: they are printed with their targets, never asserted.

mod bpf;
mod bpftrace;
mod churn;
mod compare;
mod daemon;
mod held;
mod life;
mod load;
mod maps;
mod meter;
mod object;
mod observer;
mod outcome;
mod parts;
mod report;
mod services;
mod snmp;
mod sockets;
mod start;
mod stats;
mod sys;
mod targets;
mod text;
mod tool;
mod tracefs;
mod web;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use self::load::Load;
use self::observer::Observer;
use self::parts::Part;
use crate::build;
use crate::paths::Paths;
use crate::setup::{self, Scope};
use crate::shell::{is_root, say};

pub(crate) use self::sockets::crowd;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Measure only this, and no peers unless asked to; may be given several times
    #[arg(long, value_enum, conflicts_with = "write")]
    only: Vec<Part>,
    /// Measure another finwatch too, in turns with the one at hand
    #[arg(long, value_name = "BINARY", conflicts_with = "write")]
    against: Option<PathBuf>,
    /// With --only: measure bpftrace, tcplife and tcpstates too
    #[arg(long)]
    peers: bool,
    /// Measure many open connections instead: up to a million sockets, as many as there is memory for
    #[arg(long, conflicts_with_all = ["only", "against", "peers", "rounds", "seconds"])]
    sockets: bool,
    /// Rounds of each part; 9 of throughput at full churn and 5 of the others, unless given
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Seconds that a load runs at a time when its throughput is measured
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
#[derive(Default)]
struct Figures {
    starts: Option<start::Starts>,
    processes: Vec<(&'static str, services::Process)>,
    lives: Option<life::Lives>,
    metered: Option<meter::Metered>,
    churn: Option<compare::Comparison>,
    web: Option<compare::Comparison>,
}

const CHURN_ROUNDS: usize = 9;
/// What scatters less than throughput at full churn.
const ROUNDS: usize = 5;
/// What a load runs with the kernel's statistics on.
const METERED: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(10);

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<()> {
    if !is_root() {
        bail!(
            "the benchmark loads programs into the kernel and makes network namespaces: run it as root"
        );
    }
    if let Some(binary) = &args.against {
        ensure!(
            binary.is_file(),
            "measure against {}: there is no such file",
            binary.display()
        );
    }
    if !args.no_build {
        setup::run(paths, &setup::Args::new(Scope::Build, args.no_install))?;
        build::run(paths, &build::Args::release())?;
    }
    if !args.sockets {
        setup::for_bench(args.no_install)?;
    }
    let _files = sys::raise_open_files()?;
    sys::prefer_this_process()?;

    let page = paths.root.join("docs/performance.md");
    let text = if args.sockets {
        let [finwatch] = parts::finwatches(paths, None)
            .try_into()
            .map_err(|_| anyhow::anyhow!("measure one finwatch"))?;
        sockets::write(&sockets::run(paths, &finwatch)?)
    } else {
        report::figures(&measure(paths, args)?)
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("print the figures")?;
    if args.write {
        say(format!("writing {}", page.display()));
        // What the other run measured stays.
        let written = fs::read_to_string(&page).unwrap_or_default();
        let text = if args.sockets {
            sockets::put_in(&written, &text)?
        } else {
            report::page(&args.command(), &text, sockets::part_of(&written))
        };
        fs::create_dir_all(paths.root.join("docs")).context("create docs")?;
        fs::write(&page, text).with_context(|| format!("write {}", page.display()))?;
    }
    Ok(())
}

fn measure(paths: &Paths, args: &Args) -> Result<Figures> {
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    let rounds = |usual| args.rounds.map_or(usual, |rounds| rounds as usize);
    let time = Duration::from_secs(u64::from(args.seconds));
    let finwatches = parts::finwatches(paths, args.against.as_deref());
    let with_peers = args.only.is_empty() || args.peers;
    let peers = |all: fn() -> Vec<Observer>| if with_peers { all() } else { Vec::new() };
    let observers = || {
        let finwatches = finwatches.iter().cloned().map(Observer::Finwatch);
        finwatches.chain(peers(parts::peers)).collect::<Vec<_>>()
    };
    let compare = |load, usual| {
        let observers: Vec<_> = [Observer::Nothing].into_iter().chain(observers()).collect();
        compare::run(paths, load, &observers, rounds(usual), time)
    };

    let mut figures = Figures::default();
    if wants(Part::Start) {
        figures.starts = Some(start::run(paths, &finwatches, rounds(ROUNDS))?);
    }
    if wants(Part::Process) {
        for finwatch in &finwatches {
            let process = services::run(paths, finwatch, IDLE)?;
            figures.processes.push((finwatch.name, process));
        }
    }
    if wants(Part::Life) {
        figures.lives = Some(life::run(paths, &observers(), rounds(ROUNDS))?);
        let peers = peers(parts::metered_peers);
        let metered = meter::run(paths, &finwatches, &peers, rounds(ROUNDS), METERED)?;
        figures.metered = Some(metered);
    }
    if wants(Part::Churn) {
        figures.churn = Some(compare(Load::Churn, CHURN_ROUNDS)?);
    }
    if wants(Part::Web) {
        figures.web = Some(compare(Load::Web, ROUNDS)?);
    }
    Ok(figures)
}

// === impl Args ===

impl Args {
    /// The command that measures this again.
    fn command(&self) -> String {
        let Self { seconds, .. } = self;
        let rounds = self
            .rounds
            .map_or_else(String::new, |rounds| format!(" --rounds {rounds}"));
        format!("cargo xtask bench{rounds} --seconds {seconds} --write")
    }
}
