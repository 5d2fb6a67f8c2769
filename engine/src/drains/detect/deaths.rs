//! Workers that died, until a connection shows that it mattered: a server's children may come and go for many reasons.

use std::collections::VecDeque;

use crate::timing;
use finwatch_common::{ExitRecord, SignalRecord};

/// Most dead workers, and most signals to workers, remembered.
const DEATHS_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Deaths {
    exits: VecDeque<ExitRecord>,
    signals: VecDeque<SignalRecord>,
}

// === impl Deaths ===

impl Deaths {
    /// Whether no worker died a moment ago.
    pub(crate) fn is_empty(&self) -> bool {
        self.exits.is_empty()
    }

    /// A worker died.
    pub(crate) fn exit(&mut self, exit: ExitRecord) {
        if self.exits.len() >= DEATHS_MAX {
            self.exits.pop_front();
        }
        self.exits.push_back(exit);
    }

    /// A worker got a signal.
    pub(crate) fn signal(&mut self, signal: SignalRecord) {
        if self.signals.len() >= DEATHS_MAX {
            self.signals.pop_front();
        }
        self.signals.push_back(signal);
    }

    /// The death of a process a moment ago, and the signal that killed it.
    pub(crate) fn take(
        &mut self,
        tgid: u32,
        now_ns: u64,
    ) -> Option<(ExitRecord, Option<SignalRecord>)> {
        let over = |exit: &ExitRecord| exit.header.at_ns.saturating_add(timing::DEATH_NS) < now_ns;
        self.exits.retain(|exit| !over(exit));
        let at = self.exits.iter().position(|e| e.process.tgid == tgid)?;
        let exit = self.exits.remove(at)?;
        let killed_by = exit.status & 0x7f;
        let signal = self.signals.iter().rev().find(|s| {
            s.target.tgid == tgid
                && u32::from(s.signal) == killed_by
                && s.header.at_ns <= exit.header.at_ns
                && s.header.at_ns.saturating_add(timing::DEATH_NS) >= exit.header.at_ns
        });
        Some((exit, signal.copied()))
    }
}
