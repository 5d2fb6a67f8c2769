//! How long one waits to see something: `finwatch watch`, and beside it bpftrace with the script that counts the same.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::bpftrace::COUNT;
use crate::build;
use crate::paths::Paths;
use crate::shell::say;

/// In milliseconds, one a round.
pub(super) struct Starts {
    /// Until `finwatch watch` says that it watches.
    pub(super) watches: Vec<f64>,
    /// Its whole run, when it ends at once.
    pub(super) run: Vec<f64>,
    /// The same of bpftrace, which does not say when its programs are attached.
    pub(super) bpftrace_run: Vec<f64>,
}

pub(super) fn starts(paths: &Paths, rounds: usize) -> Result<Starts> {
    say("starting and ending `finwatch watch` and bpftrace");
    let script = paths.target.join("bench/start.bt");
    COUNT.write_with(&script, "interval:ms:1 { exit(); }\n")?;
    let mut starts = Starts {
        watches: Vec::new(),
        run: Vec::new(),
        bpftrace_run: Vec::new(),
    };
    for _ in 0..rounds {
        let (watches, run) = watch(&build::daemon_binary(paths))?;
        starts.watches.push(watches);
        starts.run.push(run);
        starts.bpftrace_run.push(bpftrace(&script)?);
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

fn bpftrace(script: &Path) -> Result<f64> {
    let begin = Instant::now();
    let status = Command::new("bpftrace")
        .arg(script)
        .stdin(Stdio::null())
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
