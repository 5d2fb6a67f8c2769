//! Deploy events: something outside says that a change began or ended.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who said so.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// `finwatch deploy`.
    Cli,
    /// Native JSON over HTTP (Jenkins and scripts with curl too).
    Http,
    /// CloudEvents 1.0.
    Cloudevents,
    /// CDEvents `service.*`.
    Cdevents,
    /// GitHub `deployment_status`.
    Github,
    /// Flux notification-controller.
    Flux,
    /// Argo CD notifications.
    Argocd,
    /// Argo Rollouts notifications.
    ArgoRollouts,
    /// Nobody: finwatch saw the signal itself.
    Signal,
}

/// How far the change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeployStage {
    /// It begins.
    Started,
    /// It ended well, as far as the sender knows.
    Finished,
    /// It ended badly.
    Failed,
}

/// How the sender's clock and ours disagree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Skew {
    /// They agree within the tolerance.
    #[default]
    None,
    /// The event time is long past.
    Late,
    /// The event time has not come yet: the receive time is used.
    Future,
}

/// A workload as the sender names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadRef {
    /// Kubernetes namespace; absent: any.
    pub namespace: Option<String>,
    /// `deployment`, `unit`, ...; absent: any.
    pub kind: Option<String>,
    /// Its name; `checkout` also means the unit `checkout.service`.
    pub name: String,
    /// Port; absent: every port of the workload.
    pub port: Option<u16>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeployEvent {
    /// The sender's name for the change, which its start and its end may share; unique with the source and the stage, as
    /// the same event that comes twice is taken once.
    pub id: String,
    /// Who said so.
    pub source: Source,
    /// How far the change is.
    pub stage: DeployStage,
    /// What changes.
    pub workload: WorkloadRef,
    /// Revision, image tag or commit, as the sender writes it.
    pub revision: Option<String>,
    /// Where to read more.
    pub links: Vec<String>,
    /// When it happened, by the sender's clock.
    pub event_time: Timestamp,
    /// When it came.
    pub receive_time: Timestamp,
    /// Whether these two disagree.
    pub skew: Skew,
}

// === impl Source ===

impl Source {
    /// Every source.
    pub const ALL: [Self; 9] = [
        Self::Cli,
        Self::Http,
        Self::Cloudevents,
        Self::Cdevents,
        Self::Github,
        Self::Flux,
        Self::Argocd,
        Self::ArgoRollouts,
        Self::Signal,
    ];

    /// Somebody said that the change would come or had come.
    pub fn is_announced(self) -> bool {
        self != Self::Signal
    }

    /// As in labels and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Http => "http",
            Self::Cloudevents => "cloudevents",
            Self::Cdevents => "cdevents",
            Self::Github => "github",
            Self::Flux => "flux",
            Self::Argocd => "argocd",
            Self::ArgoRollouts => "argo_rollouts",
            Self::Signal => "signal",
        }
    }
}

// === impl DeployEvent ===

impl DeployEvent {
    /// The time to go by: the sender's, unless that has not come yet.
    pub fn effective_time(&self) -> Timestamp {
        match self.skew {
            Skew::Future => self.receive_time,
            Skew::None | Skew::Late => self.event_time,
        }
    }

    /// Whether the change begins with it.
    pub fn begins(&self) -> bool {
        self.stage == DeployStage::Started
    }

    /// Whether the change ended with it, well or badly.
    pub fn ends(&self) -> bool {
        !self.begins()
    }
}

// === impl WorkloadRef ===

impl WorkloadRef {
    /// Whether two senders mean the same workload: what one of them leaves open is as the other says, but for the port.
    pub fn is_same(&self, other: &Self) -> bool {
        fn agree(one: Option<&String>, other: Option<&String>) -> bool {
            match (one, other) {
                (Some(one), Some(other)) => one == other,
                _ => true,
            }
        }
        let bare = |name: &str| name.strip_suffix(".service").unwrap_or(name).to_owned();
        bare(&self.name) == bare(&other.name)
            && self.port == other.port
            && agree(self.namespace.as_ref(), other.namespace.as_ref())
            && agree(self.kind.as_ref(), other.kind.as_ref())
    }

    /// Whether a service is meant.
    pub fn means(&self, service: &super::Service) -> bool {
        let Self {
            namespace,
            kind,
            name,
            port,
        } = self;
        namespace
            .as_ref()
            .is_none_or(|n| *n == service.workload_namespace)
            && kind.as_ref().is_none_or(|k| *k == service.workload_kind)
            && port.is_none_or(|p| p == service.port)
            && (*name == service.workload
                || service.workload.strip_suffix(".service") == Some(name))
    }
}
