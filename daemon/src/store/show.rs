//! Shows the history: what is on disk, and what waits to be written, as one.

use std::{
    cell::Cell,
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
};

use super::{
    History, Inner,
    disk::{Disk, Ended},
    kept::{Kept, Key},
    trouble::Trouble,
    waiting::Waiting,
};
use finwatch_engine::model::{Drain, Incident, Rollout};

// === impl History ===

impl History {
    /// Shows drains that are over, newest first, until told to stop.
    pub fn drains(&self, visit: &mut dyn FnMut(Drain) -> ControlFlow<()>) {
        self.visit(|inner| &inner.drains, visit);
    }

    /// Shows rollouts that are over, newest first, until told to stop.
    pub fn rollouts(&self, visit: &mut dyn FnMut(Rollout) -> ControlFlow<()>) {
        self.visit(|inner| &inner.rollouts, visit);
    }

    /// Shows incidents that are over, newest first, until told to stop.
    pub fn incidents(&self, visit: &mut dyn FnMut(Incident) -> ControlFlow<()>) {
        self.visit(|inner| &inner.incidents, visit);
    }

    fn visit<T: Kept>(
        &self,
        waiting: impl Fn(&Inner) -> &Waiting<T>,
        visit: &mut dyn FnMut(T) -> ControlFlow<()>,
    ) {
        // The lock is held for the snapshot only: disks, and visitors who parse and filter, take their time. What waits first,
        // then what is written: what is on its way from here to there is then in both.
        let (unwritten, disk) = {
            let inner = self.lock();
            (waiting(&inner).ended(), inner.disk.clone())
        };
        let written = disk.and_then(|disk| self.ended::<T>(&disk));
        let broken = Cell::new(false);
        let until_it_breaks = |entry: Result<_, Trouble>| {
            entry
                .inspect_err(|trouble| {
                    tracing::warn!(error = %trouble, "cannot read all of the history");
                    broken.set(true);
                })
                .ok()
        };
        let written = written.into_iter().flatten().map_while(until_it_breaks);
        let _either_way = self.merge(unwritten, written.fuse(), visit);
        if broken.get() {
            // Opened again, it is checked, and set aside if need be.
            self.lock().disk = None;
        }
    }

    /// Both are sorted, newest first; what is in memory is newer than the same on disk.
    fn merge<T: Kept>(
        &self,
        unwritten: Vec<(Key, Arc<T>)>,
        written: impl Iterator<Item = (Key, Vec<u8>)>,
        visit: &mut dyn FnMut(T) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut unwritten = unwritten.into_iter().peekable();
        let mut written = written.peekable();
        loop {
            let on_disk = written.peek().map(|(key, _)| key);
            let in_memory = unwritten.peek().map(|(key, _)| key);
            if in_memory.is_some() && in_memory == on_disk {
                written.next();
                continue;
            }
            let value = if in_memory > on_disk {
                unwritten.next().map(|(_, value)| T::clone(&value))
            } else {
                match written.next() {
                    Some((key, json)) => match serde_json::from_slice(&json) {
                        Ok(value) => Some(value),
                        Err(error) => {
                            self.tell_strange::<T>(&key, &error);
                            continue;
                        }
                    },
                    None => None,
                }
            };
            match value {
                Some(value) => visit(value)?,
                None => return ControlFlow::Continue(()),
            }
        }
    }

    fn ended<T: Kept>(&self, disk: &Disk) -> Option<Ended> {
        match disk.ended::<T>() {
            Ok(ended) => ended,
            Err(trouble) => {
                tracing::warn!(error = %trouble, "cannot read the history");
                self.lock().disk = None;
                None
            }
        }
    }

    /// Once, as a reader of the history would otherwise say it again and again.
    fn tell_strange<T: Kept>(&self, key: &Key, error: &serde_json::Error) {
        if !self.told_strange.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                id = key.1,
                %error,
                "one of the {} in the history was written by another version and cannot be shown; there may be more",
                T::CALLED
            );
        }
    }
}
