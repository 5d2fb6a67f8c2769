//! What the running kernel can show. The tier runs on several kernels, and on some of them an event that
//! finwatch counts has no tracepoint, or a counter of the kernel means something else.

use std::{fs, sync::LazyLock};

/// Whether the kernel is at least this version.
pub(crate) fn at_least(major: u32, minor: u32) -> bool {
    *VERSION >= (major, minor)
}

/// RSTs without a full socket (nothing listens, TIME_WAIT) are traced, and carry a reason.
pub(crate) fn traces_every_reset() -> bool {
    at_least(6, 10)
}

/// Reasons of active resets (closed with unread data and so on) are told.
pub(crate) fn tells_reset_reasons() -> bool {
    at_least(6, 12)
}

/// `TW` and `TWKilled` count mini-sockets when they are made, not when they expire.
pub(crate) fn counts_time_wait_at_creation() -> bool {
    at_least(6, 1)
}

/// While a mini-socket takes its socket's place, a segment may find neither of them and is answered by an
/// RST (`inet_twsk_hashdance_schedule`; 6.18 puts one in the place of the other).
pub(crate) fn may_overlook_a_mini_socket() -> bool {
    !at_least(6, 18)
}

static VERSION: LazyLock<(u32, u32)> = LazyLock::new(|| {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|n| n.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor),
        _ => panic!("kernel release {release:?} has no version"),
    }
});
