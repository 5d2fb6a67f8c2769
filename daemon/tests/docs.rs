//! `docs/metrics.md` says what the code declares. Written anew with `FINWATCH_WRITE_DOCS=1`.

use std::{env, fs, path::Path};

use finwatch::metrics::{FAMILIES, Family};

const HEAD: &str = "# Metrics

Written from the declarations in `daemon/src/metrics/catalog.rs` by
`FINWATCH_WRITE_DOCS=1 cargo test -p finwatch --test docs`; a test holds the two equal.

Metrics of a service carry `workload_namespace`, `workload_kind`, `workload`, `port` and `role`. Those counted in the
kernel carry `phase` as well (`steady`, `draining`, `reloading`); where a meaning names further labels, they are on it
too. A service's series are born at zero. `port` is the local port of a server and the remote port of a client;
services past the configured limits share `workload_kind=\"other\"`. Those of drains carry the service's labels too and are
born at zero with its first drain; `finwatch_rollout_*` carry those of the rollout's service.

| metric | type | meaning |
|---|---|---|
";

#[test]
fn the_metrics_reference_is_what_the_code_declares() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let declared = HEAD.to_owned() + &FAMILIES.iter().map(row).collect::<String>();
    if env::var_os("FINWATCH_WRITE_DOCS").is_some() {
        fs::write(&path, &declared).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(
        written == declared,
        "docs/metrics.md is stale: write it anew with FINWATCH_WRITE_DOCS=1"
    );
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
