//! The kernel's memory, as /proc/meminfo tells it.

use std::fs;

use anyhow::{Context as _, Result};

use crate::bench::sys::field;

/// What sockets and all that is kept with them are made of: slabs, memory of each processor, and larger pieces.
const KERNEL: [&str; 3] = ["Slab:", "Percpu:", "VmallocUsed:"];

/// The kernel's memory now, in KiB.
pub(super) fn kernel_kib() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
    sum(&text)
}

/// Bytes of each of so many things that grew the memory.
pub(super) fn bytes_each(before_kib: u64, after_kib: u64, things: u64) -> f64 {
    (after_kib as f64 - before_kib as f64) * 1024.0 / things as f64
}

fn sum(meminfo: &str) -> Result<u64> {
    KERNEL.iter().try_fold(0, |sum, name| {
        let kib = field(meminfo, name).with_context(|| format!("find {name} in /proc/meminfo"))?;
        Ok(sum + kib)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_memory_is_summed_up() {
        let meminfo =
            "Slab:  100 kB\nSReclaimable: 60 kB\nVmallocUsed: 7 kB\nPercpu:    20 kB\n";
        assert_eq!(sum(meminfo).expect("complete"), 127);
        assert!(sum("Slab: 100 kB\n").is_err());
    }

    #[test]
    fn growth_is_shared_out_and_may_be_negative() {
        assert_eq!(bytes_each(1_000, 3_000, 1_000), 2_048.0);
        assert_eq!(bytes_each(3_000, 2_000, 1_024), -1_000.0);
    }
}
