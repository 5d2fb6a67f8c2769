//! Looks at the counters now and then: new services get their names while their owners live, baselines are kept, and
//! the kernel's rows are taken over and emptied before short-lived services fill its maps.

use std::{sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;

use super::tasks::Stop;
use crate::{
    accounts::{Accounts, Kernel},
    chronicle::Chronicle,
};

/// Between two looks.
const OBSERVE: Duration = Duration::from_secs(5);
/// Looks between two rotations: one a minute.
const LOOKS_PER_ROTATION: u32 = 12;

/// Keeps the books until the stop.
pub(crate) async fn keep_books<K: Kernel>(
    accounts: Arc<Accounts<K>>,
    chronicle: Arc<Chronicle<K>>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(OBSERVE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.said() => return Ok(()),
        }
        looks += 1;
        let (accounts, chronicle) = (Arc::clone(&accounts), Arc::clone(&chronicle));
        let rotate = looks % LOOKS_PER_ROTATION == 0;
        tokio::task::spawn_blocking(move || {
            accounts.refresh();
            if rotate {
                accounts.rotate()?;
            }
            chronicle.sample();
            if rotate {
                // What a view or an answer took at its largest must not be held for good.
                super::return_memory();
            }
            anyhow::Ok(())
        })
        .await??;
    }
}
