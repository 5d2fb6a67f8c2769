//! One node from inside: this task once more, in the namespaces it was started in. The first node has the control plane, and does what
//! the cluster was made for.

use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::agent;
use super::children::Children;
use super::compare;
use super::control;
use super::kubectl::Kubectl;
use super::node;
use super::pki::Pki;
use super::plan::{NODES, Node};
use super::programs;
use super::scenarios;
use super::worker;
use crate::paths::Paths;
use crate::shell::say;

#[derive(clap::Args)]
pub(super) struct Args {
    #[arg(long)]
    node: String,
    /// A process of the other node, by which its network namespace is found
    #[arg(long)]
    peer: Option<u32>,
    /// `up`, or `run` and names of scenarios
    words: Vec<String>,
}

/// What a node says when it is in its namespaces.
pub(super) const HERE: &str = "here";

const READY_WITHIN: Duration = Duration::from_secs(120);

pub(super) fn run(paths: &Paths, args: &Args) -> Result<()> {
    let Args { node, peer, words } = args;
    let node = Node::named(node)?;
    if peer.is_none() {
        writeln!(io::stdout(), "{HERE}").context("say that the node is there")?;
    }
    node::furnish(node, *peer)?;
    let folder = paths.e2e();
    let programs = programs::ensure(paths)?;
    let pki = Pki::at(&folder.join("pki"));
    let mut children = Children::new(&folder.join("logs").join(node.name))?;
    let started = Instant::now();
    if peer.is_some() {
        control::start(&mut children, &programs, &pki)?;
    }
    worker::start(&mut children, &programs, &pki, node, &folder.join("images"))?;
    if peer.is_none() {
        return wait_for_the_end();
    }
    let kubectl = Kubectl::new(&programs, &pki);
    children.wait_until("both nodes are ready", READY_WITHIN, || {
        kubectl
            .json(&["get", "nodes"])
            .is_ok_and(|nodes| ready(&nodes) == NODES.len())
    })?;
    say(format!(
        "{} nodes are ready after {:.1} s",
        NODES.len(),
        started.elapsed().as_secs_f32()
    ));
    agent::deploy(paths, &kubectl)?;
    match words
        .split_first()
        .map(|(what, names)| (what.as_str(), names))
    {
        Some(("up", _)) => {
            say(format!(
                "the cluster is up until this task is interrupted. Commands in it:\n    nsenter --target {} --mount --net \
                 {} kubectl --kubeconfig {} get pods -A",
                std::process::id(),
                programs.kubernetes.display(),
                pki.kubeconfig("admin").display()
            ));
            wait_for_the_end()
        }
        Some(("run", names)) => compare::all(
            &kubectl,
            &scenarios::choose(names)?,
            &folder.join("results"),
        ),
        _ => bail!("a node was started without a thing to do"),
    }
}

/// The standard input ends with whoever started this node.
fn wait_for_the_end() -> Result<()> {
    let mut nothing = Vec::new();
    io::stdin()
        .read_to_end(&mut nothing)
        .context("wait for the end")
        .map(drop)
}

fn ready(nodes: &serde_json::Value) -> usize {
    let all = nodes["items"].as_array().into_iter().flatten();
    all.filter(|node| {
        let conditions = node["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|one| one["type"] == "Ready" && one["status"] == "True")
    })
    .count()
}
