//! The command line: one file a subcommand. What was typed is understood here, and nothing is done here.

mod asking;
mod completions;
mod config;
mod daemon;
mod deploy;
pub mod doctor;
mod drains;
pub mod explain;
mod incidents;
mod man;
mod paint;
mod rollouts;
mod services;
mod settings;
mod verdict;
pub mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Who hung up first, what did it cost the clients, and was that worse than on an ordinary day?
#[derive(Debug, Parser)]
#[command(name = "finwatch", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Account for the end of every TCP connection on this host, on /metrics
    Daemon(daemon::Args),
    /// Show closes as they happen, one line each; needs no daemon
    Watch(watch::Args),
    /// Show every service as it is now
    Services(services::Args),
    /// Show what stops, reloads and deaths did to clients
    Drains(drains::Args),
    /// Show what deploys and signals did to clients, and why
    Rollouts(rollouts::Args),
    /// Show bursts of lost requests with nobody stopping or changing anything
    Incidents(incidents::Args),
    /// Judge a rollout, or a time without one: the gate of a pipeline
    Verdict(verdict::Args),
    /// Tell finwatch that a change begins or has ended, so that what happens can be matched to it
    Deploy(deploy::Args),
    /// Check a configuration, or show what is in effect
    Config(config::Args),
    /// Check what the daemon needs of this host, with a remedy for each thing that is missing
    Doctor(doctor::Args),
    /// Explain a diagnosis: what shows it, how to read its evidence, what to do; without a name, list them
    Explain(explain::Args),
    /// Print a shell's completions
    Completions(completions::Args),
    /// Print or write the manual pages
    Man(man::Args),
}

impl Cli {
    /// Understands the command line of this process. What cannot be understood, and what asks for help, is answered
    /// here with an exit code.
    ///
    /// # Errors
    /// The exit code to end with.
    pub fn typed() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            // Where nobody reads there is nobody to tell.
            let _told = error.print();
            let judges = std::env::args_os()
                .nth(1)
                .is_some_and(|arg| arg == "verdict");
            match error.exit_code() {
                0 => ExitCode::SUCCESS,
                // There, 2 says that a rollout was judged.
                _ if judges => ExitCode::from(verdict::EXIT_USAGE),
                _ => ExitCode::from(EXIT_USAGE),
            }
        })
    }

    /// Does what was asked.
    ///
    /// # Errors
    /// When it could not be done; the chain names the thing and the remedy.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Daemon(args) => daemon::run(args),
            Command::Watch(args) => watch::run(args),
            Command::Services(args) => services::run(&args),
            Command::Drains(args) => drains::run(&args),
            Command::Rollouts(args) => rollouts::run(&args),
            Command::Incidents(args) => incidents::run(&args),
            Command::Verdict(args) => verdict::run(&args),
            Command::Deploy(args) => deploy::run(args),
            Command::Config(args) => config::run(args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args),
        }
    }
}

/// What was asked cannot be understood; the same code that the command line's own mistakes have.
pub(crate) const EXIT_USAGE: u8 = 2;
