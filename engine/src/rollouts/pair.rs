//! Which deploy events tell of the same change, and which were heard before.

use jiff::SignedDuration;

use super::live::Live;
use crate::bounded::Bounded;
use crate::model::{DeployEvent, DeployStage, Source, WorkloadRef};

/// Most events that are remembered as heard.
const HEARD_MAX: usize = 4_096;

type Name = (Source, String, DeployStage);

/// Events that were heard. The intake knows most of them by then; a restart of a sender may bring them again.
#[derive(Debug, Default)]
pub(super) struct Heard {
    known: Bounded<Name, (), HEARD_MAX>,
}

// === impl Heard ===

impl Heard {
    /// Whether the event was not heard before; from now on it was.
    pub(super) fn is_new(&mut self, event: &DeployEvent) -> bool {
        let name = (event.source, event.id.clone(), event.stage);
        let is_new = !self.known.contains(&name);
        self.known.insert(name, ());
        is_new
    }
}

// === impl Live ===

impl Live {
    /// Whether the event tells of this rollout's change: by its id, or as the other half of a pair, or as another
    /// sender's word for it.
    pub(super) fn is_same_change(&self, event: &DeployEvent, window: SignedDuration) -> bool {
        if !self.rollout.source.is_announced() {
            return false;
        }
        let by_id = |heard: &DeployEvent| heard.source == event.source && heard.id == event.id;
        if self.rollout.events.iter().any(by_id) {
            return true;
        }
        let apart = event.receive_time.duration_since(self.last_sign()).abs();
        if apart > window || !is_same_workload(&self.rollout.workload, &event.workload) {
            return false;
        }
        match (&self.rollout.revision, &event.revision) {
            (Some(ours), Some(theirs)) => ours == theirs,
            // Without a revision a word belongs to what has no end yet.
            _ => !self.is_finished(),
        }
    }

    /// Whether the event begins another change of the same workload: then this one has ended.
    pub(super) fn superseded_by(&mut self, event: &DeployEvent) {
        if event.stage == DeployStage::Started
            && self.rollout.source.is_announced()
            && is_same_workload(&self.rollout.workload, &event.workload)
        {
            self.finish();
        }
    }
}

/// Whether two senders mean the same workload.
fn is_same_workload(one: &WorkloadRef, other: &WorkloadRef) -> bool {
    fn agree(one: Option<&String>, other: Option<&String>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
    let bare = |name: &str| name.strip_suffix(".service").unwrap_or(name).to_owned();
    bare(&one.name) == bare(&other.name)
        && one.port == other.port
        && agree(one.namespace.as_ref(), other.namespace.as_ref())
        && agree(one.kind.as_ref(), other.kind.as_ref())
}
