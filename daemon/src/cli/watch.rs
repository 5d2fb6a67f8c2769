//! `finwatch watch`: the live stream of closes, signals and exits, one line each. It loads programs of its own, so that no
//! daemon has to run.

use std::{path::PathBuf, process::ExitCode, str::FromStr, time::Duration};

use anyhow::Context as _;
use clap::ValueEnum;
use finwatch_common::{Cut, Origin, Outcome, Role};
use jiff::SignedDuration;

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::settings::Settings;
use crate::kubernetes;
use crate::logging;
use crate::watch::{self, Cuts, Filter, Form, Name, Ports, WatchOptions};

/// What was typed.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only these ports: `443`, `8000-8999`; of a client, the remote port
    #[arg(
        short,
        long = "port",
        value_name = "PORT[-PORT]",
        value_delimiter = ','
    )]
    ports: Vec<Ports>,

    /// Only these workloads, `*` stands for anything: `nginx.service`, `container/web-*`
    #[arg(
        short,
        long = "workload",
        value_name = "[KIND/]NAME",
        value_delimiter = ','
    )]
    workloads: Vec<Name>,

    /// Only connections that were accepted here, or made from here
    #[arg(
        short,
        long = "role",
        value_name = "ROLE",
        value_enum,
        value_delimiter = ','
    )]
    roles: Vec<RoleArg>,

    /// Only connections whose first FIN came from this side
    #[arg(
        long = "origin",
        value_name = "ORIGIN",
        value_enum,
        value_delimiter = ','
    )]
    origins: Vec<OriginArg>,

    /// Only connections that ended so
    #[arg(
        long = "outcome",
        value_name = "OUTCOME",
        value_enum,
        value_delimiter = ','
    )]
    outcomes: Vec<OutcomeArg>,

    /// Only connections on which a client's request was lost, by this cause or by any
    #[arg(
        long = "cut",
        value_name = "CAUSE",
        value_enum,
        value_delimiter = ',',
        num_args = 0..,
        require_equals = true,
        default_missing_value = "any"
    )]
    cuts: Vec<CutArg>,

    /// Also listeners that open and close, signals and exits of single workers, RSTs after the end, and SYNs refused on ports
    /// that nobody is known to have had
    #[arg(short, long)]
    all: bool,

    /// How to print: columns, or one JSON object a line
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// End after so many closes
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after so much time: `30s`, `5m`, `1h30m`
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,

    /// Root of the cgroup2 file system [default: where it is mounted]
    #[arg(long, value_name = "DIR")]
    cgroup_root: Option<PathBuf>,

    /// Show the programs' own log lines on standard error
    #[arg(long)]
    probe_log: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    Server,
    Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OriginArg {
    Local,
    Remote,
    Both,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum OutcomeArg {
    Fin,
    ResetSent,
    ResetReceived,
    Timeout,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CutArg {
    Any,
    Unanswered,
    Unread,
    Late,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Streams until Ctrl-C, the count, the time, or the end of whoever reads.
///
/// # Errors
/// When the programs cannot be loaded, or a line cannot be printed.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    // The daemon's own settings say how pods get their names; a mistake in them is the daemon's affair.
    let kubernetes = Settings::default()
        .resolve()
        .config
        .map(|config| config.kubernetes);
    let options = WatchOptions {
        kubernetes: kubernetes.unwrap_or_default(),
        ..WatchOptions::from(args)
    };
    // Nothing but what the user must know: the stream is on standard output, and it is what matters.
    let mut levels = Targets::new().with_default(LevelFilter::WARN);
    if options.probe_log {
        levels = levels.with_target("finwatch::probe_log", LevelFilter::TRACE);
    }
    logging::init(levels, logging::Format::Text);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(watch::run(&options))?;
    Ok(ExitCode::SUCCESS)
}

impl From<Args> for WatchOptions {
    fn from(args: Args) -> Self {
        let Args {
            ports,
            workloads,
            roles,
            origins,
            outcomes,
            cuts,
            all,
            output,
            count,
            duration,
            cgroup_root,
            probe_log,
        } = args;
        Self {
            filter: Filter {
                ports,
                workloads,
                roles: roles.into_iter().map(Role::from).collect(),
                origins: origins.into_iter().map(Origin::from).collect(),
                outcomes: outcomes.into_iter().map(Outcome::from).collect(),
                cuts: cuts.into_iter().map(Cuts::from).collect(),
                all,
            },
            form: match output {
                Output::Text => Form::Text,
                Output::Json => Form::Json,
            },
            count,
            duration,
            cgroup_root,
            kubernetes: kubernetes::Options::default(),
            probe_log,
        }
    }
}

impl From<RoleArg> for Role {
    fn from(arg: RoleArg) -> Self {
        match arg {
            RoleArg::Server => Self::Server,
            RoleArg::Client => Self::Client,
        }
    }
}

impl From<OriginArg> for Origin {
    fn from(arg: OriginArg) -> Self {
        match arg {
            OriginArg::Local => Self::Local,
            OriginArg::Remote => Self::Remote,
            OriginArg::Both => Self::Both,
            OriginArg::None => Self::None,
        }
    }
}

impl From<OutcomeArg> for Outcome {
    fn from(arg: OutcomeArg) -> Self {
        match arg {
            OutcomeArg::Fin => Self::Fin,
            OutcomeArg::ResetSent => Self::ResetSent,
            OutcomeArg::ResetReceived => Self::ResetReceived,
            OutcomeArg::Timeout => Self::Timeout,
            OutcomeArg::Unknown => Self::Unknown,
        }
    }
}

impl From<CutArg> for Cuts {
    fn from(arg: CutArg) -> Self {
        match arg {
            CutArg::Any => Self::Any,
            CutArg::Unanswered => Self::By(Cut::Unanswered),
            CutArg::Unread => Self::By(Cut::Unread),
            CutArg::Late => Self::By(Cut::Late),
        }
    }
}

/// Times as people write them; a bare number is taken for seconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(secs) = text.parse() {
        return positive(Duration::from_secs(secs));
    }
    let duration = SignedDuration::from_str(text).map_err(|error| error.to_string())?;
    positive(Duration::try_from(duration).map_err(|_| "a time cannot be negative".to_owned())?)
}

fn positive(duration: Duration) -> Result<Duration, String> {
    if duration.is_zero() {
        return Err("a time of nothing shows nothing".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: Args,
    }

    fn options(flags: &[&str]) -> WatchOptions {
        let typed = Typed::try_parse_from([&["watch"], flags].concat());
        WatchOptions::from(typed.unwrap_or_else(|error| panic!("{error}")).args)
    }

    #[test]
    fn filters_are_repeated_or_listed() {
        let options = options(&[
            "--port=80,443",
            "-p",
            "8000-8999",
            "--workload",
            "nginx*",
            "--role=server",
            "--origin=local,both",
            "--outcome=reset_sent",
        ]);
        let filter = &options.filter;
        assert_eq!(filter.ports.len(), 3);
        assert_eq!(filter.workloads.len(), 1);
        assert_eq!(filter.roles, [Role::Server]);
        assert_eq!(filter.origins, [Origin::Local, Origin::Both]);
        assert_eq!(filter.outcomes, [Outcome::ResetSent]);
        assert!(filter.cuts.is_empty());
        assert_eq!(options.form, Form::Text);
    }

    #[test]
    fn a_cut_may_have_a_cause() {
        assert_eq!(options(&["--cut"]).filter.cuts, [Cuts::Any]);
        assert_eq!(
            options(&["--cut=late,unread"]).filter.cuts,
            [Cuts::By(Cut::Late), Cuts::By(Cut::Unread)]
        );
    }

    #[test]
    fn the_end_is_typed_as_a_count_or_a_time() {
        let options = options(&["-o", "json", "-n", "5", "--for", "1m30s"]);
        assert_eq!(options.form, Form::Json);
        assert_eq!(options.count, Some(5));
        assert_eq!(options.duration, Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        for text in ["0", "0s", "-5s", "", "soon"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for flags in [
            &["--port=0"][..],
            &["--port=99999"],
            &["--outcome=bad"],
            &["-n", "0"],
            &["--cut=maybe"],
            &["--workload="],
        ] {
            assert!(
                Typed::try_parse_from([&["watch"], flags].concat()).is_err(),
                "{flags:?}"
            );
        }
    }
}
