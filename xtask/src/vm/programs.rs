//! The kernel tier's test program, built so that it runs in a virtual machine.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::kernel_tests;
use crate::paths::Paths;
use crate::shell::{render, say};

/// What cargo built for the virtual machines.
pub(super) struct TestPrograms {
    pub(super) test: PathBuf,
    /// Programs that the tests start by the path they were built at.
    pub(super) others: Vec<PathBuf>,
}

/// Builds the kernel tier statically: a virtual machine has no C library of the right version.
pub(super) fn build_tests(paths: &Paths) -> Result<TestPrograms> {
    say("building the kernel tier for the virtual machines");
    let mut command = kernel_tests::cargo(paths);
    command
        .args([
            "--no-run",
            "--target",
            TARGET,
            "--message-format",
            "json-render-diagnostics",
        ])
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .env_remove("RUSTFLAGS")
        // Emulated memory is scarce and loading it is slow; a backtrace still has its function names.
        .env("CARGO_PROFILE_DEV_STRIP", "debuginfo")
        .stdout(Stdio::piped());
    let line = render(&command);
    eprintln!("  $ {line}");
    let mut child = command.spawn().with_context(|| format!("run `{line}`"))?;
    let messages = child.stdout.take().context("read cargo's messages")?;
    let mut programs = Vec::new();
    for message in BufReader::new(messages).lines() {
        programs.extend(executable(&message.context("read cargo's messages")?)?);
    }
    let status = child.wait().with_context(|| format!("wait for `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    let (tests, others): (Vec<_>, Vec<_>) =
        programs.into_iter().partition(|program| program.is_test);
    let Ok([test]) = <[Executable; 1]>::try_from(tests) else {
        bail!("find the one test program that `{line}` builds");
    };
    Ok(TestPrograms {
        test: test.path,
        others: others.into_iter().map(|other| other.path).collect(),
    })
}

const TARGET: &str = "x86_64-unknown-linux-gnu";

struct Executable {
    path: PathBuf,
    is_test: bool,
}

/// The program that one of cargo's messages announces, if it does.
fn executable(message: &str) -> Result<Option<Executable>> {
    let message: serde_json::Value =
        serde_json::from_str(message).context("parse a message of cargo")?;
    let Some(path) = message["executable"].as_str() else {
        return Ok(None);
    };
    let is_test = message["profile"]["test"].as_bool().unwrap_or(false);
    Ok(Some(Executable {
        path: path.into(),
        is_test,
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn reads_cargos_messages() {
        let test =
            r#"{"reason":"compiler-artifact","profile":{"test":true},"executable":"/t/kernel-1"}"#;
        let found = executable(test).unwrap().unwrap();
        assert!(found.is_test);
        assert_eq!(found.path, Path::new("/t/kernel-1"));
        assert!(
            executable(r#"{"reason":"compiler-artifact","executable":null}"#)
                .unwrap()
                .is_none()
        );
        assert!(executable("no json").is_err());
    }
}
