//! Names of workloads from cgroups made for the test.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use finwatch::{attribution::Attribution, attribution::AttributionOptions};
use finwatch_common::{Phase, Role, ServiceKey};
use finwatch_engine::model::{Workload, WorkloadKind};

/// A cgroup, removed at the end.
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes `name` in the root of the tree.
    pub(crate) fn make(name: &str) -> Self {
        let path = root().join(name);
        fs::create_dir(&path).unwrap_or_else(|e| panic!("make {}: {e}", path.display()));
        Self(path)
    }

    /// Its folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn id(&self) -> u64 {
        fs::metadata(&self.0).unwrap().ino()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A test that removes it itself leaves nothing to do.
        let _gone = fs::remove_dir(&self.0);
    }
}

fn root() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let point = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let point = fields.next()?;
        (fields.next()? == "cgroup2").then_some(point)
    });
    PathBuf::from(point.expect("a cgroup2 file system, which the kernel tier needs"))
}

fn key(cgroup: u64) -> ServiceKey {
    let mut key = ServiceKey::other(Role::Server, Phase::Steady);
    key.cgroup = cgroup;
    key.netns = 1;
    key.comm[..4].copy_from_slice(b"serv");
    key
}

fn unit(name: &str) -> Workload {
    Workload::on_host(WorkloadKind::Unit, name)
}

#[test]
fn cgroups_from_before_from_after_and_already_gone() {
    let before = Cgroup::make("finwatch-before.service");
    let mut attribution = Attribution::new(&AttributionOptions::default());
    let after = Cgroup::make("finwatch-after.service");
    let brief = Cgroup::make("finwatch-brief.service");
    let brief_id = brief.id();
    attribution.refresh();
    drop(brief);
    for (id, name) in [
        (before.id(), "finwatch-before.service"),
        (after.id(), "finwatch-after.service"),
        (brief_id, "finwatch-brief.service"),
    ] {
        assert_eq!(attribution.workload(&key(id)), unit(name));
    }
    assert_eq!(attribution.stats().unknown, 0);
}

#[test]
fn a_cgroup_that_nobody_saw_is_asked_for_by_its_number() {
    let mut attribution = Attribution::new(&AttributionOptions {
        // Not the mount point: no directory below it is watched, so that only the handle can tell.
        cgroup_root: Some(root().join("finwatch-empty")),
        ..AttributionOptions::default()
    });
    assert_eq!(attribution.stats().watches, 0, "no such directory");
    let empty = Cgroup::make("finwatch-empty");
    attribution = Attribution::new(&AttributionOptions {
        cgroup_root: Some(empty.0.clone()),
        ..AttributionOptions::default()
    });
    let beside = Cgroup::make("finwatch-beside.service");
    assert_eq!(
        attribution.workload(&key(beside.id())),
        unit("finwatch-beside.service")
    );
    let gone = beside.id();
    drop(beside);
    let again = Cgroup::make("finwatch-again.service");
    let again_id = again.id();
    drop(again);
    let process = Workload::on_host(WorkloadKind::Process, "serv");
    assert_eq!(attribution.workload(&key(again_id)), process);
    assert_eq!(attribution.stats().unknown, 1);
    assert_eq!(
        attribution.workload(&key(gone)),
        unit("finwatch-beside.service"),
        "a name outlives its cgroup"
    );
}
