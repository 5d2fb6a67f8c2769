//! The scenarios, in one table: what is deployed, what is done to it, and what finwatch must make of it. What the clients lost is not in it:
//! they say so themselves, and it differs from run to run.

use anyhow::{Result, bail};

#[derive(Clone, Copy)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What `lab/kubernetes/workload/server` does when it is told to end.
    pub(super) mode: &'static str,
    /// Whether a shell is the first process, and the server its child.
    pub(super) in_shell: bool,
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
    /// The worst verdict of its rollouts.
    pub(super) verdict: &'static str,
}

/// Connections that ask again and again, and connections for one request each.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) kept: u64,
    pub(super) new_per_second: u64,
    pub(super) pause: &'static str,
    /// How long a kept connection is used; `0s`: for ever.
    pub(super) age: &'static str,
}

/// Who makes the pods.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Deployment,
    /// Replaces its pods from the last to the first, each before the next.
    StatefulSet,
    /// With a surge: the new pod runs before the old one is told to end, as an address that nobody is behind is refused by the cluster itself.
    DaemonSet,
}

#[derive(Clone, Copy)]
pub(super) enum Action {
    /// `kubectl rollout restart`
    Restart,
    /// The same again while the first is under way
    RestartTwice,
    /// `kubectl scale`
    Scale(u32),
    /// `kubectl delete pod --force --grace-period=0`
    Force,
    /// A container takes more memory than it may have
    Oom,
}

/// Most of the time most kept connections wait for an answer.
const LOAD: Load = Load {
    kept: 20,
    new_per_second: 40,
    pause: "30ms",
    age: "0s",
};

/// What most of them have: three pods that stop at once, and are replaced one by one.
const USUAL: Scenario = Scenario {
    name: "",
    kind: Kind::Deployment,
    mode: "shutdown",
    in_shell: false,
    replicas: 3,
    grace_secs: 30,
    pre_stop_secs: 0,
    answer: "50ms",
    memory: "",
    load: LOAD,
    action: Action::Restart,
    loses: true,
    verdict: "fail",
};

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "close",
        mode: "close",
        ..USUAL
    },
    Scenario {
        name: "graceful",
        pre_stop_secs: 4,
        // Older ones would be closed by the server while they are about to ask, which loses one now and then.
        load: Load { age: "2s", ..LOAD },
        loses: false,
        verdict: "pass",
        ..USUAL
    },
    Scenario {
        name: "short-grace",
        grace_secs: 2,
        answer: "4s",
        ..USUAL
    },
    Scenario {
        name: "signal-ignored",
        mode: "ignore",
        grace_secs: 3,
        ..USUAL
    },
    Scenario {
        name: "shell",
        in_shell: true,
        grace_secs: 3,
        ..USUAL
    },
    Scenario {
        name: "stateful-set",
        kind: Kind::StatefulSet,
        mode: "close",
        ..USUAL
    },
    Scenario {
        name: "daemon-set",
        kind: Kind::DaemonSet,
        mode: "close",
        replicas: 2,
        ..USUAL
    },
    Scenario {
        name: "twice",
        mode: "close",
        action: Action::RestartTwice,
        ..USUAL
    },
    Scenario {
        name: "scale-down",
        mode: "close",
        action: Action::Scale(1),
        ..USUAL
    },
    Scenario {
        name: "force",
        mode: "close",
        action: Action::Force,
        ..USUAL
    },
    Scenario {
        name: "oom",
        memory: "64Mi",
        action: Action::Oom,
        ..USUAL
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

// === impl Kind ===

impl Kind {
    /// What kubectl calls it, and manifests.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Deployment => ("deployment", "Deployment"),
            Self::StatefulSet => ("statefulset", "StatefulSet"),
            Self::DaemonSet => ("daemonset", "DaemonSet"),
        }
    }
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

    /// What finwatch calls it.
    pub(super) fn workload(&self) -> String {
        format!("{}/{}/web", self.namespace(), self.kind.names().0)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_scenario_has_a_name_and_a_port_of_its_own() {
        let names: BTreeSet<_> = ALL.iter().map(|one| one.name).collect();
        let ports: BTreeSet<_> = ALL.iter().map(Scenario::port).collect();
        assert_eq!((names.len(), ports.len()), (ALL.len(), ALL.len()));
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let error = choose(&["clos".to_owned()]).err().unwrap();
        assert!(error.to_string().contains("close, graceful"), "{error}");
    }
}
