//! What the path of a cgroup says about who lives in it. Pure text: it knows no file system, and does
//! not know whether the unit or the container still exists.

/// Who lives in a cgroup, as far as its path tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A container, by the engine's id.
    Container {
        /// The engine whose naming was recognised.
        engine: Engine,
        /// The full id, or the name where the engine puts the name into the path.
        id: String,
    },
    /// A systemd unit, by its name with suffix.
    Unit(String),
    /// Nobody that has a lasting name: the root, a slice, a login session, a generated scope.
    Nobody,
}

/// A container engine: decides where the container's name can be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// Docker (moby).
    Docker,
    /// Podman and everything else that uses libpod.
    Podman,
    /// CRI-O.
    Crio,
    /// containerd: through its CRI plugin, or nerdctl.
    Containerd,
    /// LXC and LXD: the path holds the name itself.
    Lxc,
    /// The path holds an id, and does not say whose.
    Unnamed,
}

/// Reads a cgroup path, as in `/proc/<pid>/cgroup` or relative to the mount point of cgroup2.
///
/// The innermost container wins: what runs inside a container is the container's affair, and what
/// runs around it (a unit of the engine) is not the workload. Without a container, the innermost
/// systemd unit.
pub(crate) fn identify(path: &str) -> Identity {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let mut unit = None;
    let mut children = path.split('/').rev().filter(is_name).peekable();
    while let Some(name) = children.next() {
        if let Some((engine, id)) = container(name, children.peek().copied()) {
            return Identity::Container { engine, id };
        }
        if unit.is_none() && is_unit(name) {
            unit = Some(name);
        }
    }
    match unit {
        Some(name) if !is_passing(name) => Identity::Unit(without_generated_instance(name)),
        _ => Identity::Nobody,
    }
}

/// The first 12 characters of a container id, as every engine prints it.
pub(crate) fn short_id(id: &str) -> &str {
    if is_container_id(id) { &id[..12] } else { id }
}

fn is_name(component: &&str) -> bool {
    !matches!(*component, "" | "." | "..")
}

// === containers ===

/// The container that a path component names, if it names one; `parent` is the component around it.
fn container(name: &str, parent: Option<&str>) -> Option<(Engine, String)> {
    if let Some(lxc) = lxc(name, parent) {
        return Some((Engine::Lxc, lxc.to_owned()));
    }
    let scope = name.strip_suffix(".scope").unwrap_or(name);
    let at = scope
        .len()
        .checked_sub(64)
        .filter(|at| scope.is_char_boundary(*at))?;
    let (prefix, id) = scope.split_at(at);
    if !is_container_id(id) {
        return None;
    }
    // `conmon` is the monitor beside a container, not the container.
    let label = match prefix.strip_suffix(['-', ':']) {
        Some(label) if !label.contains("conmon") => label,
        None if prefix.is_empty() => parent.unwrap_or(""),
        _ => return None,
    };
    // A containerd whose driver disagrees with the kubelet's writes `<slice>:cri-containerd:<id>`.
    let label = label.rsplit(':').next().unwrap_or(label);
    Some((engine(label), id.to_owned()))
}

fn engine(label: &str) -> Engine {
    match label {
        "docker" | "moby" => Engine::Docker,
        "libpod" | "libpod-payload" | "libpod_parent" => Engine::Podman,
        "crio" | "cri-o" => Engine::Crio,
        "cri-containerd" | "containerd" | "nerdctl" | "default" | "k8s.io" => Engine::Containerd,
        _ => Engine::Unnamed,
    }
}

fn is_container_id(text: &str) -> bool {
    text.len() == 64 && is_lower_hex(text)
}

/// `lxc.payload.<name>`, `lxc.payload/<name>` and `lxc/<name>`; the monitor is not the container.
fn lxc<'a>(name: &'a str, parent: Option<&str>) -> Option<&'a str> {
    match parent {
        Some("lxc" | "lxc.payload") => Some(name),
        _ => name
            .strip_prefix("lxc.payload.")
            .filter(|name| !name.is_empty()),
    }
}

// === units ===

fn is_unit(name: &str) -> bool {
    // Since systemd binds the sockets of a socket unit inside the unit's own cgroup, the connections of
    // a socket-activated service carry `.socket`.
    [".service", ".socket", ".scope"]
        .iter()
        .any(|suffix| name.len() > suffix.len() && name.ends_with(suffix))
}

/// Whether a unit's name is made up for one login, one command or one window: it will never come
/// again, so it would be a label without bound.
fn is_passing(name: &str) -> bool {
    if let Some(stem) = name.strip_suffix(".scope") {
        return stem == "init"
            || stem.starts_with("session-")
            || stem.starts_with("app-")
            || is_generated_run(stem)
            || stem
                .rsplit_once('-')
                .is_some_and(|(_, last)| is_digits(last))
            || ends_with_uuid(stem);
    }
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    is_generated_run(stem)
        || stem.starts_with("dbus-:")
        || stem
            .strip_prefix("user@")
            .is_some_and(|uid| is_digits(uid) || uid.is_empty())
}

/// `systemd-run` without a name: `run-r<32 hex digits>`, `run-u<n>`, `run-p<pid>-i<id>`, `run-<pid>`.
fn is_generated_run(stem: &str) -> bool {
    let Some(rest) = stem.strip_prefix("run-") else {
        return false;
    };
    let pid_and_id = || {
        let (pid, id) = rest.strip_prefix('p')?.split_once("-i")?;
        Some(is_digits(pid) && is_digits(id))
    };
    is_digits(rest)
        || rest.strip_prefix('u').is_some_and(is_digits)
        || rest
            .strip_prefix('r')
            .is_some_and(|hex| hex.len() == 32 && is_lower_hex(hex))
        || pid_and_id().unwrap_or(false)
}

/// Replaces an instance that systemd made up, such as `sshd@7-10.0.0.1:22-10.0.0.9:51234.service`, by
/// nothing: the template remains. An instance that a person chose stays.
fn without_generated_instance(name: &str) -> String {
    let keep = || name.to_owned();
    let Some((template, rest)) = name.split_once('@') else {
        return keep();
    };
    let Some((instance, suffix)) = rest.rsplit_once('.') else {
        return keep();
    };
    if is_generated_instance(instance) {
        format!("{template}@.{suffix}")
    } else {
        keep()
    }
}

fn is_generated_instance(instance: &str) -> bool {
    if (instance.len() == 32 && is_lower_hex(instance)) || ends_with_uuid(instance) {
        return true;
    }
    // Accept=yes: `<n>-<address>:<port>-<address>:<port>`, or `<n>-<pid>-<uid>` for a Unix socket.
    let Some((number, peer)) = instance.split_once('-') else {
        return false;
    };
    let pid_and_uid = || {
        let (pid, uid) = peer.split_once('-')?;
        Some(pid.split('_').all(is_digits) && is_digits(uid))
    };
    is_digits(number) && (peer.contains(':') || pid_and_uid().unwrap_or(false))
}

/// Whether the text ends in `8-4-4-4-12` hex digits.
fn ends_with_uuid(text: &str) -> bool {
    let groups = text.rsplitn(6, '-').take(5);
    let lengths = [12, 4, 4, 4];
    let mut count = 0;
    for (i, group) in groups.enumerate() {
        let (group, len) = match lengths.get(i) {
            Some(len) => (group, *len),
            // The first group may follow a prefix that is not set off by a dash.
            None => (group.get(group.len().saturating_sub(8)..).unwrap_or(""), 8),
        };
        if group.len() != len || !is_lower_hex(group) {
            return false;
        }
        count += 1;
    }
    count == 5
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4e5d6c7b8a99887766554433221100ffeeddccbbaa99887766554433221100";
    const OUTER: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn assert_container(path: &str, want: Engine) {
        let path = path.replace("<id>", ID).replace("<outer>", OUTER);
        let want = Identity::Container {
            engine: want,
            id: ID.to_owned(),
        };
        assert_eq!(identify(&path), want, "{path}");
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
}
