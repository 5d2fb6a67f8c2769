//! What the daemon takes of the node's memory while it starts: that is the most it ever takes, and what a limit must leave room for.

use std::fs;

use crate::harness::daemon::Daemon;

/// The kernel's types, read one after the other, come to less than what the daemon needs later; read twice at once they are
/// twice this.
const MORE_THAN_LATER_KIB: u64 = 8 * 1024;

#[test]
fn a_start_takes_little_more_than_what_runs_on() {
    let daemon = Daemon::start();
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let figure = line.and_then(|line| line.trim_start_matches(':').trim().strip_suffix(" kB"));
        figure.unwrap().parse().unwrap()
    };
    let (most, now) = (kib("VmHWM"), kib("VmRSS"));
    println!("{most} KiB at most, {now} KiB now");
    assert!(
        most - now <= MORE_THAN_LATER_KIB,
        "{most} KiB, and {now} KiB when it was ready"
    );
}
