//! The clients of a scenario: a pod of `lab/kubernetes/workload/client`, and the truth that it keeps.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::http;
use super::images::CLIENT;
use super::kubectl::Kubectl;
use super::scenarios::Load;

const STARTED_WITHIN: Duration = Duration::from_secs(60);
const CONTROL: u16 = 9000;

pub(super) struct Client {
    address: SocketAddr,
}

/// What the clients saw: each dial and each request under one name, and everything as they wrote it.
#[derive(Debug, PartialEq)]
pub(super) struct Truth {
    pub(super) connected: u64,
    /// Dials that failed before the Service was there.
    pub(super) early: u64,
    pub(super) refused: u64,
    /// Dials that nobody answered.
    pub(super) unanswered_dials: u64,
    pub(super) asked: u64,
    pub(super) answered: u64,
    pub(super) lost: u64,
    pub(super) all: Value,
}

/// The pod: on one of the nodes that the servers are on.
pub(super) fn manifest(target: &str, load: &Load) -> String {
    let Load {
        kept,
        new_per_second,
        pause,
        age,
    } = load;
    format!(
        "apiVersion: v1\n\
         kind: Pod\n\
         metadata: {{name: client}}\n\
         spec:\n  \
           nodeSelector: {{kubernetes.io/hostname: node-2}}\n  \
           restartPolicy: Never\n  \
           enableServiceLinks: false\n  \
           automountServiceAccountToken: false\n  \
           terminationGracePeriodSeconds: 1\n  \
           containers:\n  \
           - name: client\n    \
             image: {CLIENT}\n    \
             imagePullPolicy: Never\n    \
             args: ['{target}', ':{CONTROL}', '{kept}', '{new_per_second}', '{pause}', '{age}']\n"
    )
}

// === impl Truth ===

impl Truth {
    /// Dials that gave no connection.
    pub(super) fn failed(&self) -> u64 {
        self.early + self.refused + self.unanswered_dials
    }
}

// === impl Client ===

impl Client {
    /// Finds the pod, and waits until every kept connection has been answered.
    pub(super) fn of(kubectl: &Kubectl, namespace: &str, load: &Load) -> Result<Self> {
        let words = ["-n", namespace, "get", "pod", "client"];
        let pod = kubectl.wait_until("the clients run", STARTED_WITHIN, &words, |pod| {
            pod["status"]["phase"] == "Running" && pod["status"]["podIP"].is_string()
        })?;
        let ip = pod["status"]["podIP"].as_str().unwrap_or_default();
        let address = format!("{ip}:{CONTROL}");
        let client = Self {
            address: address
                .parse()
                .with_context(|| format!("read the address {address}"))?,
        };
        let started = Instant::now();
        // As many answers as there are kept connections: all of them are there, or nearly.
        while !client
            .tell("/now")
            .is_ok_and(|now| now.answered > load.kept)
        {
            if started.elapsed() > STARTED_WITHIN {
                bail!("wait until the clients get answers: not after {STARTED_WITHIN:?}");
            }
            thread::sleep(Duration::from_millis(200));
        }
        // Some of their ordinary life.
        thread::sleep(Duration::from_secs(2));
        Ok(client)
    }

    /// Lets the clients ask no more, waits for their last answers, and returns all that they saw.
    pub(super) fn end(&self) -> Result<Truth> {
        self.tell("/end")
    }

    fn tell(&self, path: &str) -> Result<Truth> {
        let body = http::get(self.address, path)?;
        let all: Value = serde_json::from_str(&body).context("parse what the clients tell")?;
        let sum = |names: &[&str]| names.iter().filter_map(|name| all[name].as_u64()).sum();
        Ok(Truth {
            connected: sum(&["connected"]),
            early: sum(&["early"]),
            refused: sum(&["refused"]),
            unanswered_dials: sum(&["unreachable", "dial_timeout", "dial_other"]),
            asked: sum(&["asked"]),
            answered: sum(&["answered"]),
            lost: sum(&["lost_reset", "lost_eof", "lost_silent"]),
            all,
        })
    }
}
