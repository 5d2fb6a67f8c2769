//! Who the stream knows: the services of each instance, and whether a phase that a signal began is over. Pure: what it
//! needs of the world comes with each call.

use std::collections::{BTreeMap, BTreeSet};

use finwatch_common::{Kinship, Phase, Process, ProcessEntry, ServiceKey, SignalRecord};
use finwatch_engine::bounded::Bounded;

/// Most instances that are remembered. Of one that comes on top the services are not known.
const INSTANCES_MAX: usize = 8_192;
/// How long closes still belong to a phase whose processes are gone: what the kernel ends for them.
const AFTER_NS: u64 = 5_000_000_000;
/// How long a reload lasts whose old workers nobody could name.
const RELOAD_NS: u64 = 10_000_000_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Instances {
    services: Bounded<Process, BTreeSet<ServiceKey>, INSTANCES_MAX>,
    running: BTreeMap<Process, Running>,
}

/// A phase that lasts.
#[derive(Debug)]
struct Running {
    phase: Phase,
    began_ns: u64,
    /// When it began, on the clock of processes' start times.
    began_boot_ns: u64,
    /// When the last old process was gone.
    gone_ns: Option<u64>,
    /// Whether there were old workers to wait for.
    had_workers: bool,
}

impl Instances {
    /// An instance has a service.
    pub(super) fn learn(&mut self, instance: Process, service: &ServiceKey) {
        if instance.tgid == 0 {
            return;
        }
        if let Some(services) = self.services.admit(instance, BTreeSet::new) {
            services.insert(service.in_phase(Phase::Steady));
        }
    }

    /// The services of an instance; none when they are not known.
    pub(super) fn services(&self, instance: Process) -> impl Iterator<Item = &ServiceKey> {
        self.services.get(&instance).into_iter().flatten()
    }

    /// A signal came; `boot_ns` is its time on the clock of processes' start times.
    pub(super) fn signal(&mut self, record: &SignalRecord, boot_ns: u64) {
        let phase = record.intent().phase();
        if phase == Phase::Steady {
            return;
        }
        let running = self.running.entry(record.instance).or_insert(Running {
            phase,
            began_ns: record.header.at_ns,
            began_boot_ns: boot_ns,
            gone_ns: None,
            had_workers: false,
        });
        if phase == Phase::Draining {
            running.phase = phase;
        }
    }

    /// Whether any phase lasts, or there is no more room: then the table of processes is of use.
    pub(super) fn want_processes(&self) -> bool {
        !self.running.is_empty() || self.services.is_full()
    }

    /// Looks who is left. Returns the instances whose phase is over.
    pub(super) fn look(&mut self, now_ns: u64, table: &[(u32, ProcessEntry)]) -> Vec<Process> {
        let mut over = Vec::new();
        for (instance, running) in &mut self.running {
            if running.is_over(*instance, now_ns, table) {
                over.push(*instance);
            }
        }
        for instance in &over {
            self.running.remove(instance);
        }
        if self.services.is_full() {
            let alive: BTreeSet<Process> = table.iter().map(|(_, e)| e.instance).collect();
            self.services.retain(|instance, _| alive.contains(instance));
        }
        over
    }
}

impl Running {
    fn is_over(&mut self, instance: Process, now_ns: u64, table: &[(u32, ProcessEntry)]) -> bool {
        let left = table.iter().any(|(_, entry)| {
            entry.instance == instance
                && match self.phase {
                    // Who controls it may be anything, and outlive it.
                    Phase::Draining => entry.kinship != Kinship::Controller as u8,
                    Phase::Reloading | Phase::Steady => {
                        entry.kinship == Kinship::Member as u8 && entry.born_ns < self.began_boot_ns
                    }
                }
        });
        if left {
            self.had_workers = true;
            return false;
        }
        let reloads = self.phase == Phase::Reloading;
        if reloads && !self.had_workers {
            return now_ns.saturating_sub(self.began_ns) >= RELOAD_NS;
        }
        let gone_ns = *self.gone_ns.get_or_insert(now_ns);
        now_ns.saturating_sub(gone_ns) >= AFTER_NS
    }
}

#[cfg(test)]
mod tests {
    use finwatch_common::{Intent, Role};

    use super::*;
    use crate::watch::samples;

    const SECOND_NS: u64 = 1_000_000_000;

    fn process(tgid: u32, start_ns: u64) -> Process {
        Process {
            start_ns,
            tgid,
            pad: 0,
        }
    }

    fn entry(instance: Process, tgid: u32, start_ns: u64, kinship: Kinship) -> (u32, ProcessEntry) {
        let entry = ProcessEntry {
            instance,
            start_ns,
            born_ns: start_ns,
            kinship: kinship as u8,
            pad: [0; 7],
        };
        (tgid, entry)
    }

    fn signalled(intent: Intent) -> (Instances, Process) {
        let mut instances = Instances::default();
        let mut record = samples::signal_record();
        record.intent = intent as u8;
        record.header.at_ns = SECOND_NS;
        instances.signal(&record, 2 * SECOND_NS);
        (instances, record.instance)
    }

    #[test]
    fn services_are_known_once_and_without_their_phase() {
        let mut instances = Instances::default();
        let owner = process(7, 1);
        for phase in [Phase::Steady, Phase::Draining] {
            instances.learn(owner, &ServiceKey::other(Role::Server, phase));
        }
        instances.learn(
            Process::default(),
            &ServiceKey::other(Role::Server, Phase::Steady),
        );
        assert_eq!(instances.services(owner).count(), 1);
        assert_eq!(instances.services(process(7, 2)).count(), 0);
        assert_eq!(instances.services(Process::default()).count(), 0);
    }

    #[test]
    fn a_stop_is_over_some_time_after_the_last_process() {
        let (mut instances, owner) = signalled(Intent::Stop);
        let workers = [
            entry(owner, 8, 1, Kinship::Member),
            entry(owner, 9, 1, Kinship::Controller),
        ];
        assert!(instances.want_processes());
        assert!(instances.look(90 * SECOND_NS, &workers).is_empty());
        assert!(instances.look(91 * SECOND_NS, &workers[1..]).is_empty());
        assert_eq!(instances.look(96 * SECOND_NS, &[]), [owner]);
        assert!(!instances.want_processes());
    }

    #[test]
    fn a_reload_is_over_with_the_last_old_worker() {
        let (mut instances, owner) = signalled(Intent::Reload);
        let master = entry(owner, owner.tgid, 1, Kinship::Owner);
        let old = entry(owner, 8, 1, Kinship::Member);
        let new = entry(owner, 9, 3 * SECOND_NS, Kinship::Member);
        assert!(
            instances
                .look(20 * SECOND_NS, &[master, old, new])
                .is_empty()
        );
        assert!(instances.look(21 * SECOND_NS, &[master, new]).is_empty());
        assert_eq!(instances.look(26 * SECOND_NS, &[master, new]), [owner]);
    }

    #[test]
    fn a_reload_without_workers_has_its_time() {
        let (mut instances, owner) = signalled(Intent::Reload);
        let alone = [entry(owner, owner.tgid, 1, Kinship::Owner)];
        assert!(instances.look(10 * SECOND_NS, &alone).is_empty());
        assert_eq!(instances.look(11 * SECOND_NS, &alone), [owner]);
    }

    #[test]
    fn a_stop_during_a_reload_waits_for_everybody() {
        let (mut instances, owner) = signalled(Intent::Reload);
        let mut record = samples::signal_record();
        record.intent = Intent::Stop as u8;
        instances.signal(&record, 3 * SECOND_NS);
        let alone = [entry(owner, owner.tgid, 1, Kinship::Owner)];
        assert!(instances.look(60 * SECOND_NS, &alone).is_empty());
        assert!(instances.look(61 * SECOND_NS, &[]).is_empty());
        assert_eq!(instances.look(66 * SECOND_NS, &[]), [owner]);
    }

    #[test]
    fn a_signal_that_asks_for_nothing_begins_nothing() {
        for intent in [Intent::Nothing, Intent::Unclear] {
            let (instances, _) = signalled(intent);
            assert!(!instances.want_processes());
        }
    }
}
