//! What the engine published last: immutable and shared, for everybody who looks.

use std::sync::Arc;

use crate::{
    drains::Bitten,
    model::{Drain, Incident, Rollout, StoryFigures},
};

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Drains that last, newest first.
    pub drains: Vec<Arc<Drain>>,
    /// Rollouts that run, newest first.
    pub rollouts: Vec<Arc<Rollout>>,
    /// Incidents that last, newest first.
    pub incidents: Vec<Arc<Incident>>,
    /// How drains, rollouts and incidents ended.
    pub figures: Arc<StoryFigures>,
    /// Something drains: records should be brought without delay.
    pub busy: bool,
}

/// What is to be kept.
#[derive(Debug, Clone)]
pub enum Change {
    /// A drain, as it stands now.
    Drain(Arc<Drain>),
    /// A rollout, as it stands now.
    Rollout(Arc<Rollout>),
    /// An incident, as it stands now.
    Incident(Arc<Incident>),
    /// A rollout that was told before is none of its own any more.
    RolloutReplaced(String),
}

/// Figures about the engine itself, and what it was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineFigures {
    /// Records taken, by kind: closes, resets, listeners, signals, exits, unread.
    pub records: [u64; 6],
    /// Readings of the rows that failed.
    pub failed_readings: u64,
    /// Network namespaces that the last round of surveys saw, and those that could not be entered.
    pub namespaces: Namespaces,
    /// Services whose names are being looked up.
    pub names_pending: u64,
    /// Drains judged.
    pub judged: u64,
    /// How often each bound kept something out.
    pub bounds: Bounds,
}

/// How often each bound of the engine kept something out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Those of the drains.
    pub drains: Bitten,
    /// Deploy events, drains, starts and gaps that no rollout took, and ended rollouts that were not kept.
    pub rollouts: u64,
    /// Requests that no incident took, and incidents that were not taken.
    pub incidents: u64,
    /// Services whose ordinary time was not kept.
    pub baselines: u64,
    /// Services whose names were not asked for.
    pub names: u64,
}

/// What the last round of surveys found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// Those surveyed.
    pub surveyed: u64,
    /// Those that could not be entered.
    pub refused: u64,
}

// === impl Bounds ===

impl Bounds {
    /// Each, by the name of its table.
    pub const fn by_table(&self) -> [(&'static str, u64); 9] {
        let Self {
            drains:
                Bitten {
                    drains,
                    instances,
                    connections,
                    starts,
                    held_closes,
                },
            rollouts,
            incidents,
            baselines,
            names,
        } = *self;
        [
            ("drains", drains),
            ("instances", instances),
            ("lingering", connections),
            ("starts", starts),
            ("held_closes", held_closes),
            ("rollouts", rollouts),
            ("incidents", incidents),
            ("baselines", baselines),
            ("names", names),
        ]
    }
}
