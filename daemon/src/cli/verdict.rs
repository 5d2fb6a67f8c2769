//! `finwatch verdict`: the gate of a pipeline. Its exit code is what it is for, so every way out has one of its
//! own.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::asking::{
    Asking, Detail, EXIT_COULD_NOT_ASK, Output, Which, complain, local_times, mention, moment, now,
    print,
};
use crate::client::{AskError, FoundIncident, Gate, Passed, Since, Wanted, WatchesTime};
use finwatch_engine::{
    model::{Incident, Verdict},
    render::{
        self, Section,
        units::{count, plain},
    },
    summary,
};

const EXIT_PASS: u8 = 0;
const EXIT_FAIL: u8 = 1;
const EXIT_WARN: u8 = 2;
const EXIT_INCONCLUSIVE: u8 = 3;
/// The command line cannot be understood. Not clap's 2, which says `warn` here.
pub(super) const EXIT_USAGE: u8 = 64;

/// Most incidents that are shown of those that count.
const INCIDENTS_SHOWN: usize = 5;

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(500);
/// What began so long before the wait is still meant: a step `deploy; finwatch verdict --wait` asks after the fact.
const BEFORE_WAIT: SignedDuration = SignedDuration::from_mins(1);

/// What was typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --rollout, the newest rollout is judged that fits; one that is not over goes before those that are. With --since,
the time at which a deploy began, it is the first since then that was announced, or where none was, the newest since then;
never one that began before. Others that fit and overlap it in time, or come within two seconds of it, are judged and
waited for with it, as the same workload in two namespaces makes two rollouts; but with an announced deploy neither another
one of the same workload nor what nobody announced of others. The worst verdict counts: fail, then inconclusive, warn, pass. With --since, and without --workload, what fits
too and was not judged is listed below. Where nothing fits, the answer says what there is instead.

With --since and --workload, all that the workload's clients lost since then counts, each loss once: what the rollouts that are
judged tell, and its incidents (`finwatch incidents`), which no rollout tells, or none that is judged: fail where requests were
lost. Where no rollout of it reaches into that time, it is a pass where nothing was lost and finwatch watched for all of it; with
--wait it is inconclusive, as a rollout was waited for. Without --since or without --workload, and with --rollout, rollouts alone
are judged; incidents in their time are named below, as those of others always are, and do not change the verdict.

Exit codes:
   0  pass; or warn, without --fail-on-warn
   1  fail: clients lost something
   2  warn, with --fail-on-warn
   3  inconclusive: nothing was found or it was not over in time, or too little was seen to tell
   4  finwatch could not be asked
  64  the command line cannot be understood

With -o json: `verdict`, `exit_code`, `reason`, `rollout` (the one whose verdict it is; null when nothing was found) and
`others` (the rollouts that were judged with it, mostly none), `not_judged` (those that fit too), `incidents` (those that count) and
`beside` (those in the time of what was judged that do not).

In a pipeline, so that no earlier rollout can be taken for this one:
  since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  kubectl rollout restart deployment/checkout
  finwatch verdict --workload checkout --since $since --wait 5m")]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,

    /// This rollout: its id, or the beginning of it, or `latest`
    #[arg(long, value_name = "ID", conflicts_with_all = ["workload", "namespace", "port", "since"])]
    rollout: Option<String>,

    /// Only a rollout that began then or later: 2026-11-22T16:52:01Z, or so long ago: 15m [default: with --wait one minute
    /// ago, else any time]
    #[arg(short, long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,

    /// Wait for the rollout to begin and to end, so long at most: 30s, 5m, 1h [without a duration: 5m]
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        default_missing_value = "5m",
        value_parser = super::watch::parse_duration
    )]
    wait: Option<Duration>,

    /// Let a warning end with 2; otherwise it passes with 0
    #[arg(long)]
    fail_on_warn: bool,

    #[command(flatten)]
    detail: Detail,

    #[command(flatten)]
    asking: Asking,
}

/// Never fails with the 1 that says `fail`.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let passed = match ask(args) {
        Ok(passed) => passed,
        Err(error) => {
            let code = match error {
                AskError::Several { .. } => EXIT_USAGE,
                _ => EXIT_COULD_NOT_ASK,
            };
            complain(error)?;
            return Ok(ExitCode::from(code));
        }
    };
    let code = exit_code(passed.verdict, args.fail_on_warn);
    if let Err(error) = tell(args, &passed, code) {
        // Nobody could read the verdict, and the code still says it, but for a pass.
        complain(error)?;
        return Ok(ExitCode::from(if code == EXIT_PASS {
            EXIT_COULD_NOT_ASK
        } else {
            code
        }));
    }
    Ok(ExitCode::from(code))
}

fn ask(args: &Args) -> Result<Passed, AskError> {
    let Args {
        which,
        rollout,
        since,
        wait,
        asking,
        detail: _,
        fail_on_warn: _,
    } = args;
    let times = local_times();
    let wanted = match rollout {
        Some(id) => Wanted::Rollout(id.clone()),
        None => Wanted::Fitting {
            workload: which.workload.clone(),
            query: which.query(),
            since: match (since, wait) {
                (Some(since), _) => Since::Deploy(*since),
                (None, Some(_)) => now()
                    .checked_sub(BEFORE_WAIT)
                    .map_or(Since::Ever, Since::Lately),
                (None, None) => Since::Ever,
            },
            called: called(which),
        },
    };
    let gate = Gate {
        client: &asking.client(),
        wanted,
        patience: wait.unwrap_or_default(),
        times: &times,
    };
    let mut stopwatch = Stopwatch {
        began: Instant::now(),
        patience: wait.unwrap_or_default(),
        shows: io::stderr().is_terminal(),
        written: false,
    };
    let passed = gate.pass(&mut stopwatch);
    stopwatch.clear();
    passed
}

fn called(which: &Which) -> String {
    let Which {
        workload,
        namespace,
        port,
    } = which;
    let mut called = "rollout".to_owned();
    if let Some(workload) = workload {
        called.push_str(&format!(" of {workload}"));
    }
    if let Some(namespace) = namespace {
        called.push_str(&format!(" in namespace {namespace}"));
    }
    if let Some(port) = port {
        called.push_str(&format!(" on port {port}"));
    }
    called
}

fn exit_code(verdict: Verdict, fail_on_warn: bool) -> u8 {
    match verdict {
        Verdict::Pass => EXIT_PASS,
        Verdict::Warn if fail_on_warn => EXIT_WARN,
        Verdict::Warn => EXIT_PASS,
        Verdict::Fail => EXIT_FAIL,
        Verdict::Inconclusive => EXIT_INCONCLUSIVE,
    }
}

fn tell(args: &Args, passed: &Passed, code: u8) -> anyhow::Result<()> {
    let text = match args.asking.output {
        Output::Json => {
            let mut rollouts = passed.judged.iter().map(|judged| &judged.value);
            let rollout = rollouts.next();
            let said = json!({
                "verdict": passed.verdict.as_str(),
                "exit_code": code,
                "reason": passed.reason,
                "rollout": rollout,
                "others": rollouts.collect::<Vec<_>>(),
                "not_judged": passed.others,
                "incidents": values(&passed.incidents),
                "beside": values(&passed.beside),
            });
            format!("{said}\n")
        }
        output => report(args, passed, output),
    };
    print(&text).map(drop)
}

fn values(incidents: &[FoundIncident]) -> Vec<&Value> {
    incidents.iter().map(|(value, _)| value).collect()
}

fn report(args: &Args, passed: &Passed, output: Output) -> String {
    let judged = passed.judged.iter().map(|judged| render::Judged {
        verdict: judged.verdict,
        reason: &judged.reason,
        rollout: &judged.rollout,
    });
    let judged: Vec<_> = judged.collect();
    let times = local_times();
    let lets_pass = !args.fail_on_warn;
    let section = |one: &render::Judged<'_>| match args.detail.verbose {
        true => render::judged(one, lets_pass),
        false => summary::judged(one, lets_pass, &times),
    };
    let incidents: Vec<_> = passed.incidents.iter().map(|(_, one)| one).collect();
    let mut sections = Vec::new();
    sections.extend(heading(passed, &judged, &incidents));
    let of_rollouts = judged.iter().map(section);
    let shown = incidents.iter().take(INCIDENTS_SHOWN);
    let of_incidents = shown.map(|incident| match args.detail.verbose {
        true => render::incident(incident, &times),
        false => summary::incident(incident, &times),
    });
    match are_worse(&judged, &incidents) {
        true => sections.extend(of_incidents.chain(of_rollouts)),
        false => sections.extend(of_rollouts.chain(of_incidents)),
    }
    let more = incidents.len().saturating_sub(INCIDENTS_SHOWN);
    if more > 0 {
        let more = count(more as u64, "more incident");
        sections.push(render::note(&format!("and {more}: finwatch incidents")));
    }
    if let Some(nothing) = passed.nothing.as_ref().filter(|_| !incidents.is_empty()) {
        sections.push(render::note(nothing));
    }
    let beside: Vec<_> = passed.beside.iter().map(|(_, one)| one).collect();
    sections.extend(render::beside(beside.into_iter(), &times));
    sections.extend(render::not_judged(&passed.others));
    output.reports(&sections)
}

/// What several come to, or that there is nothing; one says all there is to say itself.
fn heading(
    passed: &Passed,
    judged: &[render::Judged<'_>],
    incidents: &[&Incident],
) -> Option<Section> {
    let verdict = passed.verdict;
    match (judged.len(), incidents.len()) {
        (0, 0) => Some(render::verdict_of_nothing(verdict, &passed.reason)),
        (1, 0) | (0, 1) => None,
        (several, 0) => {
            let of = format!("the worst of {several} rollouts that overlap");
            Some(render::verdict_of(verdict, &of))
        }
        _ => {
            let rollouts: Vec<_> = judged.iter().map(|one| one.rollout).collect();
            Some(summary::together(verdict, &rollouts, incidents))
        }
    }
}

/// Whether it is incidents that made the verdict.
fn are_worse(judged: &[render::Judged<'_>], incidents: &[&Incident]) -> bool {
    let of_rollouts = judged.first().map(|worst| worst.verdict);
    incidents.first().map(|worst| worst.verdict) > of_rollouts
}

/// The real clock, and a line on a terminal that says what is waited for.
struct Stopwatch {
    began: Instant,
    patience: Duration,
    shows: bool,
    written: bool,
}

// === impl Stopwatch ===

impl WatchesTime for Stopwatch {
    fn passed(&self) -> Duration {
        self.began.elapsed()
    }

    fn wait(&mut self, waiting_for: &str) {
        if self.shows {
            let left = self.patience.saturating_sub(self.passed()).as_secs();
            // Progress is a courtesy: where it cannot be written, nothing is lost.
            let _written = write!(
                io::stderr(),
                "\r\x1b[Kwaiting for {waiting_for}, {left} s left"
            );
            self.written = true;
        }
        let left = self.patience.saturating_sub(self.passed());
        std::thread::sleep(PAUSE.min(left).max(Duration::from_millis(1)));
    }

    fn mention(&mut self, what: &str) {
        self.clear();
        // As with progress: the verdict does not hang on it.
        let _written = mention(&plain(what));
    }
}

impl Stopwatch {
    fn clear(&mut self) {
        if std::mem::take(&mut self.written) {
            let _written = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
