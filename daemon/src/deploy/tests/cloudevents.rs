//! CloudEvents in their three modes, and the CDEvents in them.

use super::*;

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
