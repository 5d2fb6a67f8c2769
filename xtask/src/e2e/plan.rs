//! Who has which address in a cluster: its nodes, their pods and its Services. All of it is inside the cluster's own network namespaces.

use anyhow::{Context as _, Result};

/// What is different between the nodes.
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) address: &'static str,
    /// The addresses of its pods, a /24.
    pub(super) pods: &'static str,
}

pub(super) const NODES: &[Node] = &[
    Node {
        name: "node-1",
        address: "10.77.0.1",
        pods: "10.78.1.0/24",
    },
    Node {
        name: "node-2",
        address: "10.77.0.2",
        pods: "10.78.2.0/24",
    },
];

/// The first node has the control plane too.
pub(super) const API_SERVER: &str = NODES[0].address;

/// Addresses of Services, and the first of them, which is the API server's.
pub(super) const SERVICES: &str = "10.79.0.0/24";
pub(super) const SERVICE_OF_API: &str = "10.79.0.1";

// === impl Node ===

impl Node {
    pub(super) fn named(name: &str) -> Result<&'static Self> {
        let found = NODES.iter().find(|node| node.name == name);
        found.with_context(|| format!("find the node {name}"))
    }

    pub(super) fn other(&self) -> &'static Self {
        let first = self.name == NODES[0].name;
        &NODES[usize::from(first)]
    }
}
