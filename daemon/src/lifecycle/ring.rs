//! Takes records from the ring buffer and says them to the engine. The counters are the truth and need none of them. It waits
//! for nobody but the engine.

use std::sync::Arc;

use finwatch_engine::{Snapshot, timing};
use tokio::sync::{mpsc, watch};

use super::{message::Message, tasks::Stop};
use crate::probe::{LossCounters, Ring};

/// Most records at a time, at about 300 bytes each; between two such times others get their turn.
const BATCH: usize = 1_024;

/// Reads until the stop, and then what is there.
pub(crate) async fn read_records(
    mut ring: Ring,
    losses: LossCounters,
    engine: mpsc::Sender<Message>,
    mut snapshot: watch::Receiver<Arc<Snapshot>>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut last = false;
    let mut lost = 0;
    while !last {
        let sleep = if snapshot.borrow_and_update().busy {
            timing::RING_BUSY
        } else {
            timing::RING_IDLE
        };
        tokio::select! {
            () = ring.ready(sleep) => {}
            // What was read a moment ago may have begun a drain: it must not sleep as if nothing had.
            Ok(()) = snapshot.changed() => {}
            () = stop.said() => last = true,
        }
        loop {
            let mut records = Vec::new();
            let taken = ring.drain(BATCH, |record| records.push(record));
            let lost_by_now = losses.read().records();
            if records.is_empty() && lost_by_now == lost {
                break;
            }
            lost = lost_by_now;
            // Without an engine nobody listens: that task has failed, and the daemon ends for that.
            let _gone = engine.send(Message::Records { records, lost }).await;
            if taken < BATCH {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let _gone = engine.send(Message::End).await;
    Ok(())
}

/// Where there is no ring: says at the stop that no record comes.
pub(crate) async fn end(engine: mpsc::Sender<Message>, mut stop: Stop) -> anyhow::Result<()> {
    stop.said().await;
    let _gone = engine.send(Message::End).await;
    Ok(())
}
