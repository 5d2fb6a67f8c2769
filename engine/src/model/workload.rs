//! Who owns a port, in words that people and labels use. It does not know how it was found out.

use std::fmt;

/// What sort of thing a workload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// A Kubernetes Deployment.
    Deployment,
    /// A Kubernetes StatefulSet.
    StatefulSet,
    /// A Kubernetes DaemonSet.
    DaemonSet,
    /// A Kubernetes Job.
    Job,
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
    pub const ALL: [Self; 9] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
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
            Self::Job => "job",
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

/// Whose a service is, as somebody found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What it is shown as.
    pub workload: Workload,
    /// Uid of the Kubernetes pod that it runs in, if it does.
    pub pod_uid: Option<String>,
}

impl From<Workload> for Named {
    fn from(workload: Workload) -> Self {
        Self {
            workload,
            pod_uid: None,
        }
    }
}
