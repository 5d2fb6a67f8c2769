//! The kernel's own figures of the calling thread's network namespace: SNMP counters and the socket table.
//! A new namespace starts with zeros, so a reading is a difference already.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use super::wait_until;

pub(crate) use finwatch_common::tcp as state;

/// `/proc/thread-self/net/{snmp,netstat}` and the TIME_WAIT count of `sockstat`.
#[derive(Debug)]
pub(crate) struct Snmp(HashMap<String, i64>);

impl Snmp {
    /// Reads the counters of the calling thread's namespace.
    pub(crate) fn read() -> Self {
        let mut counters = HashMap::new();
        for file in ["snmp", "netstat"] {
            let text = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap();
            let mut lines = text.lines();
            while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
                let section = names.split(':').next().unwrap();
                // Of UdpLite, IcmpMsg and the like nothing is needed, and their names clash.
                if !matches!(section, "Tcp" | "TcpExt" | "MPTcpExt") {
                    continue;
                }
                let pairs = names
                    .split_whitespace()
                    .zip(values.split_whitespace())
                    .skip(1);
                for (name, value) in pairs {
                    counters.insert(name.to_owned(), value.parse().unwrap());
                }
            }
        }
        Self(counters)
    }

    /// One counter. A name that the kernel does not have is an error of the test.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> u64 {
        match self.0.get(name) {
            Some(value) => u64::try_from(*value).unwrap(),
            None => panic!("the kernel has no counter {name}"),
        }
    }
}

/// Waits until whatever passes in the namespace has passed: no segment has come for a while.
#[track_caller]
pub(crate) fn wait_until_quiet() {
    const A_WHILE: Duration = Duration::from_millis(100);
    let (mut before, mut since) = (0, Instant::now());
    wait_until("the namespace falls silent", || {
        let now = Snmp::read().get("InSegs");
        if now != before {
            (before, since) = (now, Instant::now());
        }
        since.elapsed() >= A_WHILE
    });
}

/// One row of the socket table. Mini-sockets are in it: one in substate FIN_WAIT2 as `FIN_WAIT2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) state: u8,
    /// Zero for a mini-socket and for a socket that no process holds.
    pub(crate) inode: u64,
}

/// Every TCP socket of the calling thread's namespace, of both families.
pub(crate) fn sockets() -> Vec<Entry> {
    ["tcp", "tcp6"]
        .into_iter()
        .flat_map(|file| {
            let text = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap();
            text.lines().skip(1).map(entry).collect::<Vec<_>>()
        })
        .collect()
}

fn entry(line: &str) -> Entry {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16);
    Entry {
        local_port: port(fields[1]).unwrap(),
        remote_port: port(fields[2]).unwrap(),
        state: u8::from_str_radix(fields[3], 16).unwrap(),
        inode: fields[9].parse().unwrap(),
    }
}
