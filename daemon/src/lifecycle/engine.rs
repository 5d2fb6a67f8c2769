//! The one task that owns the engine: takes what the others say, hands on what the engine wants, and publishes what it
//! tells. It waits for nobody: whoever answers a want does so with another message.

use std::{collections::BTreeMap, sync::Arc};

use finwatch_engine::{
    Change, Engine, Snapshot, Want,
    input::{Counters, Input, Reading, Survey},
    services::View,
};
use tokio::sync::{mpsc, watch};

use super::{
    message::{For, Message},
    names, processes, rows, survey,
};
use crate::{
    attribution::AttributionStats,
    clock,
    deploy::Tallies,
    metrics::{ProbeFigures, Scrape},
    probe::{Closes, Phases},
    store::History,
};

/// Most messages that wait; whoever has more to say waits as well. At most 16 batches of records, of 5 MiB together.
pub(crate) const QUEUE: usize = 16;
/// Most readings that wait for the names of services that they showed first.
const WAITING_MAX: usize = 4;
/// Longest such wait, nanoseconds on the kernel's clock.
const WAIT_NS: u64 = 200_000_000;

/// Where wants go.
pub(crate) struct Wants {
    /// The table of phases: to end one is a system call or two.
    pub(crate) phases: Option<Phases>,
    /// Which closes are told: a system call.
    pub(crate) closes: Option<Closes>,
    pub(crate) rows: mpsc::UnboundedSender<rows::Request>,
    pub(crate) survey: mpsc::UnboundedSender<survey::Request>,
    pub(crate) processes: mpsc::UnboundedSender<processes::Request>,
    pub(crate) names: mpsc::UnboundedSender<names::Request>,
}

/// See the module.
pub(crate) struct EngineTask {
    pub(crate) engine: Engine,
    pub(crate) messages: mpsc::Receiver<Message>,
    pub(crate) wants: Wants,
    pub(crate) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(crate) history: Arc<History>,
    pub(crate) attribution: watch::Receiver<AttributionStats>,
    pub(crate) deploys: Arc<Tallies>,
    waiting: Vec<Waiting>,
}

/// A reading that showed services whose names are being looked up: who asked would rather see them.
struct Waiting {
    reading: Reading,
    to: For,
    until_ns: u64,
}

// === impl EngineTask ===

impl EngineTask {
    pub(crate) fn new(
        engine: Engine,
        messages: mpsc::Receiver<Message>,
        wants: Wants,
        snapshot: watch::Sender<Arc<Snapshot>>,
        history: Arc<History>,
        attribution: watch::Receiver<AttributionStats>,
        deploys: Arc<Tallies>,
    ) -> Self {
        Self {
            engine,
            messages,
            wants,
            snapshot,
            history,
            attribution,
            deploys,
            waiting: Vec::new(),
        }
    }

    /// Runs until no record comes any more. Blocking: on a thread of its own.
    pub(crate) fn run(mut self) {
        while let Some(message) = self.messages.blocking_recv() {
            let end = matches!(message, Message::End);
            self.take(message);
            if self.engine.is_urgent() || end {
                self.tell(Input::Tick);
            }
            self.hand_on();
            if end {
                return;
            }
        }
    }

    fn tell(&mut self, input: Input<'_>) -> Option<View> {
        self.engine.take(clock::moment(), input)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Records { records, lost } => {
                self.tell(Input::Lost { total: lost });
                self.tell(Input::Records(&records));
            }
            Message::Live { reading, to } => self.take_live(reading, to),
            Message::Emptied(reading) => {
                self.tell(Input::Counters(Counters::Emptied(&reading)));
            }
            Message::Some { services, reading } => {
                self.tell(Input::Counters(Counters::Some {
                    services: &services,
                    reading: &reading,
                }));
            }
            Message::CountersFailed { to } => {
                self.tell(Input::Counters(Counters::Failed));
                if let Some(to) = to {
                    // A gap in a graph tells the truth, a repeated value would not.
                    self.answer(to, View::default());
                }
            }
            Message::Survey {
                netns,
                began_ns,
                rows,
                minis,
                mini_sockets,
            } => {
                self.tell(Input::Survey(Survey {
                    netns,
                    began_ns,
                    rows: &rows,
                    minis: minis.as_deref(),
                    mini_sockets,
                }));
            }
            Message::SurveyFailed { netns } => {
                self.tell(Input::SurveyFailed { netns });
            }
            Message::MiniSockets { netns, rows } => {
                self.tell(Input::MiniSockets { netns, rows: &rows });
            }
            Message::Namespaces { alive, refused } => {
                self.tell(Input::Namespaces {
                    alive: &alive,
                    refused,
                });
            }
            Message::Processes(table) => {
                self.tell(Input::Processes(&table));
            }
            Message::Names(names) => {
                self.tell(Input::Names(&names));
                self.answer_waiting();
            }
            Message::Elsewhere(services) => {
                self.tell(Input::Elsewhere(&services));
                self.answer_waiting();
            }
            Message::Deploy(event) => {
                tracing::info!(
                    id = event.id,
                    source = event.source.as_str(),
                    workload = event.workload.name,
                    "deploy event"
                );
                self.tell(Input::Deploy(&event));
            }
            Message::Tick => {
                self.tell(Input::Tick);
                self.answer_waiting();
            }
            Message::Closes(reply) => {
                let closes = self.engine.closes(clock::moment());
                // All are told by the time that this is read.
                self.hand_on();
                // Who asked may have left.
                let _unheard = reply.send(closes);
            }
            Message::End => {}
        }
    }

    fn take_live(&mut self, reading: Reading, to: Option<For>) {
        let view = self.tell(Input::Counters(Counters::Live(&reading)));
        let Some(to) = to else {
            return;
        };
        let now_ns = clock::monotonic_ns();
        if self
            .engine
            .names_asked_since(now_ns.saturating_sub(WAIT_NS))
            && self.waiting.len() < WAITING_MAX
        {
            let until_ns = now_ns.saturating_add(WAIT_NS);
            self.waiting.push(Waiting {
                reading,
                to,
                until_ns,
            });
            return;
        }
        self.answer(to, view.unwrap_or_default());
    }

    /// Answers who waited for names, when there is none to wait for any more.
    fn answer_waiting(&mut self) {
        let now_ns = clock::monotonic_ns();
        let pending = self
            .engine
            .names_asked_since(now_ns.saturating_sub(WAIT_NS));
        let over: Vec<Waiting> = self
            .waiting
            .extract_if(.., |waiting| !pending || now_ns >= waiting.until_ns)
            .collect();
        for Waiting { reading, to, .. } in over {
            let view = self.tell(Input::Counters(Counters::Live(&reading)));
            self.answer(to, view.unwrap_or_default());
        }
    }

    fn answer(&mut self, to: For, view: View) {
        // Who asked may have left.
        match to {
            For::Scrape { probe, reply } => {
                let _unheard = reply.send(Box::new(self.scrape(view, *probe)));
            }
            For::Services(reply) => {
                let _unheard = reply.send(self.engine.states(&view));
            }
        }
    }

    fn scrape(&mut self, view: View, probe: ProbeFigures) -> Scrape {
        let reasons = view.series.iter().flat_map(|series| series.resets.keys());
        let reset_reasons: BTreeMap<u8, String> = reasons
            .map(|reset| (reset.reason, self.engine.reasons().name(reset.reason)))
            .collect();
        Scrape {
            view,
            reset_reasons,
            probe,
            attribution: *self.attribution.borrow(),
            engine: self.engine.figures(),
            story: Arc::clone(&self.engine.snapshot().figures),
            deploy_events: self.deploys.each().collect(),
        }
    }

    /// Hands on what the engine wants, and publishes what it tells.
    fn hand_on(&mut self) {
        let (mut services, mut unnamed) = (Vec::new(), Vec::new());
        // Who is gone has failed, and the daemon ends for that.
        for want in self.engine.wants() {
            match want {
                Want::EndPhase { instance, heard_ns } => {
                    if let Some(phases) = &mut self.wants.phases {
                        phases.end(instance, heard_ns);
                    }
                }
                Want::Closes { all } => {
                    if let Some(closes) = &mut self.wants.closes {
                        closes.tell_all(all);
                    }
                }
                Want::Survey { netns } => {
                    let _gone = self.wants.survey.send(survey::Request::Survey { netns });
                }
                Want::MiniSockets { netns } => {
                    let _gone = self
                        .wants
                        .survey
                        .send(survey::Request::MiniSockets { netns });
                }
                Want::Counters { service } => services.push(service),
                Want::Processes => {
                    let _gone = self.wants.processes.send(processes::Request::Table);
                }
                Want::Relatives { instance } => {
                    let _gone = self
                        .wants
                        .processes
                        .send(processes::Request::Relatives(instance));
                }
                Want::Name { service } => unnamed.push(service),
            }
        }
        if !services.is_empty() {
            let _gone = self.wants.rows.send(rows::Request::Some(services));
        }
        if !unnamed.is_empty() {
            let _gone = self.wants.names.send(names::Request::Services(unnamed));
        }
        self.keep();
        let snapshot = self.engine.snapshot();
        self.snapshot.send_if_modified(|published| {
            let news = !Arc::ptr_eq(published, &snapshot);
            *published = snapshot;
            news
        });
    }

    fn keep(&mut self) {
        let changes = self.engine.changes();
        if changes.is_empty() {
            return;
        }
        let now = clock::moment().wall();
        for change in changes {
            match change {
                Change::Drain(drain) => {
                    if drain.ended_at.is_some() {
                        tracing::info!(
                            drain = drain.id,
                            service = %drain.service,
                            kind = drain.kind.as_str(),
                            verdict = drain.verdict.as_str(),
                            cut = drain.counts.cut.total(),
                            "drain ended"
                        );
                    }
                    self.history.keep_drain(drain, now);
                }
                Change::Rollout(rollout) => {
                    if rollout.ended_at.is_some() {
                        tracing::info!(
                            rollout = rollout.id,
                            verdict = rollout.verdict.as_str(),
                            "rollout ended"
                        );
                    }
                    self.history.keep_rollout(rollout, now);
                }
                Change::Incident(incident) => {
                    if incident.is_over() {
                        tracing::info!(
                            incident = incident.id,
                            service = %incident.service,
                            cause = incident.cause.as_str(),
                            lost = incident.lost(),
                            "incident ended"
                        );
                    }
                    self.history.keep_incident(incident, now);
                }
                Change::RolloutReplaced(id) => self.history.forget_rollout(&id),
            }
        }
    }
}
