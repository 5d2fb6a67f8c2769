//! What the read API and the scrapes are answered with: the last snapshot, the history, and for what changes all the time
//! a question to the tasks that know it.

use std::{ops::ControlFlow, sync::Arc};

use finwatch_engine::{
    Snapshot,
    model::{Drain, Incident, RecentCloses, Rollout, ServiceState},
};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::{message::Message, rows::Request};
use crate::{
    http::Story,
    metrics::{Scrape, Source},
    store::History,
};

/// See the module.
pub struct LiveStory {
    pub(super) engine: mpsc::Sender<Message>,
    pub(super) rows: mpsc::UnboundedSender<Request>,
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
    pub(super) history: Arc<History>,
    /// When this daemon began to watch.
    pub(super) since: Timestamp,
}

/// Reads the kernel at each scrape.
#[derive(Debug)]
pub struct LiveSource {
    pub(super) rows: mpsc::UnboundedSender<Request>,
}

impl LiveStory {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }
}

impl Story for LiveStory {
    fn services(&self) -> Vec<ServiceState> {
        let (reply, answer) = oneshot::channel();
        // Nobody answers when the daemon ends.
        let _gone = self.rows.send(Request::Services(reply));
        answer.blocking_recv().unwrap_or_default()
    }

    fn drains(&self, visit: &mut dyn FnMut(Drain) -> ControlFlow<()>) {
        for drain in &self.snapshot().drains {
            if visit(Drain::clone(drain)).is_break() {
                return;
            }
        }
        self.history.drains(visit);
    }

    fn rollouts(&self, visit: &mut dyn FnMut(Rollout) -> ControlFlow<()>) {
        for rollout in &self.snapshot().rollouts {
            if visit(Rollout::clone(rollout)).is_break() {
                return;
            }
        }
        self.history.rollouts(visit);
    }

    fn incidents(&self, visit: &mut dyn FnMut(Incident) -> ControlFlow<()>) {
        for incident in &self.snapshot().incidents {
            if visit(Incident::clone(incident)).is_break() {
                return;
            }
        }
        self.history.incidents(visit);
    }

    fn watches_since(&self) -> Timestamp {
        self.since
    }

    fn closes(&self) -> RecentCloses {
        let (reply, answer) = oneshot::channel();
        let _gone = self.engine.blocking_send(Message::Closes(reply));
        answer.blocking_recv().unwrap_or_default()
    }
}

impl Source for LiveSource {
    fn scrape(&self) -> Option<Box<Scrape>> {
        let (reply, answer) = oneshot::channel();
        self.rows.send(Request::Scrape(reply)).ok()?;
        answer.blocking_recv().ok()
    }
}
