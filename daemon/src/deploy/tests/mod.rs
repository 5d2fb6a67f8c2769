//! Each sender's complete payload through the intake, and every kind of garbage.

use std::{fs, path::PathBuf, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use proptest::prelude::*;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::sync::mpsc::{self, Receiver};

use super::*;
use crate::config::Deploys;
use finwatch_engine::model::{DeployEvent, DeployStage, Skew, Source, WorkloadRef};

const SECRET: &str = "It's a Secret to Everybody";

macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/deploys/samples/",
            $name
        ))
        .as_slice()
    };
}

mod argo;
mod cloudevents;
mod garbage;
mod native;
mod signed;

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
    format!("sha256={}", hex::encode(digest))
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
