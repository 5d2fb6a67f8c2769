//! What is reported of drains: those that changed as they stand, and those that ended until they are asked for.

use crate::{
    bounded::Queue,
    drains::{
        draining::Draining,
        lasting::Lasting,
        membership::{instances::Instances, members::Over},
        port::Port,
        report::tell::{Telling, tell},
    },
    known::Known,
    model::{Drain, DrainKind},
};

/// Most drains kept until they are asked for; the oldest give way.
const ENDED_MAX: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    ended: Queue<Drain, ENDED_MAX>,
}

// === impl Reports ===

impl Reports {
    /// Drains that are certain and due to be judged, as they stand, by their ids.
    pub(in crate::drains) fn changed(
        &self,
        lasting: &mut Lasting,
        lost: u64,
        now_ns: u64,
        known: &Known<'_>,
    ) -> Vec<(u64, Vec<Drain>)> {
        let mut changed = Vec::new();
        for id in lasting.ids() {
            let Some(draining) = lasting.get_mut(id) else {
                continue;
            };
            if draining.is_certain(now_ns) && draining.reported.is_due(now_ns, lost) {
                let telling = telling(draining, lost, now_ns, false);
                changed.push((id, tell(draining, &telling, known)));
                draining.reported.done(now_ns, lost);
            }
        }
        changed
    }

    /// A drain is over, and everything is known of it.
    pub(in crate::drains) fn end(
        &mut self,
        draining: &mut Draining,
        instances: &mut Instances,
        lost: u64,
        now_ns: u64,
        known: &Known<'_>,
    ) {
        let of_reload = draining.cause.kind() == DrainKind::Reload;
        if of_reload && draining.members.over() == Some(Over::Nothing) {
            draining.ports.values_mut().for_each(Port::forget_opened);
        }
        for key in draining.ports.keys() {
            if let Some(refused) = known.refused(key) {
                instances.note_refused(key, refused);
            }
        }
        // It was over when only answers were waited for.
        let over_ns = draining.progress.over_ns().unwrap_or(now_ns);
        for drain in tell(draining, &telling(draining, lost, over_ns, true), known) {
            self.ended.push(drain);
        }
    }

    /// Drains that ended since the last call.
    pub(crate) fn take_ended(&mut self) -> Vec<Drain> {
        self.ended.take_all(|_| true)
    }

    /// How many were not asked for in time.
    pub(crate) fn bitten(&self) -> u64 {
        self.ended.bitten()
    }
}

fn telling(draining: &Draining, lost: u64, now_ns: u64, ended: bool) -> Telling {
    Telling {
        now_ns,
        records_lost: draining.reported.lost_since(lost),
        ended,
    }
}
