//! Keeps the chronicle going: hands it deploy events, and lets it look while something drains.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use finwatch_common::{Process, ProcessEntry, SurveyRow, survey_kind};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{SharedProbe, tasks::Stop};
use crate::{
    accounts::Kernel,
    chronicle::{Chronicle, Look, Scene},
    clock, families,
    netns::{Namespace, Namespaces},
};
use finwatch_engine::model::DeployEvent;

/// Between two looks while something drains.
const BUSY: Duration = Duration::from_millis(100);
/// Between two looks else: rollouts end by the clock too.
const IDLE: Duration = Duration::from_secs(1);

/// Works until the stop, and then until all records are told (`read_out`).
pub(crate) async fn tell_stories<K: Kernel>(
    chronicle: Arc<Chronicle<K>>,
    probe: SharedProbe,
    mut deploys: mpsc::Receiver<DeployEvent>,
    read_out: oneshot::Receiver<()>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut pause = IDLE;
    let mut announced = true;
    let sockets = Arc::default();
    let mut writing: Option<JoinHandle<()>> = None;
    loop {
        tokio::select! {
            () = chronicle.attention() => {}
            () = tokio::time::sleep(pause) => {}
            event = deploys.recv(), if announced => match event {
                Some(event) => {
                    tracing::info!(
                        id = event.id,
                        source = event.source.as_str(),
                        workload = event.workload.name,
                        "deploy event"
                    );
                    chronicle.event(event);
                }
                // The intake is gone: the daemon stops.
                None => announced = false,
            },
            () = stop.said() => break,
        }
        let working = Arc::clone(&chronicle);
        let scene = LiveScene {
            probe: Arc::clone(&probe),
            sockets: Arc::clone(&sockets),
        };
        let busy = tokio::task::spawn_blocking(move || working.work(&scene)).await?;
        pause = if busy { BUSY } else { IDLE };
        // A slow disk must not keep anybody from looking: what a look is too late for is gone.
        if writing.as_ref().is_none_or(JoinHandle::is_finished) {
            if let Some(written) = writing.take() {
                written.await?;
            }
            let working = Arc::clone(&chronicle);
            writing = Some(tokio::task::spawn_blocking(move || working.write_down()));
        }
    }
    // A reader that failed has nothing more to tell either.
    let _told = read_out.await;
    tokio::task::spawn_blocking(move || chronicle.close()).await?;
    Ok(())
}

/// The probe, as the chronicle sees it.
struct LiveScene {
    probe: SharedProbe,
    sockets: Arc<Mutex<families::Sockets>>,
}

impl Scene for LiveScene {
    fn look(&self, netns: u64) -> anyhow::Result<Look> {
        // A namespace is found anew for each look: to hold it open would keep it alive when its last process is
        // gone, and that is what is being watched.
        let namespaces = Namespaces::scan().context("cannot look for network namespaces")?;
        let namespace = namespaces
            .found
            .iter()
            .find(|found| found.cookie == netns)
            .context("the network namespace is gone")?;
        self.look_into(namespace)
    }

    fn processes(&self) -> Vec<(u32, ProcessEntry)> {
        self.probe.blocking_read().processes()
    }

    fn end_phase(&self, instance: Process) {
        self.probe.blocking_read().end_phase(instance);
    }

    fn find_families(&self, instances: &[Process]) {
        let scanned = {
            // A panic under the lock leaves at worst a socket that is not remembered.
            let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
            families::scan(instances, &mut sockets)
        };
        match scanned {
            Ok(found) => {
                let probe = self.probe.blocking_read();
                // An owner that the programs know by its exact start time is not overwritten.
                let distinct: HashMap<u32, ProcessEntry> = found.into_iter().collect();
                for (tgid, entry) in distinct {
                    probe.adopt_process(tgid, entry);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for the processes around a listener: a stop that is sent to its parent is not seen");
            }
        }
    }

    fn records_lost(&self) -> u64 {
        let losses = self.probe.blocking_read().losses();
        losses.ring_full.iter().sum::<u64>() + losses.malformed + losses.processes_full
    }
}

impl LiveScene {
    fn look_into(&self, namespace: &Namespace) -> anyhow::Result<Look> {
        let began_ns = clock::monotonic_ns();
        let probe = self.probe.blocking_read();
        let rows = probe.survey(namespace.as_fd())?;
        let minis = probe.survey_time_wait(namespace.as_fd())?;
        Ok(Look {
            began_ns,
            rows,
            minis: minis.into_iter().filter(is_half_closed).collect(),
        })
    }
}

/// Its peer may still send a request.
fn is_half_closed(mini: &SurveyRow) -> bool {
    mini.kind == survey_kind::FIN_WAIT2
}
