//! Takes records from the ring buffer. The counters are the truth and need none of them, so as little as possible
//! is done for each: it is counted, and a listener's coming or going is passed on.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{SharedProbe, tasks::Stop};
use crate::{
    accounts::{Accounts, Kernel},
    probe::Record,
};

/// Longest sleep between two looks at the ring: the gaps between listeners are told with no more delay.
const SLEEP: Duration = Duration::from_millis(500);
/// Most records at a time; between two such times others get their turn.
const BATCH: usize = 4_096;

/// Reads until the stop.
pub(crate) async fn read_records<K: Kernel>(
    probe: SharedProbe,
    accounts: Arc<Accounts<K>>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = ready(&probe) => {}
            () = stop.said() => return Ok(()),
        }
        loop {
            let (mut closes, mut resets, mut listeners) = (0, 0, Vec::new());
            let taken = probe.write().await.drain(BATCH, |record| match record {
                Record::Close(_) => closes += 1,
                Record::Reset(_) => resets += 1,
                Record::Listener(record) => listeners.push(record),
                Record::Signal(_) | Record::Exit(_) => {}
            });
            let tallies = &accounts.records;
            tallies.closes.fetch_add(closes, Ordering::Relaxed);
            tallies.resets.fetch_add(resets, Ordering::Relaxed);
            tallies
                .listeners
                .fetch_add(listeners.len() as u64, Ordering::Relaxed);
            if !listeners.is_empty() {
                let accounts = Arc::clone(&accounts);
                tokio::task::spawn_blocking(move || accounts.listeners(&listeners)).await?;
            }
            if taken < BATCH {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

async fn ready(probe: &SharedProbe) {
    probe.read().await.ready(SLEEP).await;
}
