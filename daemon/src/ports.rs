//! How many sockets this host has room for: source ports for its connections, and TIME_WAITs.

use std::fs;

/// So many TIME_WAITs begin to matter: a tenth of what there is room for. `None` where the kernel does not tell.
pub(crate) fn that_matter() -> Option<u64> {
    let range = setting("ip_local_port_range")?;
    let [first, last] = range[..] else {
        return None;
    };
    let [buckets] = setting("tcp_max_tw_buckets")?[..] else {
        return None;
    };
    Some(tenth_of(first, last, buckets))
}

fn tenth_of(first: u64, last: u64, buckets: u64) -> u64 {
    let ports = last.saturating_sub(first) + 1;
    ports.min(buckets) / 10
}

/// The numbers of a setting of the host's own namespace.
fn setting(name: &str) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok()?;
    text.split_whitespace()
        .map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whichever_is_fewer() {
        assert_eq!(tenth_of(32_768, 60_999, 262_144), 2_823);
        assert_eq!(tenth_of(32_768, 60_999, 4_096), 409);
        assert_eq!(tenth_of(1_024, 65_535, 262_144), 6_451);
    }

    #[test]
    fn this_host_tells() {
        assert!(that_matter().is_some_and(|sockets| sockets > 0));
    }
}
