//! `finwatch deploy`: tells a running finwatch that a change begins or has ended. It sends finwatch's own JSON to the
//! daemon's intake, and knows nothing of what is made of it.

use std::{
    collections::hash_map::RandomState,
    fs,
    hash::BuildHasher as _,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use finwatch_engine::render::units::plain;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use ureq::{Agent, http};

use super::EXIT_USAGE;

/// The daemon could not be asked.
const EXIT_UNREACHABLE: u8 = 4;
/// The daemon refused the event.
const EXIT_REFUSED: u8 = 1;
/// Longest time for the whole exchange.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
const TOKEN_ENV: &str = "FINWATCH_TOKEN";
const PATH: &str = "/v1/deploys";

/// What was typed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 taken (or known already), 1 refused, 2 usage, 4 could not reach finwatch"
)]
pub(super) struct Args {
    #[command(subcommand)]
    stage: Stage,
}

#[derive(Debug, Subcommand)]
enum Stage {
    /// A change begins: the new revision is about to be rolled out
    Start(Event),
    /// A change has ended well
    Finish(Event),
    /// A change has failed, or was given up
    Fail(Event),
}

#[derive(Debug, clap::Args)]
struct Event {
    /// Name of what changes: a unit (with or without .service), a container, a program, a deployment
    #[arg(short, long, value_name = "NAME")]
    workload: String,

    /// Its Kubernetes namespace [default: any]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,

    /// Its kind, as in metrics: unit, container, process, deployment [default: any]
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,

    /// The one port that is meant [default: every port of the workload]
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// What it changes to: a version, an image tag, a commit
    #[arg(short, long, value_name = "TEXT")]
    revision: Option<String>,

    /// Where to read more, such as the pipeline's page; may be repeated
    #[arg(long = "link", value_name = "URL")]
    links: Vec<String>,

    /// Name of this change: sent again with the same id it is taken once [default: a random one]
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,

    /// When it happened, as in 2026-01-31T12:00:00Z [default: when finwatch gets it]
    #[arg(long, value_name = "TIME")]
    time: Option<Timestamp>,

    /// Where finwatch takes deploy events
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:10347")]
    url: String,

    /// File with the token [default: the environment variable FINWATCH_TOKEN, if it is set]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// How to print what became of it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// The daemon's answer.
struct Answer {
    status: u16,
    body: String,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (stage, event) = match args.stage {
        Stage::Start(event) => ("started", event),
        Stage::Finish(event) => ("finished", event),
        Stage::Fail(event) => ("failed", event),
    };
    let prepared = endpoint(&event.url).and_then(|url| Ok((url, token(&event)?)));
    let (url, token) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            writeln!(io::stderr(), "error: {error:#}")?;
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let answer = match send(&url, token.as_deref(), &body(stage, &event)) {
        Ok(answer) => answer,
        Err(error) => {
            writeln!(
                io::stderr(),
                "error: cannot reach finwatch at {url}: {error}; is the daemon running (`systemctl status finwatch`), \
                 and does its setting deploys.listen say so?"
            )?;
            return Ok(ExitCode::from(EXIT_UNREACHABLE));
        }
    };
    tell(&event, stage, &url, &answer)
}

/// Where to post to. Only plain HTTP is built in: the intake speaks nothing else.
fn endpoint(typed: &str) -> anyhow::Result<String> {
    let uri: http::Uri = typed.parse().with_context(|| {
        format!("--url {typed:?} is no address; it looks like http://127.0.0.1:10347")
    })?;
    anyhow::ensure!(
        uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty()),
        "--url {typed:?} must begin with http:// and name a host: finwatch takes deploy events over plain HTTP; where \
         TLS stands before it, send them with curl"
    );
    let base = typed.trim_end_matches('/');
    Ok(if base.ends_with(PATH) {
        base.to_owned()
    } else {
        format!("{base}{PATH}")
    })
}

fn token(event: &Event) -> anyhow::Result<Option<String>> {
    let (token, origin) = match &event.token_file {
        Some(path) => (token_in(path)?, path.display().to_string()),
        None => match std::env::var(TOKEN_ENV) {
            Ok(token) => (token, TOKEN_ENV.to_owned()),
            Err(std::env::VarError::NotPresent) => return Ok(None),
            Err(error) => return Err(error).context(TOKEN_ENV),
        },
    };
    let token = token.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(
        !token.is_empty(),
        "there is no token in {origin}: write it there, or leave the option out where finwatch needs none"
    );
    anyhow::ensure!(
        token.chars().all(|c| c.is_ascii_graphic() || c == ' '),
        "the token in {origin} has characters that a header cannot carry"
    );
    Ok(Some(token.to_owned()))
}

fn token_in(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read --token-file {}", path.display()))
}

fn body(stage: &str, event: &Event) -> Value {
    let Event {
        workload,
        namespace,
        kind,
        port,
        revision,
        links,
        id,
        time,
        url: _,
        token_file: _,
        output: _,
    } = event;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };
    put("workload", json!(workload));
    put("stage", json!(stage));
    put("namespace", json!(namespace));
    put("kind", json!(kind));
    put("port", json!(port));
    put("revision", json!(revision));
    put("links", json!(links));
    put("id", json!(id.clone().unwrap_or_else(random_id)));
    put("time", json!(time));
    Value::Object(fields)
}

/// Not secret, only unlike any other: the hasher's keys are random in each process.
fn random_id() -> String {
    let half = || RandomState::new().hash_one(std::process::id());
    format!("cli-{:016x}{:016x}", half(), half())
}

fn send(url: &str, token: Option<&str>, body: &Value) -> Result<Answer, ureq::Error> {
    let agent: Agent = Agent::config_builder()
        // Meant for this host or its neighbour: a proxy for the web would not know either.
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(PATIENCE))
        .user_agent(concat!("finwatch/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let mut request = agent.post(url).content_type("application/json");
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = request.send(body.to_string())?;
    let status = response.status().as_u16();
    let body = response
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .lossy_utf8(true)
        .read_to_string()?;
    Ok(Answer { status, body })
}

fn tell(event: &Event, stage: &str, url: &str, answer: &Answer) -> anyhow::Result<ExitCode> {
    let told: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let text = |key: &str| told.get(key).and_then(Value::as_str);
    let taken = (200..300).contains(&answer.status);
    let (Some(id), Some(result), true) = (text("id"), text("result"), taken) else {
        if event.output == Output::Json && told.is_object() {
            writeln!(io::stdout(), "{told}")?;
        }
        let reason = match (text("error"), text("remedy")) {
            (Some(error), Some(remedy)) => format!("finwatch refused the event: {error}; {remedy}"),
            _ => format!(
                "{url} answered {} and is not finwatch's intake: --url must be what its setting deploys.listen says",
                answer.status
            ),
        };
        writeln!(io::stderr(), "error: {reason}")?;
        return Ok(ExitCode::from(EXIT_REFUSED));
    };
    match event.output {
        Output::Json => writeln!(io::stdout(), "{told}")?,
        Output::Text => {
            writeln!(
                io::stdout(),
                "{result}: {} {stage}, id {id}",
                event.workload
            )?;
            let unknown = told["unknown"]["warning"].as_str();
            if let Some(unknown) = unknown.map(plain) {
                writeln!(
                    io::stderr(),
                    "warning: {unknown}. The event was taken all the same"
                )?;
            }
            if let Some(skew) = text("skew") {
                writeln!(
                    io::stderr(),
                    "warning: finwatch's clock finds the event's time {skew}: check both clocks, or leave --time out"
                )?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
