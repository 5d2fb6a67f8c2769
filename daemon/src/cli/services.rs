//! `finwatch services`: every service as it is now.

use std::process::ExitCode;

use serde::Deserialize;

use super::asking::{Asking, EXIT_CODES, Output, Which, mention};
use crate::client::AskError;
use finwatch_engine::{model::ServiceState, render};

/// What was typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Deserialize)]
struct Page {
    services: Vec<ServiceState>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { which, asking } = args;
    let client = asking.client();
    let ask = || -> Result<(String, bool), AskError> {
        let text = client.text("/v1/services", &which.query())?;
        let page: Page = client.understand("/v1/services", &text)?;
        let empty = page.services.is_empty();
        Ok(match asking.output {
            Output::Json => (text + "\n", false),
            _ if empty => (String::new(), true),
            output => (output.table(&render::services(&page.services)), false),
        })
    };
    match ask() {
        Ok((_, true)) => {
            mention("no services")?;
            Ok(ExitCode::SUCCESS)
        }
        answer => asking.finish(answer.map(|(text, _)| text)),
    }
}
