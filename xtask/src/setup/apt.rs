//! Debian's package manager, asked politely: an update only when a package has no candidate or a download
//! failed, never a removal, no recommended extras, and no service started by an installation.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::services::HeldServices;
use crate::shell::{self, is_root, say, which};

/// Whether setup may change this machine.
#[derive(Clone, Copy)]
pub(crate) struct Permission {
    pub(crate) install: bool,
}

pub(crate) struct Apt {
    refusal: Option<&'static str>,
    updated: bool,
}

impl Apt {
    pub(crate) fn new(permission: Permission) -> Self {
        let refusal = if !permission.install {
            Some("--no-install was given")
        } else if which("apt-get").is_none() {
            Some("this system has no apt-get; the names are Debian's")
        } else if !is_root() {
            Some("only root may install packages")
        } else {
            None
        };
        Self {
            refusal,
            updated: false,
        }
    }

    /// Installs the packages, or fails with the command that would.
    pub(crate) fn install(&mut self, packages: &[&str], why: &str) -> Result<()> {
        if let Some(refusal) = self.refusal {
            bail!(
                "missing: {why}\n  not installed, because {refusal}; install with:\n    {}",
                manual(packages)
            );
        }
        say(format!("installing {}: {why}", packages.join(" ")));
        if !packages.iter().all(|package| has_candidate(package)) {
            self.update()?;
        }
        let _held = HeldServices::hold()?;
        let outcome = shell::run(&mut install_command(packages));
        if outcome.is_err() && !self.updated {
            say("the package lists may be out of date");
            self.update()?;
            return shell::run(&mut install_command(packages));
        }
        outcome
    }

    /// Whether the archive has the package, as far as this machine knows or may learn.
    pub(crate) fn offers(&mut self, package: &str) -> Result<bool> {
        if has_candidate(package) {
            return Ok(true);
        }
        if self.refusal.is_some() || self.updated {
            return Ok(false);
        }
        self.update()?;
        Ok(has_candidate(package))
    }

    /// Downloads a package and unpacks it under `into`; nothing of the system changes, and no root is needed.
    pub(crate) fn unpack(&mut self, package: &str, into: &Path) -> Result<()> {
        std::fs::create_dir_all(into).with_context(|| format!("create {}", into.display()))?;
        let mut download = download_command(package, into);
        if shell::run(&mut download).is_err() {
            self.update()?;
            shell::run(&mut download_command(package, into))?;
        }
        let archives = archives(into)?;
        let [archive] = archives.as_slice() else {
            bail!(
                "find the one downloaded package of {package} in {}: found {}",
                into.display(),
                archives.len()
            );
        };
        shell::run(Command::new("dpkg").arg("-x").arg(archive).arg(into))?;
        std::fs::remove_file(archive).with_context(|| format!("remove {}", archive.display()))
    }

    /// The package that a meta-package stands for at present.
    pub(crate) fn newest_behind(&mut self, meta: &str, prefix: &str) -> Result<String> {
        if !self.offers(meta)? {
            bail!(
                "find the package {meta}: the archives of /etc/apt do not have it; try `apt-get update`"
            );
        }
        let depends = shell::read(Command::new("apt-cache").args(["depends", meta]))?;
        depends
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .with_context(|| format!("find a package {prefix}* behind {meta}"))
    }

    fn update(&mut self) -> Result<()> {
        if let Some(refusal) = self.refusal {
            bail!(
                "update the package lists: {refusal}; run:\n    {}apt-get update",
                sudo()
            );
        }
        self.updated = true;
        shell::run(Command::new("apt-get").args(["update", "--quiet"]))
    }
}

pub(crate) fn manual(packages: &[&str]) -> String {
    format!(
        "{}apt-get install --no-install-recommends {}",
        sudo(),
        packages.join(" ")
    )
}

fn sudo() -> &'static str {
    if is_root() { "" } else { "sudo " }
}

fn install_command(packages: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args([
            "install",
            "--yes",
            "--quiet",
            "--no-install-recommends",
            "--no-remove",
        ])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn download_command(package: &str, into: &Path) -> Command {
    let mut command = Command::new("apt-get");
    // The sandbox user of apt cannot write into a checkout; root downloads as root without a warning.
    command
        .args([
            "download",
            "--quiet",
            "-o",
            "APT::Sandbox::User=root",
            package,
        ])
        .current_dir(into);
    command
}

fn has_candidate(package: &str) -> bool {
    shell::read(
        Command::new("apt-cache")
            .args(["policy", package])
            .env("LC_ALL", "C"),
    )
    .is_ok_and(|policy| policy.contains("Candidate:") && !policy.contains("Candidate: (none)"))
}

fn archives(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = dir
        .read_dir()
        .with_context(|| format!("list {}", dir.display()))?;
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect())
}
