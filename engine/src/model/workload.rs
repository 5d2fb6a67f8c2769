//! Who owns a port, in words that people and labels use. It does not know how it was found out.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What sort of thing a workload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// A Kubernetes Deployment.
    Deployment,
    /// A Kubernetes StatefulSet.
    StatefulSet,
    /// A Kubernetes DaemonSet.
    DaemonSet,
    /// A Kubernetes ReplicaSet that no Deployment made.
    ReplicaSet,
    /// A Kubernetes Job that no CronJob made.
    Job,
    /// A Kubernetes CronJob.
    CronJob,
    /// A Rollout of Argo Rollouts.
    Rollout,
    /// A Kubernetes controller of another kind, or of one that nobody told.
    Controller,
    /// A Kubernetes Pod that the kubelet runs from a file, by its name without the node's.
    StaticPod,
    /// A Kubernetes Pod without an owner.
    Pod,
    /// A systemd unit.
    Unit,
    /// A container of an engine on this host.
    Container,
    /// A program, by its name.
    Process,
    /// What a full table refused, or what belongs to nobody known.
    Other,
}

impl WorkloadKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::ReplicaSet,
        Self::Job,
        Self::CronJob,
        Self::Rollout,
        Self::Controller,
        Self::StaticPod,
        Self::Pod,
        Self::Unit,
        Self::Container,
        Self::Process,
        Self::Other,
    ];

    /// The text of the label `workload_kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::ReplicaSet => "replicaset",
            Self::Job => "job",
            Self::CronJob => "cronjob",
            Self::Rollout => "rollout",
            Self::Controller => "controller",
            Self::StaticPod => "staticpod",
            Self::Pod => "pod",
            Self::Unit => "unit",
            Self::Container => "container",
            Self::Process => "process",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who owns a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// The Kubernetes namespace; empty on a plain host.
    pub namespace: String,
    /// What sort of thing it is.
    pub kind: WorkloadKind,
    /// Its name: `nginx.service`, a container's name or short id, a program's name.
    pub name: String,
}

impl Workload {
    /// A workload of a plain host.
    pub fn on_host(kind: WorkloadKind, name: impl Into<String>) -> Self {
        Self {
            namespace: String::new(),
            kind,
            name: name.into(),
        }
    }

    /// What a full table refused, or what belongs to nobody known.
    pub fn other() -> Self {
        Self::on_host(WorkloadKind::Other, "other")
    }
}

/// A Kubernetes pod, as far as it is known; nothing of it is known of what runs in none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pod {
    /// Uid of the Kubernetes pod that it runs in, as its cgroup's path tells; none outside of pods.
    #[serde(rename = "pod_uid", skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Name of that pod; its namespace is the workload's.
    #[serde(rename = "pod", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of its container there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The pod's revision of its workload: the hash of its template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The node that the pod runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// Whose a service is, as somebody found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What it is shown as.
    pub workload: Workload,
    /// The pod that it runs in.
    pub pod: Pod,
}

impl From<Workload> for Named {
    fn from(workload: Workload) -> Self {
        Self {
            workload,
            pod: Pod::default(),
        }
    }
}
