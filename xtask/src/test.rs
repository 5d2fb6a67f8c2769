//! `cargo xtask test`: the three tiers of tests, and the kernel tier once more inside virtual machines.

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde_json::Value;

use crate::build;
use crate::kernel_tests::{self, ONE_AT_A_TIME};
use crate::paths::Paths;
use crate::setup::{self, Scope};
use crate::shell::{self, cargo, is_root, say};
use crate::vm;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(value_enum, default_value_t = Tier::All)]
    tier: Tier,
    /// Install nothing: say what is missing, and the command that installs it
    #[arg(long)]
    no_install: bool,
    /// Arguments of the test programs, such as a part of a test's name
    #[arg(last = true)]
    harness: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tier {
    /// Unit tests: no root, no kernel
    Pure,
    /// Recorded kernel records in, metrics and verdicts out: no root, no kernel
    Replay,
    /// Real programs, sockets and servers on this machine's kernel, as root
    Kernel,
    /// The kernel tier inside virtual machines of Debian's other kernels
    Vm,
    /// All of them
    All,
}

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<()> {
    let Args {
        tier,
        no_install,
        harness,
    } = args;
    // A tier that cannot run fails before the long build, and is never passed over.
    if matches!(tier, Tier::Kernel | Tier::All) && !is_root() {
        bail!(
            "the kernel tier loads programs into the kernel and makes network namespaces: run it as root \
             (without root: `cargo xtask test pure` and `cargo xtask test replay`)"
        );
    }
    setup::run(paths, &setup::Args::new(tier.scope(), *no_install))?;
    build::probe(paths)?;
    match tier {
        Tier::Pure => pure(paths, harness),
        Tier::Replay => replay(paths, harness),
        Tier::Kernel => kernel(paths, harness),
        Tier::Vm => vm::all(paths, harness),
        Tier::All => all(paths, harness),
    }
}

/// Every tier runs, whatever became of the one before: one run tells everything that is wrong.
fn all(paths: &Paths, harness: &[String]) -> Result<()> {
    let outcomes = [
        ("pure", pure(paths, harness)),
        ("replay", replay(paths, harness)),
        ("kernel", kernel(paths, harness)),
        ("vm", vm::all(paths, harness)),
    ];
    let mut failed = Vec::new();
    for (name, outcome) in outcomes {
        if let Err(error) = outcome {
            say(format!("the {name} tier failed: {error:#}"));
            failed.push(name);
        }
    }
    if failed.is_empty() {
        say("all tiers passed: pure, replay, kernel, and kernel in virtual machines");
        return Ok(());
    }
    bail!("failed tiers: {}", failed.join(", "));
}

impl Tier {
    fn scope(self) -> Scope {
        match self {
            Self::Pure | Self::Replay => Scope::Build,
            Self::Kernel => Scope::Test,
            Self::Vm | Self::All => Scope::Vm,
        }
    }
}

fn pure(paths: &Paths, harness: &[String]) -> Result<()> {
    say("pure tier");
    let mut user = cargo(paths);
    user.args([
        "test",
        "--no-fail-fast",
        "--workspace",
        "--exclude",
        "probe-ebpf",
    ]);
    let user = shell::run(user.args(["--lib", "--bins", "--"]).args(harness));
    // Apart from the others: together with the daemon its dependencies would get the daemon's features.
    let mut probe = cargo(paths);
    probe.args(["test", "--package", "probe-ebpf", "--lib", "--"]);
    let probe = shell::run(probe.args(harness));
    user.and(probe)
}

fn replay(paths: &Paths, harness: &[String]) -> Result<()> {
    say("replay tier");
    let targets = replay_targets(paths)?;
    if targets.is_empty() {
        bail!("find the replay tier: there is no test in daemon/tests that runs without a feature");
    }
    let mut command = cargo(paths);
    command.args(["test", "--package", "finwatch"]);
    for target in &targets {
        command.args(["--test", target]);
    }
    shell::run(command.arg("--").args(harness))
}

/// Every integration test of the daemon, except those that ask for a feature: the kernel tier.
fn replay_targets(paths: &Paths) -> Result<Vec<String>> {
    let text = shell::read(cargo(paths).args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value =
        serde_json::from_str(&text).context("parse what cargo metadata printed")?;
    let targets = list(&metadata["packages"])
        .iter()
        .filter(|package| package["name"] == "finwatch")
        .flat_map(|package| list(&package["targets"]));
    Ok(targets
        .filter(|target| list(&target["kind"]).iter().any(|kind| kind == "test"))
        .filter(|target| list(&target["required-features"]).is_empty())
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn kernel(paths: &Paths, harness: &[String]) -> Result<()> {
    say("kernel tier, on this machine's kernel");
    let mut command = kernel_tests::cargo(paths);
    command.args(["--", ONE_AT_A_TIME]).args(harness);
    shell::run(&mut command)
}
