//! The tasks around the engine, started and wired: each owns the handle that it uses, says to the engine what it found, and
//! hears what the engine wants.

use std::{sync::Arc, time::Duration};

use finwatch_engine::{Engine, Snapshot, model::DeployEvent, timing};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use super::{
    engine::{EngineTask, QUEUE, Wants},
    history,
    message::{Asker, Message},
    names::Names,
    processes, ring,
    rows::{self, RowSource},
    story::{LiveSource, LiveStory},
    survey::{self, SurveySource, Surveyor},
    tasks::{Stop, Tasks},
};
use crate::{
    attribution::Attribution,
    clock,
    deploy::Tallies,
    kubernetes,
    probe::{Closes, LossCounters, Phases, Processes, Ring},
    store::History,
};

/// What the tasks work with: the probe's handles, or what stands in for them.
pub struct Sources<R, S> {
    /// The rows.
    pub rows: R,
    /// The sockets.
    pub survey: S,
    /// The records, and what is lost of them; none: nobody tells any.
    pub ring: Option<(Ring, LossCounters)>,
    /// The tables of processes and phases, and the switch of closes; none: nobody keeps them.
    pub tables: Option<(Processes, Phases, Closes)>,
    /// Whose services are.
    pub attribution: Attribution,
    /// The API server that is watched for pods; none: nobody is.
    pub pods: Option<kubernetes::Api>,
    /// Deploy events.
    pub deployed: mpsc::Receiver<DeployEvent>,
    /// How many of these came.
    pub tallies: Arc<Tallies>,
    /// Where drains and rollouts are kept.
    pub history: Arc<History>,
}

/// How often what is looked at without being asked.
#[derive(Debug, Clone, Copy)]
pub struct Intervals {
    /// All rows.
    pub rows: Duration,
    /// All sockets.
    pub survey: Duration,
}

/// How the running tasks are spoken to.
pub struct Around {
    engine: mpsc::Sender<Message>,
    rows: mpsc::UnboundedSender<rows::Request>,
    survey: mpsc::UnboundedSender<survey::Request>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    history: Arc<History>,
}

// === impl Around ===

impl Around {
    /// Starts them around the engine.
    pub fn start<R: RowSource, S: SurveySource>(
        tasks: &mut Tasks,
        engine: Engine,
        intervals: Intervals,
        sources: Sources<R, S>,
    ) -> Self {
        let Sources {
            rows: row_source,
            survey: survey_source,
            ring,
            tables,
            attribution,
            pods,
            deployed,
            tallies,
            history,
        } = sources;
        let (processes, kept) = tables
            .map(|(processes, phases, closes)| (processes, (phases, closes)))
            .unzip();
        let (phases, closes) = kept.unzip();
        let (to_engine, messages) = mpsc::channel(QUEUE);
        let (to_rows, row_requests) = mpsc::unbounded_channel();
        let (to_survey, survey_requests) = mpsc::unbounded_channel();
        let (to_processes, process_requests) = mpsc::unbounded_channel();
        let (to_names, name_requests) = mpsc::unbounded_channel();
        let (publish, snapshot) = watch::channel(Arc::default());
        let names = Names {
            attribution,
            pods,
            requests: name_requests,
            to: to_names.clone(),
        };
        let attribution_figures = names.start(tasks, &Asker::new(&to_engine));

        let wants = Wants {
            phases,
            closes,
            rows: to_rows.clone(),
            survey: to_survey.clone(),
            processes: to_processes,
            names: to_names,
        };
        let engine = EngineTask::new(
            engine,
            messages,
            wants,
            publish,
            Arc::clone(&history),
            attribution_figures,
            tallies,
        );
        tasks.spawn_blocking("engine", move || {
            engine.run();
            Ok(())
        });
        let to = Asker::new(&to_engine);
        tasks.spawn_blocking("rows", move || rows::serve(row_source, row_requests, &to));
        let surveyor = Surveyor::new(survey_source, survey_requests, Asker::new(&to_engine));
        tasks.spawn_blocking("survey", move || {
            surveyor.run();
            Ok(())
        });
        if let Some(processes) = processes {
            let to = Asker::new(&to_engine);
            tasks.spawn_blocking("processes", move || {
                processes::serve(processes, process_requests, &to);
                Ok(())
            });
        }
        let (to, stop) = (to_engine.clone(), tasks.stop_word());
        match ring {
            Some((ring, losses)) => tasks.spawn(
                "ring",
                ring::read_records(ring, losses, to, snapshot.clone(), stop),
            ),
            None => tasks.spawn("ring", ring::end(to, stop)),
        }
        tasks.spawn(
            "ticks",
            keep_time(to_engine.clone(), snapshot.clone(), tasks.stop_word()),
        );
        tasks.spawn(
            "deployed",
            hand_on(deployed, to_engine.clone(), tasks.stop_word()),
        );
        tasks.spawn(
            "history",
            history::write(Arc::clone(&history), snapshot.clone(), tasks.stop_word()),
        );
        tasks.spawn(
            "reading times",
            rows::keep_time(to_rows.clone(), intervals.rows, tasks.stop_word()),
        );
        tasks.spawn(
            "survey times",
            survey::keep_time(to_survey.clone(), intervals.survey, tasks.stop_word()),
        );
        Self {
            engine: to_engine,
            rows: to_rows,
            survey: to_survey,
            snapshot,
            history,
        }
    }

    /// What scrapes are told by.
    pub fn source(&self) -> LiveSource {
        LiveSource {
            rows: self.rows.clone(),
        }
    }

    /// What the read API is told by.
    pub fn story(&self) -> LiveStory {
        LiveStory {
            engine: self.engine.clone(),
            rows: self.rows.clone(),
            snapshot: self.snapshot.clone(),
            history: Arc::clone(&self.history),
            since: clock::moment().wall(),
        }
    }

    /// Looks at everything once: who listens, and whose that is.
    pub async fn first_look(&self) {
        let (reply, surveyed) = oneshot::channel();
        let _gone = self.survey.send(survey::Request::Round(reply));
        let _cost = surveyed.await;
        // It is answered when the services that were seen first have their names.
        let (reply, named) = oneshot::channel();
        let _gone = self.rows.send(rows::Request::Services(reply));
        let _services = named.await;
    }

    /// Lets all sockets be surveyed now, and not when it is time.
    pub fn survey(&self) {
        let (reply, _nobody_waits) = oneshot::channel();
        let _gone = self.survey.send(survey::Request::Round(reply));
    }

    /// Lets the rows be emptied now, and not when it is time.
    pub fn empty_rows(&self) {
        let _gone = self.rows.send(rows::Request::Empty);
    }

    /// The history alone: whoever keeps more keeps the tasks from ending.
    pub fn into_history(self) -> Arc<History> {
        self.history
    }
}

/// Says to the engine that time passes: often while something drains.
async fn keep_time(
    engine: mpsc::Sender<Message>,
    mut snapshot: watch::Receiver<Arc<Snapshot>>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    let mut last = Instant::now();
    loop {
        let pause = if snapshot.borrow_and_update().busy {
            timing::TICK_BUSY
        } else {
            timing::TICK_IDLE
        };
        tokio::select! {
            () = sleep_until(last + pause) => {}
            // Busy or not busy any more: the time of the next tick is another.
            Ok(()) = snapshot.changed() => continue,
            () = stop.said() => return Ok(()),
        }
        last = Instant::now();
        let _gone = engine.send(Message::Tick).await;
    }
}

/// Hands deploy events on, until the stop.
async fn hand_on(
    mut deployed: mpsc::Receiver<DeployEvent>,
    engine: mpsc::Sender<Message>,
    mut stop: Stop,
) -> anyhow::Result<()> {
    loop {
        let event = tokio::select! {
            event = deployed.recv() => event,
            () = stop.said() => return Ok(()),
        };
        match event {
            Some(event) => {
                let _gone = engine.send(Message::Deploy(Box::new(event))).await;
            }
            // The intake is gone: the daemon stops.
            None => {
                stop.said().await;
                return Ok(());
            }
        }
    }
}
