//! `cargo xtask lint`: formatting, clippy in two passes, the architecture's invariants, and licences.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::build;
use crate::paths::Paths;
use crate::setup::{Apt, Permission, Toolchain, linker, toolchain};
use crate::shell::{self, cargo, say, which};
use crate::tidy;

#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(paths: &Paths, Args {}: &Args) -> Result<()> {
    tidy::run(paths)?;
    say("checking the format");
    shell::run(cargo(paths).args(["fmt", "--all", "--check"]))?;
    build::probe(paths)?;
    say("linting user space");
    let mut user = cargo(paths);
    user.args([
        "clippy",
        "--workspace",
        "--exclude",
        "probe-ebpf",
        "--all-targets",
        "--all-features",
    ]);
    shell::run(user.args(DENY_WARNINGS))?;
    lint_probe(paths)?;
    licences(paths)
}

const DENY_WARNINGS: &[&str] = &["--", "--deny", "warnings"];

/// A pass of its own: linted together, the daemon's features of shared crates would reach the eBPF crate.
fn lint_probe(paths: &Paths) -> Result<()> {
    say("linting the kernel programs, first what compiles on this machine");
    let mut host = cargo(paths);
    host.args(["clippy", "--package", "probe-ebpf", "--lib", "--tests"]);
    shell::run(host.args(DENY_WARNINGS))?;
    let toolchain = toolchain::usable(paths)?;
    let linker = linker::usable(paths, toolchain.llvm_major)?;
    let clippy = ensure_clippy(&toolchain)?;
    say(format!(
        "linting the kernel programs for their target with {}",
        clippy.display()
    ));
    shell::run(clippy_command(paths, &toolchain, &linker, &clippy).args(DENY_WARNINGS))
}

/// The linter must be of the very compiler whose `core` it reads.
fn ensure_clippy(toolchain: &Toolchain) -> Result<PathBuf> {
    let clippy = toolchain.cargo.with_file_name("cargo-clippy");
    if !clippy.exists() && toolchain.is_debians() {
        Apt::new(Permission { install: true }).install(
            &["rust-web-clippy"],
            "the linter of the rustc that compiles the kernel programs",
        )?;
    }
    if !clippy.exists() {
        bail!(
            "find clippy of {toolchain}, which compiles the kernel programs; try `rustup component add clippy`"
        );
    }
    Ok(clippy)
}

/// `cargo clippy` itself would look for the plugin on `PATH` and find another toolchain's.
fn clippy_command(paths: &Paths, toolchain: &Toolchain, linker: &Path, clippy: &Path) -> Command {
    let with_cargo = build::probe_cargo(paths, toolchain, linker, "clippy");
    let mut command = Command::new(clippy);
    command
        .current_dir(&paths.root)
        .args(with_cargo.get_args())
        .env("CARGO", &toolchain.cargo);
    for (name, value) in with_cargo.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// cargo-deny takes longer to build than everything else together, so it is used where it is installed.
fn licences(paths: &Paths) -> Result<()> {
    if which("cargo-deny").is_none() {
        say(
            "NOT CHECKED: licences and advisories of dependencies; `cargo install cargo-deny` makes it part of the lint",
        );
        return Ok(());
    }
    say("checking licences and advisories of dependencies");
    shell::run(cargo(paths).args(["deny", "check"]))
}
