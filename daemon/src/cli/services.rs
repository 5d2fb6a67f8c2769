//! `finwatch services`: every service as it is now.

use std::process::ExitCode;

use serde::Deserialize;

use super::asking::{Asking, EXIT_CODES, Listed, Which};
use finwatch_engine::{
    model::ServiceState,
    render::{self, Table},
};

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
    asking.list::<Page>(&which.query())
}

impl Listed for Page {
    const PATH: &'static str = "/v1/services";
    const WHAT: &'static str = "services";

    fn table(&self) -> Option<Table> {
        (!self.services.is_empty()).then(|| render::services(&self.services))
    }
}
