//! How long one waits to see something: `finwatch watch`, and beside it bpftrace with the script that counts the same.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::bpftrace;
use super::daemon::Finwatch;
use crate::paths::Paths;
use crate::shell::say;

/// In milliseconds, one a round.
pub(super) struct Starts {
    pub(super) finwatches: Vec<(&'static str, Start)>,
    /// The whole run of bpftrace, which does not say when its programs are attached.
    pub(super) bpftrace_run: Vec<f64>,
}

/// Of one finwatch.
#[derive(Default)]
pub(super) struct Start {
    /// Until `finwatch watch` says that it watches.
    pub(super) watches: Vec<f64>,
    /// Its whole run, when it ends at once.
    pub(super) run: Vec<f64>,
}

pub(super) fn run(paths: &Paths, finwatches: &[Finwatch], rounds: usize) -> Result<Starts> {
    say("starting and ending `finwatch watch` and bpftrace");
    let script = paths.target.join("bench/start.bt");
    bpftrace::COUNT.write_with(&script, "interval:ms:1 { exit(); }\n")?;
    let mut starts = Starts {
        finwatches: finwatches
            .iter()
            .map(|finwatch| (finwatch.name, Start::default()))
            .collect(),
        bpftrace_run: Vec::new(),
    };
    for _ in 0..rounds {
        for (finwatch, (_, start)) in finwatches.iter().zip(&mut starts.finwatches) {
            let (watches, run) = watch(&finwatch.binary)?;
            start.watches.push(watches);
            start.run.push(run);
        }
        starts.bpftrace_run.push(watch_by_bpftrace(&script)?);
    }
    Ok(starts)
}

/// Until it watches, and until it has ended.
fn watch(finwatch: &Path) -> Result<(f64, f64)> {
    let begin = Instant::now();
    let mut child = Command::new(finwatch)
        .args(["watch", "--for", "1ms"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {}", finwatch.display()))?;
    let mut watches = None;
    for line in child
        .stderr
        .take()
        .into_iter()
        .flat_map(|said| BufReader::new(said).lines())
    {
        let line = line.context("read what finwatch says")?;
        if line.starts_with("watching since ") {
            watches = Some(millis(begin));
        }
    }
    let status = child.wait().context("wait for finwatch's end")?;
    ensure!(status.success(), "run finwatch: {status}");
    Ok((
        watches.context("finwatch did not say that it watches")?,
        millis(begin),
    ))
}

fn watch_by_bpftrace(script: &Path) -> Result<f64> {
    let begin = Instant::now();
    let status = bpftrace::command(script)?
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("run bpftrace")?;
    ensure!(status.success(), "run bpftrace: {status}");
    Ok(millis(begin))
}

fn millis(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}
