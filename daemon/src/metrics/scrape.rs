//! Everything that one scrape shows, and who tells it.

use std::{collections::BTreeMap, sync::Arc};

use finwatch_engine::{
    EngineFigures,
    model::{Source as EventSource, StoryFigures},
    services::View,
};

use crate::{
    attribution::AttributionStats,
    deploy::Outcome,
    probe::{Losses, MapStats, ProgramStats},
};

/// Who tells what is shown. Its call may block.
pub trait Source: Send + Sync + 'static {
    /// Everything as it is now; nothing when there is nobody left who knows it.
    fn scrape(&self) -> Option<Box<Scrape>>;
}

/// The probe about itself.
#[derive(Debug, Default, Clone)]
pub struct ProbeFigures {
    /// Every program's figures.
    pub programs: Vec<ProgramStats>,
    /// Every table's fill.
    pub maps: Vec<MapStats>,
    /// What was lost.
    pub losses: Losses,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Scrape {
    /// Services; empty when the maps could not be read: a gap in a graph tells the truth, a repeated value would not.
    pub view: View,
    /// Names of the reset reasons that occur.
    pub reset_reasons: BTreeMap<u8, String>,
    /// The probe about itself.
    pub probe: ProbeFigures,
    /// Attribution about itself.
    pub attribution: AttributionStats,
    /// The engine about itself.
    pub engine: EngineFigures,
    /// How drains and rollouts ended.
    pub story: Arc<StoryFigures>,
    /// Deploy events that were sent, by source and result; zeroes included.
    pub deploy_events: Vec<(EventSource, Outcome, u64)>,
}
