//! Runs scenarios one after the other, and holds what finwatch counted against the clients' own truth, with equality.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::act;
use super::agent::{Agent, Counted, Told};
use super::client::{self, Client, Truth};
use super::kubectl::Kubectl;
use super::manifests::{in_namespace, manifests};
use super::outcome::{HEAD, Outcome, table};
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
    // All of the servers are on this node, whose finwatch is asked.
    let before = Agent::on(kubectl, NODES[0].name)?;
    kubectl.apply(&manifests(scenario))?;
    act::status(kubectl, &namespace)?;
    let target = format!("{}:{port}", scenario.address());
    kubectl.apply(&in_namespace(
        &namespace,
        &client::manifest(&target, &scenario.load),
    ))?;
    let client = Client::of(kubectl, &namespace, &scenario.load)?;
    act::act(kubectl, scenario)?;
    thread::sleep(AFTERMATH);
    let truth = client.end()?;
    let agent = before.unchanged(kubectl)?;
    let (counted, told) = settled(&agent, port)?;
    keep(&agent, &truth, results)?;
    let outcome = Outcome::of(scenario, truth, counted, told);
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

/// Waits until finwatch says the same twice, and has nothing open and no drain that is not over.
fn settled(agent: &Agent, port: u16) -> Result<(Counted, Told)> {
    let started = Instant::now();
    let mut last = (agent.counted(port)?, agent.told(port)?);
    loop {
        thread::sleep(Duration::from_secs(1));
        let now = (agent.counted(port)?, agent.told(port)?);
        let quiet = now == last && now.0.opened == now.0.closed && now.1.running == 0;
        if quiet || started.elapsed() > SHOWN_WITHIN {
            return Ok(now);
        }
        last = now;
    }
}
