//! The only place that reads time. The kernel's programs stamp with CLOCK_MONOTONIC, people read wall time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use finwatch_engine::{Clocks, Moment};
use rustix::time::{ClockId, clock_gettime};

/// Now, and how the clocks stand: what the engine is told with every input.
pub fn moment() -> Moment {
    let zero = wall_of(0).duration_since(SystemTime::UNIX_EPOCH);
    // Far outside of any year that can be written there is no better reading than the epoch.
    let wall_zero_ns = i64::try_from(zero.unwrap_or_default().as_nanos()).unwrap_or_default();
    Moment {
        kernel_ns: monotonic_ns(),
        clocks: Clocks {
            wall_zero_ns,
            asleep_ns: boot_ns_of(0),
        },
    }
}

/// Now, on the clock of the kernel's records (`bpf_ktime_get_ns`), nanoseconds.
pub fn monotonic_ns() -> u64 {
    read_ns(ClockId::Monotonic)
}

/// CPU time that this thread has used, for measuring what a piece of work cost.
pub fn thread_cpu() -> Duration {
    Duration::from_nanos(read_ns(ClockId::ThreadCPUTime))
}

/// A kernel stamp on the clock of processes' start times (CLOCK_BOOTTIME), which also runs while the host sleeps.
pub fn boot_ns_of(kernel_ns: u64) -> u64 {
    let asleep_ns = read_ns(ClockId::Boottime).saturating_sub(monotonic_ns());
    kernel_ns.saturating_add(asleep_ns)
}

/// Length of a jiffy, nanoseconds: the resolution of the coarse clocks (`hrtimer_get_res`).
pub fn tick_ns() -> u32 {
    let resolution = rustix::time::clock_getres(ClockId::MonotonicCoarse);
    u32::try_from(resolution.tv_nsec).unwrap_or(0)
}

/// Wall time of now.
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Wall time of a kernel stamp, as the clocks stand now: a stamp from before a step of the wall clock moves
/// with it. Two stamps are as far apart in wall time as they are on the kernel's clock.
pub fn wall_of(kernel_ns: u64) -> SystemTime {
    // To read two clocks takes a moment, and not always the same one: small differences are no step.
    const STEP_NS: u64 = 5_000_000;
    /// Wall time at the kernel clock's zero, nanoseconds since the epoch; 0 before the first call.
    static ZERO_NS: AtomicU64 = AtomicU64::new(0);

    let since_epoch = wall()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let wall_ns = u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX);
    let zero_ns = wall_ns.saturating_sub(monotonic_ns());
    let known_ns = ZERO_NS.load(Ordering::Relaxed);
    let zero_ns = if zero_ns.abs_diff(known_ns) > STEP_NS {
        ZERO_NS.store(zero_ns, Ordering::Relaxed);
        zero_ns
    } else {
        known_ns
    };
    SystemTime::UNIX_EPOCH + Duration::from_nanos(zero_ns.saturating_add(kernel_ns))
}

fn read_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    // Neither clock starts below zero, and 64 bits of nanoseconds last 584 years.
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_of_a_second_ago_is_a_second_ago() {
        let age = wall()
            .duration_since(wall_of(monotonic_ns() - 1_000_000_000))
            .expect("the past");
        assert!((900..1_500).contains(&age.as_millis()), "{age:?}");
    }
}
