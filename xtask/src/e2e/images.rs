//! The images that a cluster's nodes have: finwatch's own, and what the scenarios run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::programs::Programs;
use crate::image;
use crate::oci::Image;
use crate::paths::Paths;
use crate::vm::kernels;

pub(super) const PAUSE: &str = "finwatch.invalid/pause:1";
pub(super) const SERVER: &str = "finwatch.invalid/server:1";
pub(super) const CLIENT: &str = "finwatch.invalid/client:1";

/// Writes all of them to a folder.
pub(super) fn make(paths: &Paths, programs: &Programs, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let busybox = kernels::busybox(paths);
    for (name, program, more) in [
        (PAUSE, "pause", None),
        (SERVER, "server", Some((busybox.as_path(), "/busybox"))),
        (CLIENT, "client", None),
    ] {
        let place = format!("/{program}");
        let built = programs.workload.join(program);
        let mut files = vec![(built.as_path(), place.as_str())];
        files.extend(more);
        let image = Image {
            name,
            programs: &files,
            entrypoint: &[&place],
        };
        image.write(&folder.join(format!("{program}.tar")))?;
    }
    image::make(paths, image::NAME, &folder.join("finwatch.tar"))
}

/// The archives of a folder.
pub(super) fn archives(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder
        .read_dir()
        .with_context(|| format!("list {}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "tar"))
        .collect())
}
