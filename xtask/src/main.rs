//! Every task of the project, one file a subcommand: this file only parses and dispatches.

#![expect(
    clippy::print_stderr,
    reason = "this is a command-line tool for the terminal, not a service with a log"
)]

mod bench;
mod build;
mod e2e;
mod image;
mod kernel_tests;
mod lint;
mod oci;
mod paths;
mod run;
mod setup;
mod shell;
mod test;
mod tidy;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::paths::Paths;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The tasks of the finwatch project"
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find, or else install, what the build and the tests need
    Setup(setup::Args),
    /// Build the kernel programs, then the daemon that embeds them
    Build(build::Args),
    /// Set up, build, and run finwatch (the daemon with its built-in defaults, unless told otherwise)
    Run(run::Args),
    /// Set up, build, and run the tests, all tiers unless told otherwise
    Test(test::Args),
    /// Run the kernel tier inside virtual machines of other kernels
    Vm(vm::Args),
    /// Make an image of finwatch for containers
    Image(image::Args),
    /// Run rollouts in a real Kubernetes, made here, and hold what finwatch counts against its clients' own truth
    E2e(e2e::Args),
    /// Measure what finwatch costs, beside nothing, beside its peers and beside another finwatch
    Bench(bench::Args),
    /// Hold one end of many connections: what the benchmark starts itself as
    #[command(name = bench::crowd::COMMAND, hide = true)]
    BenchCrowd(bench::crowd::Args),
    /// Check formatting, lints, the architecture's invariants, and the licences of dependencies
    Lint(lint::Args),
    /// Check the architecture's invariants only
    Tidy,
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(task: Task) -> Result<()> {
    let paths = Paths::find()?;
    match task {
        Task::Setup(args) => setup::run(&paths, &args),
        Task::Build(args) => build::run(&paths, &args),
        Task::Run(args) => run::run(&paths, &args),
        Task::Test(args) => test::run(&paths, &args),
        Task::Vm(args) => vm::run(&paths, &args),
        Task::Image(args) => image::run(&paths, &args),
        Task::E2e(args) => e2e::run(&paths, &args),
        Task::Bench(args) => bench::run(&paths, &args),
        Task::BenchCrowd(args) => bench::crowd::run(&args),
        Task::Lint(args) => lint::run(&paths, &args),
        Task::Tidy => tidy::run(&paths),
    }
}
