//! GitHub and Flux, which sign what they send.

use super::*;

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
