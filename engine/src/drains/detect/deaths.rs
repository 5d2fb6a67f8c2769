//! Workers that died, until a connection shows that it mattered: a server's children may come and go for many reasons.

use finwatch_common::{ExitRecord, SignalRecord};

use crate::{bounded::Queue, timing};

/// Most dead workers, and most signals to workers, remembered.
const DEATHS_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Deaths {
    exits: Queue<ExitRecord, DEATHS_MAX>,
    signals: Queue<SignalRecord, DEATHS_MAX>,
}

// === impl Deaths ===

impl Deaths {
    /// Whether no worker died a moment ago.
    pub(crate) fn is_empty(&self) -> bool {
        self.exits.is_empty()
    }

    /// A worker died.
    pub(crate) fn exit(&mut self, exit: ExitRecord) {
        self.exits.push(exit);
    }

    /// A worker got a signal.
    pub(crate) fn signal(&mut self, signal: SignalRecord) {
        self.signals.push(signal);
    }

    /// The death of a process a moment ago, and the signal that killed it.
    pub(crate) fn take(
        &mut self,
        tgid: u32,
        now_ns: u64,
    ) -> Option<(ExitRecord, Option<SignalRecord>)> {
        let over = |exit: &ExitRecord| exit.header.at_ns.saturating_add(timing::DEATH_NS) < now_ns;
        self.exits.retain(|exit| !over(exit));
        let exit = self.exits.take(|e| e.process.tgid == tgid)?;
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
