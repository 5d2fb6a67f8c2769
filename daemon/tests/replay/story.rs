//! A rollout that ended, told to the engine, and the lines of `/metrics` that it makes.

use finwatch::metrics::Format;
use finwatch_engine::{Remembered, model::Rollout};

use super::{
    exposition::{expect_lines, parse},
    kernel::{Recording, Sockets},
    server::Server,
};

fn story(metric: &str, more: &str, value: &str) -> String {
    format!(
        "{metric}{{workload_namespace=\"\",workload_kind=\"unit\",workload=\"checkout.service\",port=\"8080\",\
         role=\"server\"{more}}} {value}"
    )
}

#[tokio::test]
async fn a_rollout_is_told_line_by_line() {
    let rollout: Rollout =
        serde_json::from_str(include_str!("../../../engine/tests/data/rollout.json"))
            .expect("JSON");
    let remembered = Remembered {
        interrupted_drains: vec![rollout.drains[0].clone()],
        interrupted_rollouts: vec![rollout],
        last_rollouts: Vec::new(),
        interrupted_incidents: Vec::new(),
    };
    let server = Server::with(Recording::default(), Sockets::default(), &remembered).await;
    let text = server.get("/metrics", "text/plain").await.body;
    // The encoder puts the bound first.
    let bucket = |bound: &str, count: &str| {
        let name = "finwatch_drain_duration_seconds_bucket";
        let line = story(name, ",kind=\"stop\"", count);
        line.replacen('{', &format!("{{le=\"{bound}\","), 1)
    };
    expect_lines(
        &text,
        &[
            story(
                "finwatch_drains_total",
                ",kind=\"stop\",verdict=\"fail\"",
                "1",
            ),
            story(
                "finwatch_drains_total",
                ",kind=\"stop\",verdict=\"pass\"",
                "0",
            ),
            bucket("2.5", "0"),
            bucket("5.0", "1"),
            bucket("+Inf", "1"),
            story(
                "finwatch_drain_duration_seconds_sum",
                ",kind=\"stop\"",
                "3.25",
            ),
            story(
                "finwatch_drain_duration_seconds_count",
                ",kind=\"stop\"",
                "1",
            ),
            story("finwatch_drain_opened_after_signal_total", "", "3"),
            story(
                "finwatch_diagnoses_total",
                ",diagnosis=\"requests-cut\"",
                "1",
            ),
            story(
                "finwatch_diagnoses_total",
                ",diagnosis=\"listener-gap\"",
                "1",
            ),
            story(
                "finwatch_rollout_start_timestamp_seconds",
                ",rollout=\"r-1\",source=\"github\"",
                "1795341600.5",
            ),
            story(
                "finwatch_rollout_info",
                ",rollout=\"r-1\",revision=\"v2.3.1\",source=\"github\",verdict=\"fail\"",
                "1",
            ),
            story(
                "finwatch_rollout_time_wait_growth_ratio",
                ",rollout=\"r-1\"",
                "11.5",
            ),
            "finwatch_rollouts_total{source=\"github\",verdict=\"fail\"} 1".to_owned(),
            "finwatch_rollouts_total{source=\"signal\",verdict=\"pass\"} 0".to_owned(),
            "finwatch_deploy_events_total{source=\"github\",result=\"duplicate\"} 0".to_owned(),
            "finwatch_map_entries{map=\"story\"} 1".to_owned(),
            "finwatch_map_full_total{map=\"story\"} 0".to_owned(),
            "finwatch_map_full_total{map=\"drains\"} 0".to_owned(),
            "finwatch_map_full_total{map=\"rollouts\"} 0".to_owned(),
        ],
    );
    assert!(
        !text.contains("kind=\"reload\""),
        "there was no reload to count"
    );
    assert!(
        !text.contains("finwatch_rollout_reset_growth_ratio{"),
        "nothing to compare with: no ratio"
    );
    let open = server
        .get("/metrics", Format::OpenMetrics.content_type())
        .await;
    let text = parse(&text, Format::Text).expect("strict text");
    let open = parse(&open.body, Format::OpenMetrics).expect("strict OpenMetrics");
    assert_eq!(text.samples, open.samples);
    server.stop().await;
}
