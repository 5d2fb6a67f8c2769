//! `finwatch explain`: what a diagnosis means and what to do about it, and what is known of a server, offline. It asks nobody.

use std::{
    borrow::Cow,
    io::{self, Write},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

use super::EXIT_USAGE;
use crate::config::nearest;
use finwatch_common::{Intent, signal};
use finwatch_engine::{
    diagnoses::{self, Advice, DIAGNOSES, Diagnosis, OfServers},
    model::Severity,
    render::wrap,
    servers::{self, Meaning, SERVERS, Server, Topic},
};

/// Most columns of a line of text.
const COLUMNS: usize = 92;

/// What was typed.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Name of the diagnosis, as a verdict shows it, or of a server or its program (`nginx`); without it every diagnosis is
    /// listed
    name: Option<String>,

    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// JSON: an object, or the list of the diagnoses without a name
    Json,
}

/// What goes by a name.
#[derive(Debug, Clone, Copy)]
enum Found {
    Diagnosis(&'static Diagnosis),
    Server(&'static Server),
}

/// Prints what was asked for. The exit code is 2 when nothing goes by that name.
///
/// # Errors
/// When it cannot be printed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args { name, output } = args;
    let found = match name.as_deref().map(|name| (name, find(name))) {
        None => None,
        Some((_, Some(found))) => Some(found),
        Some((name, None)) => {
            writeln!(io::stderr(), "error: {}", unknown(name))?;
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let mut out = anstream::stdout().lock();
    match (output, found) {
        (Output::Text, Some(Found::Diagnosis(diagnosis))) => write_text(&mut out, diagnosis),
        (Output::Text, Some(Found::Server(server))) => write_server(&mut out, server),
        (Output::Text, None) => write_list(&mut out),
        (Output::Json, Some(Found::Diagnosis(diagnosis))) => {
            write_json(&mut out, &Told::from(diagnosis))
        }
        (Output::Json, Some(Found::Server(server))) => {
            write_json(&mut out, &ToldServer::from(server))
        }
        (Output::Json, None) => write_json(
            &mut out,
            &DIAGNOSES.iter().map(Told::from).collect::<Vec<_>>(),
        ),
    }
    .or_else(ignore_broken_pipe)
    .context("cannot print the explanation")?;
    Ok(ExitCode::SUCCESS)
}

fn find(name: &str) -> Option<Found> {
    let diagnosis = diagnoses::find(name).map(Found::Diagnosis);
    diagnosis.or_else(|| servers::find(name).map(Found::Server))
}

fn unknown(name: &str) -> String {
    let diagnoses = DIAGNOSES.iter().map(|diagnosis| diagnosis.name);
    let servers = SERVERS.iter().map(|server| server.title);
    match nearest(name, diagnoses.chain(servers)) {
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
    place: Cow<'static, str>,
    text: Cow<'static, str>,
}

/// A server in JSON.
#[derive(Debug, Serialize)]
struct ToldServer {
    title: &'static str,
    programs: &'static [&'static str],
    graceful: Option<&'static str>,
    fast: Vec<&'static str>,
    signals: Vec<ToldSignal>,
    habits: Vec<&'static str>,
    advice: Vec<ToldTopic>,
}

#[derive(Debug, Serialize)]
struct ToldSignal {
    signal: &'static str,
    asks: &'static str,
    does: &'static str,
}

#[derive(Debug, Serialize)]
struct ToldTopic {
    diagnoses: Vec<&'static str>,
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
            servers: _,
            places: _,
            limits,
        } = *diagnosis;
        let advice = diagnosis.advice().into_iter();
        Self {
            name,
            severity,
            summary,
            signature,
            evidence,
            remedy,
            advice: advice
                .map(|Advice { place, text }| ToldAdvice { place, text })
                .collect(),
            limits,
        }
    }
}

// === impl ToldServer ===

impl From<&Server> for ToldServer {
    fn from(server: &Server) -> Self {
        let Server {
            title,
            programs,
            called: _,
            meanings,
            graceful,
            fast,
            habits,
            advice,
        } = *server;
        let told = |meaning: &Meaning| {
            let Meaning {
                signal: number,
                intent,
                does,
            } = *meaning;
            Some(ToldSignal {
                signal: signal::name(number)?,
                asks: asks(intent),
                does,
            })
        };
        Self {
            title,
            programs,
            graceful: graceful.and_then(signal::name),
            fast: names(fast),
            signals: meanings.iter().filter_map(told).collect(),
            habits: habits.iter().map(|habit| habit.told()).collect(),
            advice: advice
                .iter()
                .map(|(topic, text)| ToldTopic {
                    diagnoses: diagnoses_on(*topic),
                    text,
                })
                .collect(),
        }
    }
}

fn names(signals: &[u8]) -> Vec<&'static str> {
    let named = signals.iter().filter_map(|number| signal::name(*number));
    named.collect()
}

const fn asks(intent: Intent) -> &'static str {
    match intent {
        Intent::Nothing => "nothing",
        Intent::Stop => "stop",
        Intent::Reload => "reload",
        Intent::Unclear => "unclear",
    }
}

/// Which diagnoses a topic belongs to.
fn diagnoses_on(topic: Topic) -> Vec<&'static str> {
    let on = |diagnosis: &&Diagnosis| diagnosis.servers == OfServers::On(topic);
    let found = DIAGNOSES.iter().filter(on);
    found.map(|diagnosis| diagnosis.name).collect()
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

fn write_server(out: &mut impl Write, server: &Server) -> io::Result<()> {
    let ToldServer {
        title,
        programs,
        graceful,
        fast,
        signals,
        habits,
        advice,
    } = ToldServer::from(server);
    let bold = Style::new().bold();
    writeln!(out, "{bold}{title}{bold:#}")?;
    wrapped(
        out,
        "",
        &format!("Known by its processes' names: {}.", programs.join(", ")),
    )?;
    let stops = graceful.map(|graceful| format!("{graceful} lets it finish."));
    let at_once = (!fast.is_empty()).then(|| format!("At once: {}.", fast.join(", ")));
    if !signals.is_empty() || graceful.is_some() || !fast.is_empty() {
        writeln!(out, "\n{bold}Signals{bold:#}")?;
    }
    for stop in stops.iter().chain(&at_once) {
        wrapped(out, "  ", stop)?;
    }
    for ToldSignal { signal, asks, does } in &signals {
        wrapped(out, "  ", &format!("{signal} ({asks}): it {does}."))?;
    }
    if !habits.is_empty() {
        writeln!(out, "\n{bold}Habits{bold:#}")?;
    }
    for habit in habits {
        wrapped(out, "  ", habit)?;
    }
    if !advice.is_empty() {
        writeln!(out, "\n{bold}Advice{bold:#}")?;
    }
    for (at, ToldTopic { diagnoses, text }) in advice.iter().enumerate() {
        let gap = if at == 0 { "" } else { "\n" };
        writeln!(out, "{gap}  {}", diagnoses.join(", "))?;
        wrapped(out, "    ", text)?;
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
        servers: _,
        places: _,
        limits,
    } = diagnosis;
    let advice = diagnosis.advice();
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
        for Advice { place, text } in &advice {
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
            for advice in diagnosis.advice() {
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
    fn every_server_is_explained_within_the_columns() {
        for server in SERVERS {
            let text = text(|out| write_server(out, server));
            assert!(text.starts_with(server.title), "{text}");
            assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
            for program in server.programs {
                assert!(text.contains(program), "{text}");
            }
            for (topic, _) in server.advice {
                let on = diagnoses_on(*topic);
                assert!(!on.is_empty() && text.contains(on[0]), "{text}");
            }
        }
    }

    #[test]
    fn a_program_of_a_server_finds_what_its_signals_mean() {
        let Some(Found::Server(server)) = find("gunicorn: maste") else {
            panic!("gunicorn is known")
        };
        let told = text(|out| write_server(out, server));
        for part in [
            "SIGTERM lets it finish.",
            "At once: SIGINT, SIGQUIT.",
            "SIGUSR1 (nothing): it opens its log files anew.",
            "SIGHUP (reload): it starts new workers",
            "requests-cut, died-serving\n",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let json = text(|out| write_json(out, &ToldServer::from(server)));
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value["graceful"], "SIGTERM");
        assert_eq!(value["signals"][1]["signal"], "SIGUSR1");
        assert_eq!(value["signals"][1]["asks"], "nothing");
        assert_eq!(value["advice"][0]["diagnoses"][0], "requests-cut");
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
