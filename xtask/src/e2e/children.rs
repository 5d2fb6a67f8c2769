//! Processes that were started, each with a log of its own, and ended with whoever started them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long one may take to end after TERM.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Children {
    logs: PathBuf,
    started: Vec<(String, Child)>,
}

// === impl Children ===

impl Children {
    /// Their logs go to this folder.
    pub(super) fn new(logs: &Path) -> Result<Self> {
        fs::create_dir_all(logs).with_context(|| format!("create {}", logs.display()))?;
        Ok(Self {
            logs: logs.to_path_buf(),
            started: Vec::new(),
        })
    }

    pub(super) fn start(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let log = self.logs.join(format!("{name}.log"));
        let out = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let err = out
            .try_clone()
            .with_context(|| format!("open {} again", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        self.started.push((name.to_owned(), child));
        Ok(())
    }

    /// Fails when one has ended, with the place of its log.
    pub(super) fn check(&mut self) -> Result<()> {
        for (name, child) in &mut self.started {
            if let Some(status) = child
                .try_wait()
                .with_context(|| format!("look after {name}"))?
            {
                bail!(
                    "{name} ended: {status}; its log is {}",
                    self.logs.join(format!("{name}.log")).display()
                );
            }
        }
        Ok(())
    }

    /// Waits until `done`, while all of them live.
    pub(super) fn wait_until(
        &mut self,
        what: &str,
        within: Duration,
        mut done: impl FnMut() -> bool,
    ) -> Result<()> {
        let started = Instant::now();
        while !done() {
            self.check()?;
            if started.elapsed() > within {
                bail!(
                    "wait until {what}: not after {within:?}; logs are in {}",
                    self.logs.display()
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Children {
    /// The last that was started ends first. Nothing here can fail but for a process that has ended already.
    fn drop(&mut self) {
        for (_, child) in self.started.iter_mut().rev() {
            terminate(child);
        }
    }
}

fn terminate(child: &mut Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    // SAFETY: no memory is involved, and the child has not been waited for, so the number is still its own.
    unsafe { libc::kill(child.id().cast_signed(), libc::SIGTERM) };
    let started = Instant::now();
    while started.elapsed() < ENDED_WITHIN {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill().ok();
    child.wait().ok();
}
