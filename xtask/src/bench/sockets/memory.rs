//! The kernel's memory, as /proc/meminfo tells it.

use std::fs;

use anyhow::{Context as _, Result};

use crate::bench::sys::field;

/// What of the kernel's memory was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kernel {
    /// Slabs: sockets with their files, and all that is kept with them. Others' files and folders are among them.
    slab_kib: u64,
    /// Of these, those that the kernel cannot free on its own, so not the traces of others' files.
    kept_kib: u64,
}

/// Bytes of each of so many things by which the memory grew.
#[derive(Clone, Copy)]
pub(super) struct Each {
    pub(super) slab: f64,
    pub(super) kept: f64,
}

// === impl Kernel ===

impl Kernel {
    pub(super) fn read() -> Result<Self> {
        let text = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
        Self::find(&text)
    }

    fn find(meminfo: &str) -> Result<Self> {
        let kib = |name: &str| {
            field(meminfo, name).with_context(|| format!("find {name} in /proc/meminfo"))
        };
        let other = kib("Percpu:")? + kib("VmallocUsed:")?;
        Ok(Self {
            slab_kib: other + kib("Slab:")?,
            kept_kib: other + kib("SUnreclaim:")?,
        })
    }

    /// How much it grew since then, for each of so many things.
    pub(super) fn since(self, before: Self, things: u64) -> Each {
        let each =
            |after: u64, before: u64| (after as f64 - before as f64) * 1024.0 / things as f64;
        Each {
            slab: each(self.slab_kib, before.slab_kib),
            kept: each(self.kept_kib, before.kept_kib),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_keeps_is_told_from_what_it_could_free() {
        let meminfo = "Slab:  100 kB\nSReclaimable: 60 kB\nSUnreclaim: 40 kB\n\
                       VmallocUsed: 7 kB\nPercpu:    20 kB\n";
        let found = Kernel::find(meminfo).expect("complete");
        assert_eq!((found.slab_kib, found.kept_kib), (127, 67));
        assert!(Kernel::find("Slab: 100 kB\n").is_err());
    }

    #[test]
    fn growth_is_shared_out_and_may_be_negative() {
        let kernel = |slab_kib, kept_kib| Kernel { slab_kib, kept_kib };
        let each = kernel(3_000, 1_000).since(kernel(1_000, 2_000), 1_024);
        assert_eq!((each.slab, each.kept), (2_000.0, -1_000.0));
    }
}
