//! Finds out whose services are, and takes in new cgroups while their names can still be told.

use finwatch_common::ServiceKey;
use finwatch_engine::timing;
use tokio::sync::{mpsc, watch};

use super::{
    message::{Asker, Message},
    tasks::Stop,
};
use crate::attribution::{Attribution, AttributionStats};

/// Answers until nobody asks any more. Blocking: on a thread of its own.
pub(crate) fn serve(
    mut attribution: Attribution,
    mut requests: mpsc::UnboundedReceiver<Vec<ServiceKey>>,
    engine: &Asker,
    stats: &watch::Sender<AttributionStats>,
) {
    while let Some(services) = requests.blocking_recv() {
        attribution.refresh();
        let names: Vec<_> = services
            .into_iter()
            .map(|service| (service, attribution.named(&service)))
            .collect();
        stats.send_replace(attribution.stats());
        if !names.is_empty() && engine.say(Message::Names(names)).is_err() {
            return;
        }
    }
}

/// Lets new cgroups be taken in although nobody asks, until the stop.
pub(crate) async fn keep_time(
    names: mpsc::UnboundedSender<Vec<ServiceKey>>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = tokio::time::sleep(timing::ROWS_READ) => {}
            () = stop.said() => return Ok(()),
        }
        let _gone = names.send(Vec::new());
    }
}
