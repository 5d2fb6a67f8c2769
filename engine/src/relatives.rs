//! Whose processes are to be looked for, and when: those around each listener that comes, and those around one whose owner
//! has gone, who may have handed on what it listened on.

use std::collections::VecDeque;

use finwatch_common::Process;

use crate::timing;

/// Most that wait at once.
const WAITING_MAX: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Relatives {
    due: VecDeque<(u64, Process)>,
}

// === impl Relatives ===

impl Relatives {
    /// Something happened to an instance.
    pub(crate) fn look_for(&mut self, instance: Process, now_ns: u64) {
        if instance.tgid != 0 && self.due.len() < WAITING_MAX {
            let times = timing::RELATIVES_NS.map(|later_ns| (now_ns + later_ns, instance));
            self.due.extend(times);
        }
    }

    /// Instances that it is time for, each once.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Vec<Process> {
        let mut instances = Vec::new();
        self.due.retain(|(due_ns, instance)| {
            let due = *due_ns <= now_ns;
            if due && !instances.contains(instance) {
                instances.push(*instance);
            }
            !due
        });
        instances
    }
}
