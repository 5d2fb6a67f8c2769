//! The kernel tier's test program: built the same way for this machine and for a virtual one.

use std::process::Command;

use crate::paths::Paths;
use crate::shell;

/// Cargo, told to build the test program and run it.
pub(crate) fn cargo(paths: &Paths) -> Command {
    let mut command = shell::cargo(paths);
    command.args([
        "test",
        "--package",
        "finwatch",
        "--features",
        "kernel-tests",
        "--test",
        "kernel",
    ]);
    command
}

/// Several tests at once would compete for the programs' attachments and for the two ends of a measurement.
pub(crate) const ONE_AT_A_TIME: &str = "--test-threads=1";
