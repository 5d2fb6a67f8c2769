//! Names of pods: who is asked for them and why, whether the API server answers and lets itself be asked, and whether the
//! cgroups of pods are seen.

use std::path::Path;

use super::{About, Check, Group, PreflightOptions};
use crate::{
    attribution::{self, PodTree},
    kubernetes::{Found, Mode, Options, Source},
};

const fn about(name: &'static str, needed_for: &'static str) -> About {
    About {
        group: Group::Kubernetes,
        name,
        needed_for,
    }
}

pub(super) fn checks(options: &PreflightOptions) -> Vec<Check> {
    let found = Found::here();
    let source = Source::choose(&options.kubernetes, &found);
    let mut checks = vec![pod_names(&options.kubernetes, &found, &source)];
    #[cfg(feature = "kubernetes")]
    if let Some(api) = source.api.as_ref().filter(|_| options.ask) {
        checks.extend(asked::checks(api));
    }
    if found.in_pod || source.is_any() {
        let trees = attribution::pod_trees(options.cgroup_root.as_deref());
        checks.push(pod_cgroups(
            &trees.unwrap_or_default(),
            options.cgroup_root.as_deref(),
        ));
    }
    checks
}

fn pod_names(options: &Options, found: &Found, source: &Source) -> Check {
    let about = about(
        "pod-names",
        "names of pods and their workloads; without them each container is a service of its own, named by its id",
    );
    let Some(why) = source.why_not_api else {
        return about.ok(source.to_string());
    };
    let remedy = "deploy/daemonset.yaml has what it takes: a ServiceAccount that may list and watch pods, and NODE_NAME";
    match options.mode {
        Mode::Api => about.fail(format!("the API server cannot be asked: {why}"), remedy),
        // Without any sign of Kubernetes there are no pods to name.
        Mode::Auto if found.in_pod || found.logs => about.warn(source.to_string(), remedy),
        Mode::Auto | Mode::Names | Mode::Off => about.ok(source.to_string()),
    }
}

fn pod_cgroups(trees: &[PodTree], root: Option<&Path>) -> Check {
    let about = about("pod-cgroups", "telling which pod a connection is of");
    let told = |tree: &PodTree| {
        let PodTree { path, pods } = tree;
        let driver = match path.ends_with(".slice") {
            true => "systemd",
            false => "cgroupfs",
        };
        format!("{pods} below {path} (driver {driver})")
    };
    match trees {
        [] => {
            let place = root.map_or("the mounted cgroup2 tree".into(), Path::to_string_lossy);
            about.warn(
                format!("no pod is seen in {place}"),
                "mount the host's /sys/fs/cgroup into the container",
            )
        }
        [tree] => about.ok(told(tree)),
        trees => {
            let all: Vec<_> = trees.iter().map(told).collect();
            about.ok(format!(
                "{}: only pods of this node are told of",
                all.join("; ")
            ))
        }
    }
}

#[cfg(feature = "kubernetes")]
mod asked {
    use std::{thread, time::Duration};

    use anyhow::Context as _;

    use super::{About, Check, about};
    use crate::kubernetes::{Access, Api, look};

    /// Longest time for all questions.
    const PATIENCE: Duration = Duration::from_secs(10);

    pub(super) fn checks(api: &Api) -> Vec<Check> {
        let reach = about(
            "kubernetes-api",
            "names of new pods; while it is away, those that are known stay",
        );
        match ask(api) {
            Ok(access) => told(api, reach, &access),
            Err(error) => vec![reach.warn(
                format!("the API server does not answer: {error:#}"),
                "look at KUBERNETES_SERVICE_HOST, at kubernetes.kubeconfig and at NetworkPolicies",
            )],
        }
    }

    pub(super) fn told(api: &Api, reach: About, access: &Access) -> Vec<Check> {
        let Access {
            version,
            refused,
            knows_node,
        } = access;
        let rights = about("kubernetes-rights", "the watch of this node's pods");
        let node = about(
            "kubernetes-node",
            "the watch of this node's pods: another's are left out",
        );
        let mut checks = vec![reach.ok(format!("{version} answers"))];
        if !refused.is_empty() {
            let verbs = refused.join(" and ");
            checks.push(rights.warn(
                format!("it refuses to {verbs} pods"),
                "bind a ClusterRole that has list and watch on pods to the ServiceAccount",
            ));
            return checks;
        }
        checks.push(rights.ok("pods may be listed and watched"));
        checks.push(match knows_node {
            true => node.ok(format!("{}, with pods on it", api.node)),
            false => node.warn(
                format!("the API server knows no pod on node {}", api.node),
                "set NODE_NAME by fieldRef: spec.nodeName, or kubernetes.node_name as `kubectl get nodes` shows it",
            ),
        });
        checks
    }

    /// On a thread of its own: who looks may be in a runtime already.
    fn ask(api: &Api) -> anyhow::Result<Access> {
        let asking = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("cannot start the runtime")?;
            runtime.block_on(async {
                let looked = tokio::time::timeout(PATIENCE, look(api)).await;
                looked.with_context(|| format!("no answer in {PATIENCE:?}"))?
            })
        };
        thread::scope(|scope| {
            let asked = scope.spawn(asking).join();
            asked.unwrap_or_else(|_| anyhow::bail!("the question failed"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::Status;

    fn status(mode: Mode, found: &Found) -> Status {
        let options = Options {
            mode,
            ..Options::default()
        };
        let source = Source::choose(&options, found);
        pod_names(&options, found, &source).status
    }

    #[test]
    fn a_missing_source_is_told_where_there_are_pods_to_name() {
        let in_pod = Found {
            in_pod: true,
            ..Found::default()
        };
        assert_eq!(status(Mode::Auto, &Found::default()), Status::Ok);
        assert_eq!(status(Mode::Auto, &in_pod), Status::Warn);
        assert_eq!(status(Mode::Off, &in_pod), Status::Ok, "as configured");
        assert_eq!(status(Mode::Api, &Found::default()), Status::Fail);
    }

    #[test]
    fn the_trees_of_pods_are_told_with_their_driver() {
        let tree = |path: &str, pods| PodTree {
            path: path.to_owned(),
            pods,
        };
        assert_eq!(pod_cgroups(&[], None).status, Status::Warn);
        let one = pod_cgroups(&[tree("kubepods", 3)], None);
        assert_eq!(
            (one.status, one.finding.as_str()),
            (Status::Ok, "3 below kubepods (driver cgroupfs)")
        );
        let two = pod_cgroups(
            &[tree("a/kubepods.slice", 1), tree("b/kubepods.slice", 2)],
            None,
        );
        assert_eq!(
            two.finding,
            "1 below a/kubepods.slice (driver systemd); 2 below b/kubepods.slice (driver systemd): \
             only pods of this node are told of"
        );
    }

    #[test]
    #[cfg(feature = "kubernetes")]
    fn what_the_api_server_refuses_is_named() {
        use crate::kubernetes::{Access, Api};
        let api = Api {
            node: "node-1".to_owned(),
            kubeconfig: None,
        };
        let told = |refused: &[&'static str], knows_node| {
            let access = Access {
                version: "v1.34.4".to_owned(),
                refused: refused.to_vec(),
                knows_node,
            };
            let checks = asked::told(&api, about("kubernetes-api", ""), &access);
            let told = checks.iter().map(|check| (check.name, check.status));
            told.collect::<Vec<_>>()
        };
        let (reach, rights, node) = ("kubernetes-api", "kubernetes-rights", "kubernetes-node");
        assert_eq!(
            told(&["watch"], false),
            [(reach, Status::Ok), (rights, Status::Warn)]
        );
        assert_eq!(
            told(&[], false),
            [
                (reach, Status::Ok),
                (rights, Status::Ok),
                (node, Status::Warn)
            ]
        );
        assert_eq!(told(&[], true)[2], (node, Status::Ok));
    }
}
