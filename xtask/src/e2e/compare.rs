//! Runs scenarios one after the other, and holds what finwatch counted against the clients' own truth, with equality.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::act::Servers;
use super::agent::{Agent, Counted, Role};
use super::client::{self, Client, Truth};
use super::kubectl::Kubectl;
use super::manifests::{in_namespace, manifests};
use super::outcome::{HEAD, Outcome, Said, table};
use super::plan::NODES;
use super::scenarios::Scenario;
use crate::shell::say;

/// What comes after the action: late segments, and requests on connections that are about to be closed.
const AFTERMATH: Duration = Duration::from_secs(2);

/// How long finwatch may take to show what it counted, and to end its drains.
const SHOWN_WITHIN: Duration = Duration::from_secs(40);

/// Runs them all, prints a table, and fails when one of them is not as it should be.
pub(super) fn all(kubectl: &Kubectl, scenarios: &[&Scenario], results: &Path) -> Result<()> {
    let mut rows = vec![HEAD.map(str::to_owned)];
    let mut wrong = Vec::new();
    for scenario in scenarios {
        let started = Instant::now();
        say(format!("scenario {}", scenario.name));
        match one(kubectl, scenario, &results.join(scenario.name)) {
            Ok(outcome) => {
                rows.push(outcome.row(scenario, started.elapsed()));
                let told = outcome.wrong.into_iter();
                wrong.extend(told.map(|text| format!("{}: {text}", scenario.name)));
            }
            Err(error) => wrong.push(format!("{}: {error:#}", scenario.name)),
        }
    }
    eprint!("{}", table(&rows));
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "{}\nWhat both sides said is in {}",
        wrong.join("\n"),
        results.display()
    );
}

fn one(kubectl: &Kubectl, scenario: &Scenario, results: &Path) -> Result<Outcome> {
    let namespace = scenario.namespace();
    let port = scenario.port();
    // All of the servers are on the first node, and the clients on the other.
    let before = Agents::find(kubectl)?;
    kubectl.apply(&manifests(scenario))?;
    let servers = Servers::of(kubectl, scenario);
    servers.wait_until_rolled_out()?;
    let target = format!("{}:{port}", scenario.address());
    kubectl.apply(&in_namespace(
        &namespace,
        &client::manifest(&target, &scenario.load),
    ))?;
    let client = Client::of(kubectl, &namespace, &scenario.load)?;
    servers.act()?;
    thread::sleep(AFTERMATH);
    let truth = client.end()?;
    let agents = before.unchanged(kubectl)?;
    let said = agents.settled(port)?;
    keep(&agents.servers, &truth, results)?;
    let outcome = Outcome::of(scenario, truth, said);
    kubectl.read(&["delete", "namespace", &namespace, "--wait=false"])?;
    Ok(outcome)
}

/// Writes what both sides said to a folder.
fn keep(agent: &Agent, truth: &Truth, results: &Path) -> Result<()> {
    fs::create_dir_all(results).with_context(|| format!("create {}", results.display()))?;
    let mut texts = agent.evidence()?;
    texts.push(("clients", truth.all.to_string()));
    for (name, text) in texts {
        let file = results.join(name.replace('/', "-"));
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// finwatch on the servers' node, and on the clients'.
struct Agents {
    servers: Agent,
    clients: Agent,
}

// === impl Agents ===

impl Agents {
    fn find(kubectl: &Kubectl) -> Result<Self> {
        Ok(Self {
            servers: Agent::on(kubectl, NODES[0].name)?,
            clients: Agent::on(kubectl, NODES[1].name)?,
        })
    }

    fn unchanged(self, kubectl: &Kubectl) -> Result<Self> {
        Ok(Self {
            servers: self.servers.unchanged(kubectl)?,
            clients: self.clients.unchanged(kubectl)?,
        })
    }

    /// Waits until they say the same twice, and have nothing open and no drain that is not over.
    fn settled(&self, port: u16) -> Result<Said> {
        let started = Instant::now();
        let mut last = self.said(port)?;
        loop {
            thread::sleep(Duration::from_secs(1));
            let now = self.said(port)?;
            let Counted { opened, closed, .. } = now.servers;
            let quiet = now == last && opened == closed && now.told.running == 0;
            if quiet || started.elapsed() > SHOWN_WITHIN {
                return Ok(now);
            }
            last = now;
        }
    }

    fn said(&self, port: u16) -> Result<Said> {
        Ok(Said {
            servers: self.servers.counted(port, Role::Server)?,
            clients: self.clients.counted(port, Role::Client)?,
            told: self.servers.told(port)?,
        })
    }
}
