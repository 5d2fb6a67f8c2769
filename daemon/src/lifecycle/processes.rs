//! Reads the kernel's table of processes, and adds to it who belongs to an instance although no program saw it.

use std::collections::HashMap;

use finwatch_common::{Process, ProcessEntry};
use tokio::sync::mpsc;

use super::message::{Asker, Message};
use crate::{families, probe::Processes};

/// What is asked of this task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// The whole table.
    Table,
    /// The processes around an instance.
    Relatives(Process),
}

/// Serves until nobody asks any more. Blocking: on a thread of its own.
pub(crate) fn serve(
    mut processes: Processes,
    mut requests: mpsc::UnboundedReceiver<Request>,
    engine: &Asker,
) {
    let mut sockets = families::Sockets::default();
    let mut waiting = Vec::new();
    while requests.blocking_recv_many(&mut waiting, usize::MAX) > 0 {
        // Once for each instance, however often it was asked for meanwhile; in that order, as one process may be found for two.
        let mut relatives = Vec::new();
        for request in &waiting {
            if let Request::Relatives(instance) = request
                && !relatives.contains(instance)
            {
                relatives.push(*instance);
            }
        }
        if !relatives.is_empty() {
            find_relatives(&mut processes, &relatives, &mut sockets);
        }
        if waiting.contains(&Request::Table)
            && engine.say(Message::Processes(processes.table())).is_err()
        {
            return;
        }
        waiting.clear();
    }
}

fn find_relatives(
    processes: &mut Processes,
    instances: &[Process],
    sockets: &mut families::Sockets,
) {
    match families::scan(instances, sockets) {
        Ok(found) => {
            // An owner that the programs know by its exact start time is not overwritten.
            let distinct: HashMap<u32, ProcessEntry> = found.into_iter().collect();
            for (tgid, entry) in distinct {
                processes.adopt(tgid, entry);
            }
        }
        Err(error) => {
            tracing::warn!(%error, "cannot look for the processes around a listener: a stop that is sent to its parent is not seen");
        }
    }
}
