//! The control groups of a cluster: one folder in every hierarchy, with one below it for each node. The folder's processes are the
//! cluster's and nobody else's, so that ending them ends it whole, whatever has left its parent.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

const PREFIX: &str = "finwatch-e2e-";

/// How long killed processes may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// A folder of the same name in every hierarchy of this machine.
pub(super) struct Cgroups {
    /// cgroup v1's, one a hierarchy.
    v1: Vec<PathBuf>,
    /// cgroup v2's.
    v2: PathBuf,
}

/// One hierarchy: what `/proc/self/cgroup` says of it, and where it is mounted.
#[derive(Debug, PartialEq)]
struct Hierarchy {
    /// `cpu,cpuacct`, `name=systemd`; empty for version 2.
    controllers: String,
    /// The calling process's own folder.
    own: PathBuf,
}

// === impl Cgroups ===

impl Cgroups {
    /// Makes them below this process's own.
    pub(super) fn make() -> Result<Self> {
        let name = format!("{PREFIX}{}", process::id());
        let cgroups = Self::named(&name)?;
        for folder in cgroups.all() {
            make(folder)?;
        }
        Ok(cgroups)
    }

    /// Those that tasks which no longer run have left.
    pub(super) fn stale() -> Result<Vec<Self>> {
        let (_, v2) = hierarchies()?;
        let entries = v2
            .read_dir()
            .with_context(|| format!("list {}", v2.display()))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names
            .filter(|name| {
                name.strip_prefix(PREFIX)
                    .is_some_and(|pid| !Path::new("/proc").join(pid).exists())
            })
            .map(|name| Self::named(&name))
            .collect()
    }

    fn named(name: &str) -> Result<Self> {
        let (v1, v2) = hierarchies()?;
        Ok(Self {
            v1: v1.into_iter().map(|own| own.join(name)).collect(),
            v2: v2.join(name),
        })
    }

    /// The files that take a process into a node's groups, which are made.
    pub(super) fn of_node(&self, node: &str) -> Result<Vec<PathBuf>> {
        let folders: Vec<_> = self.all().map(|folder| folder.join(node)).collect();
        for folder in &folders {
            make(folder)?;
        }
        Ok(folders
            .into_iter()
            .map(|folder| folder.join("cgroup.procs"))
            .collect())
    }

    /// Kills every process in them, waits until they are gone, and removes them.
    pub(super) fn end(&self) -> Result<()> {
        let kill = self.v2.join("cgroup.kill");
        if self.v2.exists() {
            fs::write(&kill, "1").with_context(|| format!("write {}", kill.display()))?;
        }
        let started = Instant::now();
        loop {
            let left: Vec<_> = self.all().filter(|folder| !remove(folder)).collect();
            if left.is_empty() {
                return Ok(());
            }
            if started.elapsed() > GONE_WITHIN {
                bail!(
                    "remove the control group {}: it is still in use after {GONE_WITHIN:?}",
                    left[0].display()
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        let Self { v1, v2 } = self;
        v1.iter().chain([v2])
    }
}

/// The controllers of each hierarchy of version 1, as `mount -o` wants them.
pub(super) fn controllers() -> Result<Vec<String>> {
    let own = own_groups()?;
    Ok(own
        .into_iter()
        .map(|Hierarchy { controllers, .. }| controllers)
        .filter(|controllers| !controllers.is_empty())
        .collect())
}

/// This process's folders: of version 1, and of version 2.
fn hierarchies() -> Result<(Vec<PathBuf>, PathBuf)> {
    let root = Path::new("/sys/fs/cgroup");
    let unified = root.join("unified");
    if !unified.join("cgroup.procs").exists() {
        bail!(
            "find cgroup2 at {}: the cluster is known to work where version 1 has the controllers and \
             version 2 is mounted beside them",
            unified.display()
        );
    }
    let mut v1 = Vec::new();
    let mut v2 = unified.clone();
    for Hierarchy { controllers, own } in own_groups()? {
        let own = own.strip_prefix("/").unwrap_or(&own).to_path_buf();
        match controllers.as_str() {
            "" => v2 = unified.join(own),
            named => {
                let folder = named.strip_prefix("name=").unwrap_or(named);
                v1.push(root.join(folder).join(own));
            }
        }
    }
    Ok((v1, v2))
}

fn own_groups() -> Result<Vec<Hierarchy>> {
    let path = "/proc/self/cgroup";
    let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    Ok(text.lines().filter_map(hierarchy).collect())
}

/// `8:cpu,cpuacct:/a/b`.
fn hierarchy(line: &str) -> Option<Hierarchy> {
    let mut parts = line.splitn(3, ':').skip(1);
    Some(Hierarchy {
        controllers: parts.next()?.to_owned(),
        own: parts.next()?.into(),
    })
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("make the control group {}", folder.display()))?;
    // Version 1's cpuset takes no process before it has been told which cores and which memory.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let path = folder.join(file);
        let above = folder.parent().map(|parent| parent.join(file));
        if let (true, Some(above)) = (path.exists(), above) {
            let value =
                fs::read_to_string(&above).with_context(|| format!("read {}", above.display()))?;
            fs::write(&path, value.trim()).with_context(|| format!("write {}", path.display()))?;
        }
    }
    Ok(())
}

/// Removes a group and those below it; false while one is in use.
fn remove(folder: &Path) -> bool {
    let Ok(entries) = folder.read_dir() else {
        return !folder.exists();
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !remove(&entry.path()) {
            return false;
        }
    }
    match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_proc() {
        let found = |controllers: &str, own: &str| {
            Some(Hierarchy {
                controllers: controllers.to_owned(),
                own: own.into(),
            })
        };
        assert_eq!(hierarchy("4:memory:/a/b"), found("memory", "/a/b"));
        assert_eq!(hierarchy("9:name=systemd:/"), found("name=systemd", "/"));
        assert_eq!(hierarchy("0::/x:y"), found("", "/x:y"));
        assert_eq!(hierarchy("nothing"), None);
    }
}
