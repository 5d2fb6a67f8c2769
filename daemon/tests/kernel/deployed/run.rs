//! What is done to a real nginx while it is scraped, and what its clients lose by it, by their own count.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    process::Command,
    thread,
    time::Duration,
};

use crate::{
    harness::{
        Patient,
        http::Plain,
        nginx::{self, Nginx, Upstream},
        output_of,
    },
    host::workloads::Cgroup,
};

/// Clients that wait between two requests.
const IDLE: usize = 20;
/// Clients that wait for an answer.
pub(super) const BUSY: usize = 10;
/// Of the idle clients, those that ask once more when the server has hung up.
pub(super) const LATE: usize = 5;
/// Clients that come while nobody listens.
pub(super) const REFUSED: usize = 2;
/// Clients that ask on connections which the server has closed, with nobody stopping it.
pub(super) const RACED: usize = 3;
/// How long nobody listens: long enough to be seen in a counter of seconds.
const GAP: Duration = Duration::from_millis(300);
/// What the clients counted.
#[derive(Debug)]
pub(super) struct Lost {
    /// Requests that the server had read.
    pub(super) in_flight: usize,
    /// Requests that came after its FIN.
    pub(super) late: usize,
}

/// What growth is compared with: connections that the server ends first, one as asked, and one with an RST, as the
/// client has not said all of its request for a second. Nobody loses anything that was asked for.
pub(super) fn some_ordinary_connections() {
    let connect = || TcpStream::connect(("127.0.0.1", nginx::PLAIN)).unwrap();
    let mut slow = connect();
    slow.write_all(b"GET /").unwrap();
    let mut polite = connect();
    polite
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    Patient::new(polite).read_to_end(&mut Vec::new()).unwrap();
    let reset = Patient::new(slow).read(&mut [0]).unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
}

/// Clients that go on asking where the server has hung up, as it had been asked to. Nobody stops or reloads it.
pub(super) fn race_with_its_fin() {
    const LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for _ in 0..RACED {
        let mut client = TcpStream::connect(("127.0.0.1", nginx::PLAIN)).unwrap();
        client.write_all(LAST).unwrap();
        Patient::new(&client).read_to_end(&mut Vec::new()).unwrap();
        client.write_all(LAST).unwrap();
        let answer = Patient::new(&client).read(&mut [0]);
        assert!(!matches!(answer, Ok(1..)), "by the clients' count");
    }
}

/// Idle clients, and clients whose requests take longer than the old workers may.
pub(super) fn reload(server: &Nginx, upstream: &mut Upstream) -> Lost {
    let client = || {
        let mut client = Plain::connect().unwrap();
        client.exchange("/");
        client
    };
    let mut idle: Vec<Plain> = (0..IDLE).map(|_| client()).collect();
    let mut busy: Vec<Plain> = (0..BUSY).map(|_| client()).collect();
    busy.iter_mut()
        .for_each(|client| client.ask("/slow").unwrap());
    upstream.hold(BUSY);
    server.signal(libc::SIGHUP);
    assert!(
        idle.iter_mut().all(|client| !client.answered()),
        "the idle ones see the end"
    );
    let late = idle
        .iter_mut()
        .take(LATE)
        .filter_map(|client| (client.ask("/").is_ok() && !client.answered()).then_some(()))
        .count();
    let in_flight = busy
        .iter_mut()
        .filter_map(|client| (!client.answered()).then_some(()))
        .count();
    Lost { in_flight, late }
}

/// A graceful stop that nobody suffers from, a time in which clients are refused, and a new start.
pub(super) fn stop_and_start_again(mut server: Nginx, cgroup: &Cgroup) -> Nginx {
    Plain::connect().unwrap().exchange("/");
    server.signal(libc::SIGQUIT);
    server.wait();
    for _ in 0..REFUSED {
        assert!(Plain::connect().is_err(), "nobody listens");
    }
    thread::sleep(GAP);
    drop(server);
    Nginx::start_in(cgroup.path(), "", "")
}

/// `finwatch deploy ...`, as a pipeline runs it.
#[track_caller]
pub(super) fn deploy(arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_finwatch"));
    let output = output_of(command.arg("deploy").args(arguments));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "finwatch deploy {arguments:?}: {error}"
    );
}
