//! Which workloads there are, for a sender who names one that there is not. It neither refuses nor delays anybody for long:
//! an event may well name what is still to come.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::timeout};

use super::api::Story;
use crate::nearest::Unknown;

/// Longest time that a look may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Drains that are looked through for what is stopped just now.
const DRAINS_MAX: usize = 200;

/// See the module.
#[derive(Clone)]
pub(super) struct Names {
    story: Arc<dyn Story>,
    turn: Arc<Semaphore>,
}

// === impl Names ===

impl Names {
    pub(super) fn new(story: Arc<dyn Story>) -> Self {
        Self {
            story,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// What there is to say of a workload's name. Nothing when it is known, when no name is known at all, as at the daemon's
    /// start, and when others are looked for at the moment.
    pub(super) async fn unknown(&self, typed: String) -> Option<Unknown> {
        let turn = Arc::clone(&self.turn).try_acquire_owned().ok()?;
        let story = Arc::clone(&self.story);
        let look = tokio::task::spawn_blocking(move || {
            let unknown = Unknown::check(&typed, names(&*story));
            drop(turn);
            unknown
        });
        let unknown = timeout(PATIENCE, look).await.ok()?.ok()?;
        unknown.filter(|unknown| !unknown.knows_nobody())
    }
}

/// Of what runs, and of what was stopped last. Blocking.
fn names(story: &dyn Story) -> Vec<String> {
    let services = story.services().into_iter();
    let mut names: Vec<_> = services.map(|state| state.service.workload).collect();
    let mut left = DRAINS_MAX;
    story.drains(&mut |drain| {
        names.push(drain.service.workload);
        left -= 1;
        match left {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    names
}
