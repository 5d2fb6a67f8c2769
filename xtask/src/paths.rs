//! Where things are: the workspace, and the folders under its target directory that the tasks share.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub(crate) struct Paths {
    /// The workspace's root; every task runs there.
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    pub(crate) target: PathBuf,
}

impl Paths {
    pub(crate) fn find() -> Result<Self> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .context("CARGO_MANIFEST_DIR is not set: run the tasks as `cargo xtask ...`")?;
        let root = Path::new(&manifest_dir)
            .parent()
            .context("find the workspace above the xtask package")?
            .to_path_buf();
        // Relative to the workspace, because that is where the tasks run cargo.
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |dir| root.join(dir));
        Ok(Self { root, target })
    }

    /// Programs that setup built for this project alone.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Cargo's target directory of the kernel programs.
    pub(crate) fn probe_target(&self) -> PathBuf {
        self.target.join("bpf")
    }

    /// The object that the daemon embeds; `daemon/build.rs` looks for it under this name.
    pub(crate) fn probe_object(&self) -> PathBuf {
        self.probe_target().join("finwatch-probe.o")
    }

    /// The lab's servers that are built; the kernel tier knows it as a folder of `CARGO_TARGET_TMPDIR`.
    pub(crate) fn lab(&self) -> PathBuf {
        self.target.join("tmp/lab")
    }

    /// Images, certificates, logs and results of clusters.
    pub(crate) fn e2e(&self) -> PathBuf {
        self.target.join("e2e")
    }

    /// Kernels, user space and disk images of the virtual machines.
    pub(crate) fn vm(&self) -> PathBuf {
        self.target.join("vm")
    }
}
