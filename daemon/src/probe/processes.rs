//! The kernel's tables of processes that own services, of instances that drain or reload, and of what the
//! signals of known programs mean.

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
};
use finwatch_common::{Kinship, PhaseEntry, Process, ProcessEntry};

use super::{ProbeError, object::map, rows::Plain};
use crate::netns::owners;

/// The table of processes that belong to instances.
pub struct Processes {
    processes: HashMap<MapData, u32, Plain<ProcessEntry>>,
}

/// The table of instances that drain or reload.
pub struct Phases {
    phases: HashMap<MapData, Plain<Process>, Plain<PhaseEntry>>,
    made: Array<MapData, u64>,
    removed: u64,
}

/// Fails when an entry is there already (`BPF_NOEXIST`).
const ONLY_NEW: u64 = 1;
/// Position of the number of removed phases in their table.
const REMOVED: u32 = 1;

// === impl Processes ===

impl Processes {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            processes: map(ebpf, "PROCESSES")?,
        })
    }

    /// Every process of every instance. Blocking: a system call a process.
    pub fn table(&self) -> Vec<(u32, ProcessEntry)> {
        self.processes
            .iter()
            .filter_map(Result::ok)
            .map(|(tgid, Plain(entry))| (tgid, entry))
            .collect()
    }

    /// Adds what no event told; what the programs know better stays. A controller of an instance whose owner has ended
    /// gets another. One that has ended is left out.
    pub fn adopt(&mut self, tgid: u32, entry: ProcessEntry) {
        // It may have ended since somebody looked: then its end was told before it was in here, and nobody would take it out.
        if self.add(tgid, entry) && !owners::lives(tgid, entry.start_ns) {
            // The programs may have done so already.
            let _ = self.processes.remove(&tgid);
        }
    }

    fn add(&mut self, tgid: u32, entry: ProcessEntry) -> bool {
        let processes = &mut self.processes;
        // It fails when the programs know the process, or when the table is full: then its signals go unseen,
        // as those of any process that the table had no room for.
        if processes.insert(tgid, Plain(entry), ONLY_NEW).is_ok() {
            return true;
        }
        match processes.get(&tgid, 0) {
            Ok(Plain(known))
                if known.kinship == Kinship::Controller as u8
                    && !lives(processes, &known.instance) =>
            {
                processes.insert(tgid, Plain(entry), 0).is_ok()
            }
            _ => false,
        }
    }
}

// === impl Phases ===

impl Phases {
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        Ok(Self {
            phases: map(ebpf, "PHASES")?,
            made: map(ebpf, "PHASES_MADE")?,
            removed: 0,
        })
    }

    /// Ends the phase of an instance: it is steady, or gone, and counts as steady from now on; but not where a signal later than
    /// `heard_ns` (`bpf_ktime_get_ns`) asked for one, of which whoever ends it has not heard. Three system calls at most.
    pub fn end(&mut self, instance: Process, heard_ns: u64) {
        let entry = self.phases.get(&Plain(instance), 0);
        if entry.is_ok_and(|Plain(entry)| entry.signalled_ns > heard_ns) {
            return;
        }
        if self.phases.remove(&Plain(instance)).is_ok() {
            self.removed += 1;
            // An array's element can always be set.
            let _ = self.made.set(REMOVED, self.removed, 0);
        }
    }
}

/// The process that an instance is named by has not ended.
fn lives(processes: &HashMap<MapData, u32, Plain<ProcessEntry>>, instance: &Process) -> bool {
    processes
        .get(&instance.tgid, 0)
        .is_ok_and(|Plain(owner)| owner.instance == *instance)
}
