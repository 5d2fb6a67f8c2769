//! `cargo xtask e2e`: a real Kubernetes of two nodes on this machine, the manifests of `deploy` applied to it, and rollouts in it
//! whose clients' own truth is held against what finwatch counted.
//!
//! Everything lives in namespaces and control groups of its own, which end with the task. Nothing of the host is changed.

mod act;
mod agent;
mod bed;
mod cgroups;
mod children;
mod client;
mod compare;
mod control;
mod http;
mod images;
mod inside;
mod kubectl;
mod manifests;
mod node;
mod outcome;
mod pki;
mod plan;
mod programs;

mod scenarios;
mod traces;
mod worker;

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::paths::Paths;
use crate::setup;
use crate::shell::is_root;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
    /// Install nothing: say what is missing, and the command that installs it
    #[arg(long, global = true)]
    no_install: bool,
}

#[derive(Subcommand)]
enum What {
    /// Build Kubernetes and etcd into the cache, once a machine, and the images
    Build,
    /// Keep a cluster with finwatch in it until it is interrupted
    Up,
    /// End what a killed task left behind
    Down,
    /// Run scenarios in a cluster made for them: those of these names, or else all
    Run { names: Vec<String> },
    /// One node, inside its namespaces: started by the others
    #[command(hide = true)]
    Inside(inside::Args),
}

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<()> {
    let Args { what, no_install } = args;
    if !is_root() {
        bail!("a cluster wants namespaces, control groups and kernel programs: run it as root");
    }
    match what {
        What::Build => {
            setup::for_e2e(paths, *no_install)?;
            bed::build(paths).map(drop)
        }
        What::Down => bed::down(),
        What::Up => {
            setup::for_e2e(paths, *no_install)?;
            bed::with_cluster(paths, &["up"])
        }
        What::Run { names } => {
            let chosen = scenarios::choose(names)?;
            setup::for_e2e(paths, *no_install)?;
            let mut words = vec!["run"];
            words.extend(chosen.iter().map(|scenario| scenario.name));
            bed::with_cluster(paths, &words)
        }
        What::Inside(args) => inside::run(paths, args),
    }
}
