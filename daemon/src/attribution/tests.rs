//! Attribution against trees of plain directories, whose inode numbers serve as ids as well as those of
//! cgroup2 do. Real cgroups are the kernel tier's affair.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use finwatch_common::{Phase, Role};

use super::*;
use crate::kubernetes::{Api, Controller, PodMeta};

const ID: &str = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100";

fn key(cgroup: u64, comm: &str) -> ServiceKey {
    let mut key = ServiceKey::other(Role::Server, Phase::Steady);
    key.cgroup = cgroup;
    key.netns = 1;
    key.port = 80;
    key.comm[..comm.len()].copy_from_slice(comm.as_bytes());
    key
}

fn process(name: &str) -> Workload {
    Workload::on_host(WorkloadKind::Process, name)
}

fn unit(name: &str) -> Workload {
    Workload::on_host(WorkloadKind::Unit, name)
}

fn make(path: &Path) -> u64 {
    fs::create_dir_all(path).unwrap();
    fs::metadata(path).unwrap().ino()
}

fn over(tree: &Path, host: &Path) -> Attribution {
    Attribution::new(&AttributionOptions {
        cgroup_root: Some(tree.to_owned()),
        host_root: host.to_owned(),
        ..AttributionOptions::default()
    })
}

#[test]
fn what_was_there_at_the_start() {
    let tree = tempfile::tempdir().unwrap();
    let nginx = make(&tree.path().join("system.slice/nginx.service"));
    let session = make(&tree.path().join("user.slice/session-1.scope"));
    let root = make(tree.path());
    let mut attribution = over(tree.path(), tree.path());
    assert_eq!(
        attribution.workload(&key(nginx, "nginx")),
        unit("nginx.service")
    );
    assert_eq!(
        attribution.workload(&key(session, "checkout")),
        process("checkout")
    );
    assert_eq!(attribution.workload(&key(root, "init")), process("init"));
    assert_eq!(attribution.stats().unknown, 0);
}

#[test]
fn a_cgroup_that_came_and_went_between_two_looks() {
    let tree = tempfile::tempdir().unwrap();
    let mut attribution = over(tree.path(), tree.path());
    let slice = tree.path().join("system.slice");
    make(&slice);
    attribution.refresh();
    let brief = slice.join("brief.service");
    let id = make(&brief);
    attribution.refresh();
    fs::remove_dir(&brief).unwrap();
    fs::remove_dir(&slice).unwrap();
    assert_eq!(
        attribution.workload(&key(id, "checkout")),
        unit("brief.service"),
        "the name outlives the cgroup"
    );
}

#[test]
fn a_nested_tree_made_at_once_is_learned_whole() {
    let tree = tempfile::tempdir().unwrap();
    let mut attribution = over(tree.path(), tree.path());
    let id = make(&tree.path().join("a.slice/b.slice/c.slice/deep.service"));
    attribution.refresh();
    assert_eq!(
        attribution.workload(&key(id, "checkout")),
        unit("deep.service")
    );
}

#[test]
fn what_nobody_ever_saw_is_counted_once() {
    let tree = tempfile::tempdir().unwrap();
    let mut attribution = over(tree.path(), tree.path());
    let gone = key(u64::MAX - 1, "curl");
    assert_eq!(attribution.workload(&gone), process("curl"));
    assert_eq!(attribution.workload(&gone), process("curl"));
    assert_eq!(attribution.stats().unknown, 1);
}

#[test]
fn the_other_row_and_a_nameless_process() {
    let tree = tempfile::tempdir().unwrap();
    let mut attribution = over(tree.path(), tree.path());
    let other = ServiceKey::other(Role::Client, Phase::Steady);
    assert_eq!(attribution.workload(&other), Workload::other());
    let root = make(tree.path());
    assert_eq!(attribution.workload(&key(root, "")), process("unknown"));
    assert_eq!(
        attribution.workload(&key(root, "\x1b[31mred")),
        process("?[31mred")
    );
}

#[test]
fn without_cgroup2_the_process_must_do() {
    let mut attribution = over(Path::new("/nonexistent"), Path::new("/nonexistent"));
    assert_eq!(attribution.workload(&key(77, "nginx")), process("nginx"));
    assert_eq!(attribution.stats().unknown, 0);
}

#[test]
fn names_of_containers_come_from_the_engine_files() {
    let host = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = host.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        &format!("var/lib/docker/containers/{ID}/config.v2.json"),
        r#"{"StreamConfig":{},"ID":"x","Name":"/web","Driver":"overlay2"}"#,
    );
    write(
        "var/lib/containers/storage/overlay-containers/containers.json",
        &format!(r#"[{{"id":"{ID}","names":["db"],"image":"i"}}]"#),
    );
    write(
        &format!("run/containerd/io.containerd.runtime.v2.task/default/{ID}/config.json"),
        r#"{"ociVersion":"1.0","annotations":{"nerdctl/name":"cache","x":"y"}}"#,
    );
    let tree = tempfile::tempdir().unwrap();
    let mut attribution = over(tree.path(), host.path());
    for (path, name) in [
        (format!("docker/{ID}"), "web"),
        (format!("machine.slice/libpod-{ID}.scope/container"), "db"),
        (format!("default/{ID}"), "cache"),
        (format!("x.slice/crio-{ID}.scope"), "3f4e5d6c7b8a"),
        ("lxc.payload.mail".to_owned(), "mail"),
    ] {
        let id = make(&tree.path().join(&path));
        let want = Workload::on_host(WorkloadKind::Container, name);
        assert_eq!(attribution.workload(&key(id, "checkout")), want, "{path}");
    }
}

#[test]
fn a_broken_engine_file_leaves_the_short_id() {
    let host = tempfile::tempdir().unwrap();
    let dir = host.path().join(format!("var/lib/docker/containers/{ID}"));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("config.v2.json"), "{\"Name\": 7").unwrap();
    let tree = tempfile::tempdir().unwrap();
    let id = make(&tree.path().join(format!("docker/{ID}")));
    let mut attribution = over(tree.path(), host.path());
    let want = Workload::on_host(WorkloadKind::Container, "3f4e5d6c7b8a");
    assert_eq!(attribution.workload(&key(id, "checkout")), want);
}

// === pods ===

const UID: &str = "4ab0e6a2-0f0c-4c59-9d3c-7f1c7a3b2d11";
const OTHER_ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn with_pods(tree: &Path) -> Attribution {
    let api = Api {
        node: "node-1".to_owned(),
        kubeconfig: None,
    };
    Attribution::new(&AttributionOptions {
        cgroup_root: Some(tree.to_owned()),
        host_root: tree.to_owned(),
        pods: Source {
            api: Some(api),
            ..Source::default()
        },
    })
}

fn meta(uid: &str) -> PodMeta {
    PodMeta {
        uid: uid.to_owned(),
        namespace: "shop".to_owned(),
        name: "db-0".to_owned(),
        controller: Some(Controller {
            kind: "StatefulSet".to_owned(),
            name: "db".to_owned(),
        }),
        ..PodMeta::default()
    }
}

fn called(whose: &Whose) -> String {
    match whose {
        Whose::Known(named) => format!("{}/{}", named.workload.kind, named.workload.name),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_container_is_called_as_its_pods_workload_before_and_after_the_pod_is_gone() {
    let tree = tempfile::tempdir().unwrap();
    let pod = tree.path().join(format!("kubepods/burstable/pod{UID}"));
    let [early, late] = [ID, OTHER_ID].map(|id| make(&pod.join(id)));
    let mut attribution = with_pods(tree.path());
    assert_eq!(attribution.whose(&key(early, "java")), Whose::Later);
    let so_far = attribution.named(&key(early, "java"));
    assert_eq!(so_far.workload.name, "3f4e5d6c7b8a", "by its id");
    assert_eq!(so_far.pod.uid.as_deref(), Some(UID));
    attribution.pod(Change::Applied(meta(UID)));
    let whose = attribution.whose(&key(early, "java"));
    assert_eq!(called(&whose), "statefulset/db");
    let named = attribution.named(&key(early, "java"));
    assert_eq!(named.workload.namespace, "shop");
    assert_eq!(named.pod.name.as_deref(), Some("db-0"));
    assert_eq!(named.pod.node.as_deref(), Some("node-1"));
    attribution.pod(Change::Deleted(meta(UID)));
    let whose = attribution.whose(&key(late, "java"));
    assert_eq!(called(&whose), "statefulset/db", "remembered");
    assert_eq!(attribution.stats().unknown, 0);
}

#[test]
fn what_is_no_pods_is_called_as_ever_where_pods_are_watched() {
    let tree = tempfile::tempdir().unwrap();
    let kubelet = make(&tree.path().join("system.slice/kubelet.service"));
    let docker = make(&tree.path().join(format!("docker/{ID}")));
    let mut attribution = with_pods(tree.path());
    let whose = attribution.whose(&key(kubelet, "kubelet"));
    assert_eq!(called(&whose), "unit/kubelet.service");
    let whose = attribution.whose(&key(docker, "java"));
    assert_eq!(called(&whose), "container/3f4e5d6c7b8a");
}

#[test]
fn pods_of_another_node_are_left_out_and_counted_once() {
    let tree = tempfile::tempdir().unwrap();
    let ours = make(&tree.path().join(format!("a/kubepods/pod{UID}/{ID}")));
    let theirs = UID.replace("4ab0", "ffff");
    let theirs = make(
        &tree
            .path()
            .join(format!("b/kubepods/pod{theirs}/{OTHER_ID}")),
    );
    let mut attribution = with_pods(tree.path());
    assert_eq!(
        attribution.whose(&key(theirs, "java")),
        Whose::Later,
        "which is ours is not known"
    );
    attribution.pod(Change::Applied(meta(UID)));
    assert_eq!(
        called(&attribution.whose(&key(ours, "java"))),
        "statefulset/db"
    );
    for _ in 0..2 {
        assert_eq!(attribution.whose(&key(theirs, "java")), Whose::Elsewhere);
    }
    assert_eq!(attribution.stats().elsewhere, 1);
    let trees = pod_trees(Some(tree.path())).unwrap();
    let told: Vec<_> = trees
        .iter()
        .map(|tree| (tree.path.as_str(), tree.pods))
        .collect();
    assert_eq!(told, [("a/kubepods", 1), ("b/kubepods", 1)]);
}
