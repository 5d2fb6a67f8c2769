//! Secrets in files, read again when the file has changed, so that a rotated secret works without a restart. A file
//! that cannot be read, or is empty, opens nothing: it never falls back to the secret before.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Refusal, RefusalKind};

/// Most bytes of a secret.
const BYTES_MAX: u64 = 64 * 1024;

/// A secret in a file.
pub(super) struct SecretFile {
    setting: &'static str,
    path: PathBuf,
    /// What was read last. A lock, as two senders may come at once; never held while the file is looked at or read.
    last: Mutex<Option<(Stamp, Arc<[u8]>)>>,
}

/// What of a file changes with its content.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nothing in the file.
    #[error("{path} is empty")]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// That is no secret.
    #[error("{path} has more than {BYTES_MAX} bytes")]
    TooLong {
        /// Which.
        path: PathBuf,
    },
}

// === impl SecretFile ===

impl SecretFile {
    /// Reads the file for the first time.
    pub(super) fn open(setting: &'static str, path: &Path) -> Result<Self, SecretError> {
        let file = Self {
            setting,
            path: path.to_owned(),
            last: Mutex::new(None),
        };
        file.read()?;
        Ok(file)
    }

    /// The secret as the file has it now.
    pub(super) fn current(&self) -> Result<Arc<[u8]>, Refusal> {
        self.read().map_err(|error| {
            let Self { setting, path, .. } = self;
            tracing::error!(setting, path = %path.display(), %error, "a secret cannot be read: its senders are refused");
            Refusal::new(
                RefusalKind::SecretUnreadable,
                format!("the file of {setting} cannot be used now"),
                "see finwatch's log, mend the file, and send the event again",
            )
        })
    }

    fn read(&self) -> Result<Arc<[u8]>, SecretError> {
        let failed = |source| SecretError::Read {
            path: self.path.clone(),
            source,
        };
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path).map_err(failed)?;
        if let Some((known, secret)) = &*last()
            && *known == stamp
        {
            return Ok(Arc::clone(secret));
        }
        *last() = None;
        if stamp.bytes > BYTES_MAX {
            return Err(SecretError::TooLong {
                path: self.path.clone(),
            });
        }
        let content = fs::read(&self.path).map_err(failed)?;
        let secret: Arc<[u8]> = trimmed(&content).into();
        if secret.is_empty() {
            return Err(SecretError::Empty {
                path: self.path.clone(),
            });
        }
        // Stamped before it was read: a change in between is seen the next time.
        *last() = Some((stamp, Arc::clone(&secret)));
        Ok(secret)
    }
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFile")
            .field("setting", &self.setting)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

// === impl Stamp ===

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Self {
            inode: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Without the one line end that editors and `echo` leave.
fn trimmed(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(file: &SecretFile) -> String {
        String::from_utf8_lossy(&file.current().expect("a secret")).into_owned()
    }

    #[test]
    fn a_line_end_is_no_part_of_the_secret() {
        assert_eq!(trimmed(b"s3cret\n"), b"s3cret");
        assert_eq!(trimmed(b"s3cret\r\n"), b"s3cret");
        assert_eq!(trimmed(b" s3cret \n\n"), b" s3cret \n");
    }

    #[test]
    fn a_rotated_secret_is_read_as_kubernetes_swaps_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        for (folder_name, secret) in [("one", "first"), ("two", "secnd")] {
            let data = folder.path().join(folder_name);
            fs::create_dir(&data).expect("a folder");
            fs::write(data.join("token"), secret).expect("written");
        }
        let link = folder.path().join("data");
        std::os::unix::fs::symlink("one", &link).expect("a link");
        std::os::unix::fs::symlink("data/token", &path).expect("a link");
        let file = SecretFile::open("deploys.token_file", &path).expect("a secret");
        assert_eq!(text(&file), "first");
        let next = folder.path().join("next");
        std::os::unix::fs::symlink("two", &next).expect("a link");
        fs::rename(next, link).expect("swapped");
        assert_eq!(text(&file), "secnd");
    }

    #[test]
    fn an_emptied_or_removed_file_lets_nobody_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let missing = SecretFile::open("deploys.token_file", &path).expect_err("no file");
        assert!(matches!(missing, SecretError::Read { .. }));
        fs::write(&path, "\n").expect("written");
        let empty = SecretFile::open("deploys.token_file", &path).expect_err("an empty file");
        assert_eq!(empty.to_string(), format!("{} is empty", path.display()));

        fs::write(&path, "first").expect("written");
        let file = SecretFile::open("deploys.token_file", &path).expect("a secret");
        fs::write(&path, "").expect("written");
        let refusal = file.current().expect_err("an empty file");
        assert_eq!(refusal.kind, RefusalKind::SecretUnreadable);
        fs::write(&path, "second").expect("written");
        assert_eq!(text(&file), "second");
        fs::remove_file(&path).expect("removed");
        assert_eq!(
            file.current().expect_err("no file").kind,
            RefusalKind::SecretUnreadable
        );
    }

    #[test]
    fn nothing_prints_the_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        fs::write(&path, "s3cret").expect("written");
        let file = SecretFile::open("deploys.token_file", &path).expect("a secret");
        assert!(!format!("{file:?}").contains("s3cret"));
        let folder = SecretFile::open("deploys.token_file", folder.path()).expect_err("a folder");
        assert!(matches!(folder, SecretError::Read { .. }));
    }
}
