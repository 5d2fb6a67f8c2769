//! Panels count from zero what a series is born with. Their expressions, taken from the dashboard, are evaluated by promtool over
//! a drain whose details had no series before it.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use super::{
    prometheus::promtool,
    queries::{Query, queries},
};

const RANGE: &str = "10m";
const WINDOW: Duration = Duration::from_secs(60);
/// What happens does so between the samples before this time and those at it.
const DRAIN: &str = "5m30s";
const STEP_SECS: usize = 30;
const BEFORE: usize = 11;
const AFTER: usize = 29;

#[test]
fn a_drain_whose_series_are_born_with_it_is_in_every_panel() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("born_late.yaml");
    let known = queries();
    let expressions: Vec<_> = [
        // At zero before, and born: 30 and 20 by the server, 10 by clients, in a minute.
        of(
            &known,
            "Who hangs up first, A",
            DRAIN,
            &[
                ("{origin=\"local\"}", 50.0 / 60.0),
                ("{origin=\"remote\"}", 10.0 / 60.0),
            ],
        ),
        of(
            &known,
            "Server hangs up first, share by phase, A",
            DRAIN,
            &[("{phase=\"draining\"}", 50.0 / 60.0)],
        ),
        of(
            &known,
            "How connections ended, A",
            DRAIN,
            &[
                ("{outcome=\"fin\"}", 40.0 / 60.0),
                ("{outcome=\"reset_sent\"}", 20.0 / 60.0),
            ],
        ),
        of(
            &known,
            "Ended with work undone, A",
            DRAIN,
            &[("{evidence=\"silent\"}", 6.0 / 60.0)],
        ),
        of(
            &known,
            "Ended with work undone, B",
            DRAIN,
            &[("{}", 12.0 / 60.0)],
        ),
        // Nothing of the kind ever happened: that is 0, and not nothing.
        of(&known, "Ended with work undone, C", DRAIN, &[("{}", 0.0)]),
        of(
            &known,
            "Ended with work undone, D",
            DRAIN,
            &[("{}", 3.0 / 60.0)],
        ),
        of(&known, "RSTs received, A", DRAIN, &[("{}", 7.0)]),
        of(&known, "Clients gave up, A", DRAIN, &[("{}", 0.0)]),
        // It is over: no panel that looks at a minute still sees it.
        of(
            &known,
            "Who hangs up first, A",
            "8m",
            &[("{origin=\"local\"}", 0.0), ("{origin=\"remote\"}", 0.0)],
        ),
        of(
            &known,
            "Server hangs up first, share by phase, A",
            "8m",
            &[],
        ),
        of(&known, "Ended with work undone, D", "8m", &[("{}", 0.0)]),
        of(&known, "RSTs received, A", "8m", &[("{}", 7.0)]),
    ]
    .into();
    let test = json!({
        "rule_files": [],
        "evaluation_interval": format!("{STEP_SECS}s"),
        "tests": [{
            "interval": format!("{STEP_SECS}s"),
            "input_series": scraped(),
            "promql_expr_test": expressions,
        }],
    });
    fs::write(&file, test.to_string()).unwrap();
    promtool(
        &["test", "rules", file.to_str().unwrap()],
        std::process::Stdio::null(),
    );
}

/// One node that is scraped all the time, and one whose finwatch was old when it was first scraped: what it had counted by
/// then is no news.
fn scraped() -> Vec<Value> {
    let ordinary = format!("0x{} ", BEFORE - 1);
    let absent = format!("_x{BEFORE} ");
    let closes = |origin: &str, outcome: &str| {
        format!("tcp_closes_total origin=\"{origin}\",outcome=\"{outcome}\"")
    };
    let one = |node: &str, series: &str, before: &str, then: i64| {
        let (name, more) = series.split_once(' ').unwrap();
        let service = "workload_namespace=\"\",workload_kind=\"unit\",workload=\"nginx.service\",\
                       port=\"80\",role=\"server\",phase=\"draining\"";
        let labels = format!("instance=\"{node}\",job=\"finwatch\",{service},{more}");
        json!({
            "series": format!("finwatch_{name}{{{labels}}}"),
            "values": format!("{before}{then}x{AFTER}"),
        })
    };
    let itself = |node: &str, before: &str, name: &str, value: i64| {
        json!({
            "series": format!("finwatch_{name}{{instance=\"{node}\",job=\"finwatch\"}}"),
            "values": format!("{before}{value}x{AFTER}"),
        })
    };
    let (here, there) = ("node-1", "node-2");
    let up = format!("1x{} ", BEFORE - 1);
    let since = format!("-86400x{} ", BEFORE - 1);
    vec![
        itself(here, &up, "build_info", 1),
        itself(here, &since, "start_time_seconds", -86_400),
        one(here, &closes("local", "fin"), &ordinary, 30),
        one(here, &closes("remote", "fin"), &ordinary, 10),
        one(here, &closes("local", "reset_sent"), &absent, 20),
        one(
            here,
            "tcp_unanswered_closes_total evidence=\"silent\"",
            &absent,
            6,
        ),
        one(here, "tcp_unread_closes_total ", &absent, 12),
        one(here, "tcp_exit_closes_total ", &absent, 3),
        one(
            here,
            "tcp_resets_received_total state=\"established\"",
            &absent,
            7,
        ),
        itself(there, &absent, "build_info", 1),
        itself(there, &absent, "start_time_seconds", -86_400),
        one(there, &closes("remote", "fin"), &absent, 1_000_000),
        one(there, "tcp_unread_closes_total ", &absent, 500),
    ]
}

/// What a panel's query must give at a time.
fn of(known: &[Query], panel: &str, at: &str, expected: &[(&str, f64)]) -> Value {
    let place = format!("panel {panel}");
    let query = known.iter().find(|query| query.place == place);
    let query = query.unwrap_or_else(|| panic!("{place}"));
    let values = ["instance", "namespace", "workload", "port", "phase"].map(|name| (name, ".*"));
    let samples: Vec<_> = expected
        .iter()
        .map(|(labels, value)| json!({ "labels": labels, "value": value }))
        .collect();
    json!({
        "expr": query.filled(&values, RANGE, WINDOW),
        "eval_time": at,
        "exp_samples": samples,
    })
}
