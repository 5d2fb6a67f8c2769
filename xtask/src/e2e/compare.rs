//! Runs scenarios one after the other, and holds what finwatch counted against the clients' own truth, with equality.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::act::Servers;
use super::agent::{Agent, Counted, Role};
use super::client::{self, Client};
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
    agents.keep(results)?;
    write(&results.join("clients"), &truth.all.to_string())?;
    let outcome = Outcome::of(scenario, truth, said);
    kubectl.read(&["delete", "namespace", &namespace, "--wait=false"])?;
    Ok(outcome)
}

fn write(file: &Path, text: &str) -> Result<()> {
    let folder = file.parent().context("find the folder of a result")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

/// finwatch on every node; each counts what is on its own.
struct Agents(Vec<Agent>);

// === impl Agents ===

impl Agents {
    fn find(kubectl: &Kubectl) -> Result<Self> {
        let agents = NODES.iter().map(|node| Agent::on(kubectl, node.name));
        Ok(Self(agents.collect::<Result<_>>()?))
    }

    fn unchanged(self, kubectl: &Kubectl) -> Result<Self> {
        let agents = self.0.into_iter().map(|agent| agent.unchanged(kubectl));
        Ok(Self(agents.collect::<Result<_>>()?))
    }

    /// Waits until they say the same twice, and have nothing open, and no drain and no rollout that is not over.
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
        let mut said = Said::default();
        for agent in &self.0 {
            said.servers = said.servers + agent.counted(port, Role::Server)?;
            said.clients = said.clients + agent.counted(port, Role::Client)?;
            agent.tell(port, &mut said.told)?;
        }
        Ok(said)
    }

    /// Writes everything that they say to a folder.
    fn keep(&self, results: &Path) -> Result<()> {
        for agent in &self.0 {
            for (path, text) in agent.evidence()? {
                let name = format!("{}-{}", agent.node, path.replace('/', "-"));
                write(&results.join(name), &text)?;
            }
        }
        Ok(())
    }
}
