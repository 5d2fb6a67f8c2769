//! `cargo xtask setup`: finds what the build and the tests need, installs only what it did not find, and
//! says what it does and why. Where it may not install, it names each missing thing and the command.

pub(crate) mod apt;
mod lab;
pub(crate) mod linker;
mod packages;
mod services;
pub(crate) mod toolchain;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::paths::Paths;
use crate::shell::say;
use crate::vm::kernels;

pub(crate) use self::apt::{Apt, Permission};
pub(crate) use self::toolchain::Toolchain;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What it shall be possible to do afterwards
    #[arg(value_enum, default_value_t = Scope::Vm)]
    scope: Scope,
    /// Install nothing: say what is missing, and the command that installs it
    #[arg(long)]
    no_install: bool,
}

/// Each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scope {
    /// Build and run finwatch
    Build,
    /// Run the tests on this machine's kernel
    Test,
    /// Run the kernel tier inside virtual machines too
    Vm,
    /// Measure what finwatch costs beside its peers too
    Bench,
    /// Run rollouts in a real Kubernetes too
    E2e,
}

impl Args {
    pub(crate) fn new(scope: Scope, no_install: bool) -> Self {
        Self { scope, no_install }
    }
}

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<()> {
    let permission = Permission {
        install: !args.no_install,
    };
    let mut apt = Apt::new(permission);
    // Every step is tried, so that whoever may not install learns of everything that is missing at once.
    let mut missing = Vec::new();
    let mut note = |outcome: Result<()>| {
        if let Err(error) = outcome {
            missing.push(format!("{error:#}"));
        }
    };
    note(packages::ensure(&mut apt, args.scope));
    note(ensure_probe_build(paths, permission, &mut apt));
    if args.scope >= Scope::Test {
        note(lab::ensure(paths, permission));
    }
    if args.scope >= Scope::Vm {
        note(kernels::ensure(paths, permission, &mut apt));
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("setup is not complete:\n\n{}\n", missing.join("\n\n"));
}

/// What the benchmark uses of all scopes.
pub(crate) fn for_bench(no_install: bool) -> Result<()> {
    let permission = Permission {
        install: !no_install,
    };
    packages::ensure_for_bench(&mut Apt::new(permission))
}

/// What a cluster uses of all scopes, and what builds the daemon's image.
pub(crate) fn for_e2e(paths: &Paths, no_install: bool) -> Result<()> {
    run(paths, &Args::new(Scope::Build, no_install))?;
    let permission = Permission {
        install: !no_install,
    };
    let mut apt = Apt::new(permission);
    packages::ensure_for_e2e(&mut apt)?;
    if no_install && !kernels::busybox(paths).exists() {
        bail!(
            "missing: a static busybox, the shell of an image; `cargo xtask e2e build` unpacks it into target/"
        );
    }
    kernels::download_busybox(paths, &mut apt)
}

fn ensure_probe_build(paths: &Paths, permission: Permission, apt: &mut Apt) -> Result<()> {
    let toolchain = toolchain::ensure(paths, permission, apt)?;
    let linker = linker::ensure(paths, permission, apt, toolchain.llvm_major)?;
    say(format!(
        "the kernel programs build with {toolchain} and {}",
        linker.display()
    ));
    Ok(())
}
