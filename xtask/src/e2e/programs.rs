//! Programs that take minutes to build, in a cache outside the tree: `FINWATCH_E2E_CACHE`, or else the user's cache folder. Each is in a
//! folder named after its sources, so that a change builds it anew and whatever is there is whole.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::paths::Paths;
use crate::shell::{self, say, which};

/// The release of `k8s.io/kubernetes` that `lab/kubernetes/programs/kubernetes/go.mod` requires; a test holds them equal.
const KUBERNETES: &str = "v1.34.4";

/// The Go that this Kubernetes asks for. Debian 12's own is older.
const GO: (u32, u32) = (1, 24);

/// Where the built programs are.
pub(super) struct Programs {
    /// Kubernetes' commands in one program.
    pub(super) kubernetes: PathBuf,
    pub(super) etcd: PathBuf,
    /// What runs in pods: `server`, `client` and `pause`, linked to no library.
    pub(super) workload: PathBuf,
}

/// Finds all of them, and builds those that are not there.
pub(super) fn ensure(paths: &Paths) -> Result<Programs> {
    let lab = paths.root.join("lab/kubernetes");
    let kubernetes = Build {
        name: "kubernetes",
        version: KUBERNETES,
        sources: lab.join("programs/kubernetes"),
        packages: &["."],
        flags: kubernetes_version(),
        takes: "ten minutes or more of two cores, once",
    };
    let etcd = Build {
        name: "etcd",
        version: "v3.6",
        sources: lab.join("programs/etcd"),
        packages: &["."],
        flags: String::new(),
        takes: "a minute or two, once",
    };
    let workload = Build {
        name: "workload",
        version: "v1",
        sources: lab.join("workload"),
        packages: &["./server", "./client", "./pause"],
        flags: String::new(),
        takes: "seconds",
    };
    Ok(Programs {
        kubernetes: kubernetes.ensure()?.join("kubernetes"),
        etcd: etcd.ensure()?.join("etcd"),
        workload: workload.ensure()?,
    })
}

// === impl Programs ===

impl Programs {
    /// One of Kubernetes' commands.
    pub(super) fn command(&self, name: &str) -> Command {
        kubernetes(&self.kubernetes, name)
    }
}

/// One of the commands that the program is made of.
pub(super) fn kubernetes(program: &Path, name: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(name);
    command
}

/// A flag that is a path.
pub(super) fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

struct Build {
    name: &'static str,
    version: &'static str,
    /// A folder with a `go.mod`.
    sources: PathBuf,
    packages: &'static [&'static str],
    /// Further flags of the linker.
    flags: String,
    takes: &'static str,
}

// === impl Build ===

impl Build {
    /// The folder with what is built; a second call finds it.
    fn ensure(&self) -> Result<PathBuf> {
        let folder = self.folder()?;
        if folder.exists() {
            return Ok(folder);
        }
        check_go()?;
        say(format!(
            "building {} {} into {}: {}",
            self.name,
            self.version,
            folder.display(),
            self.takes
        ));
        let new = folder.with_file_name(format!("{}.new", self.name));
        if new.exists() {
            fs::remove_dir_all(&new).with_context(|| format!("remove {}", new.display()))?;
        }
        fs::create_dir_all(&new).with_context(|| format!("create {}", new.display()))?;
        let mut into = new.clone().into_os_string();
        into.push("/");
        let mut command = Command::new("nice");
        command
            .args(["-n", "19", "go", "build", "-trimpath", "-buildvcs=false"])
            .arg("-ldflags")
            .arg(format!("-s -w {}", self.flags))
            .arg("-o")
            .arg(into)
            .args(self.packages)
            .current_dir(&self.sources)
            .env("CGO_ENABLED", "0")
            // The rest of the machine is not to wait for it.
            .env("GOFLAGS", "-p=1")
            .env("GOWORK", "off");
        shell::run(&mut command)?;
        fs::rename(&new, &folder).with_context(|| format!("rename {}", new.display()))?;
        Ok(folder)
    }

    fn folder(&self) -> Result<PathBuf> {
        let mut files = Vec::new();
        list(&self.sources, &mut files)?;
        files.sort();
        let sums = shell::read(
            Command::new("sha256sum")
                .args(&files)
                .current_dir(&self.sources),
        )?;
        let script = "printf %s \"$1\" | sha256sum";
        let sum = shell::read(Command::new("sh").args(["-c", script, "sum", &sums]))?;
        let short = sum.get(..12).context("read what sha256sum printed")?;
        let folder = format!("{}-{}-{short}", self.name, self.version);
        Ok(cache()?.join(folder))
    }
}

/// Every file below, named from `root`.
fn list(root: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = folder
            .read_dir()
            .with_context(|| format!("list {}", folder.display()))?;
        for entry in entries {
            let path = entry
                .with_context(|| format!("list {}", folder.display()))?
                .path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(root).unwrap_or(&path).to_path_buf());
            }
        }
    }
    Ok(())
}

fn cache() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = set("FINWATCH_E2E_CACHE") {
        return Ok(folder.into());
    }
    set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))
        .map(|folder| folder.join("finwatch/e2e"))
        .context("find the user's cache folder: set FINWATCH_E2E_CACHE, XDG_CACHE_HOME or HOME")
}

fn check_go() -> Result<()> {
    let wanted = format!(
        "Kubernetes {KUBERNETES} builds with Go {}.{} or later",
        GO.0, GO.1
    );
    if which("go").is_none() {
        bail!("{wanted}, and there is no go on PATH");
    }
    let version = shell::read(Command::new("go").args(["env", "GOVERSION"]))?;
    if go_version(&version).is_none_or(|version| version < GO) {
        bail!("{wanted}; the one on PATH is {}", version.trim());
    }
    Ok(())
}

/// `go1.26.8` as comparable numbers.
fn go_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix("go")?.split('.');
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// What a release of Kubernetes is told of itself by its linker.
fn kubernetes_version() -> String {
    let (major, minor) = KUBERNETES
        .trim_start_matches('v')
        .split_once('.')
        .unwrap_or_default();
    let minor = minor.split('.').next().unwrap_or_default();
    let set = "k8s.io/component-base/version";
    format!(
        "-X {set}.gitVersion={KUBERNETES} -X {set}.gitMajor={major} -X {set}.gitMinor={minor} \
         -X k8s.io/client-go/pkg/version.gitVersion={KUBERNETES}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_the_release_that_its_module_requires() {
        let module = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../lab/kubernetes/programs/kubernetes/go.mod");
        let module = fs::read_to_string(module).unwrap();
        assert!(module.contains(&format!("k8s.io/kubernetes {KUBERNETES}\n")));
    }

    #[test]
    fn reads_the_version_of_go() {
        assert_eq!(go_version("go1.26.8\n"), Some((1, 26)));
        assert_eq!(go_version("go1.19\n"), Some((1, 19)));
        assert_eq!(go_version("devel"), None);
    }
}
