//! Waiting for conditions. Nothing in the tier waits for time alone.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a condition may take. Generous: an emulated machine is thirty times slower.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long finwatch's counts may take to show what has already happened. All of it is counted at once,
/// but for delayed acknowledgements and timers that a scenario left under way.
pub(crate) const SETTLE: Duration = Duration::from_secs(8);

/// Waits until `holds` says so and panics with `what` when it never does.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    assert!(
        within(PATIENCE, &mut holds),
        "waited {PATIENCE:?} in vain: {what}"
    );
}

/// Whether `holds` came true within `patience`.
pub(crate) fn within(patience: Duration, holds: &mut dyn FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_micros(200);
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
