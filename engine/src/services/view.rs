//! What is shown at one instant: every series with its counters and gauges. Plain values, ready to be encoded.

use std::{collections::BTreeMap, sync::Arc};

use finwatch_common::{Lost, PHASES, Phase, Role};

use super::{MiniSockets, SettledRow, Surveyed};
use crate::model::Workload;

/// The labels that tell one service's series from another's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesLabels {
    /// Who owns the port.
    pub workload: Workload,
    /// Local port of a server, remote port of a client; 0 in `other`.
    pub port: u16,
    /// Which side it is.
    pub role: Role,
}

impl SeriesLabels {
    /// The series that takes what has none of its own.
    pub fn other(role: Role) -> Self {
        Self {
            workload: Workload::other(),
            port: 0,
            role,
        }
    }
}

/// RSTs sent in a phase, by reason and by what they threw away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResetSeries {
    /// The phase.
    pub phase: Phase,
    /// `enum sk_rst_reason`; from 128 on inferred.
    pub reason: u8,
    /// What was thrown away.
    pub lost: Lost,
}

/// State of a service now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Connections in ESTABLISHED or CLOSE_WAIT.
    pub open: u64,
    /// Connections in CLOSE_WAIT.
    pub close_wait: u64,
    /// Sockets that listen.
    pub listeners: u64,
    /// Live mini-sockets.
    pub mini_sockets: MiniSockets,
    /// What the last survey saw.
    pub surveyed: Surveyed,
}

/// One service's series.
#[derive(Debug, Clone)]
pub struct SeriesView {
    /// Whose they are.
    pub labels: Arc<SeriesLabels>,
    /// Counters by phase.
    pub phases: [SettledRow; PHASES],
    /// RSTs sent.
    pub resets: BTreeMap<ResetSeries, u64>,
    /// State now.
    pub gauges: Gauges,
    /// Time in which nobody listened between two owners, nanoseconds.
    pub gap_ns: u64,
    /// How many such times there were.
    pub gaps: u64,
}

/// Sums of all series that were forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Folded {
    /// Connections established.
    pub opened: u64,
    /// Connections ended.
    pub closes: u64,
    /// Connections cut.
    pub cut: u64,
    /// Series folded.
    pub series: u64,
}

/// Everything that is shown.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// By labels, in their order.
    pub series: Vec<SeriesView>,
    /// Totals of services that were forgotten.
    pub folded: Folded,
    /// Services that got no series of their own as a limit was reached.
    pub limited: u64,
    /// Services whose owner could not be told.
    pub unknown: u64,
    /// Services known, by key.
    pub keys: usize,
    /// Series kept in memory for their return.
    pub retired: usize,
}
