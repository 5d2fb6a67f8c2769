//! Names of pods for cgroups: who is asked for them, in which order, and how long each has. The API server first, then the links
//! to logs. It also knows which tree of cgroups is this node's: nodes that share a kernel see each other's pods.

use std::time::{Duration, Instant};

use finwatch_engine::{model::Named, timing};

use super::path::PodPath;
use crate::kubernetes::{Change, Logs, Pods, PodsFigures, Source};

/// See the module.
#[derive(Debug)]
pub(super) struct PodNames {
    pods: Option<Pods>,
    logs: Option<Logs>,
    /// The tree that pods of this node were found in.
    tree: Option<String>,
}

/// What is known of a container in a pod.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Everything that ever will be.
    Whole(Named),
    /// What is known so far: better may come.
    SoFar(Named),
    /// Nothing, and there is time to wait.
    Later,
    /// Nothing, and time is up.
    Unknown,
    /// It is in a pod of another node.
    Elsewhere,
}

// === impl PodNames ===

impl PodNames {
    /// From this source; none where it is none.
    pub(super) fn new(source: &Source) -> Option<Self> {
        source.is_any().then(|| Self {
            pods: source.api.as_ref().map(|api| Pods::new(&api.node)),
            logs: source.logs.as_deref().map(Logs::new),
            tree: None,
        })
    }

    /// Takes in what the watch told.
    pub(super) fn take(&mut self, change: Change, now: Instant) {
        if let Some(pods) = &mut self.pods {
            pods.take(change, now);
        }
    }

    /// Whose the container of this id in these pods is, when it was asked for so long.
    pub(super) fn look(&mut self, within: &[PodPath], id: &str, waited: Duration) -> Look {
        if let Some(pods) = &self.pods {
            let known = within.iter().enumerate();
            let mut known = known.filter_map(|(at, pod)| Some((at, pod, pods.find(&pod.uid)?)));
            if let Some((at, pod, named)) = known.next() {
                self.tree = Some(pod.tree.clone());
                // What runs deeper is none of the pod's own containers.
                return Self::with_container(
                    self.logs.as_mut().filter(|_| at == 0),
                    named,
                    id,
                    waited,
                );
            }
            let is_own = |tree: &String| within.iter().any(|pod| pod.tree == *tree);
            if !self.tree.as_ref().is_none_or(is_own) {
                return Look::Elsewhere;
            }
        }
        let uid = within
            .first()
            .map(|pod| pod.uid.as_str())
            .unwrap_or_default();
        let has_time = waited < Duration::from_nanos(timing::POD_NAME_NS);
        if has_time && self.pods.is_some() {
            return Look::Later;
        }
        match self.logs.as_mut().and_then(|logs| logs.named(id, uid)) {
            Some(named) if self.pods.is_some() => Look::SoFar(named),
            Some(named) => Look::Whole(named),
            None if has_time => Look::Later,
            None => Look::Unknown,
        }
    }

    /// The same of a cgroup in no pod, outside of the part of the tree that is mounted here. Where this node's pods are inside
    /// of it, that part is the node's.
    pub(super) fn look_outside(&self, waited: Duration) -> Look {
        match &self.tree {
            Some(tree) if !tree.starts_with('/') => Look::Elsewhere,
            None if waited < Duration::from_nanos(timing::POD_NAME_NS) => Look::Later,
            Some(_) | None => Look::Unknown,
        }
    }

    /// Whether other nodes' cgroups can be told from this one's.
    pub(super) fn knows_node(&self) -> bool {
        self.pods.is_some()
    }

    /// Figures about the pods; none: nobody tells of any.
    pub(super) fn figures(&self) -> Option<PodsFigures> {
        self.pods.as_ref().map(Pods::figures)
    }

    fn with_container(logs: Option<&mut Logs>, named: &Named, id: &str, waited: Duration) -> Look {
        let mut named = named.clone();
        let Some(logs) = logs else {
            return Look::Whole(named);
        };
        named.pod.container = logs.container(id).map(str::to_owned);
        let has_time = waited < Duration::from_nanos(timing::CONTAINER_NAME_NS);
        match named.pod.container {
            None if has_time => Look::SoFar(named),
            _ => Look::Whole(named),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::kubernetes::{Controller, PodMeta};

    const ID: &str = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100";
    const LATE: Duration = Duration::from_secs(60);

    fn within(tree: &str, uid: &str) -> Vec<PodPath> {
        vec![PodPath {
            uid: uid.to_owned(),
            tree: tree.to_owned(),
        }]
    }

    fn names(has_api: bool, logs: Option<&std::path::Path>) -> PodNames {
        PodNames {
            pods: has_api.then(|| Pods::new("node-1")),
            logs: logs.map(Logs::new),
            tree: None,
        }
    }

    fn came(names: &mut PodNames, uid: &str) {
        let pod = PodMeta {
            uid: uid.to_owned(),
            namespace: "shop".to_owned(),
            name: format!("db-{uid}"),
            controller: Some(Controller {
                kind: "StatefulSet".to_owned(),
                name: "db".to_owned(),
            }),
            ..PodMeta::default()
        };
        names.take(Change::Applied(pod), Instant::now());
    }

    fn workload(look: &Look) -> String {
        match look {
            Look::Whole(named) => format!("whole {}/{}", named.workload.kind, named.workload.name),
            Look::SoFar(named) => format!("so far {}/{}", named.workload.kind, named.workload.name),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_api_server_is_waited_for_and_then_the_next_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let mut names = names(true, Some(folder.path()));
        let pod = within("kubepods", "a");
        assert_eq!(names.look(&pod, ID, Duration::ZERO), Look::Later);
        assert_eq!(names.look(&pod, ID, LATE), Look::Unknown);
        fs::write(folder.path().join(format!("db-0_shop_main-{ID}.log")), "").unwrap();
        assert_eq!(names.look(&pod, ID, Duration::ZERO), Look::Later);
        assert_eq!(
            workload(&names.look(&pod, ID, LATE)),
            "so far statefulset/db"
        );
        came(&mut names, "a");
        let Look::Whole(named) = names.look(&pod, ID, Duration::ZERO) else {
            panic!("the API server and the link know everything");
        };
        assert_eq!(named.pod.container.as_deref(), Some("main"));
        assert_eq!(named.pod.name.as_deref(), Some("db-a"));
    }

    #[test]
    fn the_name_of_a_container_may_come_after_that_of_its_pod() {
        let folder = tempfile::tempdir().unwrap();
        let mut names = names(true, Some(folder.path()));
        came(&mut names, "a");
        let pod = within("kubepods", "a");
        assert_eq!(
            workload(&names.look(&pod, ID, Duration::ZERO)),
            "so far statefulset/db"
        );
        assert_eq!(
            workload(&names.look(&pod, ID, LATE)),
            "whole statefulset/db"
        );
    }

    #[test]
    fn pods_in_another_tree_are_another_nodes() {
        let mut names = names(true, None);
        let [here, there] = [within("kubepods", "a"), within("node-2/kubepods", "b")];
        assert_eq!(
            names.look(&there, ID, Duration::ZERO),
            Look::Later,
            "which is ours is not known"
        );
        came(&mut names, "a");
        assert_eq!(
            workload(&names.look(&here, ID, Duration::ZERO)),
            "whole statefulset/db"
        );
        assert_eq!(names.look(&there, ID, Duration::ZERO), Look::Elsewhere);
        let unheard = within("kubepods", "c");
        assert_eq!(
            names.look(&unheard, ID, LATE),
            Look::Unknown,
            "in our tree it is ours"
        );
        // A cluster that runs in our pods: its pods' containers are ours.
        let nested = [within("kubepods/poda/x/kubepods", "inner"), here].concat();
        assert_eq!(
            workload(&names.look(&nested, ID, Duration::ZERO)),
            "whole statefulset/db"
        );
    }

    #[test]
    fn what_is_outside_of_a_nodes_part_of_the_tree_is_another_nodes() {
        let mut node = names(true, None);
        assert_eq!(node.look_outside(Duration::ZERO), Look::Later);
        assert_eq!(node.look_outside(LATE), Look::Unknown);
        came(&mut node, "a");
        let pod = within("kubepods", "a");
        assert!(matches!(
            node.look(&pod, ID, Duration::ZERO),
            Look::Whole(_)
        ));
        assert_eq!(node.look_outside(LATE), Look::Elsewhere);
        // A container that sees its own cgroup alone: its node's pods are outside of it as well.
        let mut blind = names(true, None);
        came(&mut blind, "a");
        let pod = within("/kubepods", "a");
        assert!(matches!(
            blind.look(&pod, ID, Duration::ZERO),
            Look::Whole(_)
        ));
        assert_eq!(blind.look_outside(LATE), Look::Unknown);
    }

    #[test]
    fn where_nobody_watches_the_links_are_all_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut names = names(false, Some(folder.path()));
        let pod = within("kubepods", "a");
        assert_eq!(names.look(&pod, ID, Duration::ZERO), Look::Later);
        fs::write(folder.path().join(format!("db-0_shop_main-{ID}.log")), "").unwrap();
        assert_eq!(
            workload(&names.look(&pod, ID, Duration::ZERO)),
            "whole statefulset/db"
        );
    }
}
