//! Who runs: instances, the processes that make them up, and the sockets they listen on. It keeps what records and
//! surveys taught and knows nothing of drains.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{services::Refused, timing};
use finwatch_common::{Kinship, Phase, Process, ProcessEntry, ServiceKey};

/// Most instances known at once.
pub(crate) const INSTANCES_MAX: usize = 4_096;
/// Most listening sockets known at once.
pub(crate) const LISTENERS_MAX: usize = 16_384;
/// Most sockets remembered that ceased to listen.
const GONE_MAX: usize = 1_024;
/// Most ports of one instance.
pub(crate) const PORTS_MAX: usize = 64;
/// Most processes taken from one table.
pub(crate) const PROCESSES_MAX: usize = 65_536;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    known: BTreeMap<Process, Instance>,
    /// The youngest instance of each owner's number.
    by_owner: HashMap<u32, Process>,
    /// Which instance each process of the last table belongs to.
    by_process: HashMap<u32, Process>,
    listeners: HashMap<u64, Listener>,
    /// Sockets that listen on a port, by namespace and port.
    up: HashMap<(u64, u16), u32>,
    /// When sockets ceased to listen, by cookie: a survey that began before may still show them.
    gone: BTreeMap<u64, u64>,
    /// SYNs refused on a port by the end of the last drain there.
    refused: BTreeMap<ServiceKey, Refused>,
    bitten: u64,
}

/// A running program that listens, or did.
#[derive(Debug, Default)]
struct Instance {
    ports: BTreeMap<ServiceKey, u32>,
    netns_inum: u32,
    owner_gone: bool,
    processes: BTreeMap<u32, Kin>,
}

/// What a process is to its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kin {
    /// Start, nanoseconds since boot.
    pub(crate) start_ns: u64,
    /// What it is.
    pub(crate) kinship: Kinship,
}

#[derive(Debug, Clone, Copy)]
struct Listener {
    owner: Process,
    key: ServiceKey,
    seen_ns: u64,
    /// When the first survey began that did not find it any more.
    missing_ns: Option<u64>,
}

/// A listening socket that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Came {
    /// Its cookie.
    pub(crate) cookie: u64,
    /// Its instance had none on this port.
    pub(crate) first_of_instance: bool,
    /// Nobody listened on the port.
    pub(crate) first_of_port: bool,
    /// Inode number of its network namespace; 0 unknown.
    pub(crate) netns_inum: u32,
}

/// A listening socket that went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Went {
    /// Whose it was.
    pub(crate) owner: Process,
    /// Which service, phase steady.
    pub(crate) key: ServiceKey,
    /// The instance has none left on this port.
    pub(crate) last_of_instance: bool,
    /// Nobody is left on the port.
    pub(crate) last_of_port: bool,
    /// Inode number of its network namespace; 0 unknown.
    pub(crate) netns_inum: u32,
}

// === impl Instances ===

impl Instances {
    /// The name under which an instance is known: the start time of one record may be cut or unknown.
    pub(crate) fn resolve(&self, process: Process) -> Process {
        if self.known.contains_key(&process) {
            return process;
        }
        match self.by_owner.get(&process.tgid) {
            Some(known) if same_start(known.start_ns, process.start_ns) => *known,
            _ => process,
        }
    }

    /// Which instance a process belongs to, by the last table.
    pub(crate) fn of_process(&self, tgid: u32) -> Option<Process> {
        self.by_process.get(&tgid).copied()
    }

    /// The instance that a socket's owner names, else the only one that ever listened as this service.
    pub(crate) fn owner(&self, named: Process, key: &ServiceKey) -> Option<Process> {
        if named.tgid != 0 {
            return Some(self.resolve(named));
        }
        let serves =
            |(owner, i): &(&Process, &Instance)| owner.tgid != 0 && i.ports.contains_key(key);
        let mut owners = self.known.iter().filter(serves);
        match (owners.next(), owners.next()) {
            (Some((owner, _)), None) => Some(*owner),
            _ => None,
        }
    }

    /// The services of an instance: those it listens as, and those it once did.
    pub(crate) fn ports(&self, instance: &Process) -> Vec<ServiceKey> {
        self.known
            .get(instance)
            .map(|i| i.ports.keys().copied().collect())
            .unwrap_or_default()
    }

    /// The services of all instances.
    pub(crate) fn services(&self) -> impl Iterator<Item = ServiceKey> + '_ {
        self.known.values().flat_map(|i| i.ports.keys().copied())
    }

    /// How many sockets of the instance listen as this service.
    pub(crate) fn listening(&self, instance: &Process, key: &ServiceKey) -> u32 {
        self.known
            .get(instance)
            .and_then(|i| i.ports.get(key))
            .copied()
            .unwrap_or(0)
    }

    /// Whether anybody listens on a service's port.
    pub(crate) fn is_up(&self, key: &ServiceKey) -> bool {
        self.up.contains_key(&(key.netns, key.port))
    }

    /// Whether one who listened as this service lives.
    pub(crate) fn is_served(&self, key: &ServiceKey) -> bool {
        let mut known = self.known.values();
        known.any(|instance| !instance.owner_gone && instance.ports.contains_key(key))
    }

    /// What was refused in the drains of a port that are over.
    pub(crate) fn refused_before(&self, key: &ServiceKey) -> Refused {
        self.refused.get(key).copied().unwrap_or_default()
    }

    /// A drain of a port is over, with so many refused in it and in those before.
    pub(crate) fn note_refused(&mut self, key: &ServiceKey, so_far: Refused) {
        if self.refused.len() < LISTENERS_MAX || self.refused.contains_key(key) {
            self.refused.insert(*key, so_far);
        } else {
            self.bitten += 1;
        }
    }

    /// Forgets what was refused on ports of services that nobody knows any more.
    pub(crate) fn retain_refused(&mut self, known: impl Fn(&ServiceKey) -> bool) {
        self.refused.retain(|key, _| known(key));
    }

    /// Inode number of the instance's network namespace; 0 unknown.
    pub(crate) fn netns_inum(&self, instance: &Process) -> u32 {
        self.known.get(instance).map_or(0, |i| i.netns_inum)
    }

    /// Inode number of a network namespace, by its cookie; 0 unknown.
    pub(crate) fn netns_inum_of(&self, netns: u64) -> u32 {
        let inside = |i: &&Instance| i.ports.keys().any(|key| key.netns == netns);
        let mut inums = self.known.values().filter(inside).map(|i| i.netns_inum);
        inums.find(|inum| *inum != 0).unwrap_or(0)
    }

    /// Its processes, by the last table less those that ended since.
    pub(crate) fn processes(&self, instance: &Process) -> impl Iterator<Item = (u32, Kin)> + '_ {
        self.known
            .get(instance)
            .into_iter()
            .flat_map(|i| i.processes.iter().map(|(tgid, kin)| (*tgid, *kin)))
    }

    /// Whether the process that called `listen()` is known to have ended.
    pub(crate) fn owner_gone(&self, instance: &Process) -> bool {
        self.known.get(instance).is_some_and(|i| i.owner_gone)
    }

    /// How often a bound kept something out.
    pub(crate) fn bitten(&self) -> u64 {
        self.bitten
    }

    /// A socket listens; none when it was known, or cannot be kept.
    pub(crate) fn listen(
        &mut self,
        cookie: u64,
        owner: Process,
        key: ServiceKey,
        netns_inum: u32,
        at_ns: u64,
    ) -> Option<Came> {
        if let Some(known) = self.listeners.get_mut(&cookie) {
            known.seen_ns = known.seen_ns.max(at_ns);
            known.missing_ns = None;
            // A survey found it before its record was read; only that names the namespace.
            if netns_inum != 0
                && let Some(instance) = self.known.get_mut(&known.owner)
            {
                instance.netns_inum = netns_inum;
            }
            return None;
        }
        if self
            .gone
            .get(&cookie)
            .is_some_and(|gone_ns| at_ns <= *gone_ns)
        {
            return None;
        }
        if self.listeners.len() >= LISTENERS_MAX {
            self.bitten += 1;
            return None;
        }
        let owner = self.resolve(owner);
        let key = key.in_phase(Phase::Steady);
        self.learn(owner, key);
        let instance = self.known.get_mut(&owner)?;
        if netns_inum != 0 {
            instance.netns_inum = netns_inum;
        }
        let netns_inum = instance.netns_inum;
        let sockets = instance.ports.get_mut(&key)?;
        *sockets += 1;
        let first_of_instance = *sockets == 1;
        self.listeners.insert(
            cookie,
            Listener {
                owner,
                key,
                seen_ns: at_ns,
                missing_ns: None,
            },
        );
        let up = self.up.entry((key.netns, key.port)).or_default();
        *up += 1;
        Some(Came {
            cookie,
            first_of_instance,
            first_of_port: *up == 1,
            netns_inum,
        })
    }

    /// A socket listens no more; none when it was not known.
    pub(crate) fn unlisten(&mut self, cookie: u64, at_ns: u64) -> Option<Went> {
        if self.gone.len() >= GONE_MAX {
            // Cookies count upwards.
            self.gone.pop_first();
        }
        self.gone.insert(cookie, at_ns);
        let Listener { owner, key, .. } = self.listeners.remove(&cookie)?;
        let mut last_of_instance = true;
        if let Some(sockets) = self
            .known
            .get_mut(&owner)
            .and_then(|i| i.ports.get_mut(&key))
        {
            *sockets = sockets.saturating_sub(1);
            last_of_instance = *sockets == 0;
        }
        let mut last_of_port = true;
        if let Some(up) = self.up.get_mut(&(key.netns, key.port)) {
            *up = up.saturating_sub(1);
            last_of_port = *up == 0;
        }
        if last_of_port {
            self.up.remove(&(key.netns, key.port));
        }
        Some(Went {
            owner,
            key,
            last_of_instance,
            last_of_port,
            netns_inum: self.netns_inum(&owner),
        })
    }

    /// A service is nobody's here. Returns the sockets that listened as it.
    pub(crate) fn forget(&mut self, key: &ServiceKey, now_ns: u64) -> Vec<u64> {
        let listeners = self.listeners.iter();
        let mut cookies: Vec<u64> = listeners
            .filter(|(_, listener)| listener.key == *key)
            .map(|(cookie, _)| *cookie)
            .collect();
        cookies.sort_unstable();
        for cookie in &cookies {
            self.unlisten(*cookie, now_ns);
        }
        for instance in self.known.values_mut() {
            instance.ports.remove(key);
        }
        cookies
    }

    /// Makes sure that an instance is known to serve a port.
    pub(crate) fn learn(&mut self, owner: Process, key: ServiceKey) {
        self.meet(owner);
        let Some(instance) = self.known.get_mut(&owner) else {
            return;
        };
        if instance.ports.len() >= PORTS_MAX && !instance.ports.contains_key(&key) {
            self.bitten += 1;
            return;
        }
        instance.ports.entry(key).or_insert(0);
    }

    /// A process of the instance ended.
    pub(crate) fn exited(&mut self, instance: &Process, tgid: u32) {
        if let Some(known) = self.known.get_mut(instance) {
            known.processes.remove(&tgid);
            known.owner_gone |= tgid == instance.tgid;
        }
        self.by_process.remove(&tgid);
    }

    /// Takes the kernel's whole table, and forgets instances of which nothing is left but those in use.
    pub(crate) fn table(
        &mut self,
        table: &[(u32, ProcessEntry)],
        in_use: impl Fn(&Process) -> bool,
    ) {
        self.by_process.clear();
        for instance in self.known.values_mut() {
            instance.processes.clear();
        }
        self.bitten += table.len().saturating_sub(PROCESSES_MAX) as u64;
        for (tgid, entry) in table.iter().take(PROCESSES_MAX) {
            let name = self.resolve(entry.instance);
            self.meet(name);
            let kinship = Kinship::from_u8(entry.kinship).unwrap_or(Kinship::Member);
            self.by_process.insert(*tgid, name);
            if let Some(instance) = self.known.get_mut(&name) {
                let kin = Kin {
                    start_ns: entry.born_ns,
                    kinship,
                };
                instance.processes.insert(*tgid, kin);
            }
        }
        let mut gone = BTreeSet::new();
        for (name, instance) in &mut self.known {
            instance.owner_gone |=
                !instance.processes.is_empty() && !instance.processes.contains_key(&name.tgid);
            let idle = instance.processes.is_empty() && instance.ports.values().all(|n| *n == 0);
            if idle && !in_use(name) {
                gone.insert(*name);
            }
        }
        for name in gone {
            self.known.remove(&name);
            if self.by_owner.get(&name.tgid) == Some(&name) {
                self.by_owner.remove(&name.tgid);
            }
        }
    }

    /// Forgets listeners of a namespace that surveys do not find, long after they were heard of last: the record of their end was
    /// lost. One survey that misses them may just be faster than that record.
    pub(crate) fn surveyed(
        &mut self,
        netns: u64,
        began_ns: u64,
        found: impl Fn(u64) -> bool,
    ) -> Vec<u64> {
        let mut missing: Vec<u64> = self
            .listeners
            .iter_mut()
            .filter(|(cookie, l)| l.key.netns == netns && l.seen_ns < began_ns && !found(**cookie))
            .filter_map(|(cookie, l)| {
                let first_ns = *l.missing_ns.get_or_insert(began_ns);
                (first_ns.saturating_add(timing::TOLD_NS) < began_ns).then_some(*cookie)
            })
            .collect();
        missing.sort_unstable();
        for cookie in &missing {
            self.unlisten(*cookie, began_ns);
        }
        missing
    }

    fn meet(&mut self, name: Process) {
        if self.known.contains_key(&name) {
            return;
        }
        if self.known.len() >= INSTANCES_MAX {
            self.bitten += 1;
            return;
        }
        self.known.insert(name, Instance::default());
        self.by_owner.insert(name.tgid, name);
    }
}

fn same_start(a_ns: u64, b_ns: u64) -> bool {
    a_ns == 0 || b_ns == 0 || a_ns.abs_diff(b_ns) < timing::SAME_START_NS
}

#[cfg(test)]
#[path = "instances_tests.rs"]
mod tests;
