//! bpf-linker: one whose LLVM is the rustc's, reused from `PATH` where it fits, else built into a folder of
//! the project's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::apt::{Apt, Permission};
use crate::paths::Paths;
use crate::shell::{self, cargo, say, which};

const VERSION: &str = "0.13.0";
/// The majors of LLVM that this bpf-linker can be built for.
const LLVM_MAJORS: std::ops::RangeInclusive<u32> = 21..=23;

/// The linker that setup left ready; installs nothing.
pub(crate) fn usable(paths: &Paths, llvm_major: u32) -> Result<PathBuf> {
    find(paths, llvm_major)
        .with_context(|| format!("find a bpf-linker of LLVM {llvm_major}; run `cargo xtask setup`"))
}

pub(super) fn ensure(
    paths: &Paths,
    permission: Permission,
    apt: &mut Apt,
    llvm_major: u32,
) -> Result<PathBuf> {
    if let Some(found) = find(paths, llvm_major) {
        return Ok(found);
    }
    let dev = dev_package(llvm_major);
    let mut packages = Vec::new();
    if llvm_prefix(llvm_major).is_none() {
        packages.push(dev.as_str());
    }
    if which("c++").is_none() {
        packages.push("g++");
    }
    if !packages.is_empty() {
        apt.install(
            &packages,
            "bpf-linker is built against the LLVM of the rustc whose code it links, and libstdc++",
        )?;
    }
    let prefix = llvm_prefix(llvm_major)
        .with_context(|| format!("find LLVM {llvm_major} after installing {dev}"))?;
    let mut command = install_command(paths, llvm_major, &prefix);
    if !permission.install {
        bail!("missing: bpf-linker of LLVM {llvm_major}; build it with:\n    cargo xtask setup");
    }
    say(format!(
        "building bpf-linker {VERSION} for LLVM {llvm_major} into {}",
        home(paths, llvm_major).display()
    ));
    shell::run(&mut command)?;
    find(paths, llvm_major).context("run the bpf-linker that was just built")
}

pub(super) fn find(paths: &Paths, llvm_major: u32) -> Option<PathBuf> {
    let own = home(paths, llvm_major).join("bin/bpf-linker");
    if version(&own).is_some() {
        return Some(own);
    }
    which("bpf-linker").filter(|linker| fits(linker, llvm_major))
}

/// Why no bpf-linker can be had for an LLVM, if so.
pub(super) fn obstacle(apt: &mut Apt, llvm_major: u32) -> Result<Option<String>> {
    if !LLVM_MAJORS.contains(&llvm_major) {
        return Ok(Some(format!(
            "bpf-linker {VERSION} does not know LLVM {llvm_major}"
        )));
    }
    let dev = dev_package(llvm_major);
    if llvm_prefix(llvm_major).is_some() || apt.offers(&dev)? {
        return Ok(None);
    }
    Ok(Some(format!(
        "{dev} is neither installed nor in the package archives"
    )))
}

/// A linker with another LLVM reads this rustc's bitcode wrongly or not at all; one that is linked statically
/// does not tell which it has, and is passed over.
fn fits(linker: &Path, llvm_major: u32) -> bool {
    let same_version = version(linker)
        .is_some_and(|version| version.starts_with(&format!("bpf-linker {SERIES}.")));
    let libraries = shell::read(Command::new("ldd").arg(linker)).unwrap_or_default();
    let fits = same_version && links_llvm(&libraries, llvm_major);
    if !fits {
        say(format!(
            "{} is not a bpf-linker {SERIES} of LLVM {llvm_major}: passed over",
            linker.display()
        ));
    }
    fits
}

const SERIES: &str = "0.13";

fn links_llvm(ldd: &str, llvm_major: u32) -> bool {
    let wanted = [
        format!("libLLVM.so.{llvm_major}."),
        format!("libLLVM-{llvm_major}.so"),
    ];
    ldd.lines().any(|line| {
        wanted
            .iter()
            .any(|name| line.trim_start().starts_with(name.as_str()))
    })
}

fn version(linker: &Path) -> Option<String> {
    shell::read(Command::new(linker).arg("--version")).ok()
}

fn install_command(paths: &Paths, llvm_major: u32, prefix: &Path) -> Command {
    let mut command = cargo(paths);
    command
        .args([
            "install",
            "bpf-linker",
            "--version",
            VERSION,
            "--locked",
            "--force",
        ])
        .args([
            "--no-default-features",
            "--features",
            &format!("llvm-{llvm_major}"),
            "--root",
        ])
        .arg(home(paths, llvm_major))
        .env("LLVM_PREFIX", prefix)
        .env(format!("LLVM_SYS_{llvm_major}1_PREFIX"), prefix);
    command
}

fn home(paths: &Paths, llvm_major: u32) -> PathBuf {
    paths
        .tools()
        .join(format!("bpf-linker-{VERSION}-llvm-{llvm_major}"))
}

fn dev_package(llvm_major: u32) -> String {
    format!("llvm-{llvm_major}-dev")
}

fn llvm_prefix(llvm_major: u32) -> Option<PathBuf> {
    let config = PathBuf::from(format!("/usr/lib/llvm-{llvm_major}/bin/llvm-config"));
    let config = if config.exists() {
        config
    } else {
        which(&format!("llvm-config-{llvm_major}"))?
    };
    let prefix = PathBuf::from(
        shell::read(Command::new(config).arg("--prefix"))
            .ok()?
            .trim(),
    );
    // The plain llvm package has the program without the headers and the library to link.
    prefix
        .join("include/llvm-c/Core.h")
        .exists()
        .then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_llvm_of_a_linker() {
        let shared = "\tlinux-vdso.so.1 (0x0)\n\tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1 (0x0)\n";
        assert!(links_llvm(shared, 22));
        assert!(!links_llvm(shared, 2));
        assert!(!links_llvm(shared, 21));
        assert!(links_llvm(
            "\tlibLLVM-21.so.1 => /usr/lib/libLLVM-21.so.1 (0x0)\n",
            21
        ));
    }

    #[test]
    fn a_static_linker_does_not_tell_its_llvm() {
        assert!(!links_llvm("\tlibc.so.6 => /lib/libc.so.6 (0x0)\n", 22));
    }
}
