//! The files under `deploy/` give the daemon the same rights, and those that it looks for. That these suffice is
//! for the kernel tier to show.

mod manifest;

use std::collections::BTreeSet;

use finwatch::{config::KEYS, preflight};

use manifest::Manifest;

#[test]
fn both_manifests_give_the_capabilities_that_are_looked_for() {
    let needed: BTreeSet<String> = preflight::capabilities().into_iter().collect();
    for manifest in [manifest::daemonset(), manifest::service()] {
        let Manifest {
            capabilities,
            arguments,
            state,
        } = manifest;
        assert_eq!(capabilities, needed);
        assert_eq!(arguments, ["daemon"]);
        let default = KEYS.iter().find(|key| key.name == "history.directory");
        assert_eq!(default.map(|key| key.default), Some(state.as_str()));
    }
}

#[test]
fn the_readme_names_each_capability() {
    let readme = include_str!("../../README.md");
    let table: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("| `CAP_"))
        .collect();
    for capability in preflight::capabilities() {
        let named = format!("`{capability}`");
        assert!(table.iter().any(|line| line.contains(&named)), "{named}");
    }
}
