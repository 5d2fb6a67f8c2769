//! A correlator for tests, driven in seconds after a fixed time.

use super::*;
use crate::{
    diagnoses::judge::{judge, scenarios},
    model::{DeployStage, Finding, Pod, Skew, Source, WorkloadRef},
};

pub(super) use scenarios::{at, service};

/// The network namespace of everything that does not say another.
pub(super) const HERE: u64 = 4_097;

/// See the module.
pub(super) struct Story {
    pub(super) correlator: Correlator,
}

impl Story {
    pub(super) fn new() -> Self {
        Self {
            correlator: Correlator::new(CorrelatorOptions::default()),
        }
    }

    /// Time passes, with a look every second.
    pub(super) fn until(&mut self, from: u32, until: u32) -> Vec<Rollout> {
        let mut ended = Vec::new();
        for secs in from..=until {
            self.correlator.tick(at(f64::from(secs)));
            ended.extend(self.correlator.ended());
        }
        ended
    }

    pub(super) fn running(&self) -> Vec<String> {
        ids(&self.correlator.running())
    }
}

pub(super) fn ids(rollouts: &[Rollout]) -> Vec<String> {
    rollouts.iter().map(|rollout| rollout.id.clone()).collect()
}

pub(super) fn drain_ids(rollout: &Rollout) -> Vec<&str> {
    rollout
        .drains
        .iter()
        .map(|drain| drain.id.as_str())
        .collect()
}

pub(super) fn find<'a>(rollout: &'a Rollout, diagnosis: &str) -> Option<&'a Finding> {
    rollout
        .findings
        .iter()
        .find(|finding| finding.diagnosis == diagnosis)
}

/// A quiet, judged drain of a workload's port with ten idle clients, which began and ended at these seconds.
pub(super) fn drained(id: &str, workload: &str, port: u16, from: f64, until: f64) -> Drain {
    let mut drain = scenarios::drain(workload, "SIGTERM");
    scenarios::idle_closed_by_server(&mut drain, 10);
    drain.id = id.to_owned();
    drain.service = service(workload, port);
    drain.started_at = at(from);
    drain.exit.as_mut().expect("an exit").at = at(until);
    drain.last_close_at = Some(at(until));
    drain.listening.closed_at = Some(at(from));
    drain.ended_at = Some(at(until));
    judge(&mut drain, &JudgeOptions::default());
    drain
}

/// The same while it lasts.
pub(super) fn draining(id: &str, workload: &str, port: u16, from: f64) -> Drain {
    let mut drain = drained(id, workload, port, from, from + 1.0);
    (drain.exit, drain.ended_at) = (None, None);
    judge(&mut drain, &JudgeOptions::default());
    drain
}

/// The same with a request cut.
pub(super) fn cutting(mut drain: Drain) -> Drain {
    scenarios::in_flight_cut(&mut drain, 1);
    judge(&mut drain, &JudgeOptions::default());
    drain
}

pub(super) fn start(workload: &str, port: u16, secs: f64) -> Start {
    Start {
        service: service(workload, port),
        pod: Pod::default(),
        at: at(secs),
        pid: 800,
        netns: 4_026_531_840,
        netns_cookie: HERE,
    }
}

pub(super) fn gap(workload: &str, port: u16, from: f64, until: f64, refused: u64) -> Gap {
    Gap {
        service: service(workload, port),
        from: at(from),
        until: Some(at(until)),
        refused,
        netns: 4_026_531_840,
        netns_cookie: HERE,
    }
}

/// An event that comes when it happens.
pub(super) fn event(id: &str, stage: DeployStage, workload: &str, secs: f64) -> DeployEvent {
    DeployEvent {
        id: id.to_owned(),
        source: Source::Cli,
        stage,
        workload: WorkloadRef {
            name: workload.to_owned(),
            ..WorkloadRef::default()
        },
        revision: None,
        links: Vec::new(),
        event_time: at(secs),
        receive_time: at(secs),
        skew: Skew::None,
    }
}

pub(super) fn begins(workload: &str, revision: &str, secs: f64) -> DeployEvent {
    DeployEvent {
        revision: Some(revision.to_owned()),
        ..event(
            &format!("start-{workload}-{revision}"),
            DeployStage::Started,
            workload,
            secs,
        )
    }
}

pub(super) fn finishes(workload: &str, revision: &str, secs: f64) -> DeployEvent {
    DeployEvent {
        revision: Some(revision.to_owned()),
        ..event(
            &format!("end-{workload}-{revision}"),
            DeployStage::Finished,
            workload,
            secs,
        )
    }
}
