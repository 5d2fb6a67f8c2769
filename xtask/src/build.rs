//! `cargo xtask build`: the kernel programs first, then the daemon that embeds them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::paths::Paths;
use crate::setup::{Toolchain, linker, toolchain};
use crate::shell::{self, cargo, say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build the daemon without optimisation; the kernel programs are always optimised
    #[arg(long)]
    debug: bool,
    /// Build the kernel programs only
    #[arg(long)]
    probe: bool,
}

impl Args {
    pub(crate) fn release() -> Self {
        Self {
            debug: false,
            probe: false,
        }
    }
}

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<()> {
    probe(paths)?;
    if args.probe {
        return Ok(());
    }
    say("building the daemon");
    let mut command = cargo(paths);
    command.args(["build", "--package", "finwatch", "--bin", "finwatch"]);
    if !args.debug {
        command.arg("--release");
    }
    shell::run(&mut command)
}

/// Builds the kernel programs and puts the object where `daemon/build.rs` finds it.
pub(crate) fn probe(paths: &Paths) -> Result<()> {
    let toolchain = toolchain::usable(paths)?;
    let linker = linker::usable(paths, toolchain.llvm_major)?;
    say(format!(
        "building the kernel programs with rustc {} (LLVM {})",
        toolchain.version, toolchain.llvm_major
    ));
    shell::run(probe_cargo(paths, &toolchain, &linker, "build").args(["--bin", "finwatch-probe"]))?;
    let built = paths
        .probe_target()
        .join(TARGET)
        .join(PROFILE)
        .join("finwatch-probe");
    replace_if_changed(&built, &paths.probe_object())
}

pub(crate) fn daemon_binary(paths: &Paths) -> PathBuf {
    paths.target.join("release/finwatch")
}

/// Cargo for the eBPF crate. The target has no prebuilt `core`, so it is built from the toolchain's own
/// source, which a stable rustc does only with `RUSTC_BOOTSTRAP`.
pub(crate) fn probe_cargo(
    paths: &Paths,
    toolchain: &Toolchain,
    linker: &Path,
    subcommand: &str,
) -> Command {
    let flags = [
        // aya-ebpf chooses the layout of `pt_regs` and the like by the kernel's architecture.
        format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        // The types become BTF, which maps and socket-local storage need at load time.
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        // Else the linker makes LLVM call memset and memcpy, byte by byte, instead of a few stores.
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
        // With the instructions on halves of registers, which every kernel has that loads the programs (5.1).
        "-Ctarget-cpu=v3".to_owned(),
    ];
    let mut command = Command::new(&toolchain.cargo);
    command
        .current_dir(&paths.root)
        .args([
            subcommand,
            "--package",
            "probe-ebpf",
            "--target",
            TARGET,
            "--profile",
            PROFILE,
        ])
        .args(["-Z", "build-std=core", "--target-dir"])
        .arg(paths.probe_target())
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    // Set by the cargo that runs this task, and true of its toolchain only.
    for inherited in [
        "LD_LIBRARY_PATH",
        "RUSTUP_TOOLCHAIN",
        "RUSTFLAGS",
        "CARGO_BUILD_TARGET",
    ] {
        command.env_remove(inherited);
    }
    command
}

const TARGET: &str = "bpfel-unknown-none";
const PROFILE: &str = "bpf";

/// Copies only new content, so that an unchanged object does not rebuild the daemon.
fn replace_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).with_context(|| format!("write {}", to.display()))
}
