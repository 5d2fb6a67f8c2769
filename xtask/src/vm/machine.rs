//! One run of a virtual machine: its console on this terminal, its exit status from inside, its kernel's
//! complaints taken as failures, and an end to it whatever happens.

use std::fs;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::image::STATUS_PORT;
use super::kernels::Kernel;
use crate::paths::Paths;
use crate::shell::render;

/// Software emulation is some twenty times slower than the machine it runs on.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// Boots the kernel with the image and waits for the verdict of the tests inside.
pub(super) fn boot(paths: &Paths, kernel: &Kernel, initrd: &Path) -> Result<()> {
    let status_file = paths.vm().join("status");
    fs::write(&status_file, "").with_context(|| format!("write {}", status_file.display()))?;
    let mut command = qemu(kernel, initrd, &status_file);
    let line = render(&command);
    eprintln!("  $ {line}");
    let mut machine = Machine(command.spawn().with_context(|| format!("run `{line}`"))?);
    let console = machine.0.stdout.take().context("read the console")?;
    let complaints = follow(console)
        .with_context(|| format!("run the kernel tier on Linux {}", kernel.release))?;
    machine.0.wait().context("wait for the virtual machine")?;
    let status = fs::read_to_string(&status_file)
        .with_context(|| format!("read {}", status_file.display()))?;
    judge(&complaints, &status)
        .with_context(|| format!("run the kernel tier on Linux {}", kernel.release))
}

fn qemu(kernel: &Kernel, initrd: &Path, status_file: &Path) -> Command {
    // A complaint of the kernel ends the machine; the watchdogs measure the host's load and are switched off.
    let arguments = "console=ttyS0 loglevel=4 panic=-1 oops=panic nowatchdog workqueue.watchdog_thresh=0 \
                     rcupdate.rcu_cpu_stall_suppress=1 mitigations=off net.ifnames=0";
    let mut command = Command::new("qemu-system-x86_64");
    // Its CPUs take turns on one thread. Side by side, QEMU before 8.1 translates a page that another CPU is
    // writing to, so that a breakpoint of the kernel's own patching outlives the patch, and attaching to a
    // tracepoint ends in "Oops: int3" (QEMU's commit deba78709a, "Always lock pages before translation").
    command
        .args([
            "-accel",
            "tcg,thread=single",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            "2048",
        ])
        .args([
            "-display",
            "none",
            "-monitor",
            "none",
            "-nic",
            "none",
            "-no-reboot",
        ])
        .arg("-kernel")
        .arg(kernel.image())
        .arg("-initrd")
        .arg(initrd)
        .args(["-append", arguments, "-serial", "stdio", "-serial"])
        .arg(format!("file:{}", status_file.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// Ends the emulator when the task ends early.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Shows the console until the machine is off, and returns the kernel's complaints.
fn follow(mut console: impl Read + Send + 'static) -> Result<Vec<String>> {
    let (sender, chunks) = mpsc::sync_channel(1024);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = console.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + DEADLINE;
    let mut complaints = Vec::new();
    let mut line = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match chunks.recv_timeout(left) {
            Ok(chunk) => {
                // At once, not by the line: an unfinished line names the test that hangs.
                show(&chunk).context("show the console")?;
                for byte in chunk {
                    if byte == b'\n' {
                        note_complaint(&line, &mut complaints);
                        line.clear();
                    } else {
                        line.push(byte);
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                note_complaint(&line, &mut complaints);
                return Ok(complaints);
            }
            Err(RecvTimeoutError::Timeout) => bail!("not finished after {} s", DEADLINE.as_secs()),
        }
    }
}

fn show(chunk: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(chunk)?;
    stdout.flush()
}

fn note_complaint(line: &[u8], complaints: &mut Vec<String>) {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches('\r');
    if is_complaint(line) {
        complaints.push(line.to_owned());
    }
}

/// Whether a line of the console tells of a fault in the kernel. The kernel's text, known by its time stamp, may
/// follow a test's unfinished line.
fn is_complaint(line: &str) -> bool {
    line.match_indices('[').any(|(start, _)| {
        line[start + 1..]
            .split_once("] ")
            .is_some_and(|(stamp, text)| {
                is_stamp(stamp) && FAULTS.iter().any(|fault| text.contains(fault))
            })
    })
}

fn is_stamp(stamp: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    stamp
        .trim_start()
        .split_once('.')
        .is_some_and(|(secs, micros)| is_number(secs) && is_number(micros))
}

const FAULTS: &[&str] = &[
    "Kernel panic",
    "BUG: ",
    "Oops: ",
    "general protection fault",
    "WARNING: CPU",
    "refcount_t: ",
    "list_del corruption",
];

fn judge(complaints: &[String], status: &str) -> Result<()> {
    if let Some(first) = complaints.first() {
        bail!("the kernel complained: {first}");
    }
    match status.trim().strip_prefix("status ") {
        Some("0") => Ok(()),
        Some(other) => bail!("the tests failed inside the virtual machine: exit status {other}"),
        None => bail!("the virtual machine ended without a status on {STATUS_PORT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_kernels_complaints() {
        assert!(is_complaint(
            "[   12.345678] BUG: kernel NULL pointer dereference, address: 0000000000000010"
        ));
        assert!(is_complaint(
            "[    3.000001] Kernel panic - not syncing: Attempted to kill init!"
        ));
        assert!(is_complaint(
            "test resets ... [    3.287186] Oops: 0000 [#1] SMP"
        ));
        assert!(!is_complaint("[   12.345678] random: crng init done"));
        assert!(!is_complaint("test reports BUG: in the text ... ok"));
        assert!(!is_complaint("[x] BUG: of a program"));
    }

    #[test]
    fn passes_only_with_a_status_of_zero_and_a_quiet_kernel() {
        assert!(judge(&[], "status 0\r\n").is_ok());
        assert!(judge(&[], "status 101\n").is_err());
        assert!(judge(&[], "").is_err());
        assert!(judge(&["[ 1.0] BUG: x".to_owned()], "status 0\n").is_err());
    }

    #[test]
    fn returns_the_complaints_of_a_console() {
        let console = &b"hello\r\n[    1.000000] Oops: 0000 [#1]\r\nbye\n"[..];
        assert_eq!(follow(console).unwrap(), ["[    1.000000] Oops: 0000 [#1]"]);
    }
}
