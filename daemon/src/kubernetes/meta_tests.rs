//! Metadata as API servers of 1.34 and Argo Rollouts 1.8 write it.

use super::*;

const UID: &str = "4ab0e6a2-0f0c-4c59-9d3c-7f1c7a3b2d11";

fn pod(name: &str, controller: Option<(&str, &str)>, labels: &[(&str, &str)]) -> PodMeta {
    let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    PodMeta {
        uid: UID.to_owned(),
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        controller: controller.map(|(kind, name)| Controller {
            kind: kind.to_owned(),
            name: name.to_owned(),
        }),
        labels: labels.iter().map(text).collect(),
        annotations: BTreeMap::new(),
    }
}

fn told(meta: &PodMeta) -> (&'static str, String, Option<String>) {
    let Named { workload, pod } = meta.named("node-1");
    assert_eq!(workload.namespace, "shop");
    assert_eq!(pod.name.as_deref(), Some(meta.name.as_str()));
    assert_eq!(pod.node.as_deref(), Some("node-1"));
    (workload.kind.as_str(), workload.name, pod.revision)
}

const HASH: Labels = &[("pod-template-hash", "7d4b9c5f6")];
const ROLLOUTS: Labels = &[("rollouts-pod-template-hash", "6c54544bf9")];
const SET: Labels = &[("controller-revision-hash", "db-5b9d7c8f4d")];
const DAEMONS: Labels = &[("controller-revision-hash", "6f8d4c7b5c")];

type Labels = &'static [(&'static str, &'static str)];
type Told = (&'static str, &'static str, Option<&'static str>);

/// A pod's controller, its labels; the kind, the name and the revision of its workload.
#[rustfmt::skip]
const OWNED: &[(&str, &str, Labels, Told)] = &[
    ("ReplicaSet", "web-7d4b9c5f6", HASH, ("deployment", "web", Some("7d4b9c5f6"))),
    ("ReplicaSet", "canary-6c54544bf9", ROLLOUTS, ("rollout", "canary", Some("6c54544bf9"))),
    ("ReplicaSet", "lone", &[], ("replicaset", "lone", None)),
    // A ReplicaSet of somebody's own making, whose template sets the label.
    ("ReplicaSet", "mine", HASH, ("replicaset", "mine", Some("7d4b9c5f6"))),
    ("StatefulSet", "db", SET, ("statefulset", "db", Some("5b9d7c8f4d"))),
    ("DaemonSet", "logs", DAEMONS, ("daemonset", "logs", Some("6f8d4c7b5c"))),
    ("Job", "once", &[], ("job", "once", None)),
    ("Job", "report-29412345", &[], ("cronjob", "report", None)),
    ("Job", "report-1609459200", &[], ("cronjob", "report", None)),
    ("Job", "load-2024", &[], ("job", "load-2024", None)),
    ("PerconaXtraDBCluster", "pxc", &[], ("controller", "pxc", None)),
];

#[test]
fn who_owns_a_pod_is_told_by_its_controller_and_its_labels() {
    for (by, named, labels, (kind, workload, revision)) in OWNED {
        let pod = pod("any-x2x5k", Some((by, named)), labels);
        let revision = revision.map(str::to_owned);
        assert_eq!(
            told(&pod),
            (*kind, (*workload).to_owned(), revision),
            "{by}/{named}"
        );
    }
    assert_eq!(
        told(&pod("bare", None, &[])),
        ("pod", "bare".to_owned(), None)
    );
}

#[test]
fn a_static_pod_is_called_without_its_node_and_known_by_the_kubelets_uid() {
    let mut meta = pod("etcd-node-1", Some(("Node", "node-1")), &[]);
    assert_eq!(meta.cgroup_uid(), UID);
    let hash = "0123456789abcdef0123456789abcdef";
    for (name, value) in [(MIRROR, hash), (CONFIG_SOURCE, "file")] {
        meta.annotations.insert(name.to_owned(), value.to_owned());
    }
    assert_eq!(told(&meta), ("staticpod", "etcd".to_owned(), None));
    assert_eq!(meta.cgroup_uid(), hash);
    assert_eq!(meta.named("node-1").pod.uid.as_deref(), Some(hash));
    // Before 1.17 the mirror had no owner.
    meta.controller = None;
    assert_eq!(told(&meta), ("staticpod", "etcd".to_owned(), None));
    meta.annotations.remove(MIRROR);
    meta.annotations
        .insert(CONFIG_SOURCE.to_owned(), "api".to_owned());
    assert_eq!(told(&meta), ("pod", "etcd-node-1".to_owned(), None));
}

#[test]
fn nothing_is_left_of_no_name() {
    assert_eq!(cron_job("-29412345"), None);
    let label = ("pod-template-hash", "7d4b9c5f6");
    let meta = pod("x", Some(("ReplicaSet", "-7d4b9c5f6")), &[label]);
    assert_eq!(told(&meta).0, "replicaset");
}
