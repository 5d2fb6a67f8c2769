//! Takes records from the ring buffer and hands them on: to the books, which count them and note listeners, and to the
//! chronicle. The counters are the truth and need none of them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{SharedProbe, tasks::Stop};
use crate::{
    accounts::{Accounts, Kernel},
    chronicle::Chronicle,
};
use finwatch_engine::input::Record;

/// Longest sleep between two looks at the ring: the gaps between listeners are told with no more delay.
const SLEEP: Duration = Duration::from_millis(500);
/// The same while something drains: what a drain is made of must not wait.
const SHORT_SLEEP: Duration = Duration::from_millis(25);
/// Most records at a time, at about 300 bytes each; between two such times others get their turn.
const BATCH: usize = 1_024;

/// Reads until the stop, and then what is there. Who waits for `read_out` goes on when nothing more is handed on.
pub(crate) async fn read_records<K: Kernel>(
    probe: SharedProbe,
    accounts: Arc<Accounts<K>>,
    chronicle: Arc<Chronicle<K>>,
    read_out: oneshot::Sender<()>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut records = Vec::with_capacity(BATCH);
    let mut last = false;
    while !last {
        tokio::select! {
            () = ready(&probe, &chronicle) => {}
            () = stop.said() => last = true,
        }
        loop {
            records.clear();
            let taken = probe
                .write()
                .await
                .drain(BATCH, |record| records.push(record));
            if records.is_empty() {
                break;
            }
            let (accounts, chronicle) = (Arc::clone(&accounts), Arc::clone(&chronicle));
            records = tokio::task::spawn_blocking(move || {
                hand_on(&records, &accounts, &chronicle);
                records
            })
            .await?;
            if taken < BATCH {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    // Nobody waits when the storyteller has failed.
    let _unheard = read_out.send(());
    Ok(())
}

fn hand_on<K: Kernel>(records: &[Record], accounts: &Accounts<K>, chronicle: &Chronicle<K>) {
    let tallies = &accounts.records;
    let mut listeners = Vec::new();
    for record in records {
        let tally = match record {
            Record::Close(_) => &tallies.closes,
            Record::Reset(_) => &tallies.resets,
            Record::Listener(listener) => {
                listeners.push(*listener);
                &tallies.listeners
            }
            Record::Signal(_) => &tallies.signals,
            Record::Exit(_) => &tallies.exits,
            Record::Unread(_) => &tallies.unread,
        };
        tally.fetch_add(1, Ordering::Relaxed);
    }
    if !listeners.is_empty() {
        accounts.listeners(&listeners);
    }
    chronicle.take(records);
}

async fn ready<K: Kernel>(probe: &SharedProbe, chronicle: &Chronicle<K>) {
    let sleep = if chronicle.is_busy() {
        SHORT_SLEEP
    } else {
        SLEEP
    };
    probe.read().await.ready(sleep).await;
}
