//! Runs scenarios one after the other, and holds what finwatch counted against the clients' own truth, with equality.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::agent::{Agent, Counted, Told};
use super::client::{self, Client, Truth};
use super::http;
use super::images::SERVER;
use super::kubectl::Kubectl;
use super::plan::NODES;
use super::scenarios::{Action, Scenario};
use crate::shell::say;

/// How long a rollout may take, and what follows from it.
const DONE_WITHIN: Duration = Duration::from_secs(120);

/// What comes after the action: late segments, and requests on connections that are about to be closed.
const AFTERMATH: Duration = Duration::from_secs(2);

/// How long finwatch may take to show what it counted, and to end its drains.
const SHOWN_WITHIN: Duration = Duration::from_secs(40);

/// The server's second port, on which it can be told to take memory.
const CONTROL: u16 = 9001;

/// What came of one scenario.
struct Outcome {
    truth: Truth,
    counted: Counted,
    told: Told,
    /// What is not as it should be.
    wrong: Vec<String>,
}

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

const HEAD: [&str; 11] = [
    "scenario",
    "dialled",
    "opened",
    "asked",
    "lost",
    "cut",
    "refused",
    "(finwatch)",
    "nobody",
    "told",
    "",
];

fn one(kubectl: &Kubectl, scenario: &Scenario, results: &Path) -> Result<Outcome> {
    let namespace = scenario.namespace();
    let port = scenario.port();
    kubectl.apply(&manifests(scenario))?;
    status(kubectl, &namespace)?;
    let target = format!("{}:{port}", scenario.address());
    kubectl.apply(&in_namespace(
        &namespace,
        &client::manifest(&target, &scenario.load),
    ))?;
    let client = Client::of(kubectl, &namespace, &scenario.load)?;
    act(kubectl, scenario)?;
    thread::sleep(AFTERMATH);
    let truth = client.end()?;
    // All of its pods are on this node, whose finwatch is asked.
    let agent = Agent::on(kubectl, NODES[0].name)?;
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

fn act(kubectl: &Kubectl, scenario: &Scenario) -> Result<()> {
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
        Action::Oom => oom(kubectl, &namespace),
    }
}

/// Waits until the Deployment has what was asked of it.
fn status(kubectl: &Kubectl, namespace: &str) -> Result<()> {
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

// === impl Outcome ===

impl Outcome {
    fn of(scenario: &Scenario, truth: Truth, counted: Counted, told: Told) -> Self {
        let mut wrong = Vec::new();
        for (what, clients, finwatch) in [
            ("connections", truth.connected, counted.opened),
            ("ends of connections", truth.connected, counted.closed),
            ("lost requests", truth.lost, counted.cut),
            ("refused dials", truth.refused, counted.refused),
            (
                "requests and their ends",
                truth.asked,
                truth.answered + truth.lost,
            ),
        ] {
            if clients != finwatch {
                wrong.push(format!(
                    "{what}: {clients} by the clients, {finwatch} by finwatch"
                ));
            }
        }
        if (truth.lost > 0) != scenario.loses {
            wrong.push(format!(
                "{} requests were lost, which is another scenario",
                truth.lost
            ));
        }
        let worst = worst(&told.verdicts);
        if worst != scenario.verdict {
            wrong.push(format!("the verdict is {worst}, not {}", scenario.verdict));
        }
        Self {
            truth,
            counted,
            told,
            wrong,
        }
    }

    fn row(&self, scenario: &Scenario, took: Duration) -> [String; HEAD.len()] {
        let Self {
            truth,
            counted,
            told,
            wrong,
        } = self;
        let ok = if wrong.is_empty() { "ok" } else { "WRONG" };
        [
            scenario.name.to_owned(),
            truth.connected.to_string(),
            counted.opened.to_string(),
            truth.asked.to_string(),
            truth.lost.to_string(),
            counted.cut.to_string(),
            truth.refused.to_string(),
            counted.refused.to_string(),
            truth.unanswered_dials.to_string(),
            format!(
                "{} ({} drains, {} rollouts)",
                worst(&told.verdicts),
                told.drains,
                told.rollouts
            ),
            format!("{ok} in {:.0} s", took.as_secs_f32()),
        ]
    }
}

/// The worst of some verdicts.
fn worst(verdicts: &[String]) -> &'static str {
    let order = ["fail", "warn", "inconclusive", "pass"];
    let found = order
        .into_iter()
        .find(|verdict| verdicts.iter().any(|told| told == verdict));
    found.unwrap_or("none")
}

/// The rows with their columns below each other.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            write!(text, "{cell:width$}  ").ok();
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// The namespace, the Deployment and its Service.
fn manifests(scenario: &Scenario) -> String {
    let namespace = scenario.namespace();
    let port = scenario.port();
    let life = match scenario.pre_stop_secs {
        0 => String::new(),
        secs => format!("lifecycle: {{preStop: {{sleep: {{seconds: {secs}}}}}}}"),
    };
    let resources = match scenario.memory {
        "" => String::new(),
        memory => format!("resources: {{limits: {{memory: {memory}}}}}"),
    };
    let deployment = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      nodeSelector: {{kubernetes.io/hostname: {node}}}
      enableServiceLinks: false
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: {grace}
      containers:
      - name: web
        image: {SERVER}
        imagePullPolicy: Never
        args: ['{mode}', ':{port}', '{answer}', ':{CONTROL}']
        {life}
        {resources}
",
        replicas = scenario.replicas,
        node = NODES[0].name,
        grace = scenario.grace_secs,
        mode = scenario.mode,
        answer = scenario.answer,
    );
    let service = format!(
        "apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  clusterIP: {}
  selector: {{app: web}}
  ports: [{{port: {port}, targetPort: {port}}}]
",
        scenario.address()
    );
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n---\n{}---\n{}",
        in_namespace(&namespace, &deployment),
        in_namespace(&namespace, &service)
    )
}

fn in_namespace(namespace: &str, manifest: &str) -> String {
    manifest.replacen(
        "metadata: {name:",
        &format!("metadata: {{namespace: {namespace}, name:"),
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_an_object_in_its_namespace() {
        assert_eq!(
            in_namespace("a", "metadata: {name: web}\nmetadata: {name: x}"),
            "metadata: {namespace: a, name: web}\nmetadata: {name: x}"
        );
    }

    #[test]
    fn the_worst_verdict_counts() {
        let verdicts = ["pass".to_owned(), "fail".to_owned()];
        assert_eq!(worst(&verdicts), "fail");
        assert_eq!(worst(&[]), "none");
    }
}
