//! What runs pods on a node: containerd, the kubelet and kube-proxy, with settings that leave the host alone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::children::Children;
use super::images::{self, PAUSE};
use super::pki::Pki;
use super::plan::Node;
use super::programs::{Programs, flag};
use crate::shell;

const CONTAINERD: &str = "/run/containerd/containerd.sock";
const CONFIG: &str = "/run/node";
/// Where a cluster has its names' server; there is none, and nobody asks.
const NO_DNS: &str = "10.79.0.10";

const READY_WITHIN: Duration = Duration::from_secs(30);

/// Starts all three; `images` is the folder of archives that the node shall have.
pub(super) fn start(
    children: &mut Children,
    programs: &Programs,
    pki: &Pki,
    node: &Node,
    images: &Path,
) -> Result<()> {
    for folder in [CONFIG, "/run/cni"] {
        fs::create_dir_all(folder).with_context(|| format!("create {folder}"))?;
    }
    write("/run/cni/10-pods.conflist", &cni(node))?;
    let config = format!("{CONFIG}/containerd.toml");
    write(&config, &containerd())?;
    children.start(
        "containerd",
        Command::new("containerd").args(["--config", &config]),
    )?;
    children.wait_until("containerd answers", READY_WITHIN, || {
        shell::read(ctr().arg("version")).is_ok()
    })?;
    for archive in images::archives(images)? {
        shell::read(ctr().args(["images", "import"]).arg(&archive))?;
    }
    let config = format!("{CONFIG}/kubelet.yaml");
    write(&config, &kubelet(pki))?;
    let mut command = programs.command("kubelet");
    command
        .args(["--config", &config])
        .arg(flag("kubeconfig", &pki.kubeconfig(node.name)))
        .arg(format!("--hostname-override={}", node.name))
        .arg(format!("--node-ip={}", node.address));
    children.start("kubelet", &mut command)?;
    let config = format!("{CONFIG}/proxy.yaml");
    write(&config, &proxy(pki, node))?;
    let mut command = programs.command("kube-proxy");
    children.start("proxy", command.args(["--config", &config]))
}

/// The client of this node's containerd.
fn ctr() -> Command {
    let mut command = Command::new("ctr");
    command.args(["--address", CONTAINERD, "--namespace", "k8s.io"]);
    command
}

/// `restrict_oom_score_adj`: a machine may lack the right to make its processes less likely to be killed.
fn containerd() -> String {
    format!(
        r#"version = 2
root = "/run/containerd/root"
state = "/run/containerd/state"
[grpc]
  address = "{CONTAINERD}"
[plugins."io.containerd.grpc.v1.cri"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  sandbox_image = "{PAUSE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/run/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"#
    )
}

fn cni(node: &Node) -> String {
    format!(
        r#"{{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {{"type": "ptp", "ipam": {{"type": "host-local", "dataDir": "/run/cni-addresses",
    "ranges": [[{{"subnet": "{}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}]}}
"#,
        node.pods
    )
}

/// It shall evict nobody, and throw no image away, for the disk of a machine that is not its own.
fn kubelet(pki: &Pki) -> String {
    format!(
        r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: '{}'}}
authorization: {{mode: Webhook}}
cgroupDriver: cgroupfs
failSwapOn: false
failCgroupV1: false
resolvConf: ""
clusterDNS: [{NO_DNS}]
containerRuntimeEndpoint: unix://{CONTAINERD}
volumePluginDir: /run/kubelet-plugins
oomScoreAdj: 0
evictionHard: {{memory.available: "1Mi", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}}
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 4s
"#,
        pki.file("ca.crt").display()
    )
}

/// The table of connections is the whole machine's, and stays as it is.
fn proxy(pki: &Pki, node: &Node) -> String {
    format!(
        r#"apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {{kubeconfig: '{}'}}
hostnameOverride: {}
mode: nftables
clusterCIDR: 10.78.0.0/16
oomScoreAdj: 0
conntrack: {{maxPerCore: 0, min: 0}}
"#,
        pki.kubeconfig("proxy").display(),
        node.name
    )
}

fn write(path: &str, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {path}"))
}
