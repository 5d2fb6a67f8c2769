//! Reads the kernel's rows, for whoever asks: a scrape, a drain, and now and then for the baselines and the names of new
//! services. One reader, so that what is read and what is emptied come to the engine in their order. It waits for no survey.

use std::time::Duration;

use finwatch_common::ServiceKey;
use finwatch_engine::{input::Reading, model::ServiceState, timing};
use tokio::sync::{mpsc, oneshot};

use super::{
    message::{Asker, For, Message},
    tasks::Stop,
};
use crate::{
    metrics::{ProbeFigures, Scrape},
    probe::{LossCounters, Rows, Stats},
};

/// What is asked of this task.
pub(crate) enum Request {
    /// Everything that a scrape shows.
    Scrape(oneshot::Sender<Box<Scrape>>),
    /// What services do now.
    Services(oneshot::Sender<Vec<ServiceState>>),
    /// The rows of some services.
    Some(Vec<ServiceKey>),
    /// It is time for a reading.
    Read,
    /// It is time to empty the rows.
    Empty,
}

/// What the rows are read from: the probe, or a recording of one.
pub trait RowSource: Send + 'static {
    /// Every live row. Blocking.
    ///
    /// # Errors
    /// When a map cannot be read.
    fn live(&self) -> anyhow::Result<Reading>;

    /// The live rows of some services, in every phase. Blocking.
    ///
    /// # Errors
    /// When a map cannot be read.
    fn some(&self, services: &[ServiceKey]) -> anyhow::Result<Reading>;

    /// Empties the rows and returns what they held. Blocking.
    ///
    /// # Errors
    /// When a map cannot be read or emptied.
    fn rotate(&mut self) -> anyhow::Result<Reading>;

    /// The probe's figures about itself. Blocking.
    fn figures(&self) -> ProbeFigures;
}

/// The probe's rows, and its figures about itself.
pub struct LiveRows {
    /// The rows.
    pub rows: Rows,
    /// How the programs are.
    pub stats: Stats,
    /// What was lost.
    pub losses: LossCounters,
}

impl RowSource for LiveRows {
    fn live(&self) -> anyhow::Result<Reading> {
        self.rows.live()
    }

    fn some(&self, services: &[ServiceKey]) -> anyhow::Result<Reading> {
        Ok(self.rows.some(services))
    }

    fn rotate(&mut self) -> anyhow::Result<Reading> {
        self.rows.rotate()
    }

    fn figures(&self) -> ProbeFigures {
        ProbeFigures {
            programs: self.stats.programs(),
            maps: self.stats.maps(&self.rows),
            losses: self.losses.read(),
        }
    }
}

/// Reads what is asked for until nobody asks any more. Blocking: on a thread of its own.
///
/// # Errors
/// When the rows could not be taken over: their counts may be lost, and going on would show wrong numbers.
pub(crate) fn serve(
    mut source: impl RowSource,
    mut requests: mpsc::UnboundedReceiver<Request>,
    engine: &Asker,
) -> anyhow::Result<()> {
    while let Some(request) = requests.blocking_recv() {
        let message = match request {
            Request::Scrape(reply) => {
                let probe = Box::new(source.figures());
                live(&source, Some(For::Scrape { probe, reply }))
            }
            Request::Services(reply) => live(&source, Some(For::Services(reply))),
            Request::Read => live(&source, None),
            Request::Some(services) => match source.some(&services) {
                Ok(reading) => Message::Some { services, reading },
                Err(error) => failed(&error, None),
            },
            Request::Empty => Message::Emptied(source.rotate()?),
        };
        if engine.say(message).is_err() {
            break;
        }
    }
    Ok(())
}

fn live(source: &impl RowSource, to: Option<For>) -> Message {
    match source.live() {
        Ok(reading) => Message::Live { reading, to },
        Err(error) => failed(&error, to),
    }
}

fn failed(error: &anyhow::Error, to: Option<For>) -> Message {
    tracing::error!(error = format!("{error:#}"), "cannot read the counters");
    Message::CountersFailed { to }
}

/// Says when it is time for a reading, and when the rows are to be emptied, until the stop.
pub(crate) async fn keep_time(
    rows: mpsc::UnboundedSender<Request>,
    interval: Duration,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut readings = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.said() => return Ok(()),
        }
        readings += 1;
        // A reader that is gone has failed, and the daemon ends for that.
        if readings % timing::READINGS_PER_ROTATION == 0 {
            let _gone = rows.send(Request::Empty);
            // What a view or an answer took at its largest must not be held for good.
            super::return_memory();
        }
        let _gone = rows.send(Request::Read);
    }
}
