//! Runs that are recorded, input by input: what was told while they lasted is told again from the written recording, and
//! is what the clients saw. `FINWATCH_WRITE_RECORDINGS=1` keeps the recordings for the replay tier.

use std::{
    collections::BTreeSet,
    env, fs,
    io::ErrorKind,
    net::TcpStream,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{ANSWERED_LONG_AGO, IN_FLIGHT, recorder::Recorder};
use crate::{
    harness::{
        Netns, StopAtEnd,
        crowd::{Crowd, Tally, Transport},
        gate::Gate,
        http::Plain,
        lab::{GO_HTTP2, PLAIN, Server},
        wait_until,
    },
    recording::Recording,
    teller::retell,
};

/// Few: each is in the recording at every look.
const IDLE: usize = 6;
const BUSY: usize = 4;
/// Ordinary time before a drain: a baseline that is shorter than half a minute tells nothing, and buckets have ten seconds.
const ORDINARY: Duration = Duration::from_secs(55);
/// Clients that come when nobody listens any more.
const REFUSED: usize = 3;
/// A recording that is longer is no text that anybody would keep.
const BYTES_MAX: usize = 100_000;

/// Runs the lab's server, lets `act` stop or reload it, and holds the recording against what `act` says was asked and
/// answered.
fn recorded(
    name: &str,
    (server, arguments): (&str, &[&str]),
    act: impl FnOnce(&mut Server, &mut Gate) -> (u64, u64) + Send,
) {
    Netns::run(|netns| {
        let recorder = Recorder::new(netns.cookie(), server);
        let finish = AtomicBool::new(false);
        thread::scope(|scope| {
            let finish = StopAtEnd(&finish);
            let recorder = scope.spawn(|| recorder.run(finish.0));
            let mut started = Server::start(server, arguments, &[PLAIN]);
            let mut gate = Gate::open(started.folder());
            let (asked, answered) = act(&mut started, &mut gate);
            finish.0.store(true, Relaxed);
            let (mut recording, story) = recorder.join().unwrap();
            recording.head.asked = asked;
            recording.head.answered = answered;
            recording.head.lost = asked - answered;
            assert_eq!(story.cut(), asked - answered, "{}", story.json());
            assert!(!story.drains.is_empty() && !story.rollouts.is_empty());
            check(name, &recording, &story.json());
        });
    });
}

/// It can be written, read and told again.
fn check(name: &str, recording: &Recording, told: &str) {
    let text = recording.to_string();
    let read = Recording::read(&text).unwrap();
    assert_eq!(&read, recording, "what was written is what is read");
    assert_eq!(retell(&read).json(), told, "the recording tells the same");
    assert!(text.len() < BYTES_MAX, "{name}: {} bytes", text.len());
    if env::var_os("FINWATCH_WRITE_RECORDINGS").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replay/recordings");
        fs::write(folder.join(format!("{name}.txt")), text).unwrap();
    }
}

#[test]
fn nginx_reload_under_load() {
    recorded("nginx-reload", ("nginx", &[]), |server, gate| {
        let mut crowd = Crowd::gather(Transport::Plain, IDLE, BUSY, gate);
        let old = server.processes();
        let load = Load::default();
        let tally = thread::scope(|scope| {
            let _stop = StopAtEnd(&load.stop);
            for _ in 0..4 {
                scope.spawn(|| load.ask_until_stopped());
            }
            wait_until("the load has begun", || load.answered.load(Relaxed) > 50);
            server.signal(libc::SIGHUP);
            crowd.ask_again_when_closed();
            gate.release();
            crowd.busy_are_answered();
            crowd.leave()
        });
        assert!(tally.lost() > 0, "who asks late loses: {tally:?}");
        let master = BTreeSet::from([server.pid()]);
        server.wait_gone(&(&old - &master));
        let asked = tally.asked + load.asked.load(Relaxed);
        (asked, tally.answered + load.answered.load(Relaxed))
    });
}

#[test]
fn nginx_quit_when_idle() {
    recorded("nginx-quit-idle", ("nginx", &[]), |server, gate| {
        let crowd = Crowd::gather(Transport::Plain, IDLE, 0, gate);
        thread::sleep(ANSWERED_LONG_AGO);
        server.signal(libc::SIGQUIT);
        counted(crowd, server, 0)
    });
}

#[test]
fn nginx_term_with_requests_in_flight() {
    recorded("nginx-term", ("nginx", &[]), |server, gate| {
        let crowd = Crowd::gather(Transport::Plain, IDLE, BUSY, gate);
        server.signal(libc::SIGTERM);
        counted(crowd, server, BUSY)
    });
}

#[test]
fn gunicorn_term_with_requests_in_flight() {
    recorded("gunicorn-term", ("gunicorn", &[]), |server, gate| {
        let mut crowd = Crowd::gather(Transport::Plain, IDLE, BUSY, gate);
        server.signal(libc::SIGTERM);
        thread::sleep(IN_FLIGHT);
        gate.release();
        crowd.busy_are_answered();
        counted(crowd, server, 0)
    });
}

#[test]
fn node_killed_with_requests_in_flight() {
    recorded("node-kill", ("node", &["graceful"]), |server, gate| {
        let crowd = Crowd::gather(Transport::Plain, IDLE, BUSY, gate);
        server.kill_all();
        counted(crowd, server, BUSY)
    });
}

#[test]
fn go_closes_with_tls() {
    recorded("go-close-tls", ("go", &["close"]), |server, gate| {
        let crowd = Crowd::gather(Transport::Tls("-tls1_3"), IDLE, BUSY, gate);
        server.signal(libc::SIGTERM);
        counted(crowd, server, BUSY)
    });
}

#[test]
fn go_closes_with_http2() {
    recorded("go-close-http2", ("go", &["close"]), |server, gate| {
        let crowd = Crowd::ask_once(Transport::Http2(GO_HTTP2), BUSY, gate);
        server.signal(libc::SIGTERM);
        counted(crowd, server, BUSY)
    });
}

#[test]
fn apache_reloads_gracefully() {
    recorded("apache-graceful", ("apache", &[]), |server, gate| {
        let mut crowd = Crowd::gather(Transport::Plain, IDLE, BUSY, gate);
        let old = server.processes();
        server.signal(libc::SIGUSR1);
        gate.release();
        crowd.busy_are_answered();
        let tally = crowd.leave();
        assert_eq!(tally.lost(), 0, "{tally:?}");
        let master = BTreeSet::from([server.pid()]);
        server.wait_gone(&(&old - &master));
        (tally.asked, tally.answered)
    });
}

#[test]
fn haproxy_stops_softly() {
    recorded("haproxy-soft-stop", ("haproxy", &[]), |server, gate| {
        let mut crowd = Crowd::gather(Transport::Plain, IDLE, BUSY, gate);
        server.signal(libc::SIGUSR1);
        gate.release();
        crowd.busy_are_answered();
        counted(crowd, server, 0)
    });
}

#[test]
fn tomcat_stops_gracefully() {
    recorded(
        "tomcat-graceful",
        ("spring", &["tomcat"]),
        |server, gate| {
            let mut crowd = Crowd::gather(Transport::Plain, IDLE, BUSY, gate);
            server.signal(libc::SIGTERM);
            gate.release();
            crowd.busy_are_answered();
            counted(crowd, server, 0)
        },
    );
}

/// Long enough that the drain has ordinary time to be compared with; and there are clients who come when nobody listens.
#[test]
fn nginx_is_missed_after_ordinary_time() {
    recorded("nginx-missed", ("nginx", &[]), |server, gate| {
        let load = Load::default();
        load.ask_for(ORDINARY);
        let crowd = Crowd::gather(Transport::Plain, IDLE, BUSY, gate);
        server.signal(libc::SIGTERM);
        let (asked, answered) = counted(crowd, server, BUSY);
        for _ in 0..REFUSED {
            let refused = TcpStream::connect(("127.0.0.1", PLAIN));
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
        let of_load = (load.asked.load(Relaxed), load.answered.load(Relaxed));
        (asked + of_load.0, answered + of_load.1)
    });
}

/// Nobody stops it, and its idle connections are closed a second after their last answer: requests cross the FIN. Then it is stopped, as
/// a recording ends with a drain, when nobody is there any more.
#[test]
fn node_closes_idle_connections_before_its_clients_do() {
    recorded("node-idle-timeout", ("node", &["hasty"]), |server, gate| {
        let mut crowd = Crowd::gather(Transport::Plain, IDLE, 0, gate);
        crowd.ask_again_when_closed();
        let tally = crowd.leave();
        assert_eq!(tally.lost(), IDLE as u64, "{tally:?}");
        // An incident takes in what comes within half a minute.
        thread::sleep(Duration::from_secs(1));
        server.signal(libc::SIGTERM);
        server.wait();
        (tally.asked, tally.answered)
    });
}

/// Everybody leaves, having lost so many requests, and the server ends.
#[track_caller]
fn counted(crowd: Crowd, server: &mut Server, lost: usize) -> (u64, u64) {
    let tally: Tally = crowd.leave();
    assert_eq!(tally.lost(), lost as u64, "{tally:?}");
    server.wait();
    (tally.asked, tally.answered)
}

/// Clients that ask again and again on one connection, and connect anew when it has ended.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    asked: AtomicU64,
    answered: AtomicU64,
}

impl Load {
    /// A connection a request, now and then.
    fn ask_for(&self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            let mut client = Plain::connect().unwrap();
            client.ask("/").unwrap();
            self.asked.fetch_add(1, Relaxed);
            assert!(client.answered());
            self.answered.fetch_add(1, Relaxed);
            drop(client);
            thread::sleep(Duration::from_millis(500));
        }
    }

    fn ask_until_stopped(&self) {
        while !self.stop.load(Relaxed) {
            let mut client = Plain::connect().unwrap();
            while !self.stop.load(Relaxed) && client.ask("/").is_ok() {
                self.asked.fetch_add(1, Relaxed);
                if !client.answered() {
                    break;
                }
                self.answered.fetch_add(1, Relaxed);
                // What a client does between two requests: few requests are a small recording.
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
