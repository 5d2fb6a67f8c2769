//! The drains that last, and what is kept for their sake: connections whose ends they may still be told of, and which
//! instances' phases end with them.

use std::collections::{BTreeMap, BTreeSet};

use finwatch_common::{Process, ServiceKey};

use super::{
    draining::Draining,
    membership::{instances::Instances, lingering::Lingering},
};
use crate::{known::Known, timing};

/// Most drains that last at once, each over all ports of an instance.
pub(super) const LASTING_MAX: usize = 256;
/// Most connections remembered of all drains together: open at T0, or open now. It is what a table of 2^20 places holds, of 33 MiB.
const CONNECTIONS_MAX: usize = 917_504;
/// Most ends of phases kept until they are asked for.
const PHASES_MAX: usize = 8_192;

/// See the module.
#[derive(Debug)]
pub(super) struct Lasting {
    drains: BTreeMap<u64, Draining>,
    next: u64,
    lingering: Lingering,
    /// How many more connections may be remembered.
    room: usize,
    /// Instances that no drain concerns any more.
    phases_over: BTreeSet<Process>,
    /// When what was heard of last happened that is told at once: signals, and ends of processes.
    heard_ns: u64,
    bitten: u64,
}

// === impl Lasting ===

impl Default for Lasting {
    fn default() -> Self {
        Self {
            drains: BTreeMap::new(),
            next: 0,
            lingering: Lingering::default(),
            room: CONNECTIONS_MAX,
            phases_over: BTreeSet::new(),
            heard_ns: 0,
            bitten: 0,
        }
    }
}

impl Lasting {
    /// Whether none lasts.
    pub(super) fn is_empty(&self) -> bool {
        self.drains.is_empty()
    }

    /// Whether this one lasts.
    pub(super) fn has(&self, id: u64) -> bool {
        self.drains.contains_key(&id)
    }

    /// One of them.
    pub(super) fn get(&self, id: u64) -> Option<&Draining> {
        self.drains.get(&id)
    }

    /// One of them, to be told something.
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Draining> {
        self.drains.get_mut(&id)
    }

    /// All, the oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Draining)> {
        self.drains.iter().map(|(id, draining)| (*id, draining))
    }

    /// All, the oldest first, to be told something.
    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Draining> {
        self.drains.values_mut()
    }

    /// Their ids, the oldest first.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.drains.keys().copied().collect()
    }

    /// Whether any concerns an instance.
    pub(super) fn concern(&self, instance: &Process) -> bool {
        self.drains.values().any(|d| d.members.has(instance))
    }

    /// The only drain of a service, if there is just one.
    pub(super) fn only_of(&self, key: &ServiceKey) -> Option<u64> {
        let mut drains = self.iter().filter(|(_, d)| d.ports.contains_key(key));
        match (drains.next(), drains.next()) {
            (Some((id, _)), None) => Some(id),
            _ => None,
        }
    }

    /// A drain begins, when so many records had been lost.
    pub(super) fn open(
        &mut self,
        mut draining: Draining,
        lost: u64,
        instances: &Instances,
        known: &Known<'_>,
    ) {
        if self.drains.len() >= LASTING_MAX {
            self.bitten += 1;
            // Nobody will say when its processes are gone.
            self.end_phases(&draining);
            return;
        }
        draining.reported.begins(lost);
        let instance = draining.members.first();
        for key in instances.ports(&instance) {
            draining.port(key, &instance, instances, known);
        }
        if draining.members.is_stop() {
            self.absorb_deaths(&mut draining);
        }
        self.share_refused(&mut draining);
        self.phase_goes_on(&instance);
        self.drains.insert(self.next, draining);
        self.next += 1;
    }

    /// Rows were read again, of all services or of these. Of the drains of a port the one that began last is told first, and one
    /// of a worker's death after those of instances.
    pub(super) fn counted(&mut self, services: Option<&[ServiceKey]>, known: &Known<'_>) {
        let mut taken = BTreeMap::new();
        for of_one in [false, true] {
            let drains = self.drains.values_mut().rev();
            for draining in drains.filter(|d| d.members.is_of_one() == of_one) {
                draining.counted(services, &mut taken, known);
            }
        }
    }

    /// Forgets a drain; with the last one of an instance the kernel's phase ends, if it has not before.
    pub(super) fn forget(&mut self, id: u64) {
        let Some(draining) = self.drains.remove(&id) else {
            return;
        };
        self.lingering.forget(id);
        if !draining.progress.is_replaced() {
            self.end_phases(&draining);
        }
    }

    /// Others serve in the stead of a drain's old processes: the kernel's phase of its instances ends, unless another drain
    /// waits for processes of theirs.
    pub(super) fn replaced(&mut self, id: u64) {
        let Some(draining) = self.drains.get(&id) else {
            return;
        };
        let waits = |instance: &Process| {
            self.drains.values().any(|d| {
                d.members.is_running() && !d.members.is_of_one() && d.members.has(instance)
            })
        };
        let over = draining.members.instances().filter(|i| !waits(i));
        for instance in over.copied().collect::<Vec<_>>() {
            self.end_phase(instance);
        }
    }

    /// What drains that last were told of refused SYNs is none of one that begins.
    fn share_refused(&self, draining: &mut Draining) {
        for (key, port) in &mut draining.ports {
            for other in self.drains.values().filter_map(|d| d.ports.get(key)) {
                port.counted.refused_mut().leave_to(other.counted.refused());
            }
        }
    }

    /// A drain is none of those that last: the phases of its instances end, unless others have them.
    fn end_phases(&mut self, draining: &Draining) {
        for instance in draining.members.instances() {
            let mut others = self.drains.values().filter(|d| !d.members.is_of_one());
            if !others.any(|d| d.members.has(instance)) {
                self.end_phase(*instance);
            }
        }
    }

    fn end_phase(&mut self, instance: Process) {
        if self.phases_over.len() < PHASES_MAX {
            self.phases_over.insert(instance);
        } else {
            self.bitten += 1;
        }
    }

    /// An instance is in a phase again, if nobody was told that this was over.
    pub(super) fn phase_goes_on(&mut self, instance: &Process) {
        self.phases_over.remove(instance);
    }

    /// A signal came, or a process ended.
    pub(super) fn hear(&mut self, at_ns: u64) {
        self.heard_ns = self.heard_ns.max(at_ns);
    }

    /// Instances whose phases ended since the last call, as far as signals are known by the time that is given.
    pub(super) fn take_phases_over(&mut self) -> (BTreeSet<Process>, u64) {
        (std::mem::take(&mut self.phases_over), self.heard_ns)
    }

    /// Connections that ended and whose story may go on.
    pub(super) fn lingering(&self) -> &Lingering {
        &self.lingering
    }

    /// The same, to be changed.
    pub(super) fn lingering_mut(&mut self) -> &mut Lingering {
        &mut self.lingering
    }

    /// Finds out how many more connections may be remembered.
    pub(super) fn find_room(&mut self) {
        let ports = self.drains.values().flat_map(|d| d.ports.values());
        let remembered: usize = ports.map(|port| port.seen.remembered()).sum();
        self.room = CONNECTIONS_MAX.saturating_sub(remembered);
    }

    /// One of them, and how many more connections may be remembered.
    pub(super) fn with_room(&mut self, id: u64) -> Option<(&mut Draining, &mut usize)> {
        let draining = self.drains.get_mut(&id)?;
        Some((draining, &mut self.room))
    }

    /// How often a drain was not told, as too many lasted.
    pub(super) fn bitten(&self) -> u64 {
        self.bitten
    }

    /// Workers that died in the second before their instance was ended belong to its end.
    fn absorb_deaths(&mut self, draining: &mut Draining) {
        let t0_ns = draining.members.t0_ns();
        let instance = draining.members.first();
        let belongs = |death: &Draining| {
            death.members.is_of_one()
                && death.members.has(&instance)
                && t0_ns.saturating_sub(death.members.t0_ns()) < timing::ONE_HAND_NS
        };
        let ids = self.iter().filter(|(_, death)| belongs(death));
        for id in ids.map(|(id, _)| id).collect::<Vec<_>>() {
            if let Some(death) = self.drains.remove(&id) {
                self.lingering.hand_over(id, self.next);
                draining.absorb(death);
            }
        }
    }
}
