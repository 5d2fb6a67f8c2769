//! How many connections this machine has room for: by the limits of open files, and by memory.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::bench::sys::{self, field};

/// A connection has two sockets, both on this machine: a million of them.
pub(super) const CONNECTIONS: u64 = 500_000;
/// Memory that is left to others.
pub(super) const LEFT_KIB: u64 = 6 << 20;
/// What a connection needs at most, both its ends together with their files.
const CONNECTION_KIB: u64 = 12;
/// Open files that a process needs beside the connections.
const OTHER_FILES: u64 = 64;
/// Open files that are left to others.
const LEFT_FILES: u64 = 10_000;
/// Processes that hold connections, on each side.
const PROCESSES: u64 = 64;

/// What the machine has.
#[derive(Clone, Copy)]
pub(super) struct Machine {
    /// Memory that can be had without taking any from others (`MemAvailable`).
    available_kib: u64,
    /// Most files of a process.
    files_a_process: u64,
    /// Files that can still be opened (`fs.file-max`, less those of `fs.file-nr`).
    files: u64,
}

// === impl Machine ===

impl Machine {
    pub(super) fn read() -> Result<Self> {
        let path = "/proc/sys/fs/file-nr";
        let text = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
        Ok(Self {
            available_kib: available_kib()?,
            files_a_process: allow_files()?,
            files: free_files(&text).with_context(|| format!("read three numbers in {path}"))?,
        })
    }

    /// How many connections there is room for, where some processes hold all servers' ends and as many others all clients' ends.
    pub(super) fn connections(self) -> Result<u64> {
        let Self {
            available_kib,
            files,
            ..
        } = self;
        let by_process = PROCESSES * self.connections_a_process();
        let by_files = files.saturating_sub(LEFT_FILES) / 2;
        let by_memory = available_kib.saturating_sub(LEFT_KIB) / CONNECTION_KIB;
        let most = CONNECTIONS.min(by_process).min(by_files).min(by_memory);
        ensure!(
            most > 0,
            "open connections: {available_kib} KiB of memory and {files} files are not enough"
        );
        Ok(most)
    }

    /// How many a process holds at most.
    pub(super) fn connections_a_process(self) -> u64 {
        connections_a_process(self.files_a_process)
    }
}

/// How many a process holds at most that may open so many files.
pub(super) fn connections_a_process(files: u64) -> u64 {
    files.saturating_sub(OTHER_FILES)
}

/// Lets this process, and those that it starts, open as many files as it may: a privileged one may go beyond its limit, up to
/// `fs.nr_open`. Returns how many that are.
pub(super) fn allow_files() -> Result<u64> {
    let path = "/proc/sys/fs/nr_open";
    let most = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let most = most
        .trim()
        .parse()
        .with_context(|| format!("read a number in {path}"))?;
    if sys::limit_open_files(most).is_ok() {
        return Ok(most);
    }
    sys::raise_open_files()
}

/// Memory that can be had without taking any from others.
pub(super) fn available_kib() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
    field(&text, "MemAvailable:").context("find MemAvailable in /proc/meminfo")
}

/// Of the numbers of open and of unused ones, and of the most.
fn free_files(file_nr: &str) -> Option<u64> {
    let mut numbers = file_nr.split_whitespace().map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    let (opened, unused, most) = (next()?, next()?, next()?);
    Some(most.saturating_sub(opened.saturating_sub(unused)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: Machine = Machine {
        available_kib: 64 << 20,
        files_a_process: 1 << 20,
        files: 4 << 20,
    };

    #[test]
    fn a_large_machine_has_room_for_all() {
        assert_eq!(LARGE.connections().expect("room"), CONNECTIONS);
    }

    #[test]
    fn each_limit_holds() {
        let by_memory = Machine {
            available_kib: LEFT_KIB + 12_000,
            ..LARGE
        };
        assert_eq!(by_memory.connections().expect("room"), 1_000);
        let by_process = Machine {
            files_a_process: 1_024,
            ..LARGE
        };
        assert_eq!(by_process.connections_a_process(), 960);
        assert_eq!(by_process.connections().expect("room"), 64 * 960);
        let by_files = Machine {
            files: 30_000,
            ..LARGE
        };
        assert_eq!(by_files.connections().expect("room"), 10_000);
    }

    #[test]
    fn what_is_open_is_not_free() {
        assert_eq!(free_files("1000\t200\t5000\n"), Some(4_200));
        assert_eq!(free_files("1000\t0\n"), None);
    }

    #[test]
    fn without_room_nothing_is_opened() {
        let full = Machine {
            available_kib: LEFT_KIB,
            ..LARGE
        };
        assert!(full.connections().is_err());
    }
}
