//! `cargo xtask vm`: the kernel tier inside virtual machines of Debian's other kernels, by software emulation.

mod image;
pub(crate) mod kernels;
mod machine;
mod programs;

use anyhow::{Result, bail};

use self::kernels::Series;
use crate::build;
use crate::paths::Paths;
use crate::setup::{self, Scope};
use crate::shell::say;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The kernels; none means all of them
    #[arg(value_enum)]
    series: Vec<Series>,
    /// Download the newest kernels of the archive and run nothing
    #[arg(long)]
    fetch: bool,
    /// Install nothing: say what is missing, and the command that installs it
    #[arg(long)]
    no_install: bool,
    /// Arguments of the test program, such as a part of a test's name
    #[arg(last = true)]
    harness: Vec<String>,
}

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<()> {
    let Args {
        series,
        fetch,
        no_install,
        harness,
    } = args;
    let series = if series.is_empty() {
        Series::ALL
    } else {
        series.as_slice()
    };
    if *fetch {
        return kernels::fetch(paths, series);
    }
    setup::run(paths, &setup::Args::new(Scope::Vm, *no_install))?;
    build::probe(paths)?;
    some(paths, series, harness)
}

/// The kernel tier on every kernel there is; the caller has set up and built.
pub(crate) fn all(paths: &Paths, harness: &[String]) -> Result<()> {
    some(paths, Series::ALL, harness)
}

fn some(paths: &Paths, series: &[Series], harness: &[String]) -> Result<()> {
    let programs = programs::build_tests(paths)?;
    let mut failed = Vec::new();
    for &one in series {
        let kernel = kernels::cached(paths, one)?;
        say(format!(
            "kernel tier, in a virtual machine of Linux {}",
            kernel.release
        ));
        let initrd = image::pack(paths, &kernel, &programs, harness)?;
        match machine::boot(paths, &kernel, &initrd) {
            Ok(()) => say(format!(
                "the kernel tier passed on Linux {}",
                kernel.release
            )),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{}", failed.join("; "));
}
