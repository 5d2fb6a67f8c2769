//! finwatch in the cluster: the manifest as it is shipped, and what its pod on a node says.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::ops::Add;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::http;
use super::kubectl::Kubectl;
use crate::paths::Paths;
use crate::shell::say;

const READY_WITHIN: &str = "--timeout=90s";
const PORT: u16 = 10346;

/// finwatch's pod on one node.
pub(super) struct Agent {
    pub(super) node: &'static str,
    address: SocketAddr,
    /// Its container, which another one takes the place of when it ends.
    container: String,
}

/// What it counted of one port, all services and phases together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counted {
    /// Connections, their ends, and those of them on which a request was lost.
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) cut: u64,
    /// SYNs refused by the servers, and dials of the clients that failed.
    pub(super) refused: u64,
    pub(super) failed: u64,
}

/// The side of a connection that a service is on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Server,
    Client,
}

/// What was told of one server's port.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) drains: usize,
    /// Ids of rollouts, and their verdicts, each once.
    pub(super) rollouts: BTreeSet<String>,
    pub(super) verdicts: BTreeSet<String>,
    /// Drains and rollouts that are not over.
    pub(super) running: usize,
    /// Whose they are: namespace, kind and name, each once.
    pub(super) workloads: BTreeSet<String>,
}

/// Applies the manifest, and waits until finwatch is ready on every node.
pub(super) fn deploy(paths: &Paths, kubectl: &Kubectl) -> Result<()> {
    let started = Instant::now();
    let path = paths.root.join("deploy/daemonset.yaml");
    let manifest = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    kubectl.apply(&manifest)?;
    let status = [
        "-n",
        "finwatch",
        "rollout",
        "status",
        "daemonset/finwatch",
        READY_WITHIN,
        "--request-timeout=0",
    ];
    kubectl
        .read(&status)
        .context("wait until finwatch is ready")?;
    say_warnings(kubectl)?;
    say(format!(
        "finwatch is ready after {:.1} s",
        started.elapsed().as_secs_f32()
    ));
    Ok(())
}

/// Says when a probe found finwatch unhealthy while it started, as people look at warnings. On a busy machine a start may take longer than the
/// manifest's probe waits before it asks.
fn say_warnings(kubectl: &Kubectl) -> Result<()> {
    let words = [
        "-n",
        "finwatch",
        "get",
        "events",
        "--field-selector",
        "reason=Unhealthy",
    ];
    let warnings = kubectl.json(&words)?;
    for event in warnings["items"].as_array().into_iter().flatten() {
        say(format!(
            "the cluster warns of finwatch's start: {}",
            event["message"]
        ));
    }
    Ok(())
}

// === impl Counted ===

impl Add for Counted {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            opened: self.opened + other.opened,
            closed: self.closed + other.closed,
            cut: self.cut + other.cut,
            refused: self.refused + other.refused,
            failed: self.failed + other.failed,
        }
    }
}

// === impl Agent ===

impl Agent {
    pub(super) fn on(kubectl: &Kubectl, node: &'static str) -> Result<Self> {
        let selector = format!("spec.nodeName={node}");
        let words = [
            "-n",
            "finwatch",
            "get",
            "pods",
            "--field-selector",
            &selector,
        ];
        let pods = kubectl.wait_until(
            "finwatch's pod has an address",
            Duration::from_secs(30),
            &words,
            |pods| pods["items"][0]["status"]["podIP"].is_string(),
        )?;
        let status = &pods["items"][0]["status"];
        let address = format!("{}:{PORT}", status["podIP"].as_str().unwrap_or_default());
        let container = &status["containerStatuses"][0]["containerID"];
        Ok(Self {
            node,
            address: address
                .parse()
                .with_context(|| format!("read the address {address}"))?,
            container: container.as_str().unwrap_or_default().to_owned(),
        })
    }

    /// The same one, or an error: it has counted from nothing when it was started again.
    pub(super) fn unchanged(self, kubectl: &Kubectl) -> Result<Self> {
        let now = Self::on(kubectl, self.node)?;
        if now.container != self.container {
            bail!(
                "finwatch was started again on {} meanwhile: its count began anew",
                self.node
            );
        }
        Ok(self)
    }

    pub(super) fn counted(&self, port: u16, role: Role) -> Result<Counted> {
        let metrics = http::get(self.address, "/metrics")?;
        let sum = |name: &str| sum(&metrics, name, port, role);
        Ok(Counted {
            opened: sum("finwatch_tcp_opened_total"),
            closed: sum("finwatch_tcp_closes_total"),
            cut: sum("finwatch_tcp_cut_connections_total"),
            refused: sum("finwatch_tcp_refused_total"),
            failed: sum("finwatch_tcp_connect_failed_total"),
        })
    }

    /// Everything it says, for whoever wants to know why.
    pub(super) fn evidence(&self) -> Result<Vec<(&'static str, String)>> {
        ["metrics", "v1/drains", "v1/rollouts", "v1/services"]
            .into_iter()
            .map(|path| Ok((path, http::get(self.address, &format!("/{path}"))?)))
            .collect()
    }

    /// Adds what it tells of a port.
    pub(super) fn tell(&self, port: u16, told: &mut Told) -> Result<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for drain in self.list(&format!("/v1/drains?port={port}"), "drains")? {
            told.drains += 1;
            told.running += usize::from(drain["ended_at"].is_null());
            let part = |name: &str| text(&drain["service"][name]);
            told.workloads.insert(format!(
                "{}/{}/{}",
                part("workload_namespace"),
                part("workload_kind"),
                part("workload")
            ));
        }
        for rollout in self.list(&format!("/v1/rollouts?port={port}"), "rollouts")? {
            told.running += usize::from(rollout["ended_at"].is_null());
            told.rollouts.insert(text(&rollout["id"]));
            told.verdicts.insert(text(&rollout["verdict"]));
        }
        Ok(())
    }

    fn list(&self, path: &str, name: &str) -> Result<Vec<Value>> {
        let body = http::get(self.address, path)?;
        let mut value: Value =
            serde_json::from_str(&body).with_context(|| format!("parse the answer of {path}"))?;
        match value[name].take() {
            Value::Array(list) => Ok(list),
            _ => bail!("find `{name}` in the answer of {path}"),
        }
    }
}

/// The sum of all series of the name that are of the port and of the role.
fn sum(metrics: &str, name: &str, port: u16, role: Role) -> u64 {
    let port = format!("port=\"{port}\"");
    let role = match role {
        Role::Server => "role=\"server\"",
        Role::Client => "role=\"client\"",
    };
    let values = metrics.lines().filter_map(|line| {
        let (labels, value) = line
            .strip_prefix(name)?
            .strip_prefix('{')?
            .split_once("} ")?;
        let mut labels = labels.split(',');
        let ours = labels.clone().any(|label| label == port) && labels.any(|label| label == role);
        ours.then(|| value.split(' ').next()?.parse::<u64>().ok())?
    });
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_what_is_of_the_server() {
        let metrics = "# TYPE x_total counter\n\
                       x_total{workload=\"a\",port=\"80\",role=\"server\",phase=\"steady\"} 2\n\
                       x_total{workload=\"b\",port=\"80\",role=\"server\",phase=\"draining\"} 3\n\
                       x_total{workload=\"b\",port=\"80\",role=\"client\",phase=\"steady\"} 5\n\
                       x_total{workload=\"b\",port=\"8080\",role=\"server\",phase=\"steady\"} 7\n\
                       x_total_more{workload=\"b\",port=\"80\",role=\"server\"} 11\n";
        assert_eq!(sum(metrics, "x_total", 80, Role::Server), 5);
    }
}
