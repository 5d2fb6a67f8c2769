//! What is done to a scenario's servers, as a person would: with kubectl.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::http;
use super::kubectl::Kubectl;
use super::manifests::CONTROL;
use super::scenarios::{Action, Scenario};

/// How long a rollout may take, and what follows from it.
const DONE_WITHIN: Duration = Duration::from_secs(120);

/// The pods of a scenario's workload.
pub(super) struct Servers<'a> {
    kubectl: &'a Kubectl,
    scenario: &'a Scenario,
    namespace: String,
    /// `deployment/web`
    workload: String,
}

// === impl Servers ===

impl<'a> Servers<'a> {
    pub(super) fn of(kubectl: &'a Kubectl, scenario: &'a Scenario) -> Self {
        Self {
            kubectl,
            scenario,
            namespace: scenario.namespace(),
            workload: format!("{}/web", scenario.kind.names().0),
        }
    }

    /// Does to them what the scenario says, and waits until it is done.
    pub(super) fn act(&self) -> Result<()> {
        let replicas = self.scenario.replicas;
        match self.scenario.action {
            Action::Restart => {
                self.restart()?;
                self.wait_for(replicas)
            }
            Action::RestartTwice => {
                self.restart()?;
                thread::sleep(Duration::from_millis(1200));
                // The first is under way.
                self.restart()?;
                self.wait_for(replicas)
            }
            Action::Scale(to) => {
                self.run(&["scale", &self.workload, &format!("--replicas={to}")])?;
                self.wait_for(to)
            }
            Action::Force => {
                let pods = self.list()?;
                let name = pods["items"][0]["metadata"]["name"].as_str();
                let name = name.context("find a pod of the servers")?;
                self.run(&["delete", "pod", name, "--force", "--grace-period=0"])?;
                self.wait_for(replicas)
            }
            Action::Oom => self.oom(),
        }
    }

    /// Waits until the workload is as it was asked to be.
    pub(super) fn wait_until_rolled_out(&self) -> Result<()> {
        let within = format!("--timeout={}s", DONE_WITHIN.as_secs());
        // It watches, which is one long request.
        let words = [
            "rollout",
            "status",
            &self.workload,
            &within,
            "--request-timeout=0",
        ];
        self.run(&words)
    }

    /// Waits until it is, with so many pods, and none that is about to go.
    fn wait_for(&self, pods: u32) -> Result<()> {
        self.wait_until_rolled_out()?;
        let what = format!("there are {pods} pods and no others");
        self.wait_until(&what, |list| {
            list["items"].as_array().map_or(0, Vec::len) == pods as usize
        })
    }

    fn restart(&self) -> Result<()> {
        self.run(&["rollout", "restart", &self.workload])
    }

    /// Lets the first pod's server take memory, and waits until its container runs again.
    fn oom(&self) -> Result<()> {
        let pods = self.list()?;
        let ip = pods["items"][0]["status"]["podIP"].as_str();
        let address: SocketAddr = format!("{}:{CONTROL}", ip.unwrap_or_default())
            .parse()
            .context("read the address of a pod")?;
        if let Ok(answer) = http::get(address, "/eat") {
            bail!("the server was not killed for its memory: it answered {answer}");
        }
        self.wait_until("the container runs again", |list| {
            let status = &list["items"][0]["status"]["containerStatuses"][0];
            status["lastState"]["terminated"]["reason"] == "OOMKilled"
                && status["state"]["running"].is_object()
        })
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let mut all = vec!["-n", self.namespace.as_str()];
        all.extend(words);
        self.kubectl.read(&all).map(drop)
    }

    fn list(&self) -> Result<Value> {
        self.kubectl.json(&self.listing())
    }

    fn wait_until(&self, what: &str, done: impl Fn(&Value) -> bool) -> Result<()> {
        self.kubectl
            .wait_until(what, DONE_WITHIN, &self.listing(), done)
            .map(drop)
    }

    fn listing(&self) -> [&str; 6] {
        ["-n", &self.namespace, "get", "pods", "-l", "app=web"]
    }
}
