//! A real nginx is reloaded with requests in flight, stopped and started again, while a real Prometheus scrapes the
//! daemon: every query of the dashboard and of the rules is then run there. What it says of lost requests must equal
//! the clients' own count; none may come back empty.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Seek as _, Write as _},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    daemon::Daemon,
    prometheus::{INSTANCE, Prometheus, promtool},
    queries::{Query, filled, queries, variables},
    run::{
        BUSY, LATE, Lost, RACED, REFUSED, deploy, race_with_its_fin, reload,
        some_ordinary_connections, stop_and_start_again,
    },
};
use crate::{
    harness::{
        Netns,
        nginx::{self, Nginx, Upstream},
        wait_until, within,
    },
    host::workloads::Cgroup,
};

/// Alerts that the run raises. A listener that is back leaves `FinwatchClientsRefused` quiet.
const RAISED: [&str; 4] = [
    "FinwatchDrainFailed",
    "FinwatchIncident",
    "FinwatchListenerGap",
    "FinwatchRequestsCut",
];
/// More than the run takes.
const RANGE: &str = "2m";
const WINDOW: Duration = Duration::from_secs(5);
/// Growth is judged by half a minute of ordinary time at least.
const ORDINARY: Duration = Duration::from_secs(45);

#[test]
fn every_query_returns_what_a_reload_did() {
    promtool(&["check", "rules", "rules.yaml"], Stdio::null());
    promtool(&["test", "rules", "rules_test.yaml"], Stdio::null());
    // A unit of its own, as the daemon sees the whole host.
    let unit = format!("finwatch-scraped-{}.service", std::process::id());
    let cgroup = Cgroup::make(&unit);
    Netns::run(|_| {
        let mut upstream = Upstream::start();
        // Before the daemon, so that its ordinary time is counted from the start on.
        let server = Nginx::start_in(
            cgroup.path(),
            "worker_shutdown_timeout 1s;",
            "client_header_timeout 1s; reset_timedout_connection on;",
        );
        let daemon = Daemon::start(&[
            "--survey-interval=1s",
            "--drain-settle-limit=3s",
            "--rollout-quiet=1s",
        ]);
        let started = Instant::now();
        let prometheus = Prometheus::start();
        let began = prometheus.last_scrape().unwrap();
        let port = nginx::PLAIN.to_string();
        let values = [
            ("instance", INSTANCE),
            ("namespace", ".*"),
            ("workload", unit.as_str()),
            ("port", port.as_str()),
            ("phase", ".*"),
        ];
        let cut = filled(
            "sum(finwatch_tcp_cut_connections_total{workload=\"$workload\",port=\"$port\"})",
            &values,
        );
        wait_until("the counters are there before anything is lost", || {
            number(&prometheus.query(&cut, None)) == Some(0.0)
        });
        let known = queries();
        variables_offer(&prometheus, &unit, &port);

        while started.elapsed() < ORDINARY {
            some_ordinary_connections();
        }
        race_with_its_fin();
        let incidents = filled(
            "sum(finwatch_incidents_total{workload=\"$workload\"})",
            &values,
        );
        wait_until("the incident has begun, before the rollout does", || {
            number(&prometheus.query(&incidents, None)) == Some(0.0)
        });
        deploy(&[
            "start",
            "--workload",
            &unit,
            "--revision",
            "v2.3.1",
            "--id",
            "scraped",
        ]);
        let lost = reload(&server, &mut upstream);
        assert_eq!(
            (lost.in_flight, lost.late),
            (BUSY, LATE),
            "by the clients' count"
        );
        let server = stop_and_start_again(server, &cgroup);
        deploy(&["finish", "--workload", &unit, "--id", "scraped-end"]);

        let at = told(&prometheus, &daemon, &values, &lost);
        compare(&prometheus, &known, &values, &lost, at);
        for query in &known {
            let some = [
                &values[..],
                &[("instance", ".*"), ("workload", ".*"), ("port", ".*")],
            ];
            for values in [some[0], some[1]] {
                returns(&prometheus, query, values, (began, at));
            }
        }
        rules_return(&prometheus, &unit, at);
        let metrics = daemon.metrics();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(metrics.as_bytes()).unwrap();
        file.rewind().unwrap();
        promtool(&["check", "metrics"], file.into());
        drop(prometheus);
        drop(server);
        assert_eq!(daemon.stop(), Some(0));
    });
}

/// Waits until the whole story is told and scraped; the time of that scrape.
#[track_caller]
fn told(prometheus: &Prometheus, daemon: &Daemon, values: &[(&str, &str)], lost: &Lost) -> f64 {
    let all = lost.in_flight + lost.late + RACED;
    let unit = filled("$workload", values);
    let wanted = [
        (
            "sum(finwatch_tcp_cut_connections_total{workload=\"$workload\"})",
            all as f64,
        ),
        (
            "finwatch_listener_gaps_total{workload=\"$workload\",port=\"$port\"}",
            1.0,
        ),
        (
            "finwatch_tcp_refused_total{workload=\"$workload\",port=\"$port\"}",
            REFUSED as f64,
        ),
        (
            "sum(finwatch_drains_total{workload=\"$workload\",port=\"$port\",kind=\"reload\"})",
            1.0,
        ),
        (
            "sum(finwatch_drains_total{workload=\"$workload\",port=\"$port\",kind=\"stop\"})",
            1.0,
        ),
        ("sum(finwatch_rollouts_total{source=\"cli\"})", 1.0),
        (
            "sum(finwatch_incident_lost_total{workload=\"$workload\",port=\"$port\"})",
            RACED as f64,
        ),
    ];
    let mut missing = Vec::new();
    let mut at = 0.0;
    let mut all_there = || {
        let scraped = prometheus.last_scrape();
        missing.clear();
        for (expression, value) in &wanted {
            let found = number(&prometheus.query(&filled(expression, values), scraped));
            if found != Some(*value) {
                missing.push(format!("{expression} is {found:?}, not {value}"));
            }
        }
        let firing = prometheus.firing(&unit);
        let silent = RAISED.iter().filter(|alert| !firing.contains(**alert));
        missing.extend(silent.map(|alert| format!("{alert} does not fire")));
        at = scraped.unwrap_or_default();
        missing.is_empty()
    };
    let there = within(Duration::from_secs(30), &mut all_there);
    assert!(there, "{missing:#?}\n{}", daemon.log());
    at
}

/// The panels that say what was lost, in numbers.
#[track_caller]
fn compare(
    prometheus: &Prometheus,
    known: &[Query],
    values: &[(&str, &str)],
    lost: &Lost,
    at: f64,
) {
    let panel = |title: &str, label: &str| -> BTreeMap<String, f64> {
        let place = format!("panel {title}, A");
        let found = known
            .iter()
            .find(|query| query.place == place && query.instant);
        let query = found
            .unwrap_or_else(|| panic!("{place}"))
            .filled(values, RANGE, WINDOW);
        let samples = prometheus.query(&query, Some(at));
        let label_of = |sample: &Value| sample["metric"][label].as_str().unwrap_or("").to_owned();
        samples
            .iter()
            .map(|sample| (label_of(sample), value(sample)))
            .collect()
    };
    let (reloading, raced) = ((lost.in_flight + lost.late) as f64, RACED as f64);
    let (in_flight, late) = (lost.in_flight as f64, lost.late as f64 + raced);
    let is = |title: &str, label: &str, expected: &[(&str, f64)]| {
        let found = panel(title, label);
        let expected: BTreeMap<String, f64> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect();
        assert_eq!(found, expected, "{title}");
    };
    is("Requests cut", "", &[("", reloading + raced)]);
    let causes = [("unanswered", in_flight), ("unread", 0.0), ("late", late)];
    is("Cut by cause", "cause", &causes);
    let phases = [
        ("reloading", reloading),
        ("draining", 0.0),
        ("steady", raced),
    ];
    is("Cut by phase", "phase", &phases);
    is("SYNs refused", "", &[("", REFUSED as f64)]);
    is("Incidents", "cause", &[("unknown", 1.0)]);
    is("Lost in incidents", "lost", &[("late", raced)]);
    let harmful = panel("RSTs sent", "lost");
    assert_eq!(
        harmful.get("data"),
        Some(&late),
        "an RST for each late request: {harmful:?}"
    );
    assert!(
        panel("Nobody listened", "")[""] >= 0.3,
        "longer than the pause"
    );
    let verdicts = panel("Drains by verdict", "verdict");
    assert_eq!(verdicts.get("fail"), Some(&1.0), "the reload: {verdicts:?}");
    let found = panel("Diagnoses", "diagnosis");
    for diagnosis in ["requests-cut", "keepalive-race"] {
        assert_eq!(
            found.get(diagnosis),
            Some(&2.0),
            "of the reload, and of the incident: {found:?}"
        );
    }
}

/// The query gives something, and numbers only.
#[track_caller]
fn returns(
    prometheus: &Prometheus,
    query: &Query,
    values: &[(&str, &str)],
    (from, at): (f64, f64),
) {
    let all = [values, &[("namespace", ".*"), ("phase", ".*")]].concat();
    let expression = query.filled(&all, RANGE, WINDOW);
    let series = if query.instant {
        prometheus.query(&expression, Some(at))
    } else {
        prometheus.query_range(&expression, from, at)
    };
    assert!(
        !series.is_empty(),
        "{}: nothing for {expression}",
        query.place
    );
    for one in &series {
        let one_value = std::slice::from_ref(&one["value"]);
        let samples = one["values"].as_array().map_or(one_value, Vec::as_slice);
        for sample in samples {
            let number: f64 = sample[1].as_str().unwrap().parse().unwrap();
            assert!(
                number.is_finite(),
                "{}: {number} in {expression}",
                query.place
            );
        }
    }
}

/// Each variable offers what there is.
#[track_caller]
fn variables_offer(prometheus: &Prometheus, unit: &str, port: &str) {
    let all = [("instance", ".*"), ("namespace", ".*"), ("workload", ".*")];
    let expected = [("instance", INSTANCE), ("workload", unit), ("port", port)];
    for (name, label, series) in variables() {
        let offered = prometheus.label_values(&label, &filled(&series, &all));
        if let Some((_, value)) = expected.iter().find(|(variable, _)| *variable == name) {
            assert!(
                offered.iter().any(|one| one == value),
                "{name}: {offered:?}"
            );
        } else {
            // An empty label is none: on a plain host there is no namespace to choose.
            assert_eq!(
                (name.as_str(), offered.len()),
                ("namespace", 0),
                "{offered:?}"
            );
        }
    }
}

/// Recorded series are there; alerts fire when they should and no other does, and each looks at something.
#[track_caller]
fn rules_return(prometheus: &Prometheus, unit: &str, at: f64) {
    let rules = prometheus.rules();
    let alerts: BTreeSet<_> = rules
        .iter()
        .filter(|rule| rule.is_alert)
        .map(|r| &r.name)
        .collect();
    assert!(
        RAISED
            .iter()
            .all(|raised| alerts.contains(&(*raised).to_owned()))
    );
    let raised: BTreeSet<String> = RAISED.map(str::to_owned).into();
    // A rule is evaluated after the scrape that showed what it looks at.
    wait_until("every alert that should has fired", || {
        raised.is_subset(&prometheus.firing(unit))
    });
    assert_eq!(prometheus.firing(unit), raised);
    // What else happens on this host may fill its tables; it cannot harm the daemon.
    let own = prometheus.firing("");
    for harm in [
        "FinwatchDown",
        "FinwatchProbeDetached",
        "FinwatchReadingsFailed",
    ] {
        assert!(!own.contains(harm), "{own:?}");
    }
    for rule in &rules {
        let found = if rule.is_alert {
            // With the threshold taken away, what it looks at must be there.
            let looks_at = rule
                .query
                .replace(" > 0", " >= 0")
                .replace(" == 0", " >= 0");
            prometheus.query(&looks_at, Some(at))
        } else {
            prometheus.query(&rule.name, Some(at))
        };
        assert!(!found.is_empty(), "{}: {}", rule.name, rule.query);
    }
    assert!(rules.len() > 10, "{}", rules.len());
}

/// The one value of a result.
fn number(result: &[Value]) -> Option<f64> {
    match result {
        [sample] => Some(value(sample)),
        _ => None,
    }
}

fn value(sample: &Value) -> f64 {
    sample["value"][1].as_str().unwrap().parse().unwrap()
}
