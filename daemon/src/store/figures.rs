//! How the history is.

/// How the history is, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryFigures {
    /// Whether it is kept on disk at the moment.
    pub on_disk: bool,
    /// States that wait in memory: those of the last second, or all while nothing can be written.
    pub unwritten: usize,
    /// Attempts to open or write that failed.
    pub failures: u64,
    /// Drains and rollouts that were let go before they could be written.
    pub dropped: u64,
}
