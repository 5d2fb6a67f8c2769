//! `finwatch drains`: what stops, reloads and deaths did, one line each, or everything of one.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde::Deserialize;

use super::asking::{Asking, Detail, EXIT_CODES, Listed, Output, Slice, Which, local_times};
use crate::client::{AskError, find_drain};
use finwatch_engine::{
    model::{Drain, DrainKind, Verdict},
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
    /// What one drain did to clients, why, and what to do; everything of it with --verbose
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

    /// Only drains that began so
    #[arg(short, long, value_enum)]
    kind: Option<KindArg>,

    #[command(flatten)]
    asking: Asking,
}

/// Verdicts as they are typed.
pub(super) struct VerdictArg;

impl VerdictArg {
    pub(super) fn parser() -> clap::builder::PossibleValuesParser {
        Verdict::ALL.map(Verdict::as_str).into()
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KindArg {
    Stop,
    Reload,
    Kill,
    Crash,
}

#[derive(Deserialize)]
struct Page {
    drains: Vec<Drain>,
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
        let value = find_drain(&client, id)?.to_string();
        match asking.output {
            Output::Json => Ok(value + "\n"),
            output => {
                let drain = client.understand("/v1/drains", &value)?;
                Ok(match detail.verbose {
                    true => output.tree(&render::drain(&drain, &local_times())),
                    false => output.reports(&[summary::drain(&drain, &local_times())]),
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
            kind,
            asking,
        } = self;
        let mut query = which.query();
        slice.add_to(&mut query);
        query.extend(verdict.clone().map(|verdict| ("verdict", verdict)));
        query.extend(kind.map(|kind| ("kind", DrainKind::from(kind).as_str().to_owned())));
        asking.list::<Page>(&query)
    }
}

// === impl Page ===

impl Listed for Page {
    const PATH: &'static str = "/v1/drains";
    const WHAT: &'static str = "drains";

    fn table(&self) -> Option<Table> {
        (!self.drains.is_empty()).then(|| render::drains(&self.drains, &local_times()))
    }

    fn has_more(&self) -> bool {
        self.more
    }
}

impl From<KindArg> for DrainKind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Stop => Self::Stop,
            KindArg::Reload => Self::Reload,
            KindArg::Kill => Self::Kill,
            KindArg::Crash => Self::Crash,
        }
    }
}
