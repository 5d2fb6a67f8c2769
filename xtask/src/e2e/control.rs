//! The control plane: etcd, the API server, the controllers and the scheduler, with the settings that a cluster of one control
//! node wants.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::children::Children;
use super::kubectl::Kubectl;
use super::pki::Pki;
use super::plan::{API_SERVER, SERVICES};
use super::programs::{Programs, flag};

const READY_WITHIN: Duration = Duration::from_secs(90);

/// Starts all four, and waits until the API answers.
pub(super) fn start(children: &mut Children, programs: &Programs, pki: &Pki) -> Result<()> {
    children.start("etcd", &mut etcd(&programs.etcd))?;
    children.start("apiserver", &mut api_server(programs, pki))?;
    let kubectl = Kubectl::new(programs, pki);
    children.wait_until("the API server is ready", READY_WITHIN, || {
        kubectl.read(&["get", "--raw", "/readyz"]).is_ok()
    })?;
    let mut controllers = programs.command("kube-controller-manager");
    controllers
        .arg(flag("kubeconfig", &pki.kubeconfig("controller-manager")))
        .arg(flag("root-ca-file", &pki.file("ca.crt")))
        .arg(flag(
            "service-account-private-key-file",
            &pki.file("accounts.key"),
        ))
        .args([
            "--use-service-account-credentials=true",
            "--leader-elect=false",
        ]);
    children.start("controller-manager", &mut controllers)?;
    let mut scheduler = programs.command("kube-scheduler");
    scheduler
        .arg(flag("kubeconfig", &pki.kubeconfig("scheduler")))
        .arg("--leader-elect=false");
    children.start("scheduler", &mut scheduler)
}

fn etcd(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--data-dir=/run/etcd", "--name=etcd", "--unsafe-no-fsync"])
        .args(["--listen-client-urls=http://127.0.0.1:2379"])
        .args(["--advertise-client-urls=http://127.0.0.1:2379"])
        .args(["--listen-peer-urls=http://127.0.0.1:2380"]);
    command
}

fn api_server(programs: &Programs, pki: &Pki) -> Command {
    let mut command = programs.command("kube-apiserver");
    command
        .args([
            "--etcd-servers=http://127.0.0.1:2379",
            "--allow-privileged=true",
        ])
        .arg(format!("--advertise-address={API_SERVER}"))
        .arg(format!("--service-cluster-ip-range={SERVICES}"))
        .args(["--authorization-mode=Node,RBAC"])
        .args(["--enable-admission-plugins=NodeRestriction"])
        .args(["--service-account-issuer=https://kubernetes.default.svc"])
        .args(["--kubelet-preferred-address-types=InternalIP"]);
    for (name, file) in [
        ("client-ca-file", "ca.crt"),
        ("tls-cert-file", "apiserver.crt"),
        ("tls-private-key-file", "apiserver.key"),
        ("service-account-key-file", "accounts.pub"),
        ("service-account-signing-key-file", "accounts.key"),
        ("kubelet-client-certificate", "kubelet-client.crt"),
        ("kubelet-client-key", "kubelet-client.key"),
    ] {
        command.arg(flag(name, &pki.file(file)));
    }
    command
}
