//! How the kernel's clock, which stamps all records (`bpf_ktime_get_ns`), stands against the others. Told with every
//! input: the engine reads none.

use jiff::Timestamp;

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clocks {
    /// Wall time at the zero of the kernel's clock, nanoseconds since the epoch.
    pub wall_zero_ns: i64,
    /// How long the host slept until now: what the clock of processes' start times (CLOCK_BOOTTIME) is ahead,
    /// nanoseconds.
    pub asleep_ns: u64,
}

/// A moment at which an input is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// On the kernel's clock (CLOCK_MONOTONIC), nanoseconds.
    pub kernel_ns: u64,
    /// How the other clocks stand.
    pub clocks: Clocks,
}

// === impl Clocks ===

impl Clocks {
    /// Wall time of a kernel stamp. A stamp outside of the years 1 to 9999 has no better reading than the epoch.
    pub fn wall(self, kernel_ns: u64) -> Timestamp {
        let wall_ns = i128::from(self.wall_zero_ns) + i128::from(kernel_ns);
        Timestamp::from_nanosecond(wall_ns).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Nanoseconds since boot, suspend included, of a kernel stamp.
    pub const fn boot_ns(self, kernel_ns: u64) -> u64 {
        kernel_ns.saturating_add(self.asleep_ns)
    }
}

// === impl Moment ===

impl Moment {
    /// Wall time of the moment.
    pub fn wall(self) -> Timestamp {
        self.clocks.wall(self.kernel_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_differ_by_what_they_were_told() {
        let clocks = Clocks {
            wall_zero_ns: 1_000_000_000,
            asleep_ns: 7,
        };
        assert_eq!(clocks.wall(500_000_000).as_millisecond(), 1_500);
        assert_eq!(clocks.boot_ns(3), 10);
        let before = Clocks {
            wall_zero_ns: -5_000_000_000,
            asleep_ns: 0,
        };
        assert_eq!(before.wall(4_000_000_000).as_second(), -1);
    }
}
