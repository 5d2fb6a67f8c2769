//! Recorded readings in, exact `/metrics` lines out, through the real ledger, router and server over a real
//! loopback connection. No root, no kernel programs.

mod replay {
    mod at_rest;
    pub(crate) mod exposition;
    pub(crate) mod kernel;
    pub(crate) mod server;
    mod story;
}

use std::time::Duration;

use finwatch::{
    kubernetes,
    metrics::Format,
    preflight::{self, PreflightOptions, Status},
};
use finwatch_common::{Cell, Cut, Evidence, Lost, Origin, Outcome, Phase, Role};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use finwatch_engine::Remembered;
use replay::{
    exposition::{Exposition, expect_lines, parse},
    kernel::{Recording, Sockets, reset, row, service},
    server::Server,
};

/// How long an answer may take before it is taken to wait for something.
const PATIENCE: Duration = Duration::from_secs(30);
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";

/// A web server that was reloaded, and a client of a database.
fn reload() -> Recording {
    let nginx = service("nginx", 80, Role::Server);
    let psql = service("psql", 5_432, Role::Client);
    let mut recording = Recording::default();
    recording.live.rows = vec![
        row(
            nginx,
            &[
                (Cell::OPENED, 20),
                (Cell::LEFT, 16),
                (Cell::LISTEN_UP, 1),
                (Cell::CLOSE_WAIT_IN, 3),
                (Cell::CLOSE_WAIT_OUT, 2),
                (Cell::closes(Origin::Local, Outcome::Fin), 5),
                (Cell::closes(Origin::Remote, Outcome::Fin), 7),
                (Cell::AMBIGUOUS_FW2, 4),
                (Cell::AMBIGUOUS_FW2_SENT, 3),
                (Cell::TIME_WAIT, 5),
                (Cell::cut(Cut::Late), 3),
            ],
        ),
        row(
            nginx.in_phase(Phase::Reloading),
            &[
                (Cell::OPENED, 2),
                (Cell::LEFT, 2),
                (Cell::closes(Origin::Local, Outcome::Fin), 2),
                (Cell::NO_MINI_SOCKET, 2),
                (Cell::NO_MINI_SOCKET_SENT, 1),
                (Cell::unanswered(Evidence::Alert), 1),
                (Cell::cut(Cut::Unanswered), 1),
                (Cell::UNREAD, 1),
                (Cell::UNREAD_BYTES, 107),
            ],
        ),
        row(psql, &[(Cell::SEEDED, 3), (Cell::CONNECT_FAILED, 2)]),
    ];
    recording.live.resets = vec![
        reset(nginx, 8, Lost::Data, 3),
        reset(nginx, 8, Lost::Goodbye, 9),
    ];
    recording
}

fn lines(port: u16, workload: &str, role: &str, metric: &str, more: &str, value: &str) -> String {
    format!(
        "{metric}{{workload_namespace=\"\",workload_kind=\"process\",workload=\"{workload}\",\
         port=\"{port}\",role=\"{role}\"{more}}} {value}"
    )
}

fn nginx(metric: &str, more: &str, value: &str) -> String {
    lines(80, "nginx", "server", metric, more, value)
}

fn psql(metric: &str, more: &str, value: &str) -> String {
    lines(5_432, "psql", "client", metric, more, value)
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one list of expected lines")]
async fn a_reload_is_told_line_by_line() {
    let server = Server::start(reload()).await;
    let answer = server.get("/metrics", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Format::Text.content_type());
    let steady = ",phase=\"steady\"";
    let reloading = ",phase=\"reloading\"";
    let both = |phase: &str, more: &str| format!("{phase},{more}");
    let closes = "finwatch_tcp_closes_total";
    expect_lines(
        &answer.body,
        &[
            nginx("finwatch_tcp_opened_total", steady, "20"),
            nginx("finwatch_tcp_opened_total", ",phase=\"draining\"", "0"),
            nginx("finwatch_tcp_opened_total", reloading, "2"),
            nginx(
                closes,
                &both(steady, "origin=\"local\",outcome=\"fin\""),
                "5",
            ),
            nginx(
                closes,
                &both(steady, "origin=\"local\",outcome=\"reset_sent\""),
                "3",
            ),
            nginx(
                closes,
                &both(steady, "origin=\"local\",outcome=\"reset_received\""),
                "1",
            ),
            nginx(
                closes,
                &both(steady, "origin=\"remote\",outcome=\"fin\""),
                "7",
            ),
            nginx(
                closes,
                &both(reloading, "origin=\"local\",outcome=\"fin\""),
                "3",
            ),
            nginx(
                closes,
                &both(reloading, "origin=\"local\",outcome=\"reset_sent\""),
                "1",
            ),
            nginx("finwatch_tcp_time_wait_overflow_total", "", "1"),
            nginx(
                "finwatch_tcp_time_wait_created_total",
                &both(steady, "substate=\"time_wait\""),
                "5",
            ),
            nginx(
                "finwatch_tcp_resets_sent_total",
                &both(steady, "reason=\"tcp_abort_on_data\",lost=\"data\""),
                "3",
            ),
            nginx(
                "finwatch_tcp_resets_sent_total",
                &both(steady, "reason=\"tcp_abort_on_data\",lost=\"goodbye\""),
                "9",
            ),
            nginx(
                "finwatch_tcp_resets_sent_total",
                &both(steady, "reason=\"tcp_abort_on_data\",lost=\"nothing\""),
                "0",
            ),
            nginx(
                "finwatch_tcp_resets_received_total",
                &both(steady, "state=\"fin_wait2\""),
                "1",
            ),
            nginx(
                "finwatch_tcp_cut_connections_total",
                &both(steady, "cause=\"late\""),
                "3",
            ),
            nginx(
                "finwatch_tcp_cut_connections_total",
                &both(reloading, "cause=\"unanswered\""),
                "1",
            ),
            nginx(
                "finwatch_tcp_unanswered_closes_total",
                &both(reloading, "evidence=\"alert\""),
                "1",
            ),
            nginx("finwatch_tcp_unread_closes_total", reloading, "1"),
            nginx("finwatch_tcp_unread_bytes_total", reloading, "107"),
            nginx("finwatch_tcp_refused_total", "", "0"),
            nginx("finwatch_tcp_open_connections", "", "4"),
            nginx("finwatch_tcp_close_wait_sockets", "", "1"),
            nginx(
                "finwatch_tcp_time_wait_sockets",
                ",substate=\"time_wait\"",
                "5",
            ),
            nginx("finwatch_listener_up", "", "1"),
            psql("finwatch_tcp_open_connections", "", "3"),
            psql("finwatch_tcp_connect_failed_total", "", "2"),
            "finwatch_series_limited_total 0".to_owned(),
            "finwatch_probe_attached{program=\"tcp_send_reset\"} 1".to_owned(),
            "finwatch_records_lost_total{kind=\"close\"} 0".to_owned(),
        ],
    );
    assert!(
        !answer
            .body
            .contains(",role=\"client\",phase=\"steady\",cause="),
        "a client is never cut"
    );
    server.stop().await;
}

#[tokio::test]
async fn both_formats_are_strict_and_say_the_same() {
    let server = Server::start(reload()).await;
    let text = server.get("/metrics", "text/plain").await;
    let open = server.get("/metrics", OPENMETRICS).await;
    assert_eq!(
        open.header("content-type"),
        Format::OpenMetrics.content_type()
    );
    let text = parse(&text.body, Format::Text).expect("strict text");
    let open = parse(&open.body, Format::OpenMetrics).expect("strict OpenMetrics");
    assert_eq!(text.samples, open.samples);
    let declared = finwatch::metrics::FAMILIES.len();
    assert_eq!((text.families, open.families), (declared, declared));
    server.stop().await;
}

/// Attribution takes control characters out; quotes and backslashes are left for the encoder to escape.
#[tokio::test]
async fn labels_are_escaped() {
    let mut recording = Recording::default();
    let odd = service("a\"b\\c\nd", 80, Role::Server);
    recording.live.rows = vec![row(odd, &[(Cell::OPENED, 1)])];
    let server = Server::start(recording).await;
    let answer = server.get("/metrics", OPENMETRICS).await;
    let Exposition { samples, .. } =
        parse(&answer.body, Format::OpenMetrics).expect("strict OpenMetrics");
    assert!(
        samples
            .keys()
            .any(|sample| sample.contains("workload=\"a\\\"b\\\\c?d\""))
    );
    server.stop().await;
}

#[tokio::test]
async fn a_failed_reading_shows_no_service_and_is_counted() {
    let mut recording = reload();
    recording.broken = true;
    let server = Server::start(recording).await;
    let answer = server.get("/metrics", "").await;
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains("workload=\"nginx\""));
    assert!(answer.body.contains("\nfinwatch_readings_failed_total 1\n"));
    server.stop().await;
}

#[tokio::test]
async fn a_rotation_between_two_scrapes_changes_no_counter() {
    let server = Server::start(reload()).await;
    let before = parse(&server.get("/metrics", "").await.body, Format::Text).expect("strict text");
    server.rotate();
    let after = parse(&server.get("/metrics", "").await.body, Format::Text).expect("strict text");
    assert_eq!(before.samples, after.samples);
    server.stop().await;
}

#[tokio::test]
async fn life_and_readiness_are_told() {
    let server = Server::start(Recording::default()).await;
    assert_eq!(server.get("/live", "").await.status, 200);
    assert_eq!(server.get("/ready", "").await.body, "starting\n");
    server.readiness.ready();
    assert_eq!(server.get("/ready", "").await.status, 200);
    server.readiness.stopping();
    let answer = server.get("/ready", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "stopping\n"));
    assert!(server.get("/", "").await.body.contains("href=\"/metrics\""));
    assert_eq!(server.get("/nothing", "").await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_idle_connections() {
    let server = Server::start(Recording::default()).await;
    let mut idle = tokio::net::TcpStream::connect(server.address)
        .await
        .expect("a connection");
    // When it has been answered it is known, and waits for the next request.
    let request = b"GET /live HTTP/1.1\r\nHost: test\r\n\r\n";
    idle.write_all(request).await.expect("a request");
    let mut answer = Vec::new();
    while !answer.ends_with(b"live\n") {
        assert_ne!(idle.read_buf(&mut answer).await.expect("an answer"), 0);
    }
    let stopped = tokio::time::timeout(Duration::from_secs(2), server.stop()).await;
    assert!(stopped.is_ok(), "an idle connection held up the stop");
    drop(idle);
}

#[tokio::test]
async fn a_port_in_use_is_told_with_a_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let error = finwatch::http::bind(&[address]).expect_err("it is taken");
    let text = format!("{error:#}");
    assert!(
        text.contains(&format!("cannot listen on {address}")),
        "{text}"
    );
    assert!(
        text.contains("--listen") && text.contains("ss -ltnp"),
        "{text}"
    );
}

#[tokio::test]
async fn a_scrape_does_not_wait_for_a_survey() {
    let (sockets, begun, let_go) = Sockets::slow();
    let server = Server::with(reload(), sockets, &Remembered::default()).await;
    let before = server.get("/metrics", "").await.body;
    server.survey();
    tokio::task::spawn_blocking(move || begun.recv().expect("the survey begins"))
        .await
        .expect("no panic");
    // It walks and does not come to an end: whoever waited for it would wait for ever.
    let during = tokio::time::timeout(PATIENCE, server.get("/metrics", "")).await;
    let during = during.expect("it answers while sockets are surveyed").body;
    let own = |line: &&str| line.starts_with("finwatch_tcp_");
    let lines =
        |text: &str| -> Vec<String> { text.lines().filter(own).map(str::to_owned).collect() };
    assert_eq!(lines(&during), lines(&before));
    drop(let_go);
    server.stop().await;
}

#[tokio::test]
async fn doctor_knows_the_port_of_its_own_daemon() {
    let server = Server::start(reload()).await;
    let options = PreflightOptions {
        listen: vec![server.address],
        cgroup_root: None,
        kubernetes: kubernetes::Options::default(),
        ask: false,
    };
    let report = tokio::task::spawn_blocking(move || preflight::run(&options)).await;
    let report = report.expect("no panic");
    let mut ports = report
        .checks
        .iter()
        .filter(|check| check.name == "listen-address");
    let port = ports.next().expect("a check of the port");
    assert_eq!(port.status, Status::Ok, "{}", port.finding);
    assert!(
        port.finding.contains("running finwatch"),
        "{}",
        port.finding
    );
}
