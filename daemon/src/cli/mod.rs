//! The command line: one file a subcommand. What was typed is understood here, and nothing is done here.

mod config;
mod daemon;
mod deploy;
pub mod doctor;
pub mod explain;
mod settings;
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
    /// Tell finwatch that a change begins or has ended, so that what happens can be matched to it
    Deploy(deploy::Args),
    /// Check a configuration, or show what is in effect
    Config(config::Args),
    /// Check what the daemon needs of this host, with a remedy for each thing that is missing
    Doctor(doctor::Args),
    /// Explain a diagnosis: what shows it, how to read its evidence, what to do; without a name, list them
    Explain(explain::Args),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// When it could not be done; the chain names the thing and the remedy.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Daemon(args) => daemon::run(args),
            Command::Watch(args) => watch::run(args),
            Command::Deploy(args) => deploy::run(args),
            Command::Config(args) => config::run(args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Explain(args) => explain::run(&args),
        }
    }
}

/// What was asked cannot be understood; the same code that the command line's own mistakes have.
pub(crate) const EXIT_USAGE: u8 = 2;
