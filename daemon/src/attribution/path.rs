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
        /// The Kubernetes pods around it, the innermost first: there are several where nodes of a cluster run in pods.
        pods: Vec<PodPath>,
    },
    /// A systemd unit, by its name with suffix.
    Unit(String),
    /// Nobody that has a lasting name: the root, a slice, a login session, a generated scope.
    Nobody,
}

/// The cgroup of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodPath {
    /// The uid in its name, as the API writes it.
    pub(crate) uid: String,
    /// Path of the tree that all pods of one kubelet are in: nodes that share a kernel have one each.
    pub(crate) tree: String,
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
            return Identity::Container {
                engine,
                id,
                pods: pods(path),
            };
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

/// The pods in the path of a cgroup, the innermost first.
pub(super) fn pods(path: &str) -> Vec<PodPath> {
    let parts: Vec<&str> = path.split('/').collect();
    let pods = (0..parts.len()).rev();
    pods.filter_map(|at| {
        let (uid, root) = of_systemd(parts[at]).or_else(|| of_cgroupfs(&parts[..=at]))?;
        let is_uuid = uid.len() == 36 && ends_with_uuid(&uid);
        let is_hash = uid.len() == 32 && is_lower_hex(&uid);
        let above = parts[..at].iter().rposition(|part| *part == root);
        let tree = match above {
            Some(above) => parts[..=above].join("/"),
            // A runtime that does not know the kubelet's slices puts the pod's into its own unit.
            None => format!("{}/{root}", parts[..at].join("/")),
        };
        (is_uuid || is_hash).then_some(PodPath { uid, tree })
    })
    .collect()
}

/// The uid of a pod and the name of its kubelet's tree: `kubepods-burstable-pod<uid>.slice`, with underscores for dashes, as the
/// kubelet's systemd driver makes it; `kubelet-kubepods-...` below a cgroup root of its own (kind). A static pod's uid is a hash
/// without either (kubernetes `pkg/kubelet/cm`).
fn of_systemd(part: &str) -> Option<(String, String)> {
    let (slice, _) = part.split_once(".slice")?;
    let (class, uid) = slice.rsplit_once("-pod")?;
    let root = ["-besteffort", "-burstable"]
        .iter()
        .find_map(|suffix| class.strip_suffix(suffix))
        .unwrap_or(class);
    (root == "kubepods" || root.ends_with("-kubepods"))
        .then(|| (uid.replace('_', "-"), format!("{root}.slice")))
}

/// The same of `kubepods/burstable/pod<uid>`, as its cgroupfs driver makes it: the last of the parts.
fn of_cgroupfs(parts: &[&str]) -> Option<(String, String)> {
    let (last, above) = parts.split_last()?;
    let above = match above {
        [above @ .., "besteffort" | "burstable"] => above,
        above => above,
    };
    let root = above.last().filter(|root| **root == "kubepods")?;
    Some((last.strip_prefix("pod")?.to_owned(), (*root).to_owned()))
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

pub(super) fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Names reach terminals and labels: control characters do not.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
