//! `finwatch rollouts`: what deploys and signals did, one line each, followed as it happens, or as the tree of one.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::Duration,
};

use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;

use super::{
    asking::{
        Asking, Detail, EXIT_CODES, Listed, Output, Slice, Which, complain, local_times, now,
    },
    drains::VerdictArg,
};
use crate::client::{AskError, Client, Query, find_rollout};
use finwatch_engine::{
    model::Rollout,
    render::{self, Table, units::Times},
    summary,
};

/// How often a list that is watched is asked for.
const PAUSE: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

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
    /// What one rollout did to clients, why, and what to do; everything of it with --verbose
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

    /// Go on until Ctrl-C: on a terminal the list is drawn anew each second, elsewhere whenever it changes; with `-o json`
    /// one line for each rollout that is new or has changed
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    asking: Asking,
}

#[derive(Deserialize)]
struct Page {
    rollouts: Vec<Rollout>,
    more: bool,
}

/// The same as it was said, to see what changed.
#[derive(Deserialize)]
struct Said {
    rollouts: Vec<Value>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Some(Command::Show(show)) => show.asking.finish(show.ask()),
        None if args.list.watch => args.list.watch(),
        None => args.list.asking.list::<Page>(&args.list.query()),
    }
}

// === impl Page ===

impl Listed for Page {
    const PATH: &'static str = "/v1/rollouts";
    const WHAT: &'static str = "rollouts";

    fn table(&self) -> Option<Table> {
        (!self.rollouts.is_empty()).then(|| render::rollouts(&self.rollouts, &local_times()))
    }

    fn has_more(&self) -> bool {
        self.more
    }
}

// === impl Show ===

impl Show {
    fn ask(&self) -> Result<String, AskError> {
        let Self { id, detail, asking } = self;
        let client = asking.client();
        let value = find_rollout(&client, id)?.to_string();
        match asking.output {
            Output::Json => Ok(value + "\n"),
            output => {
                let rollout = client.understand("/v1/rollouts", &value)?;
                Ok(match detail.verbose {
                    true => output.tree(&render::rollout(&rollout, &local_times())),
                    false => output.reports(&[summary::rollout(&rollout, &local_times())]),
                })
            }
        }
    }
}

// === impl List ===

impl List {
    fn query(&self) -> Query {
        let Self {
            which,
            slice,
            verdict,
            ..
        } = self;
        let mut query = which.query();
        slice.add_to(&mut query);
        query.extend(verdict.clone().map(|verdict| ("verdict", verdict)));
        query
    }

    /// A daemon that is gone for a while, as in its own restart, ends nothing; one that never was there does.
    fn watch(&self) -> anyhow::Result<ExitCode> {
        let client = self.asking.client();
        let times = local_times();
        let mut shown: Vec<Value> = Vec::new();
        let mut reached = false;
        let mut lost = false;
        loop {
            match client.ask::<Said>(Page::PATH, &self.query()) {
                Ok(page) => {
                    let drawn = self.draw(&client, &times, &page.rollouts, &shown, reached);
                    match drawn {
                        Ok(text) => print_watched(&text)?,
                        Err(error) => return self.asking.finish(Err(error)),
                    }
                    shown = page.rollouts;
                    (reached, lost) = (true, false);
                }
                Err(error @ AskError::Unreachable { .. }) if reached => {
                    if !std::mem::replace(&mut lost, true) {
                        complain(error)?;
                    }
                }
                Err(error) => return self.asking.finish(Err(error)),
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn draw(
        &self,
        client: &Client,
        times: &Times,
        page: &[Value],
        shown: &[Value],
        again: bool,
    ) -> Result<String, AskError> {
        if self.asking.output == Output::Json {
            let changed = page.iter().rev().filter(|value| !shown.contains(value));
            return Ok(changed.map(|value| format!("{value}\n")).collect());
        }
        let rollouts = understood(client, page)?;
        let table = self
            .asking
            .output
            .table(&render::rollouts(&rollouts, times));
        if io::stdout().is_terminal() {
            let time = times.full(now());
            return Ok(format!(
                "{CLEAR}{time}, every second, Ctrl-C ends\n\n{table}"
            ));
        }
        Ok(match again {
            true if page == shown => String::new(),
            true => format!("\n{table}"),
            false => table,
        })
    }
}

fn understood(client: &Client, values: &[Value]) -> Result<Vec<Rollout>, AskError> {
    let values = values.iter();
    values
        .map(|value| client.understand(Page::PATH, &value.to_string()))
        .collect()
}

/// Who reads may have gone: that ends a watch, and is no mistake.
fn print_watched(text: &str) -> anyhow::Result<()> {
    use io::Write as _;

    let mut out = anstream::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        return Err(anyhow::Error::new(error).context("cannot print the rollouts"));
    }
    Ok(())
}
