//! Tells the story of a run from its inputs alone, with the parts that tell it in the daemon: the drains, the judge and
//! the correlator. Names and clocks come from the recording's head. The kernel tier feeds it while it records, the
//! replay tier from the file, and both must be told the same.

use std::time::Duration;

use finwatch_common::{ServiceKey, comm_str};
use finwatch_engine::{
    diagnoses::{JudgeOptions, judge},
    drains::{
        Drains, Input as DrainInput, Options as DrainOptions, Want, World, late_in_steady_time,
    },
    model::{Baseline, Drain, Rollout, Service},
    rollouts::{Correlator, CorrelatorOptions, LateClose},
};
use jiff::Timestamp;
use serde::Serialize;

use super::recording::{Head, Input, Recording, What};

/// See the module.
pub(crate) struct Teller {
    pub(crate) head: Head,
    drains: Drains,
    correlator: Correlator,
    ended: Vec<Drain>,
    last_ns: u64,
}

/// What is told of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Story {
    pub(crate) drains: Vec<Drain>,
    pub(crate) rollouts: Vec<Rollout>,
}

/// Tells a whole recording, at whose end nothing may drain any more.
#[track_caller]
pub(crate) fn retell(recording: &Recording) -> Story {
    let mut teller = Teller::new(recording.head.clone());
    for input in &recording.inputs {
        let _answered_in_the_recording = teller.take(input);
    }
    assert!(!teller.is_busy(), "it ends in the middle of a drain");
    teller.end()
}

// === impl Teller ===

impl Teller {
    pub(crate) fn new(head: Head) -> Self {
        Self {
            head,
            drains: Drains::new(DrainOptions {
                settle_limit_ns: 61_000_000_000,
                stream_ports: Vec::new(),
            }),
            correlator: Correlator::new(CorrelatorOptions::default()),
            ended: Vec::new(),
            last_ns: 0,
        }
    }

    /// Takes an input; returns what it makes the drains ask for.
    pub(crate) fn take(&mut self, input: &Input) -> Vec<Want> {
        let Input { at_ns, what } = input;
        self.last_ns = *at_ns;
        match what {
            What::Record(record) => {
                if let Some((service, late_ns)) = late_in_steady_time(record) {
                    self.correlator.late_close(&LateClose {
                        service: self.head.service(&service),
                        at: self.head.wall(late_ns),
                        idle_secs: None,
                    });
                }
                self.tell(*at_ns, DrainInput::Record(record));
            }
            What::Processes(processes) => self.tell(*at_ns, DrainInput::Processes(processes)),
            What::Look {
                netns,
                began_ns,
                rows,
                minis,
            } => {
                let look = DrainInput::Look {
                    netns: *netns,
                    began_ns: *began_ns,
                    rows,
                    minis: Some(minis),
                };
                self.tell(*at_ns, look);
            }
            What::Lost { total } => self.tell(*at_ns, DrainInput::Lost { total: *total }),
            What::Tick => {
                self.drains.tick(*at_ns, &mut self.head);
                return self.drains.wants();
            }
            What::Conclude => self.conclude(*at_ns),
        }
        Vec::new()
    }

    /// Whether anything drains.
    pub(crate) fn is_busy(&self) -> bool {
        self.drains.is_busy()
    }

    /// Lets the time pass after which a rollout is over, and returns all.
    pub(crate) fn end(mut self) -> Story {
        let CorrelatorOptions { window, quiet, .. } = CorrelatorOptions::default();
        let over = window + quiet + Duration::from_secs(1);
        let over_ns = u64::try_from(over.as_nanos()).unwrap();
        self.correlator.tick(self.head.wall(self.last_ns + over_ns));
        Story {
            drains: self.ended,
            rollouts: self.correlator.ended(),
        }
    }

    fn tell(&mut self, now_ns: u64, input: DrainInput<'_>) {
        self.drains.take(now_ns, input, &mut self.head);
    }

    /// As the chronicle concludes a round.
    fn conclude(&mut self, now_ns: u64) {
        let now = self.head.wall(now_ns);
        let options = JudgeOptions {
            now: Some(now),
            ..JudgeOptions::default()
        };
        self.drains.tick(now_ns, &mut self.head);
        let ended = self.drains.ended();
        let running = self.drains.running(now_ns, &mut self.head);
        for start in self.drains.started() {
            self.correlator.start(start);
        }
        for gap in self.drains.gaps() {
            self.correlator.gap(gap);
        }
        for mut drain in running {
            judge(&mut drain, &options);
            self.correlator.drain(drain);
        }
        for mut drain in ended {
            judge(&mut drain, &options);
            self.correlator.drain(drain.clone());
            self.ended.push(drain);
        }
        self.correlator.tick(now);
    }
}

// === impl Story ===

impl Story {
    /// Connections that are told as cut.
    pub(crate) fn cut(&self) -> u64 {
        self.drains
            .iter()
            .map(|drain| drain.counts.cut.total())
            .sum()
    }

    pub(crate) fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap();
        text.push('\n');
        text
    }
}

// === impl Head ===

impl World for Head {
    fn service(&mut self, key: &ServiceKey) -> Service {
        Service {
            workload_namespace: String::new(),
            workload_kind: "process".to_owned(),
            workload: comm_str(&key.comm).to_owned(),
            port: key.port,
        }
    }

    fn reason(&self, reason: u8) -> String {
        let named = self.reasons.get(&reason);
        named.map_or_else(|| format!("reason_{reason}"), Clone::clone)
    }

    fn wall(&self, kernel_ns: u64) -> Timestamp {
        Timestamp::from_nanosecond(i128::from(self.wall_zero_ns) + i128::from(kernel_ns)).unwrap()
    }

    fn boot_ns(&self, kernel_ns: u64) -> u64 {
        kernel_ns + self.asleep_ns
    }

    /// Nobody looked at the minutes before.
    fn baseline(&mut self, _key: &ServiceKey, _t0_ns: u64) -> Baseline {
        Baseline::default()
    }

    fn refused(&mut self, _key: &ServiceKey) -> u64 {
        0
    }

    fn refused_ending(&mut self, _key: &ServiceKey) -> u64 {
        0
    }
}
