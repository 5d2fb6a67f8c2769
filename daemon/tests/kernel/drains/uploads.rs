//! Slow uploads that are answered before they are over, on connections that the server closes upon at once: clients go on sending, as
//! they have not looked for an answer yet. Every one of them finds its answer in the end, and a request that is really lost is not
//! to be told from such a rest.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use finwatch_engine::model::{Cuts, Drain, DrainKind, Severity, Verdict};

use super::let_families_be_found;
use crate::harness::{
    Manners, Netns, Order, Patient, Servant,
    daemon::{Daemon, netns_inode},
    kernel, shared,
    sock::tcp_state,
    state, wait_until,
};

const HEAD: &[u8] = b"POST /upload HTTP/1.1\r\nHost: shop\r\nContent-Length: 3000\r\n\r\n";
const PART: &[u8] = &[b'x'; 1000];
const CLIENTS: usize = 4;

/// A client sends the beginning of its upload, which is read, and then answered; it has sent so many parts by then.
fn upload(servant: &Servant, parts: usize) -> TcpStream {
    let (mut client, index) = servant.connect();
    client.write_all(HEAD).unwrap();
    assert_eq!(servant.tell(Order::Read, index), HEAD.len() as i32);
    for _ in 0..parts {
        client.write_all(PART).unwrap();
        assert!(servant.tell(Order::Read, index) > 0);
    }
    servant.tell(Order::AnswerAndClose, index);
    client
}

/// The client goes on, until it is stopped; whether it finds an answer then.
fn goes_on(mut client: TcpStream) -> bool {
    wait_until("the server has closed", || {
        tcp_state(&client) == state::CLOSE_WAIT
    });
    client.write_all(PART).unwrap();
    wait_until("it is reset", || tcp_state(&client) == state::CLOSE);
    // The kernel gives what had come before it tells of the reset.
    matches!(Patient::new(&client).read(&mut [0; 200]), Ok(1..))
}

/// Uploads of which so many parts were sent before the answer, to a server that has been told to stop.
fn stop(name: &str, parts: usize) -> Drain {
    shared();
    let daemon = Daemon::start();
    Netns::run(|_| {
        let mut servant = Servant::start(Manners {
            handled: &[libc::SIGTERM],
            name,
            ..Manners::default()
        });
        let_families_be_found();
        servant.signal(libc::SIGTERM);
        let answered = (0..CLIENTS)
            .map(|_| goes_on(upload(&servant, parts)))
            .filter(|answered| *answered)
            .count();
        assert_eq!(answered, CLIENTS, "by the clients' count");
        servant.tell_last(0, Order::Exit, 0);
        assert_eq!(servant.wait_status(), 0);
        told(&daemon)
    })
}

fn told(daemon: &Daemon) -> Drain {
    let netns = netns_inode();
    let mut found = None;
    wait_until("the stop is told", || {
        let drains: Vec<Drain> = daemon.list("drains");
        let ours = |drain: &Drain| drain.instance.netns == netns && drain.kind == DrainKind::Stop;
        found = drains
            .into_iter()
            .find(|drain| ours(drain) && drain.ended_at.is_some());
        found.is_some()
    });
    found.expect("it was found")
}

/// Before 6.10 a mini-socket's RST has no tracepoint.
fn seen() -> u64 {
    match kernel::traces_every_reset() {
        true => CLIENTS as u64,
        false => 0,
    }
}

fn early(drain: &Drain) -> Option<Severity> {
    let finding = drain
        .findings
        .iter()
        .find(|finding| finding.diagnosis == "early-answer-reset");
    finding.map(|finding| finding.severity)
}

#[test]
fn the_rest_of_a_slow_upload_is_no_request_for_certain() {
    let drain = stop("refuses-late", 2);
    assert_eq!(drain.counts.cut, Cuts::default(), "{drain:#?}");
    assert_eq!(drain.counts.rest_or_request, seen(), "{drain:#?}");
    assert_eq!(early(&drain), (seen() > 0).then_some(Severity::Warn));
    assert_ne!(drain.verdict, Verdict::Fail, "{drain:#?}");
    assert_ne!(drain.verdict, Verdict::Pass, "{drain:#?}");
}

/// A limit of what can be known: behind the answer to a single segment comes what another request would look like.
#[test]
fn what_comes_behind_the_answer_to_one_piece_is_taken_for_a_request() {
    let drain = stop("refuses-heads", 0);
    assert_eq!(drain.counts.rest_or_request, 0, "{drain:#?}");
    assert_eq!(drain.counts.cut.late, seen(), "{drain:#?}");
}
