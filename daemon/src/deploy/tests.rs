//! Each sender's complete payload through the intake, and every kind of garbage.

use std::{fs, path::PathBuf, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use proptest::prelude::*;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::sync::mpsc::{self, Receiver};

use super::*;
use crate::{
    config::Deploys,
    story::{DeployEvent, DeployStage, Skew, Source, WorkloadRef},
};

const SECRET: &str = "It's a Secret to Everybody";

macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/deploys/samples/", $name)).as_slice()
    };
}

struct Bench {
    intake: Intake,
    events: Receiver<DeployEvent>,
    _secrets: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with_room(QUEUE)
    }

    fn with_room(room: usize) -> Self {
        let secrets = tempfile::tempdir().expect("a folder");
        let file = secrets.path().join("secret");
        fs::write(&file, format!("{SECRET}\n")).expect("written");
        let (sender, events) = mpsc::channel(room);
        let deploys = Deploys {
            github_secret_file: Some(file.clone()),
            flux_secret_file: Some(file),
            ..open()
        };
        Self {
            intake: Intake::new(&deploys, sender).expect("an intake"),
            events,
            _secrets: secrets,
        }
    }

    fn take(&self, route: Route, head: &[(&str, &str)], body: &[u8]) -> Result<Taken, Refusal> {
        let headers: Headers = head.iter().copied().collect();
        self.intake.admit(route, &headers)?;
        self.intake.take(route, &headers, body, now())
    }

    fn one(&mut self, route: Route, head: &[(&str, &str)], body: &[u8]) -> DeployEvent {
        let taken = self.take(route, head, body).expect("taken");
        let Taken::One(receipt) = taken else {
            panic!("{taken:?}");
        };
        assert_eq!(receipt.result, Outcome::Accepted, "{receipt:?}");
        let event = self.events.try_recv().expect("passed on");
        assert_eq!(event.id, receipt.id);
        assert_eq!(event.receive_time, now());
        event
    }

    fn ignored(&mut self, route: Route, head: &[(&str, &str)], body: &[u8]) -> Receipt {
        let Taken::One(receipt) = self.take(route, head, body).expect("taken") else {
            panic!("a batch");
        };
        assert_eq!(receipt.result, Outcome::Ignored);
        assert!(self.events.try_recv().is_err(), "passed on: {receipt:?}");
        receipt
    }

    fn refusal(&mut self, route: Route, head: &[(&str, &str)], body: &[u8]) -> Refusal {
        let refusal = self.take(route, head, body).expect_err("refused");
        assert!(self.events.try_recv().is_err(), "passed on: {refusal}");
        refusal
    }

    fn github(&mut self, event: &str, delivery: &str, body: &[u8]) -> Result<Taken, Refusal> {
        let signed = signature(body);
        let head = [
            ("Content-Type", "application/json"),
            ("X-GitHub-Event", event),
            ("X-GitHub-Delivery", delivery),
            ("X-Hub-Signature-256", &signed),
        ];
        self.take(Route::Github, &head, body)
    }

    fn flux(&mut self, body: &[u8]) -> Result<Taken, Refusal> {
        let signed = signature(body);
        let head = [
            ("Content-Type", "application/json"),
            ("Gotk-Component", "kustomize-controller"),
            ("X-Signature", &signed),
        ];
        self.take(Route::Flux, &head, body)
    }

    fn count(&self, source: Source, outcome: Outcome) -> u64 {
        self.intake.tallies().get(source, outcome)
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn open() -> Deploys {
    Deploys {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        token_file: None,
        github_secret_file: None,
        flux_secret_file: None,
        skew_tolerance: Duration::from_secs(300),
    }
}

/// When every request of these tests comes.
fn now() -> Timestamp {
    time("2026-11-22T19:03:00Z")
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn signature(body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    let digest = mac.chain_update(body).finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

fn result(taken: Result<Taken, Refusal>) -> Receipt {
    match taken.expect("taken") {
        Taken::One(receipt) => receipt,
        Taken::Batch(receipts) => panic!("{receipts:?}"),
    }
}

fn workload(namespace: Option<&str>, kind: Option<&str>, name: &str, port: u16) -> WorkloadRef {
    WorkloadRef {
        namespace: namespace.map(str::to_owned),
        kind: kind.map(str::to_owned),
        name: name.to_owned(),
        port: Some(port).filter(|port| *port > 0),
    }
}

#[test]
fn native_json_has_every_field() {
    let mut bench = Bench::new();
    let body = br#"{"workload":"checkout","stage":"failed","revision":"v42","namespace":"shop","kind":"deployment",
        "port":8080,"links":["https://ci.example/job/42"],"time":"2026-11-22T20:02:59+01:00","id":"build-42"}"#;
    let event = bench.one(Route::Deploys, &[JSON], body);
    let expected = DeployEvent {
        id: "build-42".into(),
        source: Source::Http,
        stage: DeployStage::Failed,
        workload: workload(Some("shop"), Some("deployment"), "checkout", 8080),
        revision: Some("v42".into()),
        links: vec!["https://ci.example/job/42".into()],
        event_time: time("2026-11-22T19:02:59Z"),
        receive_time: now(),
        skew: Skew::None,
    };
    assert_eq!(event, expected);
}

#[test]
fn without_id_and_time_each_request_is_an_event_of_its_own() {
    let mut bench = Bench::new();
    let body = br#"{"workload":"checkout","stage":"started"}"#;
    let cli = [JSON, ("User-Agent", "finwatch/0.1.0")];
    let first = bench.one(Route::Deploys, &cli, body);
    let second = bench.one(Route::Deploys, &cli, body);
    assert_ne!(first.id, second.id);
    assert_eq!((first.source, first.event_time), (Source::Cli, now()));
    assert_eq!(bench.count(Source::Cli, Outcome::Accepted), 2);
}

#[test]
fn one_id_is_one_change_and_each_stage_of_it_counts_once() {
    let mut bench = Bench::new();
    let body = |stage| format!(r#"{{"workload":"checkout","stage":"{stage}","id":"7"}}"#);
    for stage in ["started", "finished"] {
        bench.one(Route::Deploys, &[JSON], body(stage).as_bytes());
        let again = result(bench.take(Route::Deploys, &[JSON], body(stage).as_bytes()));
        assert_eq!((again.result, again.id.as_str()), (Outcome::Duplicate, "7"));
        assert!(bench.events.try_recv().is_err());
    }
    assert_eq!(bench.count(Source::Http, Outcome::Duplicate), 2);
}

#[test]
fn clocks_that_disagree_are_flagged() {
    let mut bench = Bench::new();
    for (sent, skew, effective) in [
        ("2026-11-22T18:58:00Z", Skew::None, "2026-11-22T18:58:00Z"),
        ("2026-11-22T18:57:59Z", Skew::Late, "2026-11-22T18:57:59Z"),
        ("2026-11-22T19:08:00Z", Skew::None, "2026-11-22T19:08:00Z"),
        ("2026-11-22T19:08:01Z", Skew::Future, "2026-11-22T19:03:00Z"),
        (
            "-009999-01-02T01:59:59Z",
            Skew::Late,
            "-009999-01-02T01:59:59Z",
        ),
        ("9999-12-30T21:59:59Z", Skew::Future, "2026-11-22T19:03:00Z"),
    ] {
        let body = format!(r#"{{"workload":"checkout","stage":"started","time":"{sent}"}}"#);
        let event = bench.one(Route::Deploys, &[JSON], body.as_bytes());
        assert_eq!(event.skew, skew, "{sent}");
        assert_eq!(event.effective_time(), time(effective), "{sent}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let mut bench = Bench::new();
    for (body, error, remedy) in [
        ("{", "the body is not JSON: EOF while parsing", "docs/"),
        ("[1]", "the body is an array, expected an object", "docs/"),
        (
            r#"{"workload":"x","stage":"begun"}"#,
            "`stage` is no stage of a change (line 1, column 25)",
            "say started, finished or failed",
        ),
        (r#"{"workload":"x"}"#, "`stage` is missing", "docs/"),
        (r#"{"stage":"started"}"#, "`workload` is missing", "docs/"),
        (
            r#"{"workload":"  ","stage":"started"}"#,
            "`workload` is missing",
            "docs/",
        ),
        (
            r#"{"workload":"x","stage":"started","revison":"v1"}"#,
            "`revison` is not a known field (line 1, column 45)",
            "did you mean `revision`?",
        ),
        (
            r#"{"workload":"x","stage":"started","port":70000}"#,
            "`port` is the number 70000, expected a port from 1 to 65535",
            "docs/",
        ),
        (
            r#"{"workload":"x","stage":"started","links":["javascript:x"]}"#,
            "`links[0]` is no http:// or https:// address",
            "addresses only",
        ),
        (
            r#"{"workload":"x","stage":"started","links":"https://x"}"#,
            "`links` is the text \"https://x\", expected an array",
            "docs/",
        ),
        (
            r#"{"workload":"x","stage":"started","time":"yesterday"}"#,
            "`time` is \"yesterday\", which is no time",
            "RFC 3339",
        ),
    ] {
        let refusal = bench.refusal(Route::Deploys, &[JSON], body.as_bytes());
        assert_eq!(refusal.kind, RefusalKind::Malformed, "{body}");
        assert!(refusal.error.starts_with(error), "{refusal}");
        assert!(refusal.remedy.contains(remedy), "{refusal}");
    }
    assert_eq!(bench.count(Source::Http, Outcome::Malformed), 11);
}

#[test]
fn only_plain_utf8_json_is_understood() {
    let mut bench = Bench::new();
    let body = br#"{"workload":"x","stage":"started"}"#;
    for head in [
        &[][..],
        &[("Content-Type", "application/x-www-form-urlencoded")],
        &[("Content-Type", "text/plain")],
        &[("Content-Type", "application/json; charset=iso-8859-1")],
        &[JSON, ("Content-Encoding", "gzip")],
        &[("Content-Type", "application/cloudevents+avro")],
    ] {
        let refusal = bench.refusal(Route::Deploys, head, body);
        assert_eq!(refusal.kind, RefusalKind::WrongType, "{head:?}");
    }
    let head = [("Content-Type", "Application/JSON; charset=\"UTF-8\"")];
    bench.one(Route::Deploys, &head, body);
}

#[test]
fn github_tells_of_a_deployment() {
    let mut bench = Bench::new();
    let body = sample!("github_in_progress.json");
    let receipt = result(bench.github("deployment_status", "guid-1", body));
    assert_eq!(receipt.result, Outcome::Accepted);
    let event = bench.events.try_recv().expect("passed on");
    let log = "https://github.com/acme/checkout/actions/runs/11962345678/job/33350001111";
    let expected = DeployEvent {
        id: "github-3456789012".into(),
        source: Source::Github,
        stage: DeployStage::Started,
        workload: workload(None, None, "checkout", 0),
        revision: Some("9fceb02d0ae598e95dc970b74767f19372d61af8".into()),
        links: vec![log.into(), "https://checkout.acme.example".into()],
        event_time: time("2026-11-22T19:00:03Z"),
        receive_time: now(),
        skew: Skew::None,
    };
    assert_eq!(event, expected);

    let failed = sample!("github_failure.json");
    assert_eq!(
        result(bench.github("deployment_status", "guid-2", failed)).result,
        Outcome::Accepted
    );
    let event = bench.events.try_recv().expect("passed on");
    assert_eq!(event.stage, DeployStage::Failed);
    assert_eq!(
        event.workload,
        workload(Some("shop"), Some("deployment"), "checkout-api", 8080)
    );
}

#[test]
fn github_may_deliver_again_and_nobody_may_replay() {
    let mut bench = Bench::new();
    let body = sample!("github_in_progress.json");
    let failed = sample!("github_failure.json");
    let results = [
        ("guid-1", body),
        ("guid-1", body),
        // The signature does not cover the delivery's name, but it covers the status' id.
        ("guid-2", body),
        ("guid-1", failed),
        ("guid-3", failed),
    ]
    .map(|(delivery, body)| result(bench.github("deployment_status", delivery, body)).result);
    use Outcome::{Accepted, Duplicate};
    // The fourth has the name of a delivery that came: GitHub never does that.
    assert_eq!(results[..4], [Accepted, Duplicate, Duplicate, Duplicate]);
    assert_eq!(results[4], Duplicate);
}

#[test]
fn github_pings_and_other_events_are_ignored() {
    let mut bench = Bench::new();
    let ping = result(bench.github("ping", "guid-1", sample!("github_ping.json")));
    assert!(ping.ping && ping.result == Outcome::Ignored, "{ping:?}");
    let push = result(bench.github("push", "guid-2", br#"{"ref":"refs/heads/main"}"#));
    assert_eq!(
        push.reason.as_deref(),
        Some("\"push\" events are not looked at, only deployment_status")
    );
    let text = String::from_utf8_lossy(sample!("github_in_progress.json")).into_owned();
    for state in ["pending", "queued", "waiting", "inactive"] {
        let body = text.replace("\"in_progress\"", &format!("\"{state}\""));
        let receipt = result(bench.github("deployment_status", "guid-3", body.as_bytes()));
        assert_eq!(receipt.result, Outcome::Ignored, "{state}");
    }
    assert!(bench.events.try_recv().is_err());
    assert_eq!(bench.count(Source::Github, Outcome::Ignored), 6);
}

#[test]
fn signatures_are_wanted_and_checked_over_the_raw_body() {
    let mut bench = Bench::new();
    let body = sample!("github_in_progress.json");
    let mut changed = body.to_vec();
    changed.push(b' ');
    let right = signature(body);
    let head = |value| {
        [
            JSON,
            ("X-GitHub-Event", "deployment_status"),
            ("X-GitHub-Delivery", "guid"),
            ("X-Hub-Signature-256", value),
        ]
    };
    for (head, body) in [
        (&head(&right)[..], changed.as_slice()),
        (&head("sha256=00")[..], body),
        (&head(&right)[..3], body),
    ] {
        let refusal = bench.refusal(Route::Github, head, body);
        assert_eq!(refusal.kind, RefusalKind::Unauthorized, "{refusal}");
        assert!(refusal.remedy.contains("deploys.github_secret_file"));
    }
    assert_eq!(bench.count(Source::Github, Outcome::Unauthorized), 3);
    let old = [JSON, ("X-Signature", "sha1=abc")];
    let refusal = bench.refusal(Route::Flux, &old, sample!("flux_helm_upgraded.json"));
    assert_eq!(refusal.kind, RefusalKind::Unauthorized);
}

#[test]
fn without_a_secret_signed_events_are_refused_by_the_settings_name() {
    let (sender, _events) = mpsc::channel(1);
    let intake = Intake::new(&open(), sender).expect("an intake");
    for (route, setting) in [
        (Route::Github, "deploys.github_secret_file"),
        (Route::Flux, "deploys.flux_secret_file"),
    ] {
        let refusal = intake
            .admit(route, &Headers::default())
            .expect_err("no secret");
        assert_eq!(refusal.kind, RefusalKind::NotConfigured);
        assert!(refusal.error.starts_with(setting), "{refusal}");
        let refusal = intake.take(route, &Headers::default(), b"{}", now());
        assert_eq!(
            refusal.expect_err("no secret").kind,
            RefusalKind::NotConfigured
        );
    }
}

#[test]
fn flux_tells_of_kustomizations_and_helm_releases() {
    let mut bench = Bench::new();
    for (body, stage, expected, revision) in [
        (
            sample!("flux_kustomization_progressing.json"),
            DeployStage::Started,
            workload(Some("shop"), None, "checkout", 0),
            "main@sha1:9fceb02d0ae598e95dc970b74767f19372d61af8",
        ),
        (
            sample!("flux_kustomization_failed.json"),
            DeployStage::Failed,
            workload(None, None, "checkout", 0),
            "main@sha1:9fceb02d0ae598e95dc970b74767f19372d61af8",
        ),
        (
            sample!("flux_helm_upgraded.json"),
            DeployStage::Finished,
            workload(None, None, "checkout", 0),
            "1.4.2+9fceb02d0ae5",
        ),
    ] {
        assert_eq!(result(bench.flux(body)).result, Outcome::Accepted);
        let event = bench.events.try_recv().expect("passed on");
        assert_eq!((event.source, event.stage), (Source::Flux, stage));
        assert_eq!(event.workload, expected);
        assert_eq!(event.revision.as_deref(), Some(revision));
        assert_eq!(result(bench.flux(body)).result, Outcome::Duplicate);
    }
    let source = result(bench.flux(sample!("flux_source.json")));
    assert_eq!(source.result, Outcome::Ignored);
    let text = String::from_utf8_lossy(sample!("flux_kustomization_failed.json")).into_owned();
    let waits = text.replace("HealthCheckFailed", "DependencyNotReady");
    assert_eq!(
        result(bench.flux(waits.as_bytes())).result,
        Outcome::Ignored
    );
}

#[test]
fn cdevents_of_services_are_changes_that_are_done() {
    let mut bench = Bench::new();
    let digest = "sha256:0b31b1c02ff458ad9b7b81cbdf8f028bd54699fa151f221d1e8de6817db93427";
    for (body, kind, id, expected, revision) in [
        (
            sample!("cdevents_deployed.json"),
            "dev.cdevents.service.deployed.0.2.0",
            "1",
            workload(None, None, "checkout", 0),
            Some(digest),
        ),
        (
            sample!("cdevents_upgraded.json"),
            "dev.cdevents.service.upgraded.0.3.0-draft",
            "2",
            workload(Some("shop"), Some("deployment"), "checkout", 8080),
            Some(digest),
        ),
        (
            sample!("cdevents_rolledback.json"),
            "dev.cdevents.service.rolledback.0.3.0-draft",
            "3",
            workload(None, None, "checkout", 0),
            Some(digest),
        ),
        (
            sample!("cdevents_published.json"),
            "dev.cdevents.service.published.0.2.0",
            "4",
            workload(None, None, "checkout", 0),
            None,
        ),
        (
            sample!("cdevents_removed.json"),
            "dev.cdevents.service.removed.0.3.0-draft",
            "5",
            workload(None, None, "checkout", 0),
            None,
        ),
    ] {
        let id = format!("5c1d7a52-7d1d-4a88-9b0a-00000000000{id}");
        let head = [
            ("ce-specversion", "1.0"),
            ("ce-id", id.as_str()),
            ("ce-source", "/cd/production"),
            ("ce-type", kind),
            ("ce-subject", "/shop/checkout"),
            ("ce-time", "2026-11-22T19:00:05.315384Z"),
            ("Content-Type", "application/cdevents+json; charset=utf-8"),
        ];
        let event = bench.one(Route::Deploys, &head, body);
        assert_eq!(
            (event.source, event.stage),
            (Source::Cdevents, DeployStage::Finished),
            "{kind}"
        );
        assert_eq!(event.workload, expected, "{kind}");
        assert_eq!(event.revision.as_deref(), revision, "{kind}");
        assert_eq!(event.event_time, time("2026-11-22T19:00:05.315384Z"));
        // The same one without a CloudEvent around it, and in structured mode.
        let bare = [("Content-Type", "application/cdevents+json")];
        assert_eq!(
            result(bench.take(Route::Deploys, &bare, body)).result,
            Outcome::Duplicate
        );
        let around = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/cd/production","type":"{kind}",
                "datacontenttype":"application/cdevents+json","data":{}}}"#,
            String::from_utf8_lossy(body)
        );
        let structured = [("Content-Type", "application/cloudevents+json")];
        assert_eq!(
            result(bench.take(Route::Deploys, &structured, around.as_bytes())).result,
            Outcome::Duplicate
        );
    }
    let head = [
        ("ce-specversion", "1.0"),
        ("ce-id", "x"),
        ("ce-source", "/cd/production"),
        ("ce-type", "dev.cdevents.service.removed.0.2.0"),
        JSON,
    ];
    let refusal = bench.refusal(Route::Deploys, &head, sample!("cdevents_deployed.json"));
    assert!(
        refusal
            .error
            .starts_with("`context.type` is not the type of the CloudEvent"),
        "{refusal}"
    );
}

#[test]
fn cloudevents_come_in_three_modes() {
    let mut bench = Bench::new();
    let structured = [(
        "Content-Type",
        "application/cloudevents+json; charset=UTF-8",
    )];
    let event = bench.one(
        Route::Deploys,
        &structured,
        sample!("cloudevents_structured.json"),
    );
    let expected = DeployEvent {
        id: "/pipelines/checkout#A234-1234-1234".into(),
        source: Source::Cloudevents,
        stage: DeployStage::Started,
        workload: workload(None, None, "checkout", 0),
        revision: Some("v42".into()),
        links: vec!["https://ci.acme.example/job/42".into()],
        event_time: time("2026-11-22T19:00:00Z"),
        receive_time: now(),
        skew: Skew::None,
    };
    assert_eq!(event, expected);

    let batch = [("Content-Type", "application/cloudevents-batch+json")];
    let taken = bench
        .take(Route::Deploys, &batch, sample!("cloudevents_batch.json"))
        .expect("taken");
    let Taken::Batch(receipts) = taken else {
        panic!("one");
    };
    let results: Vec<_> = receipts.iter().map(|receipt| receipt.result).collect();
    assert_eq!(
        results,
        [Outcome::Duplicate, Outcome::Accepted, Outcome::Ignored]
    );
    assert_eq!(
        bench.events.try_recv().expect("passed on").stage,
        DeployStage::Finished
    );
    assert_eq!(
        bench.take(Route::Deploys, &batch, b"[]"),
        Ok(Taken::Batch(Vec::new()))
    );

    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "D1"),
        ("ce-source", "/pipelines/checkout"),
        ("ce-type", "com.acme.deploy"),
        ("ce-subject", "K%C3%A4se%20%22laden%22"),
        JSON,
    ];
    let event = bench.one(Route::Deploys, &binary, br#"{"stage":"failed"}"#);
    assert_eq!(event.workload.name, "Käse \"laden\"");
    assert_eq!(event.stage, DeployStage::Failed);
}

#[test]
fn of_a_batch_all_or_nothing_is_taken() {
    let mut bench = Bench::with_room(1);
    let batch = [("Content-Type", "application/cloudevents-batch+json")];
    let one = |id: &str, stage: &str| {
        format!(
            r#"{{"specversion":"1.0","type":"x","source":"/x","id":"{id}",
                "data":{{"workload":"x","stage":"{stage}"}}}}"#
        )
    };
    let bad = format!("[{},{}]", one("1", "started"), one("2", "begun"));
    let refusal = bench.refusal(Route::Deploys, &batch, bad.as_bytes());
    assert!(
        refusal.error.starts_with("`[1].data.stage` is no stage"),
        "{refusal}"
    );
    let two = format!("[{},{}]", one("1", "started"), one("2", "started"));
    let refusal = bench.refusal(Route::Deploys, &batch, two.as_bytes());
    assert_eq!(refusal.kind, RefusalKind::Overloaded);
    assert_eq!(bench.count(Source::Cloudevents, Outcome::Overloaded), 1);
    let same = format!("[{},{}]", one("1", "started"), one("1", "started"));
    let Ok(Taken::Batch(receipts)) = bench.take(Route::Deploys, &batch, same.as_bytes()) else {
        panic!("not taken");
    };
    let results: Vec<_> = receipts.iter().map(|receipt| receipt.result).collect();
    assert_eq!(results, [Outcome::Accepted, Outcome::Duplicate]);
}

#[test]
fn cloudevents_that_are_none_are_told_what_is_missing() {
    let mut bench = Bench::new();
    let full = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/x"),
        ("ce-type", "x.started"),
        JSON,
    ];
    let body = br#"{"workload":"x"}"#;
    for missing in 0..4 {
        let mut head = full.to_vec();
        let (name, _) = head.remove(missing);
        let refusal = bench.refusal(Route::Deploys, &head, body);
        assert_eq!(refusal.error, format!("the header {name} is missing"));
    }
    for (at, value) in [(0, "0.3"), (1, "%C0%A0"), (1, "%00")] {
        let mut head = full.to_vec();
        head[at].1 = value;
        let refusal = bench.refusal(Route::Deploys, &head, body);
        assert_eq!(refusal.kind, RefusalKind::Malformed, "{refusal}");
    }
    bench.one(Route::Deploys, &full, body);
}

#[test]
fn argo_says_what_its_templates_say() {
    let mut bench = Bench::new();
    let body = |phase: &str, health: &str, finished: &str| {
        format!(
            r#"{{"app":"checkout","namespace":"shop","phase":"{phase}","health":"{health}","revision":"9fceb02",
                "started_at":"2026-11-22T19:00:01Z","finished_at":"{finished}","link":"https://argocd.example/x"}}"#
        )
    };
    let end = "2026-11-22T19:01:30Z";
    for (body, stage, at) in [
        (
            body("Running", "Progressing", "<no value>"),
            DeployStage::Started,
            "2026-11-22T19:00:01Z",
        ),
        (
            body("Succeeded", "Healthy", end),
            DeployStage::Finished,
            end,
        ),
        (
            body("Succeeded", "Degraded", end),
            DeployStage::Failed,
            "2026-11-22T19:03:00Z",
        ),
        (body("Error", "Missing", end), DeployStage::Failed, end),
    ] {
        let event = bench.one(Route::Argocd, &[JSON], body.as_bytes());
        assert_eq!((event.source, event.stage), (Source::Argocd, stage));
        assert_eq!(event.workload, workload(Some("shop"), None, "checkout", 0));
        assert_eq!(event.event_time, time(at));
        let again = result(bench.take(Route::Argocd, &[JSON], body.as_bytes()));
        assert_eq!(again.result, Outcome::Duplicate);
    }
    bench.ignored(
        Route::Argocd,
        &[JSON],
        body("Terminating", "Healthy", end).as_bytes(),
    );
    bench.refusal(
        Route::Argocd,
        &[JSON],
        body("Done", "Healthy", end).as_bytes(),
    );

    for (trigger, stage) in [
        ("on-rollout-updated", DeployStage::Started),
        ("on-rollout-completed", DeployStage::Finished),
        ("on-rollout-aborted", DeployStage::Failed),
    ] {
        let body = format!(
            r#"{{"trigger":"{trigger}","rollout":"checkout","namespace":"shop","uid":"7e0b","number":58}}"#
        );
        // A number where a template writes text is a template of somebody's own.
        bench.refusal(Route::ArgoRollouts, &[JSON], body.as_bytes());
        let body = body.replace("58", "\"58\"");
        let event = bench.one(Route::ArgoRollouts, &[JSON], body.as_bytes());
        assert_eq!((event.source, event.stage), (Source::ArgoRollouts, stage));
    }
    let paused = br#"{"trigger":"on-rollout-paused","rollout":"checkout"}"#;
    bench.ignored(Route::ArgoRollouts, &[JSON], paused);
}

#[test]
fn a_full_queue_refuses_and_does_not_remember() {
    let mut bench = Bench::with_room(1);
    let body = |id: u32| format!(r#"{{"workload":"x","stage":"started","id":"{id}"}}"#);
    let take = |bench: &Bench, id| bench.take(Route::Deploys, &[JSON], body(id).as_bytes());
    assert!(take(&bench, 1).is_ok());
    let refusal = take(&bench, 2).expect_err("no room");
    assert_eq!(refusal.kind, RefusalKind::Overloaded);
    // A duplicate needs no room.
    assert_eq!(result(take(&bench, 1)).result, Outcome::Duplicate);
    bench.events.try_recv().expect("the first");
    assert_eq!(result(take(&bench, 2)).result, Outcome::Accepted);
}

#[test]
fn others_than_this_host_need_a_token() {
    let (sender, _events) = mpsc::channel(1);
    let deploys = Deploys {
        listen: vec![
            "127.0.0.1:10347".parse().expect("an address"),
            "[::]:10347".parse().expect("an address"),
        ],
        ..open()
    };
    let error = Intake::new(&deploys, sender.clone()).expect_err("no token");
    assert_eq!(
        error.to_string(),
        "deploys.listen has [::]:10347, where others than this host could send deploy events without a token: set \
         deploys.token_file, or listen on 127.0.0.1:10347 only"
    );
    let missing = Deploys {
        token_file: Some(PathBuf::from("/nonexistent/token")),
        ..deploys
    };
    let error = format!("{:#}", Intake::new(&missing, sender).expect_err("no file"));
    assert!(
        error.contains("deploys.token_file must name a file")
            && error.contains("/nonexistent/token"),
        "{error}"
    );
}

const SAMPLES: [(Route, &str, &[u8]); 8] = [
    (
        Route::Github,
        "application/json",
        sample!("github_failure.json"),
    ),
    (
        Route::Flux,
        "application/json",
        sample!("flux_kustomization_progressing.json"),
    ),
    (
        Route::Deploys,
        "application/cdevents+json",
        sample!("cdevents_upgraded.json"),
    ),
    (
        Route::Deploys,
        "application/cloudevents+json",
        sample!("cloudevents_structured.json"),
    ),
    (
        Route::Deploys,
        "application/cloudevents-batch+json",
        sample!("cloudevents_batch.json"),
    ),
    (
        Route::Argocd,
        "application/json",
        br#"{"app":"a","phase":"Running","started_at":"2026-11-22T19:00:01Z"}"#,
    ),
    (
        Route::ArgoRollouts,
        "application/json",
        br#"{"trigger":"on-rollout-updated","rollout":"a","uid":"b"}"#,
    ),
    (
        Route::Deploys,
        "application/json",
        br#"{"workload":"a","stage":"started","port":"80","links":["http://x"]}"#,
    ),
];

fn signed_head(content_type: &str, body: &[u8]) -> Headers {
    let signed = signature(body);
    [
        ("content-type", content_type),
        ("x-github-event", "deployment_status"),
        ("x-github-delivery", "guid"),
        ("x-hub-signature-256", &signed),
        ("x-signature", &signed),
    ]
    .into_iter()
    .collect()
}

proptest! {
    #[test]
    fn no_bytes_and_no_headers_panic(
        route in 0..Route::ALL.len(),
        names in prop::collection::vec(0..14_usize, 0..8),
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 8),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        const NAMES: [&str; 14] = [
            "content-type", "content-encoding", "authorization", "user-agent", "ce-id", "ce-source", "ce-type",
            "ce-specversion", "ce-time", "ce-subject", "x-github-event", "x-github-delivery", "x-hub-signature-256",
            "x-signature",
        ];
        let bench = Bench::new();
        let headers: Headers = names
            .iter()
            .zip(values)
            .map(|(name, value)| (NAMES[*name], value))
            .collect();
        let route = Route::ALL[route];
        let _either_way = bench.intake.admit(route, &headers);
        if let Err(refusal) = bench.intake.take(route, &headers, &body, now()) {
            prop_assert!(!refusal.error.is_empty() && !refusal.remedy.is_empty());
        }
    }

    #[test]
    fn damaged_samples_are_taken_or_refused(
        which in 0..SAMPLES.len(),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
        at in any::<prop::sample::Index>(),
        with in prop::collection::vec(any::<char>(), 0..6),
    ) {
        let (route, content_type, sample) = SAMPLES[which];
        let mut text: Vec<char> = String::from_utf8_lossy(sample).chars().collect();
        let from = at.index(text.len());
        let to = if whole { from + 1 } else { from + cut.index(text.len() - from) };
        text.splice(from..to, with);
        let body: String = text.into_iter().collect();
        let mut bench = Bench::new();
        let headers = signed_head(content_type, body.as_bytes());
        match bench.intake.take(route, &headers, body.as_bytes(), now()) {
            Ok(_) => {
                while let Ok(event) = bench.events.try_recv() {
                    prop_assert!(!event.workload.name.is_empty() && !event.id.is_empty());
                    prop_assert!(!event.workload.name.chars().any(char::is_control));
                    prop_assert!(event.links.iter().all(|link| link.starts_with("http")));
                    let json = serde_json::to_string(&event).expect("JSON");
                    prop_assert_eq!(&serde_json::from_str::<DeployEvent>(&json).expect("an event"), &event);
                }
            }
            Err(refusal) => {
                prop_assert!(bench.events.try_recv().is_err());
                prop_assert!(refusal.error.chars().count() < 1_000, "{}", refusal);
            }
        }
    }
}
