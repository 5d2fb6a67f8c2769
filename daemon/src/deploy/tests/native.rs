//! finwatch's own JSON, idempotency, clocks, the queue, and who may listen where.

use super::*;

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
