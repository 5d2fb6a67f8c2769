//! What the API server's metadata of a pod says: whose pod it is, and of which revision. Pure.
//!
//! The owner is found without asking further: a controller's name is in the pod's reference to it, and what stands behind that
//! controller in the names that Kubernetes makes (ReplicaSets of a Deployment end in the hash of its template, Jobs of a
//! CronJob in the minute that they were due).

use std::collections::BTreeMap;

use finwatch_engine::model::{Named, Pod, Workload, WorkloadKind};

/// Hash of the template of a ReplicaSet, set by Deployments.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// The same, set by Argo Rollouts.
const ROLLOUTS_HASH: &str = "rollouts-pod-template-hash";
/// Revision of a StatefulSet or a DaemonSet.
const REVISION_HASH: &str = "controller-revision-hash";
/// On the API server's copy of a static pod: the uid that the kubelet gave it, which its cgroup is named by.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Where the kubelet has a pod from; `api` where it was told by the API server.
const CONFIG_SOURCE: &str = "kubernetes.io/config.source";

/// Labels that say anything here: others are not kept.
#[cfg(feature = "kubernetes")]
pub(super) const LABELS: [&str; 3] = [TEMPLATE_HASH, ROLLOUTS_HASH, REVISION_HASH];
/// The same of annotations.
#[cfg(feature = "kubernetes")]
pub(super) const ANNOTATIONS: [&str; 2] = [MIRROR, CONFIG_SOURCE];

/// What is kept of a pod's metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodMeta {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The one of `metadata.ownerReferences` that says `controller: true`.
    pub controller: Option<Controller>,
    /// Of `metadata.labels`, those that say anything here.
    pub labels: BTreeMap<String, String>,
    /// Of `metadata.annotations`, the same.
    pub annotations: BTreeMap<String, String>,
}

/// Who makes a pod, and makes it anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// `ReplicaSet`, `Job`, ...
    pub kind: String,
    /// Its name.
    pub name: String,
}

// === impl PodMeta ===

impl PodMeta {
    /// The uid in the path of the pod's cgroup: the API server knows a static pod by another one than the kubelet does.
    pub fn cgroup_uid(&self) -> &str {
        self.annotation(MIRROR).unwrap_or(&self.uid)
    }

    /// What it is called, as a pod of `node`.
    pub fn named(&self, node: &str) -> Named {
        let (kind, name) = self.workload(node);
        Named {
            workload: Workload {
                namespace: self.namespace.clone(),
                kind,
                name: name.to_owned(),
            },
            pod: Pod {
                uid: Some(self.cgroup_uid().to_owned()),
                name: Some(self.name.clone()),
                container: None,
                revision: self.revision().map(str::to_owned),
                node: Some(node.to_owned()),
            },
        }
    }

    fn workload(&self, node: &str) -> (WorkloadKind, &str) {
        let Some(Controller { kind, name }) = &self.controller else {
            let is_static = self.annotation(MIRROR).is_some()
                || self
                    .annotation(CONFIG_SOURCE)
                    .is_some_and(|from| from != "api");
            return match is_static {
                true => (WorkloadKind::StaticPod, without_node(&self.name, node)),
                false => (WorkloadKind::Pod, &self.name),
            };
        };
        match kind.as_str() {
            "ReplicaSet" => self.of_replica_set(name),
            "StatefulSet" => (WorkloadKind::StatefulSet, name),
            "DaemonSet" => (WorkloadKind::DaemonSet, name),
            "Job" => match cron_job(name) {
                Some(cron_job) => (WorkloadKind::CronJob, cron_job),
                None => (WorkloadKind::Job, name),
            },
            "Node" => (WorkloadKind::StaticPod, without_node(&self.name, node)),
            _ => (WorkloadKind::Controller, name),
        }
    }

    fn of_replica_set<'a>(&self, name: &'a str) -> (WorkloadKind, &'a str) {
        let less = |label| without(name, self.label(label)?);
        if let Some(rollout) = less(ROLLOUTS_HASH) {
            return (WorkloadKind::Rollout, rollout);
        }
        match less(TEMPLATE_HASH) {
            Some(deployment) => (WorkloadKind::Deployment, deployment),
            None => (WorkloadKind::ReplicaSet, name),
        }
    }

    /// A StatefulSet's has its name before it.
    fn revision(&self) -> Option<&str> {
        let hash = self
            .label(ROLLOUTS_HASH)
            .or_else(|| self.label(TEMPLATE_HASH))
            .or_else(|| self.label(REVISION_HASH))?;
        let name = self.controller.as_ref().map(|by| by.name.as_str());
        let own = name.and_then(|name| hash.strip_prefix(name)?.strip_prefix('-'));
        Some(own.unwrap_or(hash))
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }
}

/// The CronJob that made a Job of this name: since Kubernetes 1.21 the minutes since the epoch stand behind its own, before it
/// the seconds.
pub(super) fn cron_job(job: &str) -> Option<&str> {
    let (name, due) = job.rsplit_once('-')?;
    let is_time = (8..=10).contains(&due.len()) && due.bytes().all(|b| b.is_ascii_digit());
    (is_time && !name.is_empty()).then_some(name)
}

/// The kubelet writes its node's name behind that of a static pod.
fn without_node<'a>(pod: &'a str, node: &str) -> &'a str {
    without(pod, node).unwrap_or(pod)
}

fn without<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    let less = name.strip_suffix(suffix)?.strip_suffix('-')?;
    (!less.is_empty() && !suffix.is_empty()).then_some(less)
}

#[cfg(test)]
#[path = "meta_tests.rs"]
mod tests;
