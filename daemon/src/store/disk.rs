//! The history on disk: one redb file with a table of what is over and a table of what is not, for drains, for
//! rollouts and for incidents. A value is written in one transaction or not at all. It does not know when to write, nor what
//! to do when it cannot.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    TableDefinition, TableError, WriteTransaction, backends::FileBackend,
};

use super::{
    kept::{Kept, Key},
    trouble::Trouble,
};

/// Version of what is in the tables. A change that an older finwatch could not read takes the next number.
const FORMAT: u64 = 1;
/// Name of the file in the state directory.
pub(super) const FILE: &str = "history.redb";

/// Nothing is written when less is left on the file system, bytes: a history must not take the last of it, and
/// what is on disk stays readable.
const ROOM_MIN: u64 = 8 << 20;
/// Memory for pages, bytes.
const CACHE_BYTES: usize = 4 << 20;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

type Table<'a> = TableDefinition<'a, (i64, &'static str), &'static [u8]>;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    /// Most of each kind.
    pub(super) limit: usize,
    /// What began before is removed.
    pub(super) since: Timestamp,
}

/// What one transaction writes of one kind.
#[derive(Debug)]
pub(super) struct Batch<'a, T> {
    /// In any order.
    pub(super) values: Vec<&'a T>,
    /// Keys under which earlier states of values that are not over were written.
    pub(super) moved: Vec<Key>,
    /// Ids of values that are removed; few, if any.
    pub(super) forgotten: BTreeSet<String>,
}

/// An open history file.
#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    database: Database,
    room_min: u64,
}

// === impl Disk ===

impl Disk {
    /// Opens the file in `directory`; makes both where they are missing.
    ///
    /// # Errors
    /// Says what is wrong; the file is as it was.
    pub(super) fn open(directory: &Path) -> Result<Self, Trouble> {
        make_directory(directory)?;
        let path = directory.join(FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // It names peers' addresses.
            .mode(0o600)
            .open(&path)?;
        let disk = Self {
            database: open_database(file)?,
            path,
            room_min: ROOM_MIN,
        };
        disk.check_format()?;
        Ok(disk)
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all of it, removes what is past its time, or does nothing.
    ///
    /// # Errors
    /// After which the database may have closed itself: open it again.
    pub(super) fn write<D: Kept, R: Kept, I: Kept>(
        &self,
        (drains, rollouts, incidents): (&Batch<'_, D>, &Batch<'_, R>, &Batch<'_, I>),
        retention: Retention,
    ) -> Result<(), Trouble> {
        self.check_room()?;
        let transaction = self.database.begin_write()?;
        write_kind(&transaction, drains, retention)?;
        write_kind(&transaction, rollouts, retention)?;
        write_kind(&transaction, incidents, retention)?;
        transaction.commit()?;
        Ok(())
    }

    /// What was not over when it was last written, oldest first. What cannot be understood is left out and
    /// counted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn running<T: Kept>(&self) -> Result<(Vec<T>, usize), Trouble> {
        let mut values = Vec::new();
        let mut strange = 0;
        let transaction = self.database.begin_read()?;
        match transaction.open_table(Table::new(T::RUNNING)) {
            Ok(table) => {
                for entry in table.iter()? {
                    match serde_json::from_slice(entry?.1.value()) {
                        Ok(value) => values.push(value),
                        Err(_) => strange += 1,
                    }
                }
            }
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok((values, strange))
    }

    /// A snapshot of what is over, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn ended<T: Kept>(&self) -> Result<Option<Ended>, Trouble> {
        let transaction = self.database.begin_read()?;
        match transaction.open_table(Table::new(T::ENDED)) {
            Ok(table) => Ok(Some(Ended(table.range::<(i64, &str)>(..)?))),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes nothing unless so many bytes are left.
    #[cfg(test)]
    pub(super) fn with_room_min(mut self, room_min: u64) -> Self {
        self.room_min = room_min;
        self
    }

    /// Writes one drain, and no table that came later.
    #[cfg(test)]
    pub(super) fn write_as_before_incidents<D: Kept>(&self, drain: &D) {
        let batch = Batch {
            values: vec![drain],
            moved: Vec::new(),
            forgotten: BTreeSet::new(),
        };
        let retention = Retention {
            limit: 100,
            since: Timestamp::MIN,
        };
        let transaction = self.database.begin_write().expect("a transaction");
        write_kind(&transaction, &batch, retention).expect("written");
        transaction.commit().expect("committed");
    }

    fn check_format(&self) -> Result<(), Trouble> {
        let stored = {
            let transaction = self.database.begin_read()?;
            match transaction.open_table(META) {
                Ok(meta) => meta.get("format")?.map(|format| format.value()),
                Err(TableError::TableDoesNotExist(_)) => None,
                Err(error) => return Err(error.into()),
            }
        };
        match stored {
            Some(FORMAT) => Ok(()),
            Some(found @ FORMAT..) => Err(Trouble::Newer {
                found,
                known: FORMAT,
            }),
            Some(unknown) => Err(Trouble::Corrupt(format!("there is no format {unknown}"))),
            None => {
                let transaction = self.database.begin_write()?;
                transaction.open_table(META)?.insert("format", FORMAT)?;
                transaction.commit()?;
                Ok(())
            }
        }
    }

    fn check_room(&self) -> Result<(), Trouble> {
        let found = rustix::fs::statvfs(&self.path).map_err(std::io::Error::from)?;
        let left = found.f_bavail.saturating_mul(found.f_frsize);
        if left < self.room_min {
            return Err(Trouble::Full(left));
        }
        Ok(())
    }
}

/// What is over, newest first; it sees what was there when it was asked for.
pub(super) struct Ended(redb::Range<'static, (i64, &'static str), &'static [u8]>);

impl Iterator for Ended {
    type Item = Result<(Key, Vec<u8>), Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.0.next_back()?;
        Some(entry.map_err(Trouble::from).map(|(key, value)| {
            let (at, id) = key.value();
            ((at, id.to_owned()), value.value().to_vec())
        }))
    }
}

/// Only the last part gets narrow rights: its parents may be everybody's.
fn make_directory(directory: &Path) -> Result<(), Trouble> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(0o700).create(directory)?;
    Ok(())
}

/// Every page is checked: a file that was damaged is refused here, and not found out in the middle of a read.
fn open_database(file: File) -> Result<Database, Trouble> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(FileBackend::new(file)?)
    }));
    match opened {
        Ok(database) => Ok(database?),
        // A panic over what is in a file would otherwise be one at each start.
        Err(_) => Err(Trouble::Corrupt("its structure makes no sense".to_owned())),
    }
}

fn write_kind<T: Kept>(
    transaction: &WriteTransaction,
    batch: &Batch<'_, T>,
    retention: Retention,
) -> Result<(), Trouble> {
    let mut ended = transaction.open_table(Table::new(T::ENDED))?;
    let mut running = transaction.open_table(Table::new(T::RUNNING))?;
    if !batch.forgotten.is_empty() {
        let stays = |(_, id): (i64, &str)| !batch.forgotten.contains(id);
        running.retain(|key, _| stays(key))?;
        ended.retain(|key, _| stays(key))?;
    }
    for (at, id) in &batch.moved {
        running.remove((*at, id.as_str()))?;
    }
    for value in &batch.values {
        let (at, id) = value.key();
        let key = (at, id.as_str());
        let json = match serde_json::to_vec(value) {
            Ok(json) => json,
            Err(error) => {
                tracing::warn!(%error, id, "cannot write one of the {} as JSON", T::CALLED);
                continue;
            }
        };
        if value.is_ended() {
            running.remove(key)?;
            ended.insert(key, json.as_slice())?;
        } else {
            running.insert(key, json.as_slice())?;
        }
    }
    let Retention { limit, since } = retention;
    let expired = (since.as_microsecond(), "");
    ended.retain_in::<(i64, &str), _>(..expired, |_, _| false)?;
    let surplus = ended.len()?.saturating_sub(limit as u64);
    for _ in 0..surplus {
        ended.pop_first()?;
    }
    Ok(())
}
