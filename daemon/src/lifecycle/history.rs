//! Writes the history down. A slow disk holds nobody up: what it does not take waits in memory.

use std::{sync::Arc, time::Duration};

use finwatch_engine::Snapshot;
use tokio::sync::watch;

use super::tasks::Stop;
use crate::{clock, store::History};

/// Longest time between two looks at what is due: what was not due when it was told is later.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes what is due whenever something new is published, until the stop; leaves the rest to [`flush`].
pub(crate) async fn write(
    history: Arc<History>,
    mut snapshot: watch::Receiver<Arc<Snapshot>>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            Ok(()) = snapshot.changed() => {}
            () = tokio::time::sleep(PAUSE) => {}
            () = stop.said() => return Ok(()),
        }
        let history = Arc::clone(&history);
        tokio::task::spawn_blocking(move || history.tick(clock::moment().wall())).await?;
    }
}

/// Writes everything down, at the end. Blocking.
pub(crate) fn flush(history: &History) {
    history.flush(clock::moment().wall());
}
