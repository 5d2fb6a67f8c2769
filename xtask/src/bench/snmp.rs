//! What the kernel says of the calling thread's network namespace: what all sides are held against.

use std::fs;

use anyhow::{Context as _, Result};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Snmp {
    /// TIME_WAITs created: `TW` and `TWKilled`.
    pub(super) time_waits: u64,
    /// RSTs sent: `OutRsts`.
    pub(super) resets_sent: u64,
    /// Connections accepted: `PassiveOpens`.
    pub(super) passive_opens: u64,
}

// === impl Snmp ===

impl Snmp {
    pub(super) fn read() -> Result<Self> {
        let snmp = read("/proc/thread-self/net/snmp")?;
        let netstat = read("/proc/thread-self/net/netstat")?;
        Ok(Self {
            time_waits: value(&netstat, "TcpExt:", "TW")? + value(&netstat, "TcpExt:", "TWKilled")?,
            resets_sent: value(&snmp, "Tcp:", "OutRsts")?,
            passive_opens: value(&snmp, "Tcp:", "PassiveOpens")?,
        })
    }

    pub(super) fn since(self, before: Self) -> Self {
        let Self {
            time_waits,
            resets_sent,
            passive_opens,
        } = self;
        Self {
            time_waits: time_waits - before.time_waits,
            resets_sent: resets_sent - before.resets_sent,
            passive_opens: passive_opens - before.passive_opens,
        }
    }
}

/// Whether somebody listens on the port in the calling thread's network namespace.
pub(super) fn listens(port: u16) -> Result<bool> {
    Ok(has_listener(&read("/proc/thread-self/net/tcp")?, port))
}

/// The second word of a line is the local address and port, the fourth the state; all of them hexadecimal.
fn has_listener(sockets: &str, port: u16) -> bool {
    const LISTEN: &str = "0A";
    let port = format!(":{port:04X}");
    sockets.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next();
        local.is_some_and(|local| local.ends_with(&port)) && words.nth(1) == Some(LISTEN)
    })
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {path}"))
}

/// A value of a table whose names and values are on two lines with the same first word.
fn value(text: &str, table: &str, name: &str) -> Result<u64> {
    let mut lines = text
        .lines()
        .filter(|line| line.split_whitespace().next() == Some(table));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .find_map(|(found, value)| (found == name).then(|| value.parse().ok())?)
        .with_context(|| format!("find {name} in the table {table} of /proc/net"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_value_under_its_name() {
        let text = "Ip: A B\nIp: 1 2\nTcp: A OutRsts\nTcp: 3 4\n";
        assert_eq!(value(text, "Tcp:", "OutRsts").expect("found"), 4);
        assert!(value(text, "Tcp:", "B").is_err());
    }

    #[test]
    fn a_listener_is_known_by_its_state() {
        let text = "  sl  local_address rem_address   st tx_queue\n   \
                    0: 0100007F:1EC8 00000000:0000 0A 00000000\n   \
                    1: 0100007F:1EC9 0100007F:1EC8 01 00000000\n";
        assert!(has_listener(text, 7_880));
        assert!(!has_listener(text, 7_881));
    }
}
