//! Debian's cloud kernels, unpacked under the target directory; nothing of the machine changes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::paths::Paths;
use crate::setup::apt::{Apt, Permission};
use crate::shell::say;

/// A long-term series of which Debian 12 ships a cloud kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Series {
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
}

/// An unpacked kernel package.
pub(crate) struct Kernel {
    /// Where the package was unpacked.
    pub(crate) root: PathBuf,
    /// What `uname -r` says of it.
    pub(crate) release: String,
}

impl Series {
    pub(crate) const ALL: &[Self] = &[Self::V6_1, Self::V6_12];

    fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        }
    }

    /// The package that depends on the newest kernel of the series.
    fn meta_package(self) -> &'static str {
        match self {
            Self::V6_1 => "linux-image-cloud-amd64",
            Self::V6_12 => "linux-image-6.12-cloud-amd64",
        }
    }

    fn package_prefix(self) -> &'static str {
        match self {
            Self::V6_1 => "linux-image-6.1.",
            Self::V6_12 => "linux-image-6.12.",
        }
    }
}

impl Kernel {
    pub(crate) fn image(&self) -> PathBuf {
        self.root
            .join("boot")
            .join(format!("vmlinuz-{}", self.release))
    }
}

/// Downloads what is not there yet: setup's part.
pub(crate) fn ensure(paths: &Paths, permission: Permission, apt: &mut Apt) -> Result<()> {
    let missing: Vec<Series> = Series::ALL
        .iter()
        .copied()
        .filter(|&one| cached(paths, one).is_err())
        .collect();
    let complete = missing.is_empty() && busybox(paths).exists();
    if complete {
        return Ok(());
    }
    if std::env::consts::ARCH != "x86_64" {
        bail!("the virtual machines run Debian's kernels for amd64, on an x86-64 machine only");
    }
    if !permission.install {
        bail!(
            "missing: kernels for the virtual machines; download them (into target/, no root needed) with:\n    cargo xtask vm --fetch"
        );
    }
    for one in missing {
        download(paths, one, apt)?;
    }
    download_busybox(paths, apt)
}

/// Downloads the newest kernels, whatever is there.
pub(crate) fn fetch(paths: &Paths, series: &[Series]) -> Result<()> {
    let mut apt = Apt::new(Permission { install: true });
    for &one in series {
        download(paths, one, &mut apt)?;
    }
    download_busybox(paths, &mut apt)
}

pub(crate) fn cached(paths: &Paths, series: Series) -> Result<Kernel> {
    let root = root(paths, series);
    let release = release(&root).with_context(|| {
        format!(
            "find a kernel {} in {}; run `cargo xtask setup`",
            series.name(),
            root.display()
        )
    })?;
    Ok(Kernel { root, release })
}

/// A static busybox: the user space of the machines, and the tools that pack their image.
pub(crate) fn busybox(paths: &Paths) -> PathBuf {
    busybox_root(paths).join("bin/busybox")
}

fn download(paths: &Paths, series: Series, apt: &mut Apt) -> Result<()> {
    let package = apt.newest_behind(series.meta_package(), series.package_prefix())?;
    let root = root(paths, series);
    say(format!(
        "unpacking {package} into {}: the kernel tier also runs on that kernel",
        root.display()
    ));
    unpack_afresh(apt, &package, &root)
}

/// Unpacks busybox where it is not there yet.
pub(crate) fn download_busybox(paths: &Paths, apt: &mut Apt) -> Result<()> {
    if busybox(paths).exists() {
        return Ok(());
    }
    say("unpacking busybox-static: the user space of virtual machines, and a shell for images");
    unpack_afresh(apt, "busybox-static", &busybox_root(paths))
}

/// Unpacks beside the place and moves there, so that what is in place is complete.
fn unpack_afresh(apt: &mut Apt, package: &str, root: &Path) -> Result<()> {
    let fresh = root.with_extension("new");
    for dir in [fresh.as_path(), root] {
        if dir.exists() {
            std::fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))?;
        }
    }
    apt.unpack(package, &fresh)?;
    std::fs::rename(&fresh, root)
        .with_context(|| format!("rename {} to {}", fresh.display(), root.display()))
}

fn root(paths: &Paths, series: Series) -> PathBuf {
    // No dot: `with_extension` above must add to the name, not replace its end.
    paths
        .vm()
        .join(format!("linux-{}", series.name().replace('.', "-")))
}

fn busybox_root(paths: &Paths) -> PathBuf {
    paths.vm().join("busybox")
}

fn release(root: &Path) -> Option<String> {
    let entry = root.join("lib/modules").read_dir().ok()?.next()?.ok()?;
    entry.file_name().into_string().ok()
}
