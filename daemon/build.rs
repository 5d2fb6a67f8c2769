//! Tells the daemon where the kernel programs' object is. It does not build it: that takes another compiler
//! target and a linker of its own, which `cargo xtask build` sees to.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    // OUT_DIR is target/[triple/]profile/build/name/out: the object is under the same target directory.
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let candidates: Vec<PathBuf> = out_dir
        .ancestors()
        .skip(4)
        .take(2)
        .map(object_under)
        .collect();
    let Some(object) = candidates.iter().find(|candidate| candidate.exists()) else {
        println!(
            "cargo::error=the kernel programs are not built: run `cargo xtask build` (and again after a change in \
             probe-ebpf or common)"
        );
        return ExitCode::FAILURE;
    };
    // Only the one in use: cargo takes a file that does not exist for one that changes with every build.
    println!("cargo::rerun-if-changed={}", object.display());
    println!(
        "cargo::rustc-env=FINWATCH_PROBE_OBJECT={}",
        object.display()
    );
    ExitCode::SUCCESS
}

fn object_under(target: &Path) -> PathBuf {
    target.join("bpf/finwatch-probe.o")
}
