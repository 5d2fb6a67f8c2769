//! What is done to a scenario's servers, as a person would: with kubectl.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::http;
use super::kubectl::Kubectl;
use super::manifests::CONTROL;
use super::scenarios::{Action, Scenario};

/// How long a rollout may take, and what follows from it.
const DONE_WITHIN: Duration = Duration::from_secs(120);

/// Does to the servers what the scenario says, and waits until it is done.
pub(super) fn act(kubectl: &Kubectl, scenario: &Scenario) -> Result<()> {
    let namespace = scenario.namespace();
    match scenario.action {
        Action::Restart => {
            kubectl.read(&["-n", &namespace, "rollout", "restart", "deployment/web"])?;
            status(kubectl, &namespace)?;
            alone(kubectl, &namespace, scenario.replicas)
        }
        Action::Scale(to) => {
            let replicas = format!("--replicas={to}");
            kubectl.read(&["-n", &namespace, "scale", "deployment/web", &replicas])?;
            alone(kubectl, &namespace, to)
        }
        Action::Force => force(kubectl, &namespace, scenario.replicas),
        Action::Oom => oom(kubectl, &namespace),
    }
}

/// Waits until the Deployment has what was asked of it.
pub(super) fn status(kubectl: &Kubectl, namespace: &str) -> Result<()> {
    let within = format!("--timeout={}s", DONE_WITHIN.as_secs());
    let words = [
        "-n",
        namespace,
        "rollout",
        "status",
        "deployment/web",
        &within,
        // It watches, which is one long request.
        "--request-timeout=0",
    ];
    kubectl.read(&words).map(drop)
}

/// Waits until there are so many pods, and none that is about to go.
fn alone(kubectl: &Kubectl, namespace: &str, pods: u32) -> Result<()> {
    let what = format!("there are {pods} pods and no others");
    kubectl
        .wait_until(&what, DONE_WITHIN, &servers(namespace), |list| {
            let items = list["items"].as_array().map_or(0, Vec::len);
            items == pods as usize
        })
        .map(drop)
}

/// Deletes the first pod without grace, and waits until another one has its place.
fn force(kubectl: &Kubectl, namespace: &str, replicas: u32) -> Result<()> {
    let pods = kubectl.json(&servers(namespace))?;
    let name = pods["items"][0]["metadata"]["name"]
        .as_str()
        .unwrap_or_default();
    let words = [
        "-n",
        namespace,
        "delete",
        "pod",
        name,
        "--force",
        "--grace-period=0",
    ];
    kubectl.read(&words)?;
    status(kubectl, namespace)?;
    alone(kubectl, namespace, replicas)
}

/// Lets the first pod's server take memory, and waits until its container runs again.
fn oom(kubectl: &Kubectl, namespace: &str) -> Result<()> {
    let pods = kubectl.json(&servers(namespace))?;
    let ip = pods["items"][0]["status"]["podIP"]
        .as_str()
        .unwrap_or_default();
    let address: SocketAddr = format!("{ip}:{CONTROL}")
        .parse()
        .context("read the address of a pod")?;
    if let Ok(answer) = http::get(address, "/eat") {
        bail!("the server was not killed for its memory: it answered {answer}");
    }
    kubectl
        .wait_until(
            "the container runs again",
            DONE_WITHIN,
            &servers(namespace),
            |list| {
                let status = &list["items"][0]["status"]["containerStatuses"][0];
                status["lastState"]["terminated"]["reason"] == "OOMKilled"
                    && status["state"]["running"].is_object()
            },
        )
        .map(drop)
}

/// The words that list the pods of the servers.
fn servers(namespace: &str) -> [&str; 6] {
    ["-n", namespace, "get", "pods", "-l", "app=web"]
}
