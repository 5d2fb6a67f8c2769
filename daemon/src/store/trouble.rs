//! What can be wrong with the history on disk, told apart by what is to be done about it.

use std::io;

/// Why the history on disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The file is not what was written: to be set aside.
    #[error("it is corrupt: {0}")]
    Corrupt(String),
    /// A newer finwatch wrote it: to be set aside.
    #[error("it has format {found}, written by a newer finwatch; this one knows format {known}")]
    Newer { found: u64, known: u64 },
    /// Another process has it open: to be left alone.
    #[error("another process has it open")]
    Busy,
    /// Too little room is left, bytes.
    #[error("only {0} bytes are left on its file system")]
    Full(u64),
    /// The file system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The database has closed itself.
    #[error("{0}")]
    Closed(String),
}

// === impl Trouble ===

impl Trouble {
    /// What a person can do.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Corrupt(_) | Self::Newer { .. } => "nothing has to be done",
            Self::Busy => {
                "stop the other finwatch, or give this one a directory of its own with --state-directory"
            }
            Self::Full(_) => "make room there, or choose another directory with --state-directory",
            Self::Io(error) => match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "let the daemon's user write there (under systemd: StateDirectory=finwatch), or choose another \
                     directory with --state-directory"
                }
                io::ErrorKind::ReadOnlyFilesystem => {
                    "mount a writable volume there, or choose another directory with --state-directory; an empty one \
                     says that nothing is to be kept"
                }
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge => {
                    "make room there, or choose another directory with --state-directory"
                }
                _ => "choose another directory with --state-directory",
            },
            Self::Closed(_) => "it is opened again by itself",
        }
    }
}

impl From<redb::Error> for Trouble {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                    Self::Corrupt(error.to_string())
                }
                _ => Self::Io(error),
            },
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::Busy,
            error @ (redb::Error::Corrupted(_)
            | redb::Error::UpgradeRequired(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }) => Self::Corrupt(error.to_string()),
            error => Self::Closed(error.to_string()),
        }
    }
}

macro_rules! through_the_common_error {
    ($($error:ident),+) => {$(
        impl From<redb::$error> for Trouble {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )+};
}

through_the_common_error!(
    DatabaseError,
    TransactionError,
    TableError,
    StorageError,
    CommitError
);
