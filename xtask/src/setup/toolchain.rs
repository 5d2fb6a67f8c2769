//! A rustc for the eBPF crate: any that has the standard library's source beside it, because the target has
//! no prebuilt `core`. What is installed is tried before anything is added to the machine.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::apt::{Apt, Permission};
use super::linker;
use crate::paths::Paths;
use crate::shell::{self, say, which};

pub(crate) struct Toolchain {
    pub(crate) rustc: PathBuf,
    pub(crate) cargo: PathBuf,
    pub(crate) version: String,
    pub(crate) llvm_major: u32,
    sysroot: PathBuf,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rustc,
            version,
            llvm_major,
            ..
        } = self;
        write!(f, "{} ({version}, LLVM {llvm_major})", rustc.display())
    }
}

/// The toolchain and linker that setup left ready; installs nothing.
pub(crate) fn usable(paths: &Paths) -> Result<Toolchain> {
    with_source()
        .into_iter()
        .find(|toolchain| linker::find(paths, toolchain.llvm_major).is_some())
        .context("find a rustc with its source and a bpf-linker of the same LLVM; run `cargo xtask setup`")
}

/// Finds a toolchain that can be made to build the kernel programs, or installs one.
pub(super) fn ensure(paths: &Paths, permission: Permission, apt: &mut Apt) -> Result<Toolchain> {
    if let Ok(ready) = usable(paths) {
        return Ok(ready);
    }
    let mut notes = Vec::new();
    if let Some(found) = first_that_links(apt, &mut notes)? {
        return Ok(found);
    }
    if !permission.install {
        bail!("{}", advice(&notes, "--no-install was given"));
    }
    if rustup_source(apt)
        && let Some(found) = first_that_links(apt, &mut notes)?
    {
        return Ok(found);
    }
    apt.install(
        &["rustc-web", "cargo-web", "rust-web-src"],
        "a rustc with the source of its standard library, which rustup's toolchains here do not have",
    )?;
    first_that_links(apt, &mut notes)?
        .with_context(|| advice(&notes, "Debian's rustc does not fit either"))
}

/// The first toolchain with its source whose LLVM a bpf-linker can be built for.
fn first_that_links(apt: &mut Apt, notes: &mut Vec<String>) -> Result<Option<Toolchain>> {
    for toolchain in with_source() {
        match linker::obstacle(apt, toolchain.llvm_major)? {
            None => return Ok(Some(toolchain)),
            Some(obstacle) => notes.push(format!("{toolchain}: {obstacle}")),
        }
    }
    Ok(None)
}

/// Asks rustup for the source of the active toolchain; false where that does not help.
fn rustup_source(apt: &mut Apt) -> bool {
    let Some(rustup) = which("rustup") else {
        return false;
    };
    let Ok(active) = inspect(Path::new("rustc")) else {
        return false;
    };
    if !matches!(linker::obstacle(apt, active.llvm_major), Ok(None)) {
        return false;
    }
    say("asking rustup for rust-src: `core` of the kernel programs is built from it");
    // Where rustup's servers cannot be reached, it tries for a long time.
    let outcome = shell::run(Command::new("timeout").arg("120").arg(rustup).args([
        "component",
        "add",
        "rust-src",
    ]));
    if let Err(error) = &outcome {
        say(format!("{error}; trying Debian's packages instead"));
    }
    outcome.is_ok()
}

/// Every installed toolchain that has its source: the active one, rustup's others, the system's.
fn with_source() -> Vec<Toolchain> {
    let mut found: Vec<Toolchain> = Vec::new();
    for rustc in candidates() {
        let Ok(toolchain) = inspect(&rustc) else {
            continue;
        };
        let known = found.iter().any(|other| other.sysroot == toolchain.sysroot);
        if !known && toolchain.has_source() && toolchain.is_new_enough() {
            found.push(toolchain);
        }
    }
    found
}

fn candidates() -> Vec<PathBuf> {
    let mut candidates = vec![PathBuf::from("rustc")];
    if let Some(home) = rustup_home()
        && let Ok(entries) = home.join("toolchains").read_dir()
    {
        let mut others: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path().join("bin/rustc")))
            .collect();
        others.sort();
        candidates.extend(others);
    }
    candidates.push(PathBuf::from("/usr/bin/rustc"));
    candidates
}

fn rustup_home() -> Option<PathBuf> {
    env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".rustup")))
}

fn inspect(rustc: &Path) -> Result<Toolchain> {
    let sysroot = PathBuf::from(ask(rustc, &["--print", "sysroot"])?.trim());
    let Release {
        version,
        llvm_major,
    } = parse_release(&ask(rustc, &["-vV"])?)?;
    Ok(Toolchain {
        rustc: sysroot.join("bin/rustc"),
        cargo: sysroot.join("bin/cargo"),
        version,
        llvm_major,
        sysroot,
    })
}

/// The library path that cargo sets belongs to the active toolchain and would mislead another.
fn ask(rustc: &Path, args: &[&str]) -> Result<String> {
    shell::read(Command::new(rustc).args(args).env_remove("LD_LIBRARY_PATH"))
}

impl Toolchain {
    fn has_source(&self) -> bool {
        self.cargo.exists()
            && self
                .sysroot
                .join("lib/rustlib/src/rust/library/Cargo.lock")
                .exists()
    }

    /// Whether it came from Debian's packages rather than rustup.
    pub(crate) fn is_debians(&self) -> bool {
        self.sysroot == Path::new("/usr")
    }

    fn is_new_enough(&self) -> bool {
        numbers(&self.version) >= numbers(env!("CARGO_PKG_RUST_VERSION"))
    }
}

#[derive(Debug, PartialEq)]
struct Release {
    version: String,
    llvm_major: u32,
}

fn parse_release(verbose: &str) -> Result<Release> {
    let field = |name: &str| {
        verbose
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .with_context(|| format!("find `{name}` in what `rustc -vV` printed"))
    };
    let llvm = field("LLVM version")?;
    let llvm_major = numbers(llvm)
        .first()
        .copied()
        .with_context(|| format!("read the LLVM version `{llvm}`"))?;
    Ok(Release {
        version: field("release")?.to_owned(),
        llvm_major,
    })
}

/// `1.96.0-nightly` as comparable numbers.
fn numbers(version: &str) -> Vec<u32> {
    version
        .split(['.', '-'])
        .map_while(|part| part.parse().ok())
        .collect()
}

fn advice(notes: &[String], reason: &str) -> String {
    let mut text = format!(
        "missing: a rustc with the source of its standard library, and an LLVM that fits it; {reason}.\n  Either:\n    \
         rustup component add rust-src\n  or, on Debian, as root:\n    \
         apt-get install --no-install-recommends rustc-web cargo-web rust-web-src"
    );
    for note in notes {
        text.push_str("\n  found ");
        text.push_str(note);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_release() {
        let verbose = "rustc 1.96.0 (ac68faa20 2026-05-25)\nhost: x86_64-unknown-linux-gnu\n\
                       release: 1.96.0-nightly\nLLVM version: 22.1.8\n";
        let release = parse_release(verbose).unwrap();
        assert_eq!(
            release,
            Release {
                version: "1.96.0-nightly".to_owned(),
                llvm_major: 22
            }
        );
    }

    #[test]
    fn names_the_field_that_is_missing() {
        let error = parse_release("release: 1.95.0\n").unwrap_err();
        assert!(error.to_string().contains("LLVM version"), "{error}");
    }

    #[test]
    fn compares_versions_as_numbers() {
        assert!(numbers("1.100.0") > numbers("1.95"));
        assert!(numbers("1.95.0") >= numbers("1.95"));
        assert!(numbers("1.85.0") < numbers("1.95"));
    }
}
