//! What is true for one run of the stream. It does not know how that was typed.

use std::{path::PathBuf, time::Duration};

use super::filter::Filter;
use crate::kubernetes;

/// How events are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines in columns.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is true for one run.
#[derive(Debug, Clone)]
pub(crate) struct WatchOptions {
    /// What is shown.
    pub(crate) filter: Filter,
    /// How.
    pub(crate) form: Form,
    /// Ends after so many closes were shown.
    pub(crate) count: Option<u64>,
    /// Ends after so much time.
    pub(crate) duration: Option<Duration>,
    /// Root of the cgroup2 file system; `None`: where it is mounted.
    pub(crate) cgroup_root: Option<PathBuf>,
    /// Who is asked for names of pods.
    pub(crate) kubernetes: kubernetes::Options,
    /// Show the programs' own log lines.
    pub(crate) probe_log: bool,
}
