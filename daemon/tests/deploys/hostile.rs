//! Clients that send too much, too slowly, or nonsense: each gets an answer, and the next client is served.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use finwatch::{deploy::BODY_BYTES_MAX, deploy::Outcome};
use finwatch_engine::model::Source;

use super::server::{Server, Setup, read};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn is_well(server: &Server) {
    let answer = server.post(
        "/v1/deploys",
        &[JSON],
        br#"{"workload":"x","stage":"started"}"#,
    );
    assert_eq!(answer.status, 202);
}

/// An event of exactly so many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let mut body = br#"{"workload":"x","stage":"started"}"#.to_vec();
    body.resize(bytes, b' ');
    body
}

#[test]
fn a_body_may_have_so_many_bytes_and_no_more() {
    let server = Server::start(Setup::default());
    let most = server.post("/v1/deploys", &[JSON], &padded(BODY_BYTES_MAX));
    assert_eq!(most.status, 202);
    // The client writes all of it before it reads: it must find the answer, not a reset.
    for bytes in [BODY_BYTES_MAX + 1, BODY_BYTES_MAX * 4] {
        let more = server.post("/v1/deploys", &[JSON], &padded(bytes));
        assert_eq!(more.status, 413, "{bytes}");
        assert_eq!(more.error(), "the body has more than 262144 bytes");
    }
    assert_eq!(server.tallies.get(Source::Http, Outcome::TooLarge), 2);
    is_well(&server);
}

#[test]
fn chunks_are_counted_together() {
    let server = Server::start(Setup::default());
    let head = "POST /v1/deploys HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
                Content-Type: application/json\r\n\r\n";
    let chunked = |body: &[u8]| {
        let mut request = head.as_bytes().to_vec();
        for chunk in body.chunks(10_000) {
            request.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
            request.extend(chunk);
            request.extend(b"\r\n");
        }
        request.extend(b"0\r\n\r\n");
        server.raw(&request).status
    };
    assert_eq!(chunked(&padded(BODY_BYTES_MAX)), 202);
    assert_eq!(chunked(&padded(BODY_BYTES_MAX + 1)), 413);
    is_well(&server);
}

#[test]
fn without_a_token_a_large_body_is_not_kept_and_still_answered() {
    let server = Server::start(Setup {
        token: Some("t0ken"),
        ..Setup::default()
    });
    let answer = server.post("/v1/deploys", &[JSON], &padded(BODY_BYTES_MAX * 3));
    assert_eq!(answer.status, 401);
    assert_eq!(server.tallies.get(Source::Http, Outcome::TooLarge), 0);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for_long() {
    let server = Server::start(Setup::default());
    let mut slow = server.connect();
    slow.write_all(
        b"POST /v1/deploys HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n{",
    )
    .expect("written");
    let began = Instant::now();
    // Others are served meanwhile.
    is_well(&server);
    let answer = read(slow);
    assert_eq!(answer.status, 408);
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert!((8..20).contains(&began.elapsed().as_secs()), "{began:?}");
}

#[test]
fn a_client_that_holds_its_request_does_not_hold_up_the_stop() {
    let server = Server::start(Setup::default());
    let mut slow = server.connect();
    slow.write_all(
        b"POST /v1/deploys HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n{",
    )
    .expect("written");
    // Served after it, so the held one has arrived.
    is_well(&server);
    let began = Instant::now();
    drop(server);
    assert!(began.elapsed() < Duration::from_secs(5), "{began:?}");
}

#[test]
fn a_head_that_does_not_end_is_not_waited_for_long() {
    let server = Server::start(Setup::default());
    let mut slow = server.connect();
    slow.write_all(b"POST /v1/deploys HTTP/1.1\r\nHost: te")
        .expect("written");
    let began = Instant::now();
    let mut rest = Vec::new();
    let _reset_or_end = std::io::Read::read_to_end(&mut slow, &mut rest);
    assert!(began.elapsed() < Duration::from_secs(20), "{began:?}");
    is_well(&server);
}

#[test]
fn nonsense_is_answered_and_harms_nobody() {
    let mut server = Server::start(Setup::default());
    for bytes in [
        &b"\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /v1/deploys HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/deploys HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/deploys HTTP/9.9\r\n\r\n",
        b"\xff\xfe\xfd",
    ] {
        let mut stream = server.connect();
        stream.write_all(bytes).expect("written");
        stream
            .shutdown(std::net::Shutdown::Write)
            .expect("half closed");
        let mut rest = Vec::new();
        let _reset_or_end = std::io::Read::read_to_end(&mut stream, &mut rest);
        let text = String::from_utf8_lossy(&rest).into_owned();
        assert!(!text.contains(" 202 ") && !text.contains(" 500 "), "{text}");
    }
    let head = [
        JSON,
        ("ce-id", "\u{e9}\u{1f600}"),
        ("ce-type", "%ff"),
        ("ce-source", "\""),
    ];
    assert_eq!(server.post("/v1/deploys", &head, b"{}").status, 400);
    let deep = "[".repeat(200_000);
    let answer = server.post("/v1/deploys", &[JSON], deep.as_bytes());
    assert_eq!(answer.status, 400);
    assert!(answer.error().contains("recursion limit"), "{answer:?}");
    assert!(server.events().is_empty());
    is_well(&server);
}

#[test]
fn a_body_that_breaks_off_is_no_event() {
    let mut server = Server::start(Setup::default());
    let mut stream = server.connect();
    stream
        .write_all(b"POST /v1/deploys HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n")
        .expect("written");
    stream
        .write_all(br#"{"workload":"x","stage":"started"}"#)
        .expect("written");
    drop(stream);
    is_well(&server);
    // Nothing tells when the server has given it up.
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(server.events().len(), 1, "only the well one");
}
