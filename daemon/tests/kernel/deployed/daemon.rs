//! The real daemon as a process of its own, in the calling thread's network namespace.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::web;
use crate::harness::{wait_until, within};

/// Where it serves, by default.
pub(crate) const PORT: u16 = 10_346;

const PROGRAM: &str = env!("CARGO_BIN_EXE_finwatch");

/// A running daemon; it is killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    folder: TempDir,
}

impl Daemon {
    /// Starts it with all of root's rights and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .arg("daemon")
            .args(["--state-directory".as_ref(), folder.path()])
            .args(arguments);
        Self::spawn(command, folder)
    }

    /// Starts it in the surroundings that `script` makes, and waits until it is ready.
    pub(crate) fn start_within(
        script: &str,
        state: &str,
        capabilities: &str,
        arguments: &[String],
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                script,
                "sh",
            ])
            .arg(folder.path())
            .args([PROGRAM, state, capabilities])
            .args(arguments)
            .envs(environment.iter().copied());
        Self::spawn(command, folder)
    }

    fn spawn(mut command: Command, folder: TempDir) -> Self {
        let child = command
            .env_remove("FINWATCH_CONFIG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().with_extension("log")).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let mut daemon = Self { child, folder };
        let started = Instant::now();
        let ready = within(Duration::from_secs(30), &mut || {
            daemon.ended() || web::get(PORT, "/ready").is_ok_and(|(status, _)| status == 200)
        });
        assert!(
            ready && !daemon.ended(),
            "the daemon is not ready after {:?}:\n{}",
            started.elapsed(),
            daemon.log()
        );
        daemon
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said on standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// A line of `/proc/<pid>/status`.
    pub(crate) fn status(&self, key: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        value
            .unwrap_or_else(|| panic!("{key} in {status}"))
            .trim()
            .to_owned()
    }

    /// `/metrics` in Prometheus text.
    pub(crate) fn metrics(&self) -> String {
        let (status, text) = web::get(PORT, "/metrics").unwrap();
        assert_eq!(status, 200, "{text}");
        text
    }

    /// Tells it to stop, and returns its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        // SAFETY: no memory is involved; the child is ours and not yet reaped.
        let result = unsafe { libc::kill(self.pid().cast_signed(), libc::SIGTERM) };
        assert_eq!(result, 0, "signal the daemon");
        wait_until("the daemon ends", || self.ended());
        self.child.wait().unwrap().code()
    }

    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    fn log_path(&self) -> std::path::PathBuf {
        self.folder.path().with_extension("log")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_file(self.log_path()).ok();
    }
}

/// Value of the one sample of a metric whose labels are these, among others.
pub(crate) fn sample(text: &str, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let wanted: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    let mut found = text.lines().filter(|line| {
        line.strip_prefix(metric)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
            && wanted.iter().all(|label| line.contains(label))
    });
    let line = found.next()?;
    assert!(
        found.next().is_none(),
        "{metric}{labels:?} means more than one series"
    );
    line.rsplit(' ').next()?.parse().ok()
}
