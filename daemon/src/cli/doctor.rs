//! `finwatch doctor`: can finwatch do its job on this host, and what would it lose? Each finding with what
//! it is needed for and what to do.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

use super::settings::{self, Settings};
use crate::config::ConfigError;
use crate::kubernetes::Options;
use crate::preflight::{self, Check, Group, PreflightOptions, Report, Status};

/// What was typed.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How to print the findings
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// Configuration file of the daemon [default: as for the daemon]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Root of the cgroup2 file system [default: where it is mounted]
    #[arg(long, value_name = "DIR")]
    cgroup_root: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Makes the checks and prints them. The exit code is 0 when finwatch can do its job, with or without
/// losses, and 1 when it cannot.
///
/// # Errors
/// When the findings cannot be printed.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Args {
        output,
        config,
        cgroup_root,
    } = args;
    let resolved = Settings::default().with_file(config.clone()).resolve();
    let called = settings::called(resolved.file.as_deref());
    let (configuration, listen, kubernetes) = match resolved.config {
        Ok(config) => (Ok(called), config.listen, config.kubernetes),
        Err(errors) => (Err(told(&errors)), Vec::new(), Options::default()),
    };
    let mut report = preflight::run(&PreflightOptions {
        listen,
        cgroup_root: cgroup_root.clone(),
        kubernetes,
        ask: true,
    });
    let host = report
        .checks
        .iter()
        .rposition(|check| check.group == Group::Host);
    let after = host.map_or(0, |at| at + 1);
    report
        .checks
        .insert(after, configuration_check(configuration));
    let mut out = anstream::stdout().lock();
    match output {
        Output::Text => write_text(&mut out, &report),
        Output::Json => write_json(&mut out, &report),
    }
    .or_else(ignore_broken_pipe)
    .context("cannot print the findings")?;
    Ok(match report.status() {
        Status::Ok | Status::Warn => ExitCode::SUCCESS,
        Status::Fail => ExitCode::FAILURE,
    })
}

/// The first mistake with its causes, and how many there are.
fn told(errors: &[ConfigError]) -> String {
    let Some(first) = errors.first() else {
        return "it cannot be understood".to_owned();
    };
    let mut text = first.to_string();
    let mut source = std::error::Error::source(first);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    match errors.len() {
        1 => text,
        count => format!("{text} (and {} more)", count - 1),
    }
}

fn configuration_check(configuration: Result<String, String>) -> Check {
    let (status, finding, remedy) = match configuration {
        Ok(called) => (Status::Ok, called, ""),
        Err(error) => (
            Status::Fail,
            error,
            "`finwatch config check` tells every mistake",
        ),
    };
    Check {
        group: Group::Host,
        name: "configuration",
        status,
        finding,
        needed_for: "the daemon, which does not start with a mistake in it",
        remedy: remedy.to_owned(),
    }
}

fn ignore_broken_pipe(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error),
    }
}

// === text ===

const PLAIN: Style = Style::new();
const BOLD: Style = Style::new().bold();
const DIMMED: Style = Style::new().dimmed();

fn write_text(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let name_width = report.checks.iter().map(|check| check.name.len()).max();
    let name_width = name_width.unwrap_or(0);
    let mut group = None;
    for check in &report.checks {
        if group != Some(check.group) {
            if group.is_some() {
                writeln!(out)?;
            }
            write_heading(out, check.group)?;
            group = Some(check.group);
        }
        write_check(out, check, name_width)?;
    }
    writeln!(out)?;
    write_summary(out, report)
}

fn write_heading(out: &mut impl Write, group: Group) -> io::Result<()> {
    writeln!(out, "{BOLD}{}{BOLD:#}", group.as_str())
}

fn write_check(out: &mut impl Write, check: &Check, name_width: usize) -> io::Result<()> {
    let Check {
        name,
        status,
        finding,
        needed_for,
        remedy,
        ..
    } = check;
    let style = style_of(*status);
    let word = status.as_str();
    writeln!(
        out,
        "  {style}{word:<4}{style:#}  {name:<name_width$}  {finding}"
    )?;
    if *status != Status::Ok {
        let indent = 2 + 4 + 2 + name_width + 2;
        writeln!(
            out,
            "{:indent$}{DIMMED}needed for:{DIMMED:#} {needed_for}",
            ""
        )?;
        if !remedy.is_empty() {
            writeln!(out, "{:indent$}{DIMMED}remedy:{DIMMED:#}     {remedy}", "")?;
        }
    }
    Ok(())
}

fn write_summary(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let count = |status| {
        let of_status = report.checks.iter().filter(|check| check.status == status);
        of_status.count()
    };
    let (warnings, failures) = (count(Status::Warn), count(Status::Fail));
    let style = style_of(report.status());
    match report.status() {
        Status::Ok => writeln!(out, "{style}finwatch can do its job here{style:#}"),
        Status::Warn => writeln!(
            out,
            "{style}finwatch can do its job here, but for what the {warnings} finding{} above say{style:#}",
            if warnings == 1 { "" } else { "s" }
        ),
        Status::Fail => writeln!(
            out,
            "{style}finwatch cannot do its job here: {failures} check{} failed{style:#}",
            if failures == 1 { "" } else { "s" }
        ),
    }
}

fn style_of(status: Status) -> Style {
    match status {
        Status::Ok => PLAIN.fg_color(Some(AnsiColor::Green.into())),
        Status::Warn => PLAIN.fg_color(Some(AnsiColor::Yellow.into())),
        Status::Fail => PLAIN.fg_color(Some(AnsiColor::Red.into())).bold(),
    }
}

// === JSON ===

/// The findings as scripts read them: fields may be added, never renamed.
#[derive(Serialize)]
struct WireReport<'a> {
    version: &'a str,
    status: &'a str,
    checks: Vec<WireCheck<'a>>,
}

#[derive(Serialize)]
struct WireCheck<'a> {
    group: &'a str,
    name: &'a str,
    status: &'a str,
    finding: &'a str,
    needed_for: &'a str,
    remedy: Option<&'a str>,
}

impl<'a> From<&'a Check> for WireCheck<'a> {
    fn from(check: &'a Check) -> Self {
        let Check {
            group,
            name,
            status,
            finding,
            needed_for,
            remedy,
        } = check;
        Self {
            group: group.as_str(),
            name,
            status: status.as_str(),
            finding,
            needed_for,
            remedy: (!remedy.is_empty()).then_some(remedy),
        }
    }
}

fn write_json(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let wire = WireReport {
        version: env!("CARGO_PKG_VERSION"),
        status: report.status().as_str(),
        checks: report.checks.iter().map(WireCheck::from).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &wire)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let check = |group, name, status, remedy: &str| Check {
            group,
            name,
            status,
            finding: format!("finding of {name}"),
            needed_for: "everything",
            remedy: remedy.to_owned(),
        };
        Report {
            checks: vec![
                check(Group::Kernel, "btf", Status::Ok, ""),
                check(Group::Kernel, "reset-reasons", Status::Warn, "newer kernel"),
                check(Group::Rights, "cap-bpf", Status::Fail, "run as root"),
            ],
        }
    }

    #[test]
    fn text_is_aligned_and_says_what_to_do() {
        let mut out = anstream::StripStream::new(Vec::new());
        write_text(&mut out, &report()).unwrap();
        let want = "\
kernel
  ok    btf            finding of btf
  warn  reset-reasons  finding of reset-reasons
                       needed for: everything
                       remedy:     newer kernel

rights
  fail  cap-bpf        finding of cap-bpf
                       needed for: everything
                       remedy:     run as root

finwatch cannot do its job here: 1 check failed
";
        assert_eq!(String::from_utf8(out.into_inner()).unwrap(), want);
    }

    #[test]
    fn json_is_stable() {
        let mut out = Vec::new();
        let mut report = report();
        report.checks.truncate(2);
        write_json(&mut out, &report).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let want = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "status": "warn",
            "checks": [
                {"group": "kernel", "name": "btf", "status": "ok", "finding": "finding of btf",
                 "needed_for": "everything", "remedy": null},
                {"group": "kernel", "name": "reset-reasons", "status": "warn",
                 "finding": "finding of reset-reasons", "needed_for": "everything",
                 "remedy": "newer kernel"},
            ],
        });
        assert_eq!(json, want);
    }

    #[test]
    fn a_mistake_in_the_configuration_is_a_failure() {
        let check = configuration_check(Err("finwatch.toml:3: unknown key `x`".to_owned()));
        assert_eq!(check.status, Status::Fail);
        assert_eq!(
            configuration_check(Ok("no file".to_owned())).status,
            Status::Ok
        );
    }

    #[test]
    fn the_gravest_decides() {
        let mut report = report();
        assert_eq!(report.status(), Status::Fail);
        report.checks.pop();
        assert_eq!(report.status(), Status::Warn);
        report.checks.pop();
        assert_eq!(report.status(), Status::Ok);
    }
}
