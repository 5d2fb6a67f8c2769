//! `finwatch incidents`: what services lost with nobody stopping or changing them, one line each, or everything of one.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Deserialize;

use super::{
    asking::{Asking, Detail, EXIT_CODES, Listed, Output, Slice, Which, local_times},
    drains::VerdictArg,
};
use crate::client::{AskError, find_incident};
use finwatch_engine::{
    model::{Incident, IncidentCause},
    render::{self, Table},
    summary,
};

/// What was typed.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What one incident cost clients, why, and what to do; everything of it with --verbose
    Show(Show),
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
struct Show {
    /// Its id, or the beginning of it, or `latest`
    id: String,
    #[command(flatten)]
    detail: Detail,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    slice: Slice,

    /// Only with this verdict
    #[arg(long, value_name = "VERDICT", value_parser = VerdictArg::parser())]
    verdict: Option<String>,

    /// Only what came of that
    #[arg(long, value_name = "CAUSE", value_parser = causes())]
    cause: Option<String>,

    #[command(flatten)]
    asking: Asking,
}

fn causes() -> clap::builder::PossibleValuesParser {
    IncidentCause::ALL.map(IncidentCause::as_str).into()
}

#[derive(Deserialize)]
struct Page {
    incidents: Vec<Incident>,
    more: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Some(Command::Show(show)) => show.asking.finish(show.ask()),
        None => args.list.run(),
    }
}

// === impl Show ===

impl Show {
    fn ask(&self) -> Result<String, AskError> {
        let Self { id, detail, asking } = self;
        let client = asking.client();
        let value = find_incident(&client, id)?.to_string();
        match asking.output {
            Output::Json => Ok(value + "\n"),
            output => {
                let incident = client.understand("/v1/incidents", &value)?;
                Ok(match detail.verbose {
                    true => output.tree(&render::incident(&incident, &local_times())),
                    false => output.reports(&[summary::incident(&incident, &local_times())]),
                })
            }
        }
    }
}

// === impl List ===

impl List {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let Self {
            which,
            slice,
            verdict,
            cause,
            asking,
        } = self;
        let mut query = which.query();
        slice.add_to(&mut query);
        query.extend(verdict.clone().map(|verdict| ("verdict", verdict)));
        query.extend(cause.clone().map(|cause| ("cause", cause)));
        asking.list::<Page>(&query)
    }
}

// === impl Page ===

impl Listed for Page {
    const PATH: &'static str = "/v1/incidents";
    const WHAT: &'static str = "incidents";

    fn table(&self) -> Option<Table> {
        (!self.incidents.is_empty()).then(|| render::incidents(&self.incidents, &local_times()))
    }

    fn has_more(&self) -> bool {
        self.more
    }
}
