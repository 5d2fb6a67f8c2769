//! `finwatch man`: the manual pages, made from the same declarations as the help.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::Man;

use super::{Cli, asking::print};

/// What was typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "To read one: finwatch man | man -l -")]
pub(super) struct Args {
    /// Write the pages of all commands there, finwatch.1 and others, instead of printing the first one
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(directory) = &args.directory else {
        let mut page = Vec::new();
        Man::new(Cli::command()).render(&mut page)?;
        return print(&String::from_utf8_lossy(&page));
    };
    fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
        .with_context(|| format!("cannot write the manual pages to {}", directory.display()))?;
    Ok(ExitCode::SUCCESS)
}
