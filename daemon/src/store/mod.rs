//! The history of drains, rollouts and incidents, over restarts and SIGKILL. It never stops the daemon: what cannot be
//! written is kept in memory and written later, and a file that cannot be used is set aside. It knows neither
//! how a drain is told nor who asks for it. Opening, writing and reading may block.

mod aside;
mod disk;
mod figures;
mod kept;
mod show;
mod trouble;
mod waiting;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use jiff::{SignedDuration, Timestamp};

pub use self::figures::HistoryFigures;
use self::{
    disk::{Disk, FILE, Retention},
    kept::Kept,
    trouble::Trouble,
    waiting::Waiting,
};
use crate::config;
use finwatch_engine::model::{Drain, Incident, Rollout};

/// How long to wait before a disk that refused is tried again.
const RETRY: SignedDuration = SignedDuration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct History {
    /// A lock, so that one thread alone opens or writes the file; it is held meanwhile, and never by who only takes or shows.
    writing: Mutex<()>,
    /// A lock, as the engine keeps, a writer writes and readers show. Held for moments, and over no system call; taken after
    /// `writing` where both are.
    inner: Mutex<Inner>,
    told_strange: AtomicBool,
}

/// What was not over when the finwatch before this one ended, closed as it stands.
#[derive(Debug, Default)]
pub struct Interrupted {
    /// Drains, oldest first.
    pub drains: Vec<Drain>,
    /// Rollouts, oldest first.
    pub rollouts: Vec<Rollout>,
    /// Incidents, oldest first.
    pub incidents: Vec<Incident>,
}

#[derive(Debug)]
struct Inner {
    options: config::History,
    disk: Option<Arc<Disk>>,
    drains: Waiting<Drain>,
    rollouts: Waiting<Rollout>,
    incidents: Waiting<Incident>,
    retry_at: Timestamp,
    failures: u64,
    /// A warning was given, and nothing has been written since.
    warned: bool,
}

// === impl History ===

impl History {
    /// Opens the history at time `now`. What was not over is closed as interrupted, and returned. Never fails:
    /// where the directory cannot be used, the history is in memory, and a warning names the remedy.
    pub fn open(options: &config::History, now: Timestamp) -> (Self, Interrupted) {
        let mut inner = Inner {
            options: options.clone(),
            disk: None,
            drains: Waiting::new(),
            rollouts: Waiting::new(),
            incidents: Waiting::new(),
            retry_at: now,
            failures: 0,
            warned: false,
        };
        let interrupted = open(options, now)
            .and_then(|opened| inner.opened(opened, now))
            .unwrap_or_default();
        let history = Self {
            writing: Mutex::new(()),
            inner: Mutex::new(inner),
            told_strange: AtomicBool::new(false),
        };
        history.settle(now, true);
        (history, interrupted)
    }

    /// Takes the newest state of a drain. It is written by the next [`Self::tick`]: this does not touch the disk, so
    /// that it may be called where records wait.
    pub fn keep_drain(&self, drain: impl Into<Arc<Drain>>, now: Timestamp) {
        let mut inner = self.lock();
        inner.drains.put(drain.into());
        inner.trim(now);
    }

    /// Takes the newest state of a rollout. It is written by the next [`Self::tick`].
    pub fn keep_rollout(&self, rollout: impl Into<Arc<Rollout>>, now: Timestamp) {
        let mut inner = self.lock();
        inner.rollouts.put(rollout.into());
        inner.trim(now);
    }

    /// Takes the newest state of an incident. It is written by the next [`Self::tick`].
    pub fn keep_incident(&self, incident: impl Into<Arc<Incident>>, now: Timestamp) {
        let mut inner = self.lock();
        inner.incidents.put(incident.into());
        inner.trim(now);
    }

    /// Forgets a rollout that another one has replaced. It is removed by the next [`Self::tick`].
    pub fn forget_rollout(&self, id: &str) {
        self.lock().rollouts.forget(id);
    }

    /// Writes in one transaction what is over, and what is not and has changed: once a second at most, and less often
    /// the longer it runs. Tries a disk again that refused. To be called after each change and about once a second.
    /// Blocking, for as long as the disk takes; nobody else waits for it.
    pub fn tick(&self, now: Timestamp) {
        self.settle(now, false);
    }

    /// Writes everything that waits, before a stop.
    pub fn flush(&self, now: Timestamp) {
        {
            let mut inner = self.lock();
            inner.retry_at = inner.retry_at.min(now);
        }
        self.settle(now, true);
    }

    /// How it is.
    pub fn figures(&self) -> HistoryFigures {
        let inner = self.lock();
        HistoryFigures {
            on_disk: inner.disk.is_some(),
            unwritten: inner.drains.len() + inner.rollouts.len() + inner.incidents.len(),
            failures: inner.failures,
            dropped: inner.drains.dropped() + inner.rollouts.dropped() + inner.incidents.dropped(),
        }
    }

    /// Writes what is due. What cannot be written waits, as much of it as would be kept.
    fn settle(&self, now: Timestamp, at_once: bool) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inner = self.lock();
        if inner.disk.is_none() && now >= inner.retry_at {
            let options = inner.options.clone();
            drop(inner);
            let opened = open(&options, now);
            inner = self.lock();
            if let Some(opened) = opened {
                inner.opened(opened, now);
            }
        }
        if let Some(disk) = inner.disk.clone() {
            let drains = inner.drains.due(now, at_once);
            let rollouts = inner.rollouts.due(now, at_once);
            let incidents = inner.incidents.due(now, at_once);
            let forgets = inner.drains.forgets() || inner.rollouts.forgets();
            if drains.is_empty() && rollouts.is_empty() && incidents.is_empty() && !forgets {
                return;
            }
            let drains_batch = inner.drains.batch(&drains);
            let rollouts_batch = inner.rollouts.batch(&rollouts);
            let incidents_batch = inner.incidents.batch(&incidents);
            let retention = inner.retention(now);
            drop(inner);
            let batches = (&drains_batch, &rollouts_batch, &incidents_batch);
            let written = disk.write(batches, retention);
            inner = self.lock();
            match written {
                Ok(()) => {
                    inner.drains.wrote(&drains, now);
                    inner.rollouts.wrote(&rollouts, now);
                    inner.incidents.wrote(&incidents, now);
                    if std::mem::take(&mut inner.warned) {
                        tracing::info!("the history is written again");
                    }
                }
                Err(trouble) => {
                    inner.drains.failed(drains_batch.forgotten);
                    inner.rollouts.failed(rollouts_batch.forgotten);
                    inner.incidents.failed(incidents_batch.forgotten);
                    if !matches!(trouble, Trouble::Full(_)) {
                        inner.disk = None;
                    }
                    inner.warn(&trouble, now);
                }
            }
        }
        inner.trim(now);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in the middle leaves what waits whole: every change of it is one insertion.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    /// What waits is bounded as what is written is.
    fn trim(&mut self, now: Timestamp) {
        let to_be_written = self.options.directory.is_some();
        let retention = self.retention(now);
        self.drains.trim(retention, to_be_written);
        self.rollouts.trim(retention, to_be_written);
        self.incidents.trim(retention, to_be_written);
    }

    /// Takes the file that was opened. Closes what is found in it unfinished and not among what this process follows.
    fn opened(&mut self, opened: Opened, now: Timestamp) -> Option<Interrupted> {
        match opened {
            Ok((
                disk,
                Unfinished {
                    drains,
                    rollouts,
                    incidents,
                },
            )) => {
                self.disk = Some(Arc::new(disk));
                self.tell_opened(drains.1 + rollouts.1 + incidents.1);
                Some(Interrupted {
                    drains: close(&mut self.drains, drains.0, now),
                    rollouts: close(&mut self.rollouts, rollouts.0, now),
                    incidents: close(&mut self.incidents, incidents.0, now),
                })
            }
            Err(trouble) => {
                self.warn(&trouble, now);
                None
            }
        }
    }

    fn retention(&self, now: Timestamp) -> Retention {
        let age = SignedDuration::try_from(self.options.max_age).unwrap_or(SignedDuration::MAX);
        Retention {
            limit: self.options.limit,
            since: now.checked_sub(age).unwrap_or(Timestamp::MIN),
        }
    }

    fn tell_opened(&self, strange: usize) {
        let path = self.disk.as_ref().map(|disk| disk.path().display());
        tracing::info!(path = path.map(tracing::field::display), "history is kept");
        if strange > 0 {
            tracing::warn!(
                "{strange} drains, rollouts or incidents that were under way were written by another version and are lost"
            );
        }
    }

    /// Once until something has been written again.
    fn warn(&mut self, trouble: &Trouble, now: Timestamp) {
        self.failures += 1;
        self.retry_at = now.checked_add(RETRY).unwrap_or(now);
        if std::mem::replace(&mut self.warned, true) {
            return;
        }
        tracing::warn!(
            directory = self.options.directory.as_ref().map(|path| tracing::field::display(path.display())),
            error = %trouble,
            "cannot keep the history on disk: it is kept in memory until that is mended, and lost when finwatch ends; {}",
            trouble.remedy()
        );
    }
}

/// What is not over in a file, of each kind, with the number of values that cannot be read.
struct Unfinished {
    drains: (Vec<Drain>, usize),
    rollouts: (Vec<Rollout>, usize),
    incidents: (Vec<Incident>, usize),
}

/// The file, and what is not over in it.
type Opened = Result<(Disk, Unfinished), Trouble>;

/// Opens the file, and begins another in place of one that cannot be used; none when it is not to be written at all.
/// Blocking.
fn open(options: &config::History, now: Timestamp) -> Option<Opened> {
    let directory = options.directory.as_deref()?;
    let opened = match Disk::open(directory) {
        Err(trouble @ (Trouble::Corrupt(_) | Trouble::Newer { .. })) => {
            set_aside(&directory.join(FILE), &trouble, now).and_then(|()| Disk::open(directory))
        }
        opened => opened,
    };
    Some(opened.and_then(|disk| {
        let unfinished = Unfinished {
            drains: disk.running()?,
            rollouts: disk.running()?,
            incidents: disk.running()?,
        };
        Ok((disk, unfinished))
    }))
}

fn set_aside(file: &Path, trouble: &Trouble, now: Timestamp) -> Result<(), Trouble> {
    let why = match trouble {
        Trouble::Newer { .. } => "newer",
        _ => "corrupt",
    };
    let aside = aside::set(file, why, now)?;
    tracing::warn!(
        file = %file.display(),
        aside = %aside.display(),
        error = %trouble,
        "the history cannot be used and was set aside: every drain, rollout and incident until now is in that file and shown no \
         more; a new history begins",
    );
    Ok(())
}

/// Closes what the process before left unfinished.
fn close<T: Kept>(waiting: &mut Waiting<T>, found: Vec<T>, now: Timestamp) -> Vec<T> {
    let mut closed = Vec::new();
    for mut value in found {
        // After a disk came back these are this process's own.
        if waiting.knows(value.id()) {
            continue;
        }
        value.interrupt(now);
        waiting.put(Arc::new(value.clone()));
        closed.push(value);
    }
    if !closed.is_empty() {
        tracing::warn!(
            count = closed.len(),
            "{} that were under way when finwatch ended are closed as interrupted",
            T::CALLED
        );
    }
    closed
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod tests;
