//! `cargo xtask run`: from a clean checkout to a running daemon.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Error, Result};

use crate::build;
use crate::paths::Paths;
use crate::setup::{self, Scope};
use crate::shell::{render, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install nothing: say what is missing, and the command that installs it
    #[arg(long)]
    no_install: bool,
    /// Arguments of finwatch; none means `daemon`
    #[arg(last = true)]
    finwatch: Vec<String>,
}

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<()> {
    setup::run(paths, &setup::Args::new(Scope::Build, args.no_install))?;
    build::run(paths, &build::Args::release())?;
    let mut command = Command::new(build::daemon_binary(paths));
    if args.finwatch.is_empty() {
        command.arg("daemon");
    } else {
        command.args(&args.finwatch);
    }
    say(format!("running {}", render(&command)));
    // The daemon takes this process's place, so that signals and the exit status are its own.
    let error = command.exec();
    Err(Error::new(error).context(format!("run `{}`", render(&command))))
}
