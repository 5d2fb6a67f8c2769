//! `finwatch daemon`: from what was typed to a running daemon.

use std::process::ExitCode;

use super::{
    EXIT_USAGE,
    settings::{self, Settings},
};
use crate::logging;

/// What was typed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let resolved = args.settings.resolve();
    let config = match resolved.config {
        Ok(config) => config,
        Err(errors) => {
            settings::tell(&errors)?;
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    logging::init(config.log.level.clone(), config.log.format);
    for name in &resolved.unknown_vars {
        tracing::warn!(name, "environment variable is not known and ignored");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        configuration = settings::called(resolved.file.as_deref()),
        "starting"
    );
    crate::lifecycle::block_on(crate::run(config))
}
