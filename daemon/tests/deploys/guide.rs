//! `docs/deploy-events.md`, recipe by recipe: shell blocks are executed, templates are rendered and sent.

use std::{
    env,
    path::Path,
    process::{Command, Output},
};

use finwatch_engine::model::{DeployEvent, DeployStage, Source};
use serde_json::Value;

use super::{
    render::{block, render},
    server::{Server, Setup, signature},
};

const GUIDE: &str = include_str!("../../../docs/deploy-events.md");
const TOKEN: &str = "t0ken-of-the-guide";

/// The fenced blocks of this language under this heading.
fn blocks(heading: &str, language: &str) -> Vec<String> {
    let (_, section) = GUIDE
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().expect("a section");
    let mut blocks = Vec::new();
    let mut rest = section;
    while let Some((_, after)) = rest.split_once(&format!("```{language}\n")) {
        let (block, behind) = after.split_once("```").expect("a closed block");
        blocks.push(block.to_owned());
        rest = behind;
    }
    assert!(!blocks.is_empty(), "no {language} under {heading}");
    blocks
}

fn server() -> Server {
    Server::start(Setup {
        token: Some(TOKEN),
        secrets: true,
        ..Setup::default()
    })
}

/// Runs a recipe as a user would, only against the test's server.
fn run(server: &Server, script: &str) -> Output {
    let script = script
        .replace("http://127.0.0.1:10347", &server.url())
        .replace("finwatch deploy ", "finwatch deploy --url-of-the-test ");
    let script = script
        .lines()
        .map(|line| match line.split_once(" --url-of-the-test ") {
            None => line.to_owned(),
            Some((before, after)) => format!("{before} {after} --url {}", server.url()),
        })
        .collect::<Vec<_>>()
        .join("\n");
    let folder = Path::new(env!("CARGO_BIN_EXE_finwatch"))
        .parent()
        .expect("a folder");
    let path = env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-e", "-c", &script])
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("FINWATCH_TOKEN", TOKEN)
        .env("GIT_COMMIT", "9fceb02d0ae598e95dc970b74767f19372d61af8")
        .env("BUILD_URL", "https://jenkins.example/job/checkout/42/")
        .env("BUILD_TAG", "jenkins-checkout-42")
        .output()
        .expect("a shell");
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn seen(events: &[DeployEvent]) -> Vec<(Source, DeployStage, &str)> {
    events
        .iter()
        .map(|event| (event.source, event.stage, event.workload.name.as_str()))
        .collect()
}

#[test]
fn every_shell_block_of_the_guide_is_run_below() {
    let all = GUIDE.matches("```sh\n").count();
    let run = [
        "From a shell script",
        "With curl",
        "CloudEvents",
        "CDEvents",
    ]
    .map(|heading| blocks(heading, "sh").len());
    assert_eq!(all, run.iter().sum::<usize>());
}

#[test]
fn from_a_shell_script() {
    let mut server = server();
    let blocks = blocks("From a shell script", "sh");
    run(&server, &blocks[0]);
    let events = server.events();
    assert_eq!(
        seen(&events),
        [
            (Source::Cli, DeployStage::Started, "checkout"),
            (Source::Cli, DeployStage::Finished, "checkout")
        ]
    );
    let output = run(&server, &blocks[1]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let results: Vec<_> = told
        .lines()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(results, ["accepted", "duplicate", "accepted"]);
    assert_eq!(server.events().len(), 2);
}

#[test]
fn with_curl() {
    let mut server = server();
    run(&server, &blocks("With curl", "sh")[0]);
    let events = server.events();
    assert_eq!(
        seen(&events),
        [(Source::Http, DeployStage::Started, "checkout")]
    );
    assert_eq!(events[0].workload.namespace.as_deref(), Some("shop"));
    assert_eq!(events[0].id, "pipeline-1373");
}

#[test]
fn jenkins() {
    let mut server = server();
    let pipeline = blocks("Jenkins", "groovy").remove(0);
    let scripts: Vec<_> = pipeline.split("'''").skip(1).step_by(2).collect();
    assert_eq!(scripts.len(), 3);
    for script in scripts {
        // What Groovy makes of the escapes of a text in three quotes.
        let script = script.replace("\\\n", "").replace("\\\\", "\\");
        run(&server, &script);
    }
    let events = server.events();
    let one = |stage| (Source::Http, stage, "checkout");
    assert_eq!(
        seen(&events),
        [
            one(DeployStage::Started),
            one(DeployStage::Finished),
            one(DeployStage::Failed)
        ]
    );
    assert_eq!(
        events[0].links,
        ["https://jenkins.example/job/checkout/42/"]
    );
    assert_eq!(events[0].id, "jenkins-checkout-42");
    assert_eq!(
        events[0].revision.as_deref(),
        Some("9fceb02d0ae598e95dc970b74767f19372d61af8")
    );
}

#[test]
fn cloudevents_and_cdevents() {
    let mut server = server();
    for script in blocks("CloudEvents", "sh") {
        run(&server, &script);
    }
    run(&server, &blocks("CDEvents", "sh")[0]);
    let events = server.events();
    assert_eq!(
        seen(&events),
        [
            (Source::Cloudevents, DeployStage::Started, "checkout"),
            (Source::Cloudevents, DeployStage::Finished, "checkout"),
            (Source::Cdevents, DeployStage::Finished, "checkout")
        ]
    );
    assert_eq!(
        events[2].revision.as_deref(),
        Some("sha256:0b31b1c02ff458ad9b7b81cbdf8f028b")
    );
    assert_eq!(events[2].workload.namespace.as_deref(), Some("shop"));
}

#[test]
fn the_payload_that_names_githubs_workload() {
    let mut server = server();
    let snippet: Value = serde_json::from_str(&blocks("GitHub", "json")[0]).expect("JSON");
    let sample = include_str!("samples/github_in_progress.json");
    let mut body: Value = serde_json::from_str(sample).expect("JSON");
    body["deployment"]["payload"] = snippet["payload"].clone();
    let body = body.to_string();
    let signed = signature(body.as_bytes());
    let head = [
        ("Content-Type", "application/json"),
        ("X-GitHub-Event", "deployment_status"),
        ("X-GitHub-Delivery", "guid"),
        ("X-Hub-Signature-256", &signed),
    ];
    let answer = server.post("/v1/deploys/github", &head, body.as_bytes());
    assert_eq!(answer.status, 202, "{answer:?}");
    let event = server.events().remove(0);
    assert_eq!(event.workload.namespace.as_deref(), Some("shop"));
    assert_eq!(event.workload.kind.as_deref(), Some("deployment"));
}

#[test]
fn the_metadata_of_the_flux_alert_names_the_workload() {
    let mut server = server();
    let yaml = blocks("Flux", "yaml").remove(0);
    assert!(yaml.contains("type: generic-hmac") && yaml.contains("/v1/deploys/flux\n"));
    let (_, metadata) = yaml.split_once("  eventMetadata:\n").expect("metadata");
    let sample = include_str!("samples/flux_helm_upgraded.json");
    let mut body: Value = serde_json::from_str(sample).expect("JSON");
    for (key, value) in metadata.lines().filter_map(|line| line.split_once(": ")) {
        body["metadata"][key.trim()] = value.into();
    }
    let body = body.to_string();
    let signed = signature(body.as_bytes());
    let head = [
        ("Content-Type", "application/json"),
        ("X-Signature", signed.as_str()),
    ];
    let answer = server.post("/v1/deploys/flux", &head, body.as_bytes());
    assert_eq!(answer.status, 202, "{answer:?}");
    let event = server.events().remove(0);
    assert_eq!(event.workload.name, "checkout");
    assert_eq!(event.workload.namespace.as_deref(), Some("shop"));
}

/// Sends what the templates of the section make of this object, with the headers that its service has.
fn notify(server: &Server, heading: &str, path: &str, object: &Value) -> Vec<String> {
    let yaml = blocks(heading, "yaml").remove(0);
    assert!(yaml.contains("value: Bearer $finwatch-token"));
    let bodies = block(&yaml, "body");
    assert_eq!(
        yaml.matches(&format!("path: {path}\n")).count(),
        bodies.len()
    );
    let bearer = format!("Bearer {TOKEN}");
    let head = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    bodies
        .iter()
        .map(|body| {
            let answer = server.post(path, &head, render(body, object).as_bytes());
            assert!([200, 202].contains(&answer.status), "{answer:?}");
            answer.result()
        })
        .collect()
}

#[test]
fn the_template_of_argo_cd() {
    let mut server = server();
    let ended: Value =
        serde_json::from_str(include_str!("samples/argocd_application.json")).expect("JSON");
    let mut running = ended.clone();
    running["app"]["status"]["operationState"]["phase"] = "Running".into();
    running["app"]["status"]["operationState"]["finishedAt"] = Value::Null;
    for (object, result) in [
        (&running, "accepted"),
        (&running, "duplicate"),
        (&ended, "accepted"),
        (&ended, "duplicate"),
    ] {
        let results = notify(&server, "Argo CD", "/v1/deploys/argocd", object);
        assert_eq!(results, [result]);
    }
    let events = server.events();
    assert_eq!(
        seen(&events),
        [
            (Source::Argocd, DeployStage::Started, "checkout"),
            (Source::Argocd, DeployStage::Finished, "checkout")
        ]
    );
    assert_eq!(events[0].event_time.to_string(), "2026-11-22T19:00:01Z");
    assert_eq!(events[1].event_time.to_string(), "2026-11-22T19:01:30Z");
    assert_eq!(events[1].workload.namespace.as_deref(), Some("shop"));
    assert_eq!(
        events[1].links,
        ["https://argocd.acme.example/applications/checkout"]
    );
}

#[test]
fn the_templates_of_argo_rollouts() {
    let mut server = server();
    let object: Value =
        serde_json::from_str(include_str!("samples/argo_rollout.json")).expect("JSON");
    let path = "/v1/deploys/argo-rollouts";
    for result in ["accepted", "duplicate"] {
        assert_eq!(notify(&server, "Argo Rollouts", path, &object), [result; 3]);
    }
    let events = server.events();
    let one = |stage| (Source::ArgoRollouts, stage, "checkout");
    assert_eq!(
        seen(&events),
        [
            one(DeployStage::Started),
            one(DeployStage::Finished),
            one(DeployStage::Failed)
        ]
    );
    assert_eq!(events[1].revision.as_deref(), Some("6c9f7d5b84"));
}

#[test]
fn the_guide_shows_an_answer_that_is_given() {
    let server = server();
    let shown: Value = serde_json::from_str(&blocks("Answers", "json")[0]).expect("JSON");
    let bearer = format!("Bearer {TOKEN}");
    let head = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let body = br#"{"workload":"checkout","stage":"begun"}"#;
    assert_eq!(server.post("/v1/deploys", &head, body).json(), shown);
}
