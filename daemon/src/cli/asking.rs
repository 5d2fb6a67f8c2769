//! What every command has that asks a running daemon: where it is, how to print, and the way out when it cannot
//! be asked.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    str::FromStr as _,
};

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::de::DeserializeOwned;
use ureq::http::Uri;

use super::paint::TERMINAL;
use crate::client::{AskError, Client, Query};
use finwatch_engine::render::{Section, Table, markdown, units::Times};

/// The daemon could not be asked.
pub(super) const EXIT_COULD_NOT_ASK: u8 = 4;
/// Where the daemon is, when nobody says.
pub(super) const URL_ENV: &str = "FINWATCH_URL";

/// What the help says of the exit codes.
pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 answered, 1 there is no such thing, 2 usage, 4 finwatch could not be asked";

/// Flags of every such command.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Asking {
    /// Where the daemon serves
    #[arg(
        long,
        value_name = "URL",
        env = URL_ENV,
        default_value = "http://127.0.0.1:10346",
        value_parser = plain_http
    )]
    url: String,

    /// How to print: as text, what the daemon says as JSON, or Markdown for a comment on a change
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,

    /// No colours; NO_COLOR in the environment says the same
    #[arg(long)]
    no_color: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
    Markdown,
}

/// How much of a report is wanted.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Detail {
    /// Everything that is known, in place of what there is to see at a glance
    #[arg(long)]
    pub(super) verbose: bool,
}

/// Which of a list are wanted.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Which {
    /// Only this workload; `nginx` also means the unit `nginx.service`
    #[arg(short, long, value_name = "NAME")]
    pub(super) workload: Option<String>,

    /// Only workloads of this Kubernetes namespace
    #[arg(short, long, value_name = "NAME")]
    pub(super) namespace: Option<String>,

    /// Only this port
    #[arg(short, long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,
}

/// Which part of a history is wanted.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Slice {
    /// Only what began then or later: 2026-11-22T16:52:01Z, or so long ago: 15m
    #[arg(short, long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,

    /// Most lines
    #[arg(short = 'l', long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// What the daemon answers to whoever asks for a list.
pub(super) trait Listed: DeserializeOwned {
    /// Where it is served.
    const PATH: &'static str;
    /// What is in it, as a plural.
    const WHAT: &'static str;

    /// One line each; none where there is nothing.
    fn table(&self) -> Option<Table>;

    /// There are more than were asked for.
    fn has_more(&self) -> bool {
        false
    }
}

// === impl Asking ===

impl Asking {
    /// The daemon to be asked. Colours are as wanted from here on.
    pub(super) fn client(&self) -> Client {
        if self.no_color {
            anstream::ColorChoice::Never.write_global();
        }
        Client::new(&self.url)
    }

    /// Asks for a list and prints it.
    pub(super) fn list<L: Listed>(&self, query: &Query) -> anyhow::Result<ExitCode> {
        let client = self.client();
        let ask = || {
            let text = client.text(L::PATH, query)?;
            let listed: L = client.understand(L::PATH, &text)?;
            Ok((text, listed))
        };
        let (text, listed) = match ask() {
            Ok(answer) => answer,
            Err(error) => return self.finish(Err(error)),
        };
        if self.output == Output::Json {
            return self.finish(Ok(text + "\n"));
        }
        let Some(table) = listed.table() else {
            mention(&format!("no {}", L::WHAT))?;
            return Ok(ExitCode::SUCCESS);
        };
        let printed = self.finish(Ok(self.output.table(&table)));
        if listed.has_more() {
            mention("there are more; --limit shows them")?;
        }
        printed
    }

    /// Prints the answer, or says why there is none.
    pub(super) fn finish(&self, answer: Result<String, AskError>) -> anyhow::Result<ExitCode> {
        match answer {
            Ok(text) => print(&text),
            Err(error) => {
                let code = match error {
                    AskError::NoSuch { .. } | AskError::Several { .. } => ExitCode::FAILURE,
                    _ => ExitCode::from(EXIT_COULD_NOT_ASK),
                };
                complain(error)?;
                Ok(code)
            }
        }
    }
}

// === impl Output ===

impl Output {
    /// A table, for whoever reads it.
    pub(super) fn table(self, table: &Table) -> String {
        match self {
            Self::Markdown => markdown::table(table),
            Self::Table | Self::Json => TERMINAL.table(table),
        }
    }

    /// Reports one after the other, each as a short one is read best.
    pub(super) fn reports(self, sections: &[Section]) -> String {
        match self {
            Self::Markdown => markdown::sections(sections),
            Self::Table | Self::Json => TERMINAL.indented(sections),
        }
    }

    /// A report with many parts in parts.
    pub(super) fn tree(self, section: &Section) -> String {
        match self {
            Self::Markdown => markdown::section(section),
            Self::Table | Self::Json => TERMINAL.tree(section),
        }
    }
}

// === impl Which ===

impl Which {
    /// As parameters of the read API.
    pub(super) fn query(&self) -> Query {
        let Self {
            workload,
            namespace,
            port,
        } = self;
        let mut query = Query::new();
        query.extend(workload.clone().map(|name| ("workload", name)));
        query.extend(namespace.clone().map(|name| ("namespace", name)));
        query.extend(port.map(|port| ("port", port.to_string())));
        query
    }
}

// === impl Slice ===

impl Slice {
    /// As parameters of the read API.
    pub(super) fn add_to(&self, query: &mut Query) {
        let Self { since, limit } = self;
        query.extend(since.map(|since| ("since", since.to_string())));
        query.push(("limit", limit.to_string()));
    }
}

/// Data goes to standard output, and its end is nobody's mistake.
pub(super) fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot print the answer"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Everything else goes to standard error.
pub(super) fn complain(error: impl Into<anyhow::Error>) -> anyhow::Result<()> {
    writeln!(anstream::stderr(), "error: {:#}", error.into())?;
    Ok(())
}

/// As above, where nothing is wrong.
pub(super) fn mention(text: &str) -> anyhow::Result<()> {
    writeln!(anstream::stderr(), "{text}")?;
    Ok(())
}

/// A time, or a while ago.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = SignedDuration::from_str(text)
        .ok()
        .filter(|ago| !ago.is_negative())
        .ok_or("expected a time as in 2026-11-22T16:52:01Z, or so long ago, as in 15m")?;
    now().checked_sub(ago).map_err(|error| error.to_string())
}

/// Now, as people write it.
pub(super) fn now() -> Timestamp {
    Timestamp::try_from(crate::clock::wall()).unwrap_or(Timestamp::MAX)
}

/// Times as they are read where this process runs.
pub(super) fn local_times() -> Times {
    Times::new(TimeZone::system())
}

/// The read API speaks nothing else.
fn plain_http(text: &str) -> Result<String, String> {
    let uri: Uri = text
        .parse()
        .map_err(|_| "expected the address of a daemon, as in http://127.0.0.1:10346".to_owned())?;
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    if uri.scheme_str() != Some("http") || !has_host {
        return Err(
            "it must begin with http:// and name a host: the daemon speaks plain HTTP; where TLS stands before it, ask \
             through a tunnel"
                .to_owned(),
        );
    }
    if uri.path() != "/" || uri.query().is_some() {
        return Err("only scheme, host and port: the paths are known".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_ages() {
        assert_eq!(
            moment("2026-11-22T16:52:01+01:00"),
            Ok("2026-11-22T15:52:01Z".parse().expect("a time"))
        );
        let hour_ago = moment("1h").expect("an age");
        let age = now().duration_since(hour_ago).as_secs();
        assert!((3_600..3_610).contains(&age), "{age}");
        for wrong in ["", "soon", "-5m", "2026-11-22"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_plain_http() {
        for right in ["http://127.0.0.1:10346", "http://[::1]:1/", "http://node"] {
            assert!(plain_http(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "127.0.0.1:10346",
            "https://node",
            "http://",
            "http://node/metrics",
            "http://node?x=1",
        ] {
            assert!(plain_http(wrong).is_err(), "{wrong}");
        }
    }
}
