//! The lab's servers that must be built before they can start, each by its own `build` script. They are built ahead because
//! the tests start them in network namespaces, from which no library can be fetched.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::apt::Permission;
use crate::paths::Paths;
use crate::shell::{self, say};

/// Folders of the lab with a `build` script, and what it fetches.
const BUILT: &[(&str, &str)] = &[("grpc", "Go modules"), ("spring", "Maven's artifacts")];

pub(super) fn ensure(paths: &Paths, permission: Permission) -> Result<()> {
    let into = paths.lab();
    std::fs::create_dir_all(&into).with_context(|| format!("create {}", into.display()))?;
    let script = |name: &str| paths.root.join("lab").join(name).join("build");
    let is_built = |name| shell::read(build(&script(name), &into).arg("check")).is_ok();
    let missing: Vec<_> = BUILT.iter().filter(|(name, _)| !is_built(name)).collect();
    if !missing.is_empty() && !permission.install {
        let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
        bail!(
            "missing: servers of the lab, built: {}; build them with:\n    cargo xtask setup test",
            names.join(", ")
        );
    }
    for (name, fetched) in missing {
        say(format!(
            "building the server lab/{name} into {}, from {fetched}",
            into.display()
        ));
        shell::run(&mut build(&script(name), &into))?;
    }
    Ok(())
}

fn build(script: &Path, into: &Path) -> Command {
    let mut command = Command::new(script);
    command
        .env("FINWATCH_LAB_BUILD", into)
        .env("FINWATCH_LAB_FOLDER", into);
    command
}
