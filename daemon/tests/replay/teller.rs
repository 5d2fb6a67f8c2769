//! Tells the story of a run from its inputs alone, with the engine that tells it in the daemon. Names and clocks come from
//! the recording's head. The kernel tier feeds it while it records, the replay tier from the file, and both must be told
//! the same.

use std::{collections::BTreeMap, time::Duration};

use finwatch_common::ServiceKey;
use finwatch_engine::{
    Change, Clocks, Engine, Moment, Options, Reasons, Remembered, Want,
    diagnoses::JudgeOptions,
    input::{Counters, Input as EngineInput, Reading, Survey},
    model::{Drain, Incident, Rollout, RolloutState, Workload, WorkloadKind},
    rollouts::CorrelatorOptions,
    services::{Filter, Limits},
};
use serde::Serialize;

use super::recording::{Head, Input, Recording, What};

/// See the module.
pub(crate) struct Teller {
    pub(crate) head: Head,
    engine: Engine,
    ended: Vec<Drain>,
    incidents: BTreeMap<String, Incident>,
    rollouts: BTreeMap<String, Rollout>,
    last_ns: u64,
}

/// What is told of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Story {
    pub(crate) drains: Vec<Drain>,
    pub(crate) rollouts: Vec<Rollout>,
    /// What no drain and no rollout tells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) incidents: Vec<Incident>,
}

/// Tells a whole recording, at whose end nothing may drain any more.
#[track_caller]
pub(crate) fn retell(recording: &Recording) -> Story {
    let mut teller = Teller::new(recording.head.clone());
    for input in &recording.inputs {
        let _answered_in_the_recording = teller.take(input);
    }
    assert!(
        !teller.is_busy(),
        "it ends in the middle of a drain: {}",
        teller.as_it_stands()
    );
    teller.end()
}

/// What the engine is told to do where a test wants nothing else.
pub(crate) fn options(reasons: Reasons) -> Options {
    Options {
        limits: Limits {
            servers: 1_000,
            clients: 200,
            retention_ns: 3_600_000_000_000,
            retired: 100,
            filter: Filter::default(),
        },
        settle_limit: Duration::from_secs(61),
        stream_ports: Vec::new(),
        baseline_window: Duration::from_secs(600),
        rollouts: CorrelatorOptions::default(),
        judge: JudgeOptions::default(),
        reasons,
        own_tgid: 0,
    }
}

// === impl Teller ===

impl Teller {
    /// Of a recording, whose head has the names of all reasons that occur.
    pub(crate) fn new(head: Head) -> Self {
        let reasons = Reasons::new(head.reasons.clone());
        Self::with(head, reasons)
    }

    pub(crate) fn with(head: Head, reasons: Reasons) -> Self {
        Self {
            head,
            engine: Engine::new(options(reasons), &Remembered::default()),
            ended: Vec::new(),
            incidents: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            last_ns: 0,
        }
    }

    /// Takes an input; returns what the engine wants that a recording answers.
    pub(crate) fn take(&mut self, input: &Input) -> Vec<Want> {
        let Input { at_ns, what } = input;
        self.last_ns = *at_ns;
        let engine_input = match what {
            What::Record(record) => EngineInput::Records(std::slice::from_ref(record)),
            What::Processes(processes) => EngineInput::Processes(processes),
            What::Look {
                netns,
                began_ns,
                rows,
                minis,
            } => EngineInput::Survey(Survey {
                netns: *netns,
                began_ns: *began_ns,
                rows,
                minis: Some(minis),
                mini_sockets: None,
            }),
            What::Lost { total } => EngineInput::Lost { total: *total },
            What::Live(reading) => EngineInput::Counters(Counters::Live(reading)),
            What::Counted { service, reading } => EngineInput::Counters(Counters::Some {
                services: std::slice::from_ref(service),
                reading,
            }),
            What::Tick | What::Conclude => EngineInput::Tick,
        };
        self.tell(*at_ns, engine_input);
        self.answer(*at_ns)
    }

    /// Whether anything drains.
    pub(crate) fn is_busy(&self) -> bool {
        self.engine.is_busy()
    }

    /// What drains, as it is told now.
    pub(crate) fn as_it_stands(&mut self) -> String {
        let drains = &self.engine.snapshot().drains;
        let drains: Vec<&Drain> = drains.iter().map(|drain| &**drain).collect();
        serde_json::to_string_pretty(&drains).unwrap()
    }

    /// Lets the time pass after which a rollout is over, and returns all.
    pub(crate) fn end(mut self) -> Story {
        let CorrelatorOptions { window, quiet, .. } = CorrelatorOptions::default();
        let over = window + quiet + Duration::from_secs(1);
        let over_ns = u64::try_from(over.as_nanos()).unwrap();
        self.tell(self.last_ns + over_ns, EngineInput::Tick);
        Story {
            drains: self.ended,
            rollouts: self.rollouts.into_values().collect(),
            incidents: self.incidents.into_values().collect(),
        }
    }

    fn tell(&mut self, kernel_ns: u64, input: EngineInput<'_>) {
        let moment = Moment {
            kernel_ns,
            clocks: Clocks {
                wall_zero_ns: i64::try_from(self.head.wall_zero_ns).unwrap(),
                asleep_ns: self.head.asleep_ns,
            },
        };
        self.engine.take(moment, input);
        for change in self.engine.changes() {
            match change {
                Change::Drain(drain) if drain.ended_at.is_some() => {
                    self.ended.push(Drain::clone(&drain));
                }
                Change::Rollout(rollout) if rollout.state == RolloutState::Ended => {
                    let rollout = Rollout::clone(&rollout);
                    self.rollouts.insert(rollout.id.clone(), rollout);
                }
                Change::RolloutReplaced(id) => {
                    self.rollouts.remove(&id);
                }
                Change::Incident(incident) => {
                    let incident = Incident::clone(&incident);
                    self.incidents.insert(incident.id.clone(), incident);
                }
                Change::Drain(_) | Change::Rollout(_) => {}
            }
        }
    }

    /// Services are called as their programs are, and refused nothing where nobody counted; the rest is for the recording to
    /// answer.
    fn answer(&mut self, at_ns: u64) -> Vec<Want> {
        let mut left = Vec::new();
        for want in self.engine.wants() {
            match want {
                Want::Name { service } => {
                    let name = Workload::on_host(WorkloadKind::Process, service.comm());
                    self.tell(at_ns, EngineInput::Names(&[(service, name.into())]));
                }
                Want::Counters { service } if !self.head.counted => {
                    let services: [ServiceKey; 1] = [service];
                    let reading = Reading {
                        read_ns: at_ns,
                        ..Reading::default()
                    };
                    let counters = Counters::Some {
                        services: &services,
                        reading: &reading,
                    };
                    self.tell(at_ns, EngineInput::Counters(counters));
                }
                other => left.push(other),
            }
        }
        left
    }
}

// === impl Story ===

impl Story {
    /// Connections that are told as cut.
    pub(crate) fn cut(&self) -> u64 {
        let drains = self.drains.iter().map(|drain| drain.counts.cut);
        let incidents = self.incidents.iter().map(|incident| incident.cut);
        drains.chain(incidents).map(|cut| cut.total()).sum()
    }

    pub(crate) fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap();
        text.push('\n');
        text
    }
}
