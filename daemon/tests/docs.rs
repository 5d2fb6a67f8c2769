//! `docs/metrics.md` and `docs/diagnoses.md` say what the code declares. Written anew with `FINWATCH_WRITE_DOCS=1`.

use std::{env, fs, path::Path};

use finwatch::{metrics::FAMILIES, metrics::Family};
use finwatch_engine::{
    diagnoses::{Advice, DIAGNOSES, Diagnosis},
    model::WorkloadKind,
};

const HEAD: &str = "# Metrics

Written from the declarations in `daemon/src/metrics/catalog.rs` by
`FINWATCH_WRITE_DOCS=1 cargo test -p finwatch --test docs`; a test holds the two equal.

Metrics of a service carry `workload_namespace`, `workload_kind`, `workload`, `port` and `role`. Those counted in the
kernel carry `phase` as well (`steady`, `draining`, `reloading`); where a meaning names further labels, they are on it
too. `port` is the local port of a server and the remote port of a client; services past the configured limits share
`workload_kind=\"other\"`. Those of drains carry the service's labels too and are born at zero with its first drain;
`finwatch_rollout_*` carry those of the rollout's service.

`workload_kind` is one of KINDS. On Kubernetes a service has the name of what made its pod: the Deployment, the CronJob, the
Rollout; `controller` is one of any other kind, or of one that nobody told. One series is of all pods that it makes on this node, and outlives them:
their names, containers and revisions are in drains, rollouts, closes and `finwatch watch`.

A service's series are born at zero, a server's in every phase and a client's while steady, but for rare details, which are born
with their first event: `increase()` and `rate()` do not see that one. `dashboards/README.md` says how to ask for them.

| metric | type | meaning |
|---|---|---|
";

const DIAGNOSES_HEAD: &str = "# Diagnoses

Written from the tables in `engine/src/diagnoses/table` and `engine/src/servers` by
`FINWATCH_WRITE_DOCS=1 cargo test -p finwatch --test docs`; a test holds the two equal. `finwatch explain NAME` prints
the same, offline.

T0 is the stop or reload signal. `fail`: a client lost something. `warn`: it cost something and lost nothing. `info`:
worth knowing. The verdict of a drain is its gravest finding; it is `inconclusive` when too little was seen to tell.

| diagnosis | severity | meaning |
|---|---|---|
";

#[test]
fn the_metrics_reference_is_what_the_code_declares() {
    let kinds = WorkloadKind::ALL.map(|kind| format!("`{kind}`")).join(", ");
    let rows: String = FAMILIES.iter().map(row).collect();
    hold("metrics.md", &(HEAD.replace("KINDS", &kinds) + &rows));
}

#[test]
fn the_diagnoses_reference_is_what_the_code_declares() {
    let rows: String = DIAGNOSES
        .iter()
        .map(
            |Diagnosis {
                 name,
                 severity,
                 summary,
                 ..
             }| {
                format!(
                    "| [`{name}`](#{name}) | {} | {summary} |\n",
                    severity.as_str()
                )
            },
        )
        .collect();
    let sections: String = DIAGNOSES.iter().map(section).collect();
    hold(
        "diagnoses.md",
        &(DIAGNOSES_HEAD.to_owned() + &rows + &sections),
    );
}

/// Holds a file under `docs` to what is declared, or writes it.
fn hold(name: &str, declared: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    if env::var_os("FINWATCH_WRITE_DOCS").is_some() {
        fs::write(&path, declared).expect("the file can be written");
    }
    let written = fs::read_to_string(&path).expect("the file is there");
    assert!(
        written == declared,
        "docs/{name} is stale: write it anew with FINWATCH_WRITE_DOCS=1"
    );
}

fn section(diagnosis: &Diagnosis) -> String {
    let Diagnosis {
        name,
        severity,
        summary,
        signature,
        evidence,
        remedy,
        servers: _,
        places: _,
        limits,
    } = diagnosis;
    let advice = diagnosis.advice();
    let mut text = format!(
        "\n## {name}\n\n**{}.** {summary}\n\n**Signature.** {signature}\n\n**Evidence.** {evidence}\n",
        severity.as_str()
    );
    if !remedy.is_empty() {
        text += &format!("\n**Remedy.** {remedy}\n");
    }
    if !advice.is_empty() {
        text += "\n";
    }
    for Advice { place, text: what } in &advice {
        text += &format!("- *{place}*: {what}\n");
    }
    text + &format!("\n**Limits.** {limits}\n")
}

fn row(family: &Family) -> String {
    let Family { name, kind, help } = family;
    let kind = format!("{kind:?}").to_lowercase();
    let suffix = match kind.as_str() {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    format!("| `{name}{suffix}` | {kind} | {help} |\n")
}
