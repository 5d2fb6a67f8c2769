//! Whose story it is: a service, and the running instance of it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Pod, Workload};

/// A service as people know it: the labels of its metrics.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Service {
    /// Kubernetes namespace, else empty.
    pub workload_namespace: String,
    /// `unit`, `container`, `process`, `deployment`, ...
    pub workload_kind: String,
    /// `nginx.service`, `checkout`, ...
    pub workload: String,
    /// Local port.
    pub port: u16,
}

/// The running program that owned the port: one stop ends one instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Instance {
    /// Process that listened (thread-group id).
    pub pid: u32,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// Its name (`comm`).
    pub program: String,
    /// Inode number of its network namespace, as in `/proc/<pid>/ns/net`: the kernel gives it to another one when this is gone.
    pub netns: u32,
    /// Cookie of its network namespace (`SO_NETNS_COOKIE`), which is given to no other one before the next boot; 0 unknown.
    #[serde(default)]
    pub netns_cookie: u64,
    /// The Kubernetes pod that it runs in.
    #[serde(flatten)]
    pub pod: Pod,
}

// === impl Service ===

impl Service {
    /// A port of a workload.
    pub fn new(workload: Workload, port: u16) -> Self {
        Self {
            workload_namespace: workload.namespace,
            workload_kind: workload.kind.as_str().to_owned(),
            workload: workload.name,
            port,
        }
    }

    /// What takes the figures of services that have none of their own.
    pub fn other() -> Self {
        Self {
            workload_namespace: String::new(),
            workload_kind: "other".to_owned(),
            workload: "other".to_owned(),
            port: 0,
        }
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.workload_namespace.is_empty() {
            write!(f, "{}/", self.workload_namespace)?;
        }
        write!(f, "{}/{}:{}", self.workload_kind, self.workload, self.port)
    }
}
