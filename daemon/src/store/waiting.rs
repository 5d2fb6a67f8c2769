//! What is not on disk: states that wait to be written, and everything when nothing can be. It does not know the
//! disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    disk::{Batch, Retention},
    kept::{Kept, Key},
};

/// A value that is not over is written at most this often in its first minute.
const PAUSE_MIN: SignedDuration = SignedDuration::from_secs(1);
/// And at least this often while it changes, however long it runs.
const PAUSE_MAX: SignedDuration = SignedDuration::from_mins(1);
/// In between, so many times in its life: what runs for hours must not keep a disk awake.
const TIMES: i32 = 60;

/// Values of one kind.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    waiting: BTreeMap<Key, Arc<T>>,
    /// Those that are not over, by id.
    running: HashMap<String, Running<T>>,
    /// Ids of what is to be removed from the disk.
    forgotten: BTreeSet<String>,
    dropped: u64,
}

#[derive(Debug)]
struct Running<T> {
    key: Key,
    written: Option<(Arc<T>, Timestamp)>,
}

// === impl Waiting ===

impl<T: Kept> Waiting<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            running: HashMap::new(),
            forgotten: BTreeSet::new(),
            dropped: 0,
        }
    }

    /// Takes the newest state of a value; nothing is to be done when it is the one that was written.
    pub(super) fn put(&mut self, value: Arc<T>) {
        let key = value.key();
        let known = self.running.get(&key.1);
        let written = known.and_then(|known| known.written.as_ref());
        if written.is_some_and(|(written, _)| *written == value) {
            self.waiting.remove(&key);
            return;
        }
        let running = self
            .running
            .entry(key.1.clone())
            .or_insert_with(|| Running {
                key: key.clone(),
                written: None,
            });
        if running.key != key {
            self.waiting.remove(&running.key);
            running.key = key.clone();
        }
        self.waiting.insert(key, value);
    }

    /// Lets go of a value for good, wherever it is.
    pub(super) fn forget(&mut self, id: &str) {
        self.waiting.retain(|key, _| key.1 != id);
        self.running.remove(id);
        self.forgotten.insert(id.to_owned());
    }

    /// Whether something is to be removed from the disk.
    pub(super) fn forgets(&self) -> bool {
        !self.forgotten.is_empty()
    }

    /// Whether it is one of ours.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.running.contains_key(id)
    }

    /// What is to be written now: what is over, and what is not and was not written for a while.
    pub(super) fn due(&self, now: Timestamp, at_once: bool) -> Vec<Arc<T>> {
        let is_due = |value: &T| {
            let written = self
                .running
                .get(value.id())
                .and_then(|running| running.written.as_ref());
            let age = now.duration_since(value.started_at()) / TIMES;
            let pause = age.clamp(PAUSE_MIN, PAUSE_MAX);
            at_once
                || value.is_ended()
                // A clock that was set back must not hold it up.
                || written.is_none_or(|(_, at)| now.duration_since(*at).abs() >= pause)
        };
        let due = self.waiting.values().filter(|value| is_due(value));
        due.cloned().collect()
    }

    /// What one transaction takes of `due`. To be answered by [`Self::wrote`] or [`Self::failed`]; what is put or forgotten
    /// meanwhile waits for the next one.
    pub(super) fn batch<'a>(&mut self, due: &'a [Arc<T>]) -> Batch<'a, T> {
        let moved = due.iter().filter_map(|value| {
            let running = self.running.get(value.id())?;
            let written = running.written.as_ref()?.0.key();
            (written != running.key).then_some(written)
        });
        Batch {
            moved: moved.collect(),
            forgotten: mem::take(&mut self.forgotten),
            values: due.iter().map(|value| &**value).collect(),
        }
    }

    /// `due` was not written, and nothing was removed.
    pub(super) fn failed(&mut self, forgotten: BTreeSet<String>) {
        self.forgotten.extend(forgotten);
    }

    /// `due` was written.
    pub(super) fn wrote(&mut self, due: &[Arc<T>], now: Timestamp) {
        for value in due {
            let key = value.key();
            let waiting = self.waiting.get(&key);
            if waiting.is_some_and(|newest| Arc::ptr_eq(newest, value)) {
                self.waiting.remove(&key);
            }
            let more = self.running.get(value.id());
            let more = more.is_some_and(|running| self.waiting.contains_key(&running.key));
            if value.is_ended() && !more {
                self.running.remove(value.id());
            } else if let Some(running) = self.running.get_mut(value.id()) {
                running.written = Some((Arc::clone(value), now));
            }
        }
    }

    /// Lets go of what is too old or too much. What is not over stays.
    pub(super) fn trim(&mut self, retention: Retention, counts: bool) {
        if !counts {
            // Nothing is ever written.
            self.forgotten.clear();
        }
        let Retention { limit, since } = retention;
        let oldest = self.waiting.keys().next();
        if self.waiting.len() <= limit && oldest.is_none_or(|(at, _)| *at >= since.as_microsecond())
        {
            return;
        }
        let over: Vec<Key> = self
            .waiting
            .iter()
            .filter(|(_, value)| value.is_ended())
            .map(|(key, _)| key.clone())
            .collect();
        let surplus = over.len().saturating_sub(limit);
        for (at, key) in over.into_iter().enumerate() {
            if at < surplus || key.0 < since.as_microsecond() {
                self.waiting.remove(&key);
                self.running.remove(&key.1);
                self.dropped += u64::from(counts);
            }
        }
    }

    /// What is over, newest first.
    pub(super) fn ended(&self) -> Vec<(Key, Arc<T>)> {
        let newest_first = self.waiting.iter().rev();
        newest_first
            .filter(|(_, value)| value.is_ended())
            .map(|(key, value)| (key.clone(), Arc::clone(value)))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Values that were let go before they could be written.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}
