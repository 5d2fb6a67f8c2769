//! What the templates of the guide make of Argo CD's and Argo Rollouts' objects.

use super::*;

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
