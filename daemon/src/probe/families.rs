//! The kernel's tables of processes that own services, of instances that drain or reload, and of what the
//! signals of known programs mean.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
};
use finwatch_common::{Kinship, PhaseEntry, Process, ProcessEntry};

use super::{ProbeError, counters::Plain, load, meanings};

/// See the module.
pub(super) struct Families {
    maps: Mutex<Maps>,
}

struct Maps {
    processes: HashMap<MapData, u32, Plain<ProcessEntry>>,
    phases: HashMap<MapData, Plain<Process>, Plain<PhaseEntry>>,
    made: Array<MapData, u64>,
    removed: u64,
}

/// Fails when an entry is there already (`BPF_NOEXIST`).
const ONLY_NEW: u64 = 1;
/// Position of the number of removed phases in their table.
const REMOVED: u32 = 1;

impl Families {
    /// Takes the tables over and says what signals mean.
    pub(super) fn new(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        meanings::fill(ebpf)?;
        Ok(Self {
            maps: Mutex::new(Maps {
                processes: load::map(ebpf, "PROCESSES")?,
                phases: load::map(ebpf, "PHASES")?,
                made: load::map(ebpf, "PHASES_MADE")?,
                removed: 0,
            }),
        })
    }

    /// Every process of every instance.
    pub(super) fn processes(&self) -> Vec<(u32, ProcessEntry)> {
        self.lock()
            .processes
            .iter()
            .filter_map(Result::ok)
            .map(|(tgid, Plain(entry))| (tgid, entry))
            .collect()
    }

    /// Adds what no event told; what the programs know better stays. A controller of an instance whose owner has ended
    /// gets another.
    pub(super) fn adopt(&self, tgid: u32, entry: ProcessEntry) {
        let processes = &mut self.lock().processes;
        // It fails when the programs know the process, or when the table is full: then its signals go unseen,
        // as those of any process that the table had no room for.
        if processes.insert(tgid, Plain(entry), ONLY_NEW).is_ok() {
            return;
        }
        if let Ok(Plain(known)) = processes.get(&tgid, 0)
            && known.kinship == Kinship::Controller as u8
            && !lives(processes, &known.instance)
        {
            let _ = processes.insert(tgid, Plain(entry), 0);
        }
    }

    /// The instance is steady, or gone.
    pub(super) fn end_phase(&self, instance: Process) {
        let mut maps = self.lock();
        if maps.phases.remove(&Plain(instance)).is_ok() {
            maps.removed += 1;
            let removed = maps.removed;
            // An array's element can always be set.
            let _ = maps.made.set(REMOVED, removed, 0);
        }
    }

    /// A panic while they were held leaves the tables intact.
    fn lock(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The process that an instance is named by has not ended.
fn lives(processes: &HashMap<MapData, u32, Plain<ProcessEntry>>, instance: &Process) -> bool {
    processes
        .get(&instance.tgid, 0)
        .is_ok_and(|Plain(owner)| owner.instance == *instance)
}
