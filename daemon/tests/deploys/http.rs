//! Statuses, headers and answers of the routes.

use std::fs;

use finwatch::deploy::Outcome;
use finwatch_engine::model::{DeployStage, Source};

use super::server::{Server, Setup, signature};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const BODY: &[u8] = br#"{"workload":"checkout","stage":"started","id":"1"}"#;

#[test]
fn an_event_is_taken_once() {
    let mut server = Server::start(Setup::default());
    let first = server.post("/v1/deploys", &[JSON], BODY);
    assert_eq!((first.status, first.result().as_str()), (202, "accepted"));
    assert_eq!(first.body, "{\"id\":\"1\",\"result\":\"accepted\"}\n");
    assert!(first.head.contains("content-type: application/json"));
    let again = server.post("/v1/deploys", &[JSON], BODY);
    assert_eq!((again.status, again.result().as_str()), (200, "duplicate"));
    let events = server.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].workload.name, "checkout");
    assert_eq!(events[0].stage, DeployStage::Started);
    assert_eq!(server.tallies.get(Source::Http, Outcome::Accepted), 1);
    assert_eq!(server.tallies.get(Source::Http, Outcome::Duplicate), 1);
}

#[test]
fn a_clock_that_is_wrong_is_told() {
    let server = Server::start(Setup::default());
    let body = br#"{"workload":"x","stage":"started","time":"2001-02-03T04:05:06Z"}"#;
    let answer = server.post("/v1/deploys", &[JSON], body);
    assert_eq!(
        (answer.status, &answer.json()["skew"]),
        (202, &"late".into())
    );
}

#[test]
fn a_batch_gets_a_result_each() {
    let mut server = Server::start(Setup::default());
    let head = [("Content-Type", "application/cloudevents-batch+json")];
    let body = include_bytes!("samples/cloudevents_batch.json");
    let answer = server.post("/v1/deploys", &head, body);
    assert_eq!(answer.status, 202);
    let results = answer.json()["results"].clone();
    let results: Vec<_> = results
        .as_array()
        .expect("an array")
        .iter()
        .map(|one| one["result"].as_str().expect("text"))
        .collect();
    assert_eq!(results, ["accepted", "accepted", "ignored"]);
    assert_eq!(server.events().len(), 2);
    let empty = server.post("/v1/deploys", &head, b"[]");
    assert_eq!(
        (empty.status, empty.body.as_str()),
        (200, "{\"results\":[]}\n")
    );
}

#[test]
fn refusals_say_what_and_what_to_do() {
    let server = Server::start(Setup::default());
    let bad = server.post("/v1/deploys", &[JSON], br#"{"workload":"x","stage":5}"#);
    assert_eq!(bad.status, 400);
    assert_eq!(
        bad.error(),
        "`stage` is the number 5, expected text (line 1, column 25)"
    );
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let form = server.post("/v1/deploys", &form, BODY);
    assert_eq!(form.status, 415);
    assert!(form.error().contains("x-www-form-urlencoded"));
    let lost = server.post("/v1/deploy", &[JSON], BODY);
    assert_eq!(
        (lost.status, lost.error().as_str()),
        (404, "there is nothing at /v1/deploy")
    );
    assert!(
        lost.body.contains("/v1/deploys/argo-rollouts"),
        "{}",
        lost.body
    );
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let request = format!("{method} /v1/deploys HTTP/1.0\r\nHost: test\r\n\r\n");
        let answer = server.raw(request.as_bytes());
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(
            answer.head.matches("allow: post").count(),
            1,
            "{}",
            answer.head
        );
        assert!(answer.error().starts_with(method));
    }
}

#[test]
fn a_token_opens_and_a_rotated_one_takes_its_place() {
    let mut server = Server::start(Setup {
        token: Some("first-token"),
        ..Setup::default()
    });
    let with = |token: &str| {
        let value = format!("Bearer {token}");
        let head = [JSON, ("Authorization", value.as_str())];
        let body = format!(r#"{{"workload":"x","stage":"started","id":"{token}"}}"#);
        server.post("/v1/deploys", &head, body.as_bytes()).status
    };
    assert_eq!((with("first-token"), with("second-token")), (202, 401));
    fs::write(server.folder.path().join("token"), "second-token\n").expect("written");
    assert_eq!((with("second-token"), with("first-token")), (202, 401));
    fs::write(server.folder.path().join("token"), "").expect("written");
    assert_eq!(with("second-token"), 503);
    let none = server.post("/v1/deploys", &[JSON], BODY);
    assert_eq!(none.status, 503);
    fs::write(server.folder.path().join("token"), "third").expect("written");
    let none = server.post("/v1/deploys/argocd", &[JSON], BODY);
    assert_eq!(none.status, 401);
    assert!(
        none.head.contains("www-authenticate: bearer"),
        "{}",
        none.head
    );
    assert_eq!(none.error(), "there is no Authorization header");
    assert_eq!(server.events().len(), 2);
    assert_eq!(server.tallies.get(Source::Argocd, Outcome::Unauthorized), 1);
}

#[test]
fn signed_webhooks_need_no_token_but_their_secret() {
    let body = include_bytes!("samples/github_in_progress.json");
    let signed = signature(body);
    let head = [
        JSON,
        ("User-Agent", "GitHub-Hookshot/044aadd"),
        ("X-GitHub-Event", "deployment_status"),
        ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("X-GitHub-Hook-ID", "292430182"),
        (
            "X-Hub-Signature",
            "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6",
        ),
        ("X-Hub-Signature-256", &signed),
    ];
    let bare = Server::start(Setup::default());
    let answer = bare.post("/v1/deploys/github", &head, body);
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .error()
            .contains("deploys.github_secret_file is not set")
    );

    let mut server = Server::start(Setup {
        token: Some("t0ken"),
        secrets: true,
        ..Setup::default()
    });
    let statuses = [0, 1].map(|_| server.post("/v1/deploys/github", &head, body).status);
    assert_eq!(statuses, [202, 200]);
    let unsigned = server.post("/v1/deploys/github", &head[..6], body);
    assert_eq!(unsigned.status, 401);
    assert_eq!(server.events().len(), 1);

    let ping = include_bytes!("samples/github_ping.json");
    let signed = signature(ping);
    let head = [
        JSON,
        ("X-GitHub-Event", "ping"),
        ("X-GitHub-Delivery", "guid"),
        ("X-Hub-Signature-256", &signed),
    ];
    let answer = server.post("/v1/deploys/github", &head, ping);
    assert_eq!((answer.status, answer.result().as_str()), (200, "ignored"));

    let body = include_bytes!("samples/flux_kustomization_progressing.json");
    let signed = signature(body);
    let head = [JSON, ("X-Signature", signed.as_str())];
    let answer = server.post("/v1/deploys/flux", &head, body);
    assert_eq!((answer.status, answer.result().as_str()), (202, "accepted"));
    let body = include_bytes!("samples/flux_source.json");
    let signed = signature(body);
    let head = [JSON, ("X-Signature", signed.as_str())];
    let answer = server.post("/v1/deploys/flux", &head, body);
    assert_eq!((answer.status, answer.result().as_str()), (202, "ignored"));
    assert_eq!(server.events().len(), 1);
}

#[test]
fn a_full_queue_says_when_to_come_again() {
    let mut server = Server::start(Setup {
        room: Some(1),
        ..Setup::default()
    });
    let second = br#"{"workload":"checkout","stage":"started","id":"2"}"#;
    assert_eq!(server.post("/v1/deploys", &[JSON], BODY).status, 202);
    let full = server.post("/v1/deploys", &[JSON], second);
    assert_eq!(full.status, 503);
    assert!(full.head.contains("retry-after: 1"), "{}", full.head);
    assert_eq!(server.events().len(), 1);
    assert_eq!(server.post("/v1/deploys", &[JSON], second).status, 202);
    assert_eq!(server.tallies.get(Source::Http, Outcome::Overloaded), 1);
}
