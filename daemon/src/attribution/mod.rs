//! From the key of a counter row to the workload that people know: a systemd unit, a container, a
//! program. It survives the death of the process, and never asks one.

pub(crate) mod cgroupfs;
mod names;
mod path;
mod process;
mod program;
mod programs;
mod runtimes;
#[cfg(test)]
mod scripts;

use std::{path::PathBuf, time::Duration};

use finwatch_common::{Process, ServiceKey};

use self::{
    cgroupfs::{CgroupFs, Resolved},
    names::EngineFiles,
    path::{Identity, identify, printable, short_id},
    programs::Programs,
};
use finwatch_engine::{
    bounded::Bounded,
    model::{Named, Workload, WorkloadKind},
};

/// Most cgroups that are remembered, at about 200 bytes each; the longest unused go first.
const MAX_CGROUPS: usize = 16_384;
/// Longest time that one look-up may spend on the tree of cgroups.
const LOOKUP_BUDGET: Duration = Duration::from_millis(20);
/// Longest time that the start may spend on it.
const START_BUDGET: Duration = Duration::from_secs(1);

/// Where to look.
#[derive(Debug, Clone)]
pub struct AttributionOptions {
    /// Root of the cgroup2 file system; `None`: where `/proc/self/mountinfo` says.
    pub cgroup_root: Option<PathBuf>,
    /// Root of the host's files, for names of containers: `/`, or its mount in a container.
    pub host_root: PathBuf,
}

impl Default for AttributionOptions {
    fn default() -> Self {
        Self {
            cgroup_root: None,
            host_root: PathBuf::from("/"),
        }
    }
}

/// Figures about attribution itself.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct AttributionStats {
    /// cgroups that were gone before anybody knew their name; only grows.
    pub unknown: u64,
    /// cgroups remembered.
    pub entries: usize,
    /// Most that may be remembered.
    pub capacity: usize,
    /// cgroups forgotten as others needed the room; only grows.
    pub evicted: u64,
    /// Directories watched for new cgroups.
    pub watches: usize,
}

/// Finds the workload of a key, and remembers it.
#[derive(Debug)]
pub struct Attribution {
    cgroups: Option<CgroupFs>,
    files: EngineFiles,
    known: Remembered,
    programs: Programs,
    unknown: u64,
}

/// cgroups by id, the longest unused first.
type Remembered = Bounded<u64, Known, MAX_CGROUPS>;

/// What is remembered of a cgroup.
#[derive(Debug, Clone)]
enum Known {
    /// Seen in the tree; nobody has asked for it yet.
    Path(Identity),
    /// The answer that was given, and is given from now on: a row must not change its labels.
    Settled(Option<Named>),
}

impl Attribution {
    /// Reads the tree of cgroups. Blocking: milliseconds, on a host of ten thousand cgroups up to a
    /// second. Without cgroup2 everything is named by its process, and a warning is logged.
    pub fn new(options: &AttributionOptions) -> Self {
        let cgroups = CgroupFs::open(options.cgroup_root.as_deref())
            .inspect_err(|error| {
                tracing::warn!(
                    %error,
                    "cannot open the cgroup2 file system: units and containers are shown by the name \
                     of their process"
                );
            })
            .ok();
        let mut this = Self {
            cgroups,
            files: EngineFiles::new(&options.host_root),
            known: Remembered::default(),
            programs: Programs::default(),
            unknown: 0,
        };
        this.refresh_for(START_BUDGET);
        this
    }

    /// From now on `owner` is asked which process listens for a service: by its command line, people know the program.
    pub fn ask_for_owners(
        &mut self,
        owner: impl Fn(&ServiceKey) -> Option<Process> + Send + 'static,
    ) {
        self.programs = Programs::new(Box::new(owner));
    }

    /// Takes in cgroups made since the last call. To be called now and then, best with each reading of
    /// the records: then a container that lived for a moment is known by name.
    pub fn refresh(&mut self) {
        self.refresh_for(LOOKUP_BUDGET);
    }

    /// The workload that the service belongs to: as [`Attribution::named`] said last, if it did.
    pub fn workload(&mut self, key: &ServiceKey) -> Workload {
        match self.programs.known(key) {
            Some(program) => Workload::on_host(WorkloadKind::Process, program),
            None => self.named(key).workload,
        }
    }

    /// The workload that the service belongs to, and the pod that it runs in. A program is looked at anew with each call, as
    /// another one may listen by now whose process the kernel calls the same; of one that is gone the name remains.
    pub fn named(&mut self, key: &ServiceKey) -> Named {
        if key.cgroup == 0 && key.netns == 0 && key.comm[0] == 0 {
            return Workload::other().into();
        }
        match self.of_cgroup(key.cgroup) {
            Some(named) => named,
            None => Workload::on_host(WorkloadKind::Process, self.programs.name(key)).into(),
        }
    }

    /// Figures about itself.
    pub fn stats(&self) -> AttributionStats {
        AttributionStats {
            unknown: self.unknown,
            entries: self.known.len(),
            capacity: MAX_CGROUPS,
            evicted: self.known.bitten(),
            watches: self.cgroups.as_ref().map_or(0, CgroupFs::watches),
        }
    }

    fn refresh_for(&mut self, budget: Duration) {
        let Self { cgroups, known, .. } = self;
        if let Some(cgroups) = cgroups {
            cgroups.refresh(budget, &mut |id, path| learn(known, id, path));
        }
    }

    /// The unit or the container, or `None` when the process's name must do.
    fn of_cgroup(&mut self, id: u64) -> Option<Named> {
        let cgroups = self.cgroups.as_mut()?;
        if id == 0 || id == cgroups.root_id() {
            return None;
        }
        if !self.known.contains(&id) && !look_up(cgroups, &mut self.known, id) {
            // A walk was cut short: the next call goes on with it.
            return None;
        }
        self.known.refresh(&id);
        match self.known.get(&id) {
            Some(Known::Settled(named)) => named.clone(),
            Some(Known::Path(identity)) => {
                let named = name(&self.files, identity);
                self.known.insert(id, Known::Settled(named.clone()));
                named
            }
            None => {
                self.unknown += 1;
                self.known.insert(id, Known::Settled(None));
                None
            }
        }
    }
}

/// Asks for a cgroup that is not remembered, the cheap ways first. Says whether the answer is final.
fn look_up(cgroups: &mut CgroupFs, known: &mut Remembered, id: u64) -> bool {
    cgroups.refresh(LOOKUP_BUDGET, &mut |id, path| learn(known, id, path));
    if known.contains(&id) {
        return true;
    }
    match cgroups.by_handle(id) {
        Resolved::Path(path) => {
            learn(known, id, &path);
            true
        }
        Resolved::Gone => true,
        Resolved::Unsure => cgroups.walk(LOOKUP_BUDGET, &mut |id, path| learn(known, id, path)),
    }
}

fn learn(known: &mut Remembered, id: u64, path: &str) {
    if !known.contains(&id) {
        known.insert(id, Known::Path(identify(path)));
    }
}

fn name(files: &EngineFiles, identity: &Identity) -> Option<Named> {
    let (kind, name, pod_uid) = match identity {
        Identity::Container { engine, id, pod } => {
            let name = files.name_of(*engine, id);
            let name = name.unwrap_or_else(|| short_id(id).to_owned());
            (WorkloadKind::Container, name, pod.clone())
        }
        Identity::Unit(name) => (WorkloadKind::Unit, name.clone(), None),
        Identity::Nobody => return None,
    };
    Some(Named {
        workload: Workload::on_host(kind, printable(&name)),
        pod_uid,
    })
}

#[cfg(test)]
mod tests;
