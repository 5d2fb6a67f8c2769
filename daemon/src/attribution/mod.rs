//! From the key of a counter row to the workload that people know: a pod's, a systemd unit, a container, a
//! program. It survives the death of the process, and never asks one.

pub(crate) mod cgroupfs;
mod names;
mod path;
mod pods;
mod process;
mod program;
mod programs;
mod runtimes;
#[cfg(test)]
mod scripts;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use finwatch_common::{Process, ServiceKey};

use self::{
    cgroupfs::{CgroupFs, Resolved},
    names::EngineFiles,
    path::{Identity, PodPath, identify, printable, short_id},
    pods::{Look, PodNames},
    programs::Programs,
};
use crate::kubernetes::{Change, Heard, HeardFigures, PodsFigures, Source};
use finwatch_engine::{
    bounded::Bounded,
    model::{Named, Pod, Workload, WorkloadKind},
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
    /// Who is asked for names of pods.
    pub pods: Source,
}

impl Default for AttributionOptions {
    fn default() -> Self {
        Self {
            cgroup_root: None,
            host_root: PathBuf::from("/"),
            pods: Source::default(),
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
    /// The pods that are known; none: nobody tells of any.
    pub pods: Option<PodsFigures>,
    /// How the watch of pods stands; none: there is none.
    pub watch: Option<HeardFigures>,
    /// cgroups of other nodes on the same kernel, which are left out; only grows.
    pub elsewhere: u64,
}

/// Whose a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// It is known for good.
    Known(Named),
    /// The best that is known so far: better may come.
    SoFar(Named),
    /// Nobody knows yet, and it is worth waiting.
    Later,
    /// Another node's on the same kernel: it is no concern of this one.
    Elsewhere,
}

/// The cgroups of one kubelet's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodTree {
    /// Path of the tree, relative to what is mounted.
    pub path: String,
    /// Pods in it now.
    pub pods: usize,
}

/// The trees of pods below a root, or where cgroup2 is mounted. Blocking: it reads the whole tree.
///
/// # Errors
/// When there is no cgroup2, or its root cannot be opened.
pub fn pod_trees(root: Option<&Path>) -> io::Result<Vec<PodTree>> {
    let mut pods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    CgroupFs::open(root)?.refresh(START_BUDGET, &mut |_, path| {
        // Pods in pods are the affair of the outer one.
        if let Some(PodPath { uid, tree }) = path::pods(path).pop() {
            pods.entry(tree).or_default().insert(uid);
        }
    });
    let trees = pods.into_iter().map(|(path, pods)| PodTree {
        path,
        pods: pods.len(),
    });
    Ok(trees.collect())
}

/// Finds the workload of a key, and remembers it.
#[derive(Debug)]
pub struct Attribution {
    cgroups: Option<CgroupFs>,
    files: EngineFiles,
    known: Remembered,
    programs: Programs,
    pods: Option<PodNames>,
    heard: Option<Arc<Heard>>,
    unknown: u64,
    elsewhere: u64,
}

/// cgroups by id, the longest unused first.
type Remembered = Bounded<u64, Known, MAX_CGROUPS>;

/// What is remembered of a cgroup.
#[derive(Debug, Clone)]
enum Known {
    /// Seen in the tree; nobody has asked for it yet.
    Path(Place),
    /// One of which not everything is known yet.
    InPod(Box<Asked>),
    /// Another node's.
    Elsewhere,
    /// The answer that was given, and is given from now on: a row must not change its labels.
    Settled(Option<Named>),
}

/// Where a cgroup is.
#[derive(Debug, Clone)]
struct Place {
    identity: Identity,
    /// In the part of the tree that is mounted here, which is a node's where several share a kernel.
    is_inside: bool,
}

/// A container in a pod, or a cgroup outside of what is mounted here, while more may be told of it.
#[derive(Debug, Clone)]
struct Asked {
    since: Instant,
    place: Place,
    /// What the engine's files call it.
    by_files: Option<Named>,
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
            pods: PodNames::new(&options.pods),
            heard: options.pods.api.as_ref().map(|_| Arc::default()),
            unknown: 0,
            elsewhere: 0,
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

    /// Where the watch of pods writes down how it stands; none: the API server is not asked.
    pub fn heard(&self) -> Option<Arc<Heard>> {
        self.heard.clone()
    }

    /// Whether anybody is asked for names of pods.
    pub fn knows_pods(&self) -> bool {
        self.pods.is_some()
    }

    /// Takes in what became of a pod.
    pub fn pod(&mut self, change: Change) {
        if let Some(pods) = &mut self.pods {
            pods.take(change, Instant::now());
        }
    }

    /// The workload that the service belongs to: as [`Attribution::named`] said last, if it did.
    pub fn workload(&mut self, key: &ServiceKey) -> Workload {
        self.shown(key).workload
    }

    /// The same with its pod.
    pub fn shown(&mut self, key: &ServiceKey) -> Named {
        match self.programs.known(key) {
            Some(program) => Workload::on_host(WorkloadKind::Process, program).into(),
            None => self.named(key),
        }
    }

    /// The workload that the service belongs to, and the pod that it runs in, as far as that is known now.
    pub fn named(&mut self, key: &ServiceKey) -> Named {
        match self.whose(key) {
            Whose::Known(named) | Whose::SoFar(named) => named,
            Whose::Later | Whose::Elsewhere => match self.known.get(&key.cgroup) {
                Some(Known::InPod(asked)) => name(&self.files, &asked.place.identity),
                _ => None,
            }
            .unwrap_or_else(|| self.program(key)),
        }
    }

    /// The workload that the service belongs to, and the pod that it runs in. A program is looked at anew with each call, as
    /// another one may listen by now whose process the kernel calls the same; of one that is gone the name remains.
    pub fn whose(&mut self, key: &ServiceKey) -> Whose {
        if key.cgroup == 0 && key.netns == 0 && key.comm[0] == 0 {
            return Whose::Known(Workload::other().into());
        }
        match self.of_cgroup(key.cgroup) {
            Some(whose) => whose,
            None => Whose::Known(self.program(key)),
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
            pods: self.pods.as_ref().and_then(PodNames::figures),
            watch: self.heard.as_ref().map(|heard| heard.figures()),
            elsewhere: self.elsewhere,
        }
    }

    fn refresh_for(&mut self, budget: Duration) {
        let Self { cgroups, known, .. } = self;
        if let Some(cgroups) = cgroups {
            cgroups.refresh(budget, &mut |id, path| learn(known, id, path));
        }
    }

    fn program(&mut self, key: &ServiceKey) -> Named {
        Workload::on_host(WorkloadKind::Process, self.programs.name(key)).into()
    }

    /// The unit or the container, or `None` when the process's name must do.
    fn of_cgroup(&mut self, id: u64) -> Option<Whose> {
        let cgroups = self.cgroups.as_mut()?;
        if id == 0 || id == cgroups.root_id() {
            return None;
        }
        if !self.known.contains(&id) && !look_up(cgroups, &mut self.known, id) {
            // A walk was cut short: the next call goes on with it.
            return None;
        }
        self.known.refresh(&id);
        let Some(known) = self.known.get(&id) else {
            self.unknown += 1;
            self.known.insert(id, Known::Settled(None));
            return None;
        };
        let (next, whose) = match known.clone() {
            Known::Settled(named) => return named.map(Whose::Known),
            Known::Elsewhere => return Some(Whose::Elsewhere),
            Known::InPod(asked) => self.in_pod(asked),
            Known::Path(place) => self.at(place),
        };
        if matches!(next, Known::Elsewhere) {
            self.elsewhere += 1;
        }
        self.known.insert(id, next);
        whose
    }

    /// Whose a cgroup is that is asked for for the first time.
    fn at(&mut self, place: Place) -> (Known, Option<Whose>) {
        let Some(pods) = &self.pods else {
            return settled(name(&self.files, &place.identity));
        };
        let is_in_doubt = !place.is_inside && pods.knows_node();
        if within(&place.identity).is_empty() && !is_in_doubt {
            return settled(name(&self.files, &place.identity));
        }
        self.in_pod(Box::new(Asked {
            since: Instant::now(),
            place,
            by_files: None,
        }))
    }

    fn in_pod(&mut self, mut asked: Box<Asked>) -> (Known, Option<Whose>) {
        let waited = asked.since.elapsed();
        let look = match (&mut self.pods, &asked.place.identity) {
            (Some(names), Identity::Container { id, pods, .. }) if !pods.is_empty() => {
                names.look(pods, id, waited)
            }
            (Some(names), _) => names.look_outside(waited),
            (None, _) => Look::Unknown,
        };
        let whose = match look {
            Look::Whole(named) => return settled(Some(named)),
            Look::Elsewhere => return (Known::Elsewhere, Some(Whose::Elsewhere)),
            Look::SoFar(named) => Some(Whose::SoFar(named)),
            Look::Later => Some(Whose::Later),
            Look::Unknown => {
                let by_files = asked.by_files.take();
                asked.by_files = by_files.or_else(|| name(&self.files, &asked.place.identity));
                asked.by_files.clone().map(Whose::SoFar)
            }
        };
        (Known::InPod(asked), whose)
    }
}

/// An answer that will not change.
fn settled(named: Option<Named>) -> (Known, Option<Whose>) {
    (Known::Settled(named.clone()), named.map(Whose::Known))
}

fn within(identity: &Identity) -> &[PodPath] {
    match identity {
        Identity::Container { pods, .. } => pods,
        Identity::Unit(_) | Identity::Nobody => &[],
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
        let place = Place {
            identity: identify(path),
            is_inside: !path.starts_with('/'),
        };
        known.insert(id, Known::Path(place));
    }
}

fn name(files: &EngineFiles, identity: &Identity) -> Option<Named> {
    let (kind, name) = match identity {
        Identity::Container { engine, id, .. } => {
            let name = files.name_of(*engine, id);
            let name = name.unwrap_or_else(|| short_id(id).to_owned());
            (WorkloadKind::Container, name)
        }
        Identity::Unit(name) => (WorkloadKind::Unit, name.clone()),
        Identity::Nobody => return None,
    };
    Some(Named {
        workload: Workload::on_host(kind, printable(&name)),
        pod: Pod {
            uid: within(identity).first().map(|pod| pod.uid.clone()),
            ..Pod::default()
        },
    })
}

#[cfg(test)]
mod tests;
