//! One node: its mounts, its network and its settings, made inside the namespaces that this process already has.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::cgroups;
use super::plan::{Node, SERVICES};
use crate::shell;

/// Settings of the whole machine that a kubelet writes. It gets files of the same content in their places.
pub(super) const SYSCTLS: &[&str] = &[
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// How long the cable to the other node may take.
const CABLE_WITHIN: Duration = Duration::from_secs(30);

/// Makes this process's namespaces a node. The first one lays the cable to the process `peer` of the other.
pub(super) fn furnish(node: &Node, peer: Option<u32>) -> Result<()> {
    mounts().context("mount what a node has of its own")?;
    for sysctl in SYSCTLS {
        cover(sysctl)?;
    }
    network(node, peer).context("make the node's network")
}

fn network(node: &Node, peer: Option<u32>) -> Result<()> {
    ip("link set lo up")?;
    if let Some(peer) = peer {
        // Both ends are in namespaces of the cluster: the host has no part in it.
        ip(&format!(
            "link add eth0 type veth peer name eth0 netns {peer}"
        ))?;
    }
    let started = Instant::now();
    while !Path::new("/sys/class/net/eth0").exists() {
        if started.elapsed() > CABLE_WITHIN {
            bail!("wait for the cable to the other node: not there after {CABLE_WITHIN:?}");
        }
        thread::sleep(Duration::from_millis(50));
    }
    ip(&format!("address add {}/24 dev eth0", node.address))?;
    ip("link set eth0 up")?;
    let other = node.other();
    ip(&format!("route add {} via {}", other.pods, other.address))?;
    // What a cluster's address stands for is chosen after the route to it.
    ip(&format!("route add {} via {}", SERVICES, other.address))?;
    write("/proc/sys/net/ipv4/ip_forward", "1")
}

fn mounts() -> Result<()> {
    run("mount --make-rprivate /")?;
    // Of this network namespace, and with the control groups of this node only.
    run("mount -t sysfs sysfs /sys")?;
    run("mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup")?;
    for controllers in cgroups::controllers()? {
        let named = controllers.strip_prefix("name=");
        let folder = format!("/sys/fs/cgroup/{}", named.unwrap_or(&controllers));
        make(&folder)?;
        let none = if named.is_some() { "none," } else { "" };
        run(&format!(
            "mount -t cgroup -o {none}{controllers} cgroup {folder}"
        ))?;
    }
    make("/sys/fs/cgroup/unified")?;
    run("mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")?;
    // What programs write where the host has files of its own goes to memory, and ends with the node.
    run("mount -t tmpfs -o mode=755 tmpfs /run")?;
    for folder in ["/var/lib", "/var/log"] {
        let over = format!("/run/over{folder}");
        make(format!("{over}/upper"))?;
        make(format!("{over}/work"))?;
        run(&format!(
            "mount -t overlay -o lowerdir={folder},upperdir={over}/upper,workdir={over}/work overlay {folder}"
        ))?;
    }
    // A daemon of the host may keep its history here.
    make("/var/lib/finwatch")?;
    run("mount -t tmpfs -o mode=755 tmpfs /var/lib/finwatch")
}

/// Puts a file with the same content over a setting, so that writing it changes nothing.
fn cover(sysctl: &str) -> Result<()> {
    let setting = format!("/proc/sys/{sysctl}");
    let content = fs::read_to_string(&setting).with_context(|| format!("read {setting}"))?;
    let file = format!("/run/sysctl/{sysctl}");
    let folder = Path::new(&file)
        .parent()
        .context("find the folder of a setting")?;
    make(folder)?;
    write(&file, &content)?;
    run(&format!("mount --bind {file} {setting}"))
}

fn ip(words: &str) -> Result<()> {
    run(&format!("ip {words}"))
}

/// A command line without quoted words.
fn run(line: &str) -> Result<()> {
    let mut words = line.split_whitespace();
    let program = words.next().context("find the program of an empty line")?;
    shell::read(Command::new(program).args(words)).map(drop)
}

fn make(folder: impl AsRef<Path>) -> Result<()> {
    let folder = folder.as_ref();
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
}

fn write(path: &str, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {path}"))
}
