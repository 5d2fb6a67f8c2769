//! Paths as engines and systemd write them.

use super::*;

const ID: &str = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100";
const OUTER: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn assert_container(path: &str, want: Engine) {
    let path = path.replace("<id>", ID).replace("<outer>", OUTER);
    let Identity::Container { engine, id, .. } = identify(&path) else {
        panic!("no container: {path}");
    };
    assert_eq!((engine, id.as_str()), (want, ID), "{path}");
}

const UID: &str = "4ab0e6a2-0f0c-4c59-9d3c-7f1c7a3b2d11";
const INNER: &str = "9c1f5d0e-2b7a-4f6d-8e3b-1a2b3c4d5e6f";
const HASH: &str = "0123456789abcdef0123456789abcdef";

/// A path; the uids of the pods in it, the innermost first, each with its kubelet's tree.
#[rustfmt::skip]
const PODS: &[(&str, &[(&str, &str)])] = &[
    ("/kubepods/burstable/pod<uid>/<id>", &[(UID, "/kubepods")]),
    ("kubepods/besteffort/pod<uid>/<id>", &[(UID, "kubepods")]),
    ("/kubepods/pod<uid>/crio-<id>", &[(UID, "/kubepods")]),
    ("/../kubepods/besteffort/pod<uid>/<id>", &[(UID, "/../kubepods")]),
    ("/kubepods/burstable/pod<hash>/<id>", &[(HASH, "/kubepods")]),
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<u_id>.slice/cri-containerd-<id>.scope",
        &[(UID, "/kubepods.slice")],
    ),
    (
        "/kubepods.slice/kubepods-pod<hash>.slice/crio-<id>.scope/container",
        &[(HASH, "/kubepods.slice")],
    ),
    (
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod<u_id>.slice/docker-<id>.scope",
        &[(UID, "/kubepods.slice")],
    ),
    (
        "/system.slice/containerd.service/kubepods-burstable-pod<u_id>.slice:cri-containerd:<id>",
        &[(UID, "/system.slice/containerd.service/kubepods.slice")],
    ),
    // kind: the kubelet has a cgroup root of its own, in the node's container.
    (
        "/docker/<outer>/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
         kubelet-kubepods-besteffort-pod<u_id>.slice/cri-containerd-<id>.scope",
        &[(UID, "/docker/<outer>/kubelet.slice/kubelet-kubepods.slice")],
    ),
    (
        "/docker/<outer>/kubelet/kubepods/burstable/pod<uid>/<id>",
        &[(UID, "/docker/<outer>/kubelet/kubepods")],
    ),
    // A node in a pod: the pods of both are around the container.
    (
        "/kubepods/burstable/pod<uid>/<outer>/kubepods/besteffort/pod<inner>/<id>",
        &[(INNER, "/kubepods/burstable/pod<uid>/<outer>/kubepods"), (UID, "/kubepods")],
    ),
    (
        "/kubepods.slice/kubepods-pod<u_id>.slice/crio-<outer>.scope/kubepods.slice/kubepods-pod<in_ner>.slice/crio-<id>.scope",
        &[
            (INNER, "/kubepods.slice/kubepods-pod<u_id>.slice/crio-<outer>.scope/kubepods.slice"),
            (UID, "/kubepods.slice"),
        ],
    ),
    // An engine in a pod.
    ("/kubepods/burstable/pod<uid>/<outer>/docker/<id>", &[(UID, "/kubepods")]),
    ("/docker/<id>", &[]),
    ("/machines/pod<uid>/<id>", &[]),
    ("/kubepods/burstable/podman/<id>", &[]),
    ("/mykubepods.slice/mykubepods-pod<u_id>.slice/crio-<id>.scope", &[]),
];

fn filled(text: &str) -> String {
    text.replace("<id>", ID)
        .replace("<outer>", OUTER)
        .replace("<uid>", UID)
        .replace("<u_id>", &UID.replace('-', "_"))
        .replace("<inner>", INNER)
        .replace("<in_ner>", &INNER.replace('-', "_"))
        .replace("<hash>", HASH)
}

#[test]
fn the_uid_of_a_pod_is_kept_whichever_driver_wrote_it() {
    for (path, pods) in PODS {
        let path = filled(path);
        let Identity::Container { pods: told, .. } = identify(&path) else {
            panic!("no container: {path}");
        };
        let want = pods.iter().map(|(uid, tree)| PodPath {
            uid: (*uid).to_owned(),
            tree: filled(tree),
        });
        assert_eq!(told, want.collect::<Vec<_>>(), "{path}");
    }
}

#[test]
fn containers_of_every_engine_and_driver() {
    for (path, engine) in [
        ("/docker/<id>", Engine::Docker),
        ("docker/<id>", Engine::Docker),
        ("/system.slice/docker-<id>.scope", Engine::Docker),
        ("/system.slice/docker-<id>.scope/init.scope", Engine::Docker),
        (
            "/system.slice/docker-<id>.scope/system.slice/nginx.service",
            Engine::Docker,
        ),
        ("/system.slice/docker.service/docker/<id>", Engine::Docker),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/docker-<id>.scope",
            Engine::Docker,
        ),
        ("/../../docker/<id>", Engine::Docker),
        ("/docker/<outer>/docker/<id>", Engine::Docker),
        ("/actions_job/<id>", Engine::Unnamed),
        ("/machine.slice/libpod-<id>.scope", Engine::Podman),
        ("/machine.slice/libpod-<id>.scope/container", Engine::Podman),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-<id>.scope/container",
            Engine::Podman,
        ),
        ("/libpod_parent/libpod-<id>", Engine::Podman),
        (
            "/system.slice/web.service/libpod-payload-<id>",
            Engine::Podman,
        ),
        ("/kubepods/burstable/pod12-ab/<id>", Engine::Unnamed),
        ("/kubepods/pod12-ab/<id>", Engine::Unnamed),
        ("/kubepods/besteffort/pod12-ab/crio-<id>", Engine::Crio),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-<id>.scope",
            Engine::Containerd,
        ),
        (
            "/kubepods.slice/kubepods-pod1_2.slice/crio-<id>.scope",
            Engine::Crio,
        ),
        (
            "/kubepods.slice/kubepods-pod1_2.slice/crio-<id>.scope/container",
            Engine::Crio,
        ),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/docker-<id>.scope",
            Engine::Docker,
        ),
        ("/../kubepods/burstable/pod12/<id>", Engine::Unnamed),
        (
            "/docker/<outer>/kubelet/kubepods/burstable/pod12/<id>",
            Engine::Unnamed,
        ),
        (
            "/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:<id>",
            Engine::Containerd,
        ),
        ("/system.slice/nerdctl-<id>.scope", Engine::Containerd),
        ("/default/<id>", Engine::Containerd),
        ("/docker/<id> (deleted)", Engine::Docker),
    ] {
        assert_container(path, engine);
    }
}

#[test]
fn lxc_puts_the_name_into_the_path() {
    for path in [
        "/lxc/web",
        "/lxc.payload.web",
        "/lxc.payload/web",
        "/lxc.payload.web/system.slice/nginx.service",
    ] {
        let want = Identity::Container {
            engine: Engine::Lxc,
            id: "web".to_owned(),
            pods: Vec::new(),
        };
        assert_eq!(identify(path), want, "{path}");
    }
}

#[test]
fn units_by_their_innermost_name() {
    for (path, unit) in [
        ("/system.slice/nginx.service", "nginx.service"),
        ("system.slice/nginx.service", "nginx.service"),
        ("/system.slice/nginx.service/worker/3", "nginx.service"),
        (
            "/system.slice/system-nginx.slice/nginx@prod.service",
            "nginx@prod.service",
        ),
        (
            "/system.slice/system-postgresql.slice/postgresql@15-main.service",
            "postgresql@15-main.service",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service",
            "x.service",
        ),
        ("/../../system.slice/nginx.service", "nginx.service"),
        ("/system.slice/ssh.socket", "ssh.socket"),
        ("/machine.slice/machine-db.scope", "machine-db.scope"),
        (r"/system.slice/a\x2db.service", r"a\x2db.service"),
        (
            "/system.slice/system-sshd.slice/sshd@7-10.0.0.1:22-10.0.0.9:51234.service",
            "sshd@.service",
        ),
        (
            "/system.slice/system-sshd.slice/sshd@7-[::1]:22-[fe80::2]:51234.service",
            "sshd@.service",
        ),
        (
            "/system.slice/system-varlink.slice/varlink@4-1234-0.service",
            "varlink@.service",
        ),
        (
            "/system.slice/system-systemd\\x2dcoredump.slice/systemd-coredump@0-12_13-0.service",
            "systemd-coredump@.service",
        ),
        (
            "/user.slice/user@1.service/app.slice/app-x@0123456789abcdef0123456789abcdef.service",
            "app-x@.service",
        ),
    ] {
        assert_eq!(identify(path), Identity::Unit(unit.to_owned()), "{path}");
    }
}

#[test]
fn what_is_nobodys() {
    for path in [
        "",
        "/",
        "/../..",
        "/init.scope",
        "/system.slice",
        "/user.slice/user-0.slice/session-3.scope",
        "/user.slice/user-0.slice/session-c1.scope",
        "/user.slice/user-1000.slice/user@1000.service",
        "/user.slice/user-1000.slice/user@1000.service/init.scope",
        "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-x-412.scope",
        "/user.slice/user@1000.service/app.slice/vte-spawn-0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f.scope",
        "/system.slice/run-u12.service",
        "/system.slice/run-r0123456789abcdef0123456789abcdef.scope",
        "/system.slice/run-p123-i456.service",
        "/system.slice/run-4711.scope",
        "/system.slice/dbus-:1.95-org.freedesktop.problems@0.service",
        "/.service",
        "/kubepods/burstable/pod1c2d",
        "/kubepods.slice/kubepods-burstable.slice",
        "/lxc.monitor.web",
        "/docker/buildkit",
    ] {
        assert_eq!(identify(path), Identity::Nobody, "{path}");
    }
}

#[test]
fn a_monitor_is_not_its_container() {
    for prefix in ["libpod-conmon", "crio-conmon"] {
        let path = format!("/machine.slice/{prefix}-{ID}.scope");
        assert!(
            !matches!(identify(&path), Identity::Container { .. }),
            "{path}"
        );
    }
}

#[test]
fn text_that_is_no_id_does_not_panic() {
    let umlauts = "ä".repeat(40);
    assert_eq!(identify(&umlauts), Identity::Nobody);
    assert_eq!(identify(&format!("x{umlauts}")), Identity::Nobody);
    assert_eq!(identify(&ID.to_uppercase()), Identity::Nobody);
    assert_eq!(identify(&ID[..63]), Identity::Nobody);
}

#[test]
fn short_ids() {
    assert_eq!(short_id(ID), "3f4e5d6c7b8a");
    assert_eq!(short_id("web"), "web");
}
