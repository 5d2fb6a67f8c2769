//! `finwatch config`: checks a configuration without starting anything, and shows what is in effect and why.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use super::{
    EXIT_USAGE,
    settings::{self, Settings},
};
use crate::config::{KEYS, Key, Shape, Typed};

/// What was typed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say whether the daemon would start with this configuration; exit code 2 when not
    Check {
        /// File to check, instead of the one that the daemon would read
        file: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Print every setting with its value and where the value comes from, as TOML
    Show {
        /// File to read, instead of the one that the daemon would read
        file: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
    },
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (show, file, settings) = match args.command {
        Command::Check { file, settings } => (false, file, settings),
        Command::Show { file, settings } => (true, file, settings),
    };
    let resolved = settings.with_file(file).resolve();
    let mut out = io::stdout().lock();
    if show {
        for key in KEYS {
            let typed = resolved.effective.get(key);
            writeln!(
                out,
                "{} = {}  # {}",
                key.name,
                toml_value(key, typed),
                typed.origin
            )?;
        }
    }
    for name in &resolved.unknown_vars {
        writeln!(
            io::stderr(),
            "warning: environment variable {name} is not known and ignored"
        )?;
    }
    if let Err(errors) = &resolved.config {
        settings::tell(errors)?;
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    if !show {
        writeln!(
            out,
            "configuration is valid: {}",
            settings::called(resolved.file.as_deref())
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

fn toml_value(key: &Key, typed: &Typed) -> String {
    let quoted = |text: &String| toml::Value::String(text.clone()).to_string();
    match (key.shape, typed.items.as_slice()) {
        (Shape::List, items) => {
            let items: Vec<_> = items.iter().map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
        (Shape::Switch | Shape::Number, [item]) if is_bare(item) => item.clone(),
        (_, items) => quoted(&items.join(",")),
    }
}

/// Whether the item is a number or a switch as TOML writes it; a mistaken one is shown in quotes.
fn is_bare(item: &str) -> bool {
    matches!(item, "true" | "false") || item.parse::<u64>().is_ok()
}
