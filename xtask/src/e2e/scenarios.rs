//! The scenarios, in one table: what is deployed, what is done to it, and what finwatch must make of it. What the clients lost is not in it:
//! they say so themselves, and it differs from run to run.

use anyhow::{Result, bail};

pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// What `lab/kubernetes/workload/server` does when it is told to end.
    pub(super) mode: &'static str,
    pub(super) replicas: u32,
    pub(super) grace_secs: u32,
    /// How long the pod sleeps before its server is told; 0: not at all.
    pub(super) pre_stop_secs: u32,
    /// How long an answer takes.
    pub(super) answer: &'static str,
    /// The most memory that the container may have; empty: any.
    pub(super) memory: &'static str,
    pub(super) load: Load,
    pub(super) action: Action,
    /// Whether the clients lose something, or nothing; a scenario in which it is otherwise has tested nothing.
    pub(super) loses: bool,
    /// The worst verdict of its drains.
    pub(super) verdict: &'static str,
}

/// Connections that ask again and again, and connections for one request each.
pub(super) struct Load {
    pub(super) kept: u64,
    pub(super) new_per_second: u64,
    pub(super) pause: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum Action {
    /// `kubectl rollout restart`
    Restart,
    /// `kubectl scale`
    Scale(u32),
    /// A container takes more memory than it may have
    Oom,
}

const USUAL: Load = Load {
    kept: 20,
    new_per_second: 40,
    pause: "100ms",
};

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "close",
        mode: "close",
        replicas: 3,
        grace_secs: 30,
        pre_stop_secs: 0,
        answer: "50ms",
        memory: "",
        load: USUAL,
        action: Action::Restart,
        loses: true,
        verdict: "fail",
    },
    Scenario {
        name: "graceful",
        mode: "shutdown",
        replicas: 3,
        grace_secs: 30,
        pre_stop_secs: 4,
        answer: "50ms",
        memory: "",
        load: USUAL,
        action: Action::Restart,
        loses: false,
        verdict: "pass",
    },
    Scenario {
        name: "scale-down",
        mode: "close",
        replicas: 3,
        grace_secs: 30,
        pre_stop_secs: 0,
        answer: "50ms",
        memory: "",
        load: USUAL,
        action: Action::Scale(1),
        loses: true,
        verdict: "fail",
    },
    Scenario {
        name: "oom",
        mode: "shutdown",
        replicas: 3,
        grace_secs: 30,
        pre_stop_secs: 0,
        answer: "50ms",
        memory: "64Mi",
        load: USUAL,
        action: Action::Oom,
        loses: true,
        verdict: "fail",
    },
];

/// Those of the names, in their order; with no name, all.
pub(super) fn choose(names: &[String]) -> Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    names
        .iter()
        .map(|name| match ALL.iter().find(|one| one.name == name) {
            Some(scenario) => Ok(scenario),
            None => {
                let known: Vec<_> = ALL.iter().map(|one| one.name).collect();
                bail!(
                    "there is no scenario {name}; there are {}",
                    known.join(", ")
                )
            }
        })
        .collect()
}

// === impl Scenario ===

impl Scenario {
    fn place(&self) -> usize {
        let place = ALL.iter().position(|one| one.name == self.name);
        place.unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> String {
        format!("e2e-{}", self.name)
    }

    /// A port that no other scenario has, by which its services are told from all others.
    pub(super) fn port(&self) -> u16 {
        8001 + u16::try_from(self.place()).unwrap_or_default()
    }

    /// The address of its Service.
    pub(super) fn address(&self) -> String {
        format!("10.79.0.{}", 101 + self.place())
    }
}
