//! What began a drain, and what was asked of it since: the signals, the process that got the first one or died, and whether
//! it is certain what it is.

use finwatch_common::{
    ExitRecord, Intent, Kinship, Phase, Process, SignalRecord,
    signal::{KILL, STOPS, USR2},
};

use crate::model::DrainKind;

/// Most further signals kept of one drain; SIGKILL finds a place even then.
const SIGNALS_MAX: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct Cause {
    kind: DrainKind,
    /// Whether it concerns the whole instance is not certain yet; of a reload, whether it is one.
    doubtful: bool,
    signal: Option<SignalRecord>,
    further: Vec<SignalRecord>,
    /// The process that was signalled, or died.
    target: Process,
    target_exit: Option<ExitRecord>,
    /// Another process than the target was signalled too.
    others_told: bool,
}

// === impl Cause ===

impl Cause {
    /// A signal to its target.
    pub(crate) fn signalled(kind: DrainKind, signal: SignalRecord) -> Self {
        Self {
            signal: Some(signal),
            ..Self::died(kind, signal.target)
        }
    }

    /// The end of a process that no signal is known of.
    pub(crate) fn died(kind: DrainKind, target: Process) -> Self {
        Self {
            kind,
            doubtful: false,
            signal: None,
            further: Vec::new(),
            target,
            target_exit: None,
            others_told: false,
        }
    }

    /// The same, and the signal is known that killed it.
    pub(crate) fn killed_by(self, signal: Option<SignalRecord>) -> Self {
        Self { signal, ..self }
    }

    /// The same, and it is not certain yet what it concerns.
    pub(crate) fn in_doubt(self, doubtful: bool) -> Self {
        Self { doubtful, ..self }
    }

    /// It is certain what it is.
    pub(crate) fn is_clear_now(&mut self) {
        self.doubtful = false;
    }

    /// All ended, and nobody came in their stead: where it was not certain what the signal asks for, it was a stop.
    pub(crate) fn all_ended(&mut self) {
        if self
            .signal
            .is_some_and(|signal| signal.intent() == Intent::Unclear)
        {
            self.kind = DrainKind::Stop;
        }
    }

    /// What it is, as far as that is known.
    pub(crate) fn kind(&self) -> DrainKind {
        self.kind
    }

    /// Whether it is not certain what it concerns, or whether it is one.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// A signal asked for it of which nobody knows what it means to the program.
    pub(crate) fn is_doubtful_reload(&self) -> bool {
        self.doubtful && self.kind == DrainKind::Reload
    }

    /// The signal that began it.
    pub(crate) fn signal(&self) -> Option<&SignalRecord> {
        self.signal.as_ref()
    }

    /// Signals that came after it.
    pub(crate) fn further(&self) -> &[SignalRecord] {
        &self.further
    }

    /// The process that was signalled, or died.
    pub(crate) fn target(&self) -> u32 {
        self.target.tgid
    }

    /// How the target ended, if it did.
    pub(crate) fn target_exit(&self) -> Option<ExitRecord> {
        self.target_exit
    }

    /// Takes the end of a process of its instances.
    pub(crate) fn exited(&mut self, exit: &ExitRecord) {
        if exit.process.tgid == self.target.tgid {
            self.target_exit.get_or_insert(*exit);
        }
    }

    /// Whether this end of a process is no part of a reload: who crashes, or is killed, is replaced by none.
    pub(crate) fn is_refuted_by(&self, exit: &ExitRecord) -> bool {
        self.is_doubtful_reload() && kind_of_exit(exit.status) != DrainKind::Stop
    }

    /// Keeps a signal that came after T0.
    pub(crate) fn also(&mut self, signal: &SignalRecord) {
        self.others_hear(signal);
        if self.further.len() < SIGNALS_MAX {
            self.further.push(*signal);
        } else if signal.signal == KILL
            && let Some(place) = self.further.iter_mut().rfind(|s| s.signal != KILL)
        {
            *place = *signal;
        }
    }

    /// Notes whether a signal to a process of its instances went to another than the target.
    pub(crate) fn others_hear(&mut self, signal: &SignalRecord) {
        self.others_told |= signal.target.tgid != self.target.tgid;
    }

    /// Another process than the target was signalled too.
    pub(crate) fn others_were_told(&self) -> bool {
        self.others_told
    }

    /// Whether it began with a signal at which the kernel set the instance's phase.
    pub(crate) fn is_phased(&self) -> bool {
        self.signal
            .is_some_and(|signal| signal.intent().phase() != Phase::Steady)
    }

    /// Whether the first signal had this number.
    pub(crate) fn began_with(&self, number: u8) -> bool {
        self.signal.is_some_and(|signal| signal.signal == number)
    }

    /// Whether it asked an instance to start its successor beside itself.
    pub(crate) fn is_upgrade(&self) -> bool {
        self.kind == DrainKind::Reload && self.began_with(USR2)
    }

    /// Whether a SIGKILL had come by then.
    pub(crate) fn was_killed_by(&self, at_ns: u64) -> bool {
        self.signals()
            .any(|s| s.signal == KILL && s.header.at_ns <= at_ns)
    }

    /// Whether a SIGKILL came.
    pub(crate) fn was_killed(&self) -> bool {
        self.was_killed_by(u64::MAX)
    }

    /// It began with a signal for a controller, which did not hand it on.
    pub(crate) fn asked_controller(&self) -> bool {
        let mut reloads = self
            .signals()
            .filter(|s| matches!(s.intent(), Intent::Reload | Intent::Unclear));
        self.signal.is_some() && reloads.all(|s| s.kinship == Kinship::Controller as u8)
    }

    /// Whether a stop is what this reload does to the instance itself: its controller was asked to reload, and stops the
    /// one that another instance follows.
    pub(crate) fn is_of_reload(&self, stop: &SignalRecord) -> bool {
        self.kind == DrainKind::Reload
            && self.asked_controller()
            && stop.intent() == Intent::Stop
            && stop.kinship == Kinship::Owner as u8
            && stop.sender_tgid == self.target.tgid
    }

    /// Whether its controller stopped the one who served, as this reload asked it to.
    pub(crate) fn has_stopped_by_reload(&self) -> bool {
        self.further.iter().any(|signal| self.is_of_reload(signal))
    }

    fn signals(&self) -> impl Iterator<Item = &SignalRecord> {
        self.signal.iter().chain(&self.further)
    }
}

/// How a process ended, by its wait status.
pub(crate) fn kind_of_exit(status: u32) -> DrainKind {
    // The low seven bits are the signal that ended it, if one did.
    match (status, (status & 0x7f) as u8) {
        (0, _) => DrainKind::Stop,
        (_, KILL) => DrainKind::Kill,
        (_, killed_by) if STOPS.contains(&killed_by) => DrainKind::Stop,
        _ => DrainKind::Crash,
    }
}
