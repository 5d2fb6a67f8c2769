//! `kubectl`, as the cluster's administrator.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::pki::Pki;
use super::programs::{self, Programs, flag};
use crate::shell::{self, render};

pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

// === impl Kubectl ===

impl Kubectl {
    pub(super) fn new(programs: &Programs, pki: &Pki) -> Self {
        Self {
            program: programs.kubernetes.clone(),
            kubeconfig: pki.kubeconfig("admin"),
        }
    }

    /// What it printed.
    pub(super) fn read(&self, words: &[&str]) -> Result<String> {
        shell::read(self.command().args(words))
    }

    pub(super) fn json(&self, words: &[&str]) -> Result<Value> {
        let text = shell::read(self.command().args(words).args(["-o", "json"]))?;
        serde_json::from_str(&text).context("parse what kubectl printed")
    }

    /// Applies manifests given as text.
    pub(super) fn apply(&self, manifests: &str) -> Result<()> {
        let mut command = self.command();
        command.args(["apply", "-f", "-"]);
        let line = render(&command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("run `{line}`"))?;
        let mut into = child.stdin.take().context("write to kubectl")?;
        into.write_all(manifests.as_bytes())
            .context("write to kubectl")?;
        drop(into);
        let status = child.wait().with_context(|| format!("wait for `{line}`"))?;
        if !status.success() {
            bail!("`{line}` failed: {status}, of\n{manifests}");
        }
        Ok(())
    }

    /// Asks again and again until `done` of what a command printed as JSON.
    pub(super) fn wait_until(
        &self,
        what: &str,
        within: Duration,
        words: &[&str],
        done: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let started = Instant::now();
        loop {
            // Also an error may be for the moment only, such as an object that is not there yet.
            let seen = self.json(words);
            match seen {
                Ok(value) if done(&value) => return Ok(value),
                Err(error) if started.elapsed() > within => {
                    return Err(error.context(format!("wait until {what}")));
                }
                Ok(_) if started.elapsed() > within => {
                    bail!("wait until {what}: not after {within:?}");
                }
                _ => std::thread::sleep(Duration::from_millis(300)),
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = programs::kubernetes(&self.program, "kubectl");
        command.arg(flag("kubeconfig", &self.kubeconfig));
        // It would keep a cache of the API in the user's home.
        command.args(["--cache-dir=/run/kubectl-cache", "--request-timeout=30s"]);
        command
    }
}
