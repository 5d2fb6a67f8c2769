//! `finwatch explain`: what a diagnosis means and what to do about it, offline. It asks nobody.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

use super::EXIT_USAGE;
use crate::config::nearest;
use finwatch_engine::{
    diagnoses::{self, Advice, DIAGNOSES, Diagnosis},
    model::Severity,
    render::wrap,
};

/// Most columns of a line of text.
const COLUMNS: usize = 92;

/// What was typed.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Name of the diagnosis, as a verdict shows it; without it all are listed
    name: Option<String>,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// JSON: an object, or a list of them without a name
    Json,
}

/// Prints what was asked for. The exit code is 2 when there is no diagnosis of that name.
///
/// # Errors
/// When it cannot be printed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { name, output } = args;
    let found = match name.as_deref().map(|name| (name, diagnoses::find(name))) {
        None => None,
        Some((_, Some(diagnosis))) => Some(diagnosis),
        Some((name, None)) => {
            writeln!(io::stderr(), "error: {}", unknown(name))?;
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let mut out = anstream::stdout().lock();
    match (output, found) {
        (Output::Text, Some(diagnosis)) => write_text(&mut out, diagnosis),
        (Output::Text, None) => write_list(&mut out),
        (Output::Json, Some(diagnosis)) => write_json(&mut out, &Told::from(diagnosis)),
        (Output::Json, None) => write_json(
            &mut out,
            &DIAGNOSES.iter().map(Told::from).collect::<Vec<_>>(),
        ),
    }
    .or_else(ignore_broken_pipe)
    .context("cannot print the diagnosis")?;
    Ok(ExitCode::SUCCESS)
}

fn unknown(name: &str) -> String {
    let known = DIAGNOSES.iter().map(|diagnosis| diagnosis.name);
    match nearest(name, known) {
        Some(near) => format!("there is no diagnosis `{name}`; did you mean `{near}`?"),
        None => format!("there is no diagnosis `{name}`; `finwatch explain` lists them"),
    }
}

/// A diagnosis in JSON.
#[derive(Debug, Serialize)]
struct Told {
    name: &'static str,
    severity: Severity,
    summary: &'static str,
    signature: &'static str,
    evidence: &'static str,
    remedy: &'static str,
    advice: Vec<ToldAdvice>,
    limits: &'static str,
}

#[derive(Debug, Serialize)]
struct ToldAdvice {
    place: &'static str,
    text: &'static str,
}

// === impl Told ===

impl From<&Diagnosis> for Told {
    fn from(diagnosis: &Diagnosis) -> Self {
        let Diagnosis {
            name,
            severity,
            summary,
            signature,
            evidence,
            remedy,
            advice,
            limits,
        } = *diagnosis;
        Self {
            name,
            severity,
            summary,
            signature,
            evidence,
            remedy,
            advice: advice
                .iter()
                .map(|Advice { place, text }| ToldAdvice { place, text })
                .collect(),
            limits,
        }
    }
}

fn write_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

fn write_list(out: &mut impl Write) -> io::Result<()> {
    let width = DIAGNOSES.iter().map(|d| d.name.len()).max().unwrap_or(0);
    for Diagnosis {
        name,
        severity,
        summary,
        ..
    } in DIAGNOSES
    {
        let style = style(*severity);
        writeln!(
            out,
            "{name:width$}  {style}{:4}{style:#}  {summary}",
            severity.as_str()
        )?;
    }
    Ok(())
}

fn write_text(out: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    let Diagnosis {
        name,
        severity,
        summary,
        signature,
        evidence,
        remedy,
        advice,
        limits,
    } = diagnosis;
    let (bold, color) = (Style::new().bold(), style(*severity));
    writeln!(
        out,
        "{bold}{name}{bold:#} ({color}{}{color:#})",
        severity.as_str()
    )?;
    wrapped(out, "", summary)?;
    for (title, text) in [("Signature", signature), ("Evidence", evidence)] {
        writeln!(out, "\n{bold}{title}{bold:#}")?;
        wrapped(out, "  ", text)?;
    }
    if !remedy.is_empty() || !advice.is_empty() {
        writeln!(out, "\n{bold}Remedy{bold:#}")?;
        wrapped(out, "  ", remedy)?;
        for Advice { place, text } in *advice {
            writeln!(out, "\n  {place}")?;
            wrapped(out, "    ", text)?;
        }
    }
    writeln!(out, "\n{bold}Limits{bold:#}")?;
    wrapped(out, "  ", limits)
}

/// Text in lines of [`COLUMNS`], each after `indent`; nothing for no text.
fn wrapped(out: &mut impl Write, indent: &str, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    wrap(text, COLUMNS - indent.len())
        .iter()
        .try_for_each(|line| writeln!(out, "{indent}{line}"))
}

fn style(severity: Severity) -> Style {
    let color = match severity {
        Severity::Pass => AnsiColor::Green,
        Severity::Info => AnsiColor::Cyan,
        Severity::Warn => AnsiColor::Yellow,
        Severity::Fail => AnsiColor::Red,
    };
    color.on_default()
}

fn ignore_broken_pipe(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).expect("written");
        anstream::adapter::strip_bytes(&out)
            .into_vec()
            .try_into()
            .expect("UTF-8")
    }

    #[test]
    fn every_diagnosis_is_explained_within_the_columns() {
        for diagnosis in DIAGNOSES {
            let text = text(|out| write_text(out, diagnosis));
            assert!(text.starts_with(&format!("{} (", diagnosis.name)), "{text}");
            assert!(text.contains("\nLimits\n"));
            for line in text.lines() {
                assert!(line.len() <= COLUMNS, "{line}");
            }
            for advice in diagnosis.advice {
                assert!(text.contains(&format!("\n  {}\n", advice.place)), "{text}");
            }
        }
    }

    #[test]
    fn the_list_has_a_line_for_each() {
        let text = text(write_list);
        assert_eq!(text.lines().count(), DIAGNOSES.len());
        assert!(
            text.contains("requests-cut              fail  Requests of clients were lost"),
            "{text}"
        );
    }

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        assert_eq!(
            unknown("request-cut"),
            "there is no diagnosis `request-cut`; did you mean `requests-cut`?"
        );
        assert_eq!(
            unknown("xyzzy"),
            "there is no diagnosis `xyzzy`; `finwatch explain` lists them"
        );
    }

    #[test]
    fn json_holds_every_field() {
        let json = text(|out| write_json(out, &Told::from(&diagnoses::REQUESTS_CUT)));
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value["name"], "requests-cut");
        assert_eq!(value["severity"], "fail");
        assert_eq!(value["advice"][0]["place"], "nginx");
        for field in ["summary", "signature", "evidence", "remedy", "limits"] {
            assert!(
                value[field].as_str().is_some_and(|text| !text.is_empty()),
                "{field}"
            );
        }
    }
}
