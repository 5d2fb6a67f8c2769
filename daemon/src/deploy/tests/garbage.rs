//! Arbitrary bytes and headers, and damaged samples: taken or refused, and never a panic.

use super::*;

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
