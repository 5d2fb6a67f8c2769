//! One drain while it lasts: a stop, a reload or a death of one instance (or of siblings that are stopped together), over all
//! of its ports. It is composed of what each room keeps of it, and passes on to them what happens.

use std::collections::BTreeMap;

use finwatch_common::{ExitRecord, PHASES, Process, ServiceKey, SignalRecord};

use super::{
    detect::cause::Cause,
    membership::{
        instances::{Instances, PORTS_MAX},
        members::{Gone, Members, Over, Since},
    },
    port::Port,
    progress::{Progress, waiting::Around},
    report::{reported::Reported, tally::Setting},
};
use crate::{known::Known, model::DrainKind, timing};

/// See the module.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) cause: Cause,
    pub(super) members: Members,
    pub(super) progress: Progress,
    pub(super) reported: Reported,
    pub(super) ports: BTreeMap<ServiceKey, Port>,
}

// === impl Draining ===

impl Draining {
    /// One that begins; its ports are opened when it is sure to last.
    pub(super) fn new(cause: Cause, members: Members) -> Self {
        Self {
            cause,
            members,
            progress: Progress::default(),
            reported: Reported::default(),
            ports: BTreeMap::new(),
        }
    }

    /// Whether it will be told, and as what it is now: a worker's death may turn out to be a part of its instance's.
    pub(super) fn is_certain(&self, now_ns: u64) -> bool {
        let young = now_ns < self.members.t0_ns().saturating_add(timing::ONE_HAND_NS);
        !(self.cause.is_doubtful() || self.members.is_of_one() && young)
    }

    /// Room for a port that was not known at T0.
    pub(super) fn may_have_port(&self, key: &ServiceKey) -> bool {
        self.ports.contains_key(key) || self.ports.len() < PORTS_MAX
    }

    /// The port of a service, as an instance has it. Whether there is room is [`Draining::may_have_port`]'s to say.
    pub(super) fn port(
        &mut self,
        key: ServiceKey,
        owner: &Process,
        instances: &Instances,
        known: &Known<'_>,
    ) -> &mut Port {
        let (t0_ns, phased) = (self.members.t0_ns(), self.cause.is_phased());
        self.ports
            .entry(key)
            .or_insert_with(|| Port::new(&key, owner, t0_ns, phased, instances, known))
    }

    /// In what state of it a connection ended at `ended_ns`, of an instance for which it began at `since_ns`; `moved`: in others' hands.
    pub(super) fn setting(&self, ended_ns: u64, since_ns: u64, moved: bool) -> Setting {
        Setting {
            since_ns,
            killed: self.cause.was_killed_by(ended_ns),
            moved,
            replaced: self.cause.is_phased() && self.progress.was_replaced_by(ended_ns),
        }
    }

    /// Who waited for its sake: of a reload those that came around T0, of others all that came while it lasts.
    pub(super) fn around(&self) -> Around {
        let since_ns = self.members.t0_ns();
        let until_ns = match self.cause.kind() {
            DrainKind::Reload => since_ns.saturating_add(timing::AROUND_NS),
            DrainKind::Stop | DrainKind::Kill | DrainKind::Crash => u64::MAX,
        };
        Around { since_ns, until_ns }
    }

    /// Keeps a signal that came after T0.
    pub(super) fn also(&mut self, signal: &SignalRecord) {
        self.reported.outdated();
        self.progress.phase_begins_anew();
        self.cause.also(signal);
    }

    /// Takes a sibling in, which the same hand signalled; false when there is no room.
    pub(super) fn join(
        &mut self,
        sibling: Process,
        since: Since,
        instances: &Instances,
        known: &Known<'_>,
    ) -> bool {
        let at_ns = since.mono_ns;
        if !self.members.join(sibling, since) {
            return false;
        }
        self.reported.outdated();
        let phased = self.cause.is_phased();
        for key in instances.ports(&sibling) {
            if let Some(port) = self.ports.get_mut(&key) {
                port.seen.joined(instances.listening(&sibling, &key) > 0);
            } else if self.may_have_port(&key) {
                let port = Port::new(&key, &sibling, at_ns, phased, instances, known);
                self.ports.insert(key, port);
            }
        }
        true
    }

    /// Takes in a drain that turned out to be a part of this one.
    pub(super) fn absorb(&mut self, part: Self) {
        self.members.absorb(part.members);
        self.reported.absorb(&part.reported);
        for (key, port) in part.ports {
            if let Some(mine) = self.ports.get_mut(&key) {
                mine.absorb(port);
            }
        }
    }

    /// Another drain of the instance took over at this time.
    pub(super) fn supersede(&mut self, at_ns: u64) {
        self.reported.outdated();
        self.members.are_gone(Gone {
            since_ns: at_ns,
            over: Over::Superseded,
        });
    }

    /// Takes the end of a process; false when it is none of its own.
    pub(super) fn exited(&mut self, exit: &ExitRecord, instance: &Process) -> bool {
        if !self.members.has(instance) {
            return false;
        }
        self.reported.outdated();
        self.cause.exited(exit);
        let was_killed = self.cause.is_refuted_by(exit);
        self.members.exited(exit, instance, was_killed)
    }

    /// Takes the instances' processes out of a new table.
    pub(super) fn table(&mut self, instances: &Instances, now_ns: u64) {
        self.reported.outdated();
        self.members.table(instances, now_ns);
    }

    /// Rows were read again, of all services or of these: SYNs that were refused on its ports may be among them.
    /// `taken`: what drains that began later tell of them, by port and phase.
    pub(super) fn counted(
        &mut self,
        services: Option<&[ServiceKey]>,
        taken: &mut BTreeMap<ServiceKey, [bool; PHASES]>,
        known: &Known<'_>,
    ) {
        let is_meant = |key: &ServiceKey| services.is_none_or(|services| services.contains(key));
        for (key, port) in &mut self.ports {
            if let Some(refused) = known.refused(key).filter(|_| is_meant(key)) {
                let before = port.counted.refused().so_far();
                let taken = taken.entry(*key).or_default();
                port.counted.refused_mut().read(refused, taken);
                if port.counted.refused().so_far() != before {
                    self.reported.outdated();
                }
            }
        }
    }

    /// It is about the one process only that was signalled, or died: the rest of the instance goes on.
    pub(super) fn narrow(&mut self) {
        self.reported.outdated();
        self.cause.is_clear_now();
        let exit = self.cause.target_exit();
        self.members.narrow(self.cause.target(), exit);
        for port in self.ports.values_mut() {
            port.keep_only_target();
        }
    }
}
