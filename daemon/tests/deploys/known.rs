//! A workload that nobody knows: the sender is told at once who there is, and its event is taken all the same.

use std::ops::ControlFlow;

use finwatch::http::Story;
use finwatch_engine::model::{
    Drain, Incident, Phase, RecentCloses, Role, Rollout, Service, ServiceState, Totals,
};
use jiff::Timestamp;
use serde_json::json;

use super::{
    cli::{deploy, stderr, stdout},
    server::{Server, Setup},
};

const KNOWN: Setup = Setup {
    token: None,
    secrets: false,
    room: None,
    services: &["nginx.service", "gunicorn", "checkout"],
};

/// Services of these names, of which nothing else is known.
pub(crate) struct Names(pub(crate) &'static [&'static str]);

impl Story for Names {
    fn services(&self) -> Vec<ServiceState> {
        let state = |name: &&str| ServiceState {
            service: Service {
                workload_namespace: String::new(),
                workload_kind: "process".to_owned(),
                workload: (*name).to_owned(),
                port: 80,
            },
            role: Role::Server,
            phase: Phase::Steady,
            listeners: 1,
            open: 0,
            awaiting: 0,
            close_wait: 0,
            time_wait: 0,
            fin_wait2: 0,
            backlog: 0,
            backlog_limit: 0,
            totals: Totals::default(),
            shape: finwatch_engine::model::Shape::default(),
        };
        self.0.iter().map(state).collect()
    }

    fn drains(&self, _: &mut dyn FnMut(Drain) -> ControlFlow<()>) {}

    fn rollouts(&self, _: &mut dyn FnMut(Rollout) -> ControlFlow<()>) {}

    fn incidents(&self, _: &mut dyn FnMut(Incident) -> ControlFlow<()>) {}

    fn watches_since(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn closes(&self) -> RecentCloses {
        RecentCloses::default()
    }
}

#[test]
fn a_slip_in_the_name_is_told_at_once_with_the_nearest() {
    let mut server = Server::start(KNOWN);
    let url = server.url();
    let output = deploy(&["start", "-w", "ngnix", "--id", "1", "--url", &url], None);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "accepted: ngnix started, id 1\n");
    assert_eq!(
        stderr(&output),
        "warning: finwatch knows no workload `ngnix`; did you mean `nginx.service`? It knows nginx.service, gunicorn, \
         checkout. The event was taken all the same\n"
    );
    assert_eq!(server.events().len(), 1);
}

#[test]
fn a_name_that_is_known_is_taken_without_a_word() {
    let server = Server::start(KNOWN);
    let url = server.url();
    for (stage, name) in [
        ("start", "nginx"),
        ("start", "nginx.service"),
        ("start", "checkout"),
        // By then it may be gone.
        ("finish", "removed"),
    ] {
        let output = deploy(&[stage, "-w", name, "--url", &url], None);
        assert_eq!(
            (output.status.code(), stderr(&output)),
            (Some(0), String::new())
        );
    }
}

#[test]
fn whoever_posts_reads_it_in_the_answer() {
    let server = Server::start(KNOWN);
    let body = json!({"workload": "payments", "stage": "started", "id": "7"});
    let head = [("Content-Type", "application/json")];
    let answer = server.post("/v1/deploys", &head, body.to_string().as_bytes());
    assert_eq!(answer.status, 202);
    let told = answer.json();
    assert_eq!(
        told["unknown"],
        json!({
            "warning": "finwatch knows no workload `payments`; it knows nginx.service, checkout, gunicorn",
            "known": ["nginx.service", "checkout", "gunicorn"],
        })
    );
    let again = server.post("/v1/deploys", &head, body.to_string().as_bytes());
    assert_eq!(
        (again.status, again.result()),
        (200, "duplicate".to_owned())
    );
    assert!(again.json().get("unknown").is_none(), "told once");
}
