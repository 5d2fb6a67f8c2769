//! What systemd is told (sd_notify): ready, stopping, still alive. Without systemd nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

use super::tasks::Stop;

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notify {
    /// Everything is attached.
    Ready,
    /// The stop has begun.
    Stopping,
}

// === impl Notify ===

impl Notify {
    pub(crate) fn tell(self) {
        send(match self {
            Self::Ready => NotifyState::Ready,
            Self::Stopping => NotifyState::Stopping,
        });
    }
}

/// Tells that the daemon is alive, twice in each interval of the unit's `WatchdogSec=`.
pub(crate) async fn feed_watchdog(mut stop: Stop) -> anyhow::Result<()> {
    let Some(interval) = sd_notify::watchdog_enabled().map(|whole| whole / 2) else {
        stop.said().await;
        return Ok(());
    };
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(10)));
    loop {
        tokio::select! {
            _ = ticks.tick() => send(NotifyState::Watchdog),
            () = stop.said() => return Ok(()),
        }
    }
}

fn send(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}
