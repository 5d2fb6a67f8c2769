//! `cargo xtask image`: finwatch as an image of one file, a program that wants no library.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::build;
use crate::oci::Image;
use crate::paths::Paths;
use crate::setup::{self, Scope};
use crate::shell::{self, cargo, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the image
    #[arg(long, default_value = NAME)]
    name: String,
    /// Install nothing: say what is missing, and the command that installs it
    #[arg(long)]
    no_install: bool,
}

/// What `deploy/daemonset.yaml` names; no name under `.invalid` is anybody's.
pub(crate) const NAME: &str = "finwatch.invalid/finwatch:0.1.0";

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<()> {
    setup::run(paths, &setup::Args::new(Scope::Build, args.no_install))?;
    let archive = paths.target.join("image/finwatch.tar");
    make(paths, &args.name, &archive)?;
    say(format!("{} is in {}", args.name, archive.display()));
    Ok(())
}

/// Builds the daemon, puts it beside the archive, and writes that.
pub(crate) fn make(paths: &Paths, name: &str, archive: &Path) -> Result<()> {
    build::probe(paths)?;
    let folder = archive.parent().context("find the folder of the archive")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let program = folder.join("finwatch");
    let built = static_daemon(paths)?;
    fs::copy(&built, &program).with_context(|| format!("copy {}", built.display()))?;
    let image = Image {
        name,
        programs: &[(&program, "/usr/bin/finwatch")],
        entrypoint: &["/usr/bin/finwatch"],
    };
    image.write(archive)
}

/// The daemon with the C library inside it.
fn static_daemon(paths: &Paths) -> Result<PathBuf> {
    say("building the daemon for an image");
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let mut command = cargo(paths);
    command
        .args([
            "build",
            "--release",
            "--package",
            "finwatch",
            "--bin",
            "finwatch",
        ])
        .args(["--target", &target])
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .env_remove("RUSTFLAGS");
    shell::run(&mut command)?;
    Ok(paths.target.join(target).join("release/finwatch"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_called_what_the_manifest_wants() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/daemonset.yaml");
        let manifest = fs::read_to_string(path).unwrap();
        let wanted = format!("image: {NAME}");
        assert!(manifest.lines().any(|line| line.trim() == wanted));
    }
}
