//! What this host and this process must have before the programs can be loaded, and what is lost where
//! something softer is missing. It only looks: nothing is changed, attached or left behind.

mod btf;
mod host;
mod kernel;
mod kubernetes;
mod rights;

use std::{net::SocketAddr, path::PathBuf};

use crate::kubernetes::Options;

/// What to check against.
#[derive(Debug, Clone)]
pub struct PreflightOptions {
    /// Where the daemon will listen; empty when that is not known.
    pub listen: Vec<SocketAddr>,
    /// Root of the cgroup2 file system; `None`: where `/proc/self/mountinfo` says.
    pub cgroup_root: Option<PathBuf>,
    /// Who is asked for names of pods.
    pub kubernetes: Options,
    /// Whether servers are asked as well, which takes some seconds where none answers.
    pub ask: bool,
}

/// How a check ended. The order is that of gravity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should be.
    Ok,
    /// finwatch works, and loses what the check says.
    Warn,
    /// finwatch cannot do its job.
    Fail,
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The running kernel.
    Kernel,
    /// What this process may do.
    Rights,
    /// What is around it.
    Host,
    /// Where pods have their names from.
    Kubernetes,
}

/// One check and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it is about.
    pub group: Group,
    /// Stable name, to be found by scripts.
    pub name: &'static str,
    /// How it ended.
    pub status: Status,
    /// What was found.
    pub finding: String,
    /// What it is needed for; where it is missing, what is lost.
    pub needed_for: &'static str,
    /// What to do; empty when nothing is to be done.
    pub remedy: String,
}

/// All checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In the order in which they matter.
    pub checks: Vec<Check>,
}

/// Makes every check. Blocking: some ten milliseconds, and up to ten seconds where servers are asked.
pub fn run(options: &PreflightOptions) -> Report {
    let mut checks = kernel::checks();
    checks.extend(rights::checks());
    checks.extend(host::checks(options));
    checks.extend(kubernetes::checks(options));
    Report { checks }
}

/// The capabilities that are looked for, as `CAP_BPF`: what a manifest has to give.
pub fn capabilities() -> Vec<String> {
    rights::capabilities()
}

// === impl Report ===

impl Report {
    /// The gravest of all.
    pub fn status(&self) -> Status {
        let statuses = self.checks.iter().map(|check| check.status);
        statuses.max().unwrap_or(Status::Ok)
    }

    /// The checks that forbid to start.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(|check| check.status == Status::Fail)
    }

    /// Logs what is lost, one line each: for the start of the daemon.
    pub fn log(&self) {
        for check in &self.checks {
            let Check {
                name,
                finding,
                needed_for,
                remedy,
                ..
            } = check;
            match check.status {
                Status::Ok => tracing::debug!(check = name, finding),
                Status::Warn => tracing::warn!(check = name, finding, needed_for, remedy),
                Status::Fail => tracing::error!(check = name, finding, needed_for, remedy),
            }
        }
    }
}

impl Status {
    /// Its text in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Group {
    /// Its text in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Rights => "rights",
            Self::Host => "host",
            Self::Kubernetes => "kubernetes",
        }
    }
}

/// A check whose outcome is still to be told: what it is, before what it found.
#[derive(Clone, Copy)]
struct About {
    group: Group,
    name: &'static str,
    needed_for: &'static str,
}

impl About {
    fn ok(self, finding: impl Into<String>) -> Check {
        self.check(Status::Ok, finding, "")
    }

    fn warn(self, finding: impl Into<String>, remedy: impl Into<String>) -> Check {
        self.check(Status::Warn, finding, remedy)
    }

    fn fail(self, finding: impl Into<String>, remedy: impl Into<String>) -> Check {
        self.check(Status::Fail, finding, remedy)
    }

    fn check(self, status: Status, finding: impl Into<String>, remedy: impl Into<String>) -> Check {
        let Self {
            group,
            name,
            needed_for,
        } = self;
        Check {
            group,
            name,
            status,
            finding: finding.into(),
            needed_for,
            remedy: remedy.into(),
        }
    }
}
