//! The dashboard and the rules ask for metrics that there are, and say what they show. What they answer is for the
//! kernel tier to show, with a real Prometheus.

use std::{collections::BTreeSet, fs, path::Path};

use finwatch::metrics::FAMILIES;
use serde_json::Value;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

fn dashboard() -> Value {
    serde_json::from_str(&read("dashboards/rollouts.json")).expect("JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Every name of a metric in the text, as it is scraped; what is quoted is a label's value.
fn metrics(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split('"')
        .step_by(2)
        .flat_map(|unquoted| unquoted.split(|c| !is_part(c)))
        .filter(|word| word.starts_with("finwatch_"))
        .collect()
}

fn exposed() -> BTreeSet<String> {
    let names = FAMILIES.iter().flat_map(|family| {
        let suffixes: &[&str] = match format!("{:?}", family.kind).as_str() {
            "Counter" => &["_total"],
            "Info" => &["_info"],
            "Histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        suffixes
            .iter()
            .map(|suffix| format!("{}{suffix}", family.name))
    });
    names.collect()
}

#[test]
fn every_metric_that_is_asked_for_is_exposed() {
    let exposed = exposed();
    let dashboard = dashboard();
    let mut asked = 0;
    let mut check = |text: &str| {
        for metric in metrics(text) {
            assert!(exposed.contains(metric), "{metric} is not exposed");
            asked += 1;
        }
    };
    for panel in list(&dashboard["panels"]) {
        for target in list(&panel["targets"]) {
            check(target["expr"].as_str().expect("an expression"));
        }
    }
    for variable in list(&dashboard["templating"]["list"]) {
        check(variable["definition"].as_str().unwrap_or_default());
    }
    for annotation in list(&dashboard["annotations"]["list"]) {
        check(annotation["expr"].as_str().unwrap_or_default());
    }
    let rules = read("dashboards/rules.yaml");
    // Names of recorded series have colons; those of jobs and groups a dot or nothing.
    for metric in metrics(&rules) {
        check(metric);
    }
    let tests = read("dashboards/rules_test.yaml");
    for series in tests.lines().filter(|line| line.contains("series: ")) {
        check(series);
    }
    assert!(asked > 50, "{asked} names were found");
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64() >= Some(39));
    assert_eq!(dashboard["uid"], "finwatch-rollouts");
    assert!(
        dashboard.get("__inputs").is_none(),
        "file provisioning knows no inputs"
    );
    let mut ids = BTreeSet::new();
    for panel in list(&dashboard["panels"]) {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is taken");
        if panel["type"] == "row" {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().len();
        assert!(text(&panel["description"]) > 20, "{title}: a description");
        assert!(
            text(&panel["fieldConfig"]["defaults"]["unit"]) > 0,
            "{title}: a unit"
        );
        assert!(!list(&panel["targets"]).is_empty(), "{title}: a query");
        for target in list(&panel["targets"]) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
    let variables: Vec<_> = list(&dashboard["templating"]["list"])
        .iter()
        .map(|variable| variable["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(
        variables,
        [
            "datasource",
            "instance",
            "namespace",
            "workload",
            "port",
            "phase"
        ]
    );
}

#[test]
fn every_alert_says_how_bad_it_is_and_where_to_read_on() {
    let rules = read("dashboards/rules.yaml");
    let mut alerts = rules.split("- alert: ").skip(1).peekable();
    assert!(alerts.peek().is_some());
    for alert in alerts {
        let name = alert.lines().next().unwrap_or_default();
        assert!(name.starts_with("Finwatch"), "{name}");
        for key in ["severity: ", "summary: ", "description: ", "runbook_url: "] {
            assert!(alert.contains(key), "{name}: {key}");
        }
        let runbook = alert.split("runbook_url: ").nth(1).unwrap_or_default();
        let runbook = runbook.lines().next().unwrap_or_default();
        let (file, anchor) = runbook.split_once('#').unwrap_or((runbook, ""));
        let headings = read(file);
        if anchor.is_empty() {
            continue;
        }
        let found = headings
            .lines()
            .filter(|line| line.starts_with('#'))
            .any(|line| line.trim_start_matches('#').trim().to_lowercase() == anchor);
        assert!(found, "{name}: {runbook} leads nowhere");
    }
}
