//! A real nginx, stopped and reloaded: what finwatch calls cut is what the clients lost by their own
//! count, plain and TLS. And a real master whose workers listen each for themselves.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
};

use finwatch::families;
use finwatch_common::{Kinship, Process};

use crate::harness::{
    Cell, Cut, Evidence, Expect, Lost, Netns, Observed, Origin, Outcome, Patient, Side, Snmp,
    StopAtEnd, check_identities,
    http::{Plain, Tls},
    kernel,
    nginx::{self, Nginx, Upstream},
    servant, settle_to_none, shared,
    sock::wait_all_closed,
    wait_for_end, wait_until,
};

const IDLE: usize = 20;
const BUSY: usize = 10;

/// The counts of one of the server's ports.
fn observed(ns: &Netns, port: u16) -> Observed {
    Observed::read_port(shared().counters(), ns.cookie(), port)
}

/// Compares the counts of a port, cell by cell.
#[track_caller]
fn expect(ns: &Netns, port: u16, expect: &Expect) {
    settle_to_none(|| observed(ns, port).differences(expect));
    check_identities(ns, &Observed::read(shared().counters(), ns.cookie()));
}

/// Idle and busy plain clients; the busy ones' requests are at the upstream.
fn plain_clients(upstream: &mut Upstream) -> (Vec<Plain>, Vec<Plain>) {
    let client = || {
        let mut client = Plain::connect().unwrap();
        client.exchange("/");
        client
    };
    let idle = (0..IDLE).map(|_| client()).collect();
    let mut busy: Vec<Plain> = (0..BUSY).map(|_| client()).collect();
    busy.iter_mut()
        .for_each(|client| client.ask("/slow").unwrap());
    upstream.hold(BUSY);
    (idle, busy)
}

#[test]
fn nginx_stopped_at_once() {
    shared();
    Netns::run(|ns| {
        let mut upstream = Upstream::start();
        let mut server = Nginx::start();
        let (mut idle, mut busy) = plain_clients(&mut upstream);
        server.signal(libc::SIGTERM);
        server.wait();
        let lost = busy
            .iter_mut()
            .filter_map(|c| (!c.answered()).then_some(()))
            .count();
        assert_eq!(lost, BUSY, "by the clients' count");
        assert!(
            idle.iter_mut().all(|c| !c.answered()),
            "the idle ones see the end"
        );
        drop((idle, busy));
        // nginx does not close them: its workers' death does.
        let closed = Side::closed(Origin::Local, Outcome::Fin)
            .mini_socket()
            .by_exit();
        let client = Side::passively_closed();
        expect(
            ns,
            nginx::PLAIN,
            &Expect::both(
                closed.clone() * IDLE as u64
                    + closed.unanswered(Evidence::Silent).cut(Cut::Unanswered) * BUSY as u64,
                client.clone() * IDLE as u64 + client.unanswered(Evidence::Silent) * BUSY as u64,
            ),
        );
    });
}

#[test]
fn nginx_stopped_gracefully() {
    shared();
    Netns::run(|ns| {
        let mut upstream = Upstream::start();
        let mut server = Nginx::start();
        let (mut idle, mut busy) = plain_clients(&mut upstream);
        server.signal(libc::SIGQUIT);
        assert!(
            idle.iter_mut().all(|c| !c.answered()),
            "the idle ones are closed first"
        );
        upstream.release();
        assert!(
            busy.iter_mut().all(|c| c.answered()),
            "nobody lost anything"
        );
        server.wait();
        drop((idle, busy));
        expect(
            ns,
            nginx::PLAIN,
            &Expect::both(
                Side::closed(Origin::Local, Outcome::Fin).mini_socket() * (IDLE + BUSY) as u64,
                Side::passively_closed() * (IDLE + BUSY) as u64,
            ),
        );
    });
}

#[test]
fn nginx_reloaded_under_load() {
    const CLIENTS: u64 = 12;
    const RELOADS: usize = 6;
    shared();
    Netns::run(|ns| {
        let server = Nginx::start();
        let stop = AtomicBool::new(false);
        let (connects, answers, lost) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            let _stop = StopAtEnd(&stop);
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        let mut client = Plain::connect().unwrap();
                        connects.fetch_add(1, Relaxed);
                        while !stop.load(Relaxed) && client.ask("/").is_ok() {
                            if !client.answered() {
                                lost.fetch_add(1, Relaxed);
                                break;
                            }
                            answers.fetch_add(1, Relaxed);
                        }
                    }
                });
            }
            for _ in 0..RELOADS {
                let before = answers.load(Relaxed);
                server.signal(libc::SIGHUP);
                wait_until("the load goes on", || answers.load(Relaxed) > before + 3000);
            }
        });
        drop(server);
        wait_all_closed();
        let (connects, lost) = (connects.load(Relaxed), lost.load(Relaxed));
        eprintln!(
            "{connects} connections, {} answers, {lost} requests lost in {RELOADS} reloads",
            answers.load(Relaxed)
        );
        let observed = || observed(ns, nginx::PLAIN);
        wait_until("every connection's end is counted", || {
            let now = observed();
            now.server.closes() == connects && now.client.closes() == connects
        });
        let server = observed().server;
        assert_eq!(server.get(Cell::OPENED), connects);
        if kernel::traces_every_reset() {
            let cut: u64 = Cut::ALL
                .into_iter()
                .map(|cut| server.get(Cell::cut(cut)))
                .sum();
            assert_eq!(
                cut, lost,
                "cut connections and the clients' count; {server:?}"
            );
        }
        check_identities(ns, &Observed::read(shared().counters(), ns.cookie()));
    });
}

#[test]
fn nginx_with_tls_stopped_at_once() {
    for version in ["-tls1_2", "-tls1_3"] {
        tls(version, |server, _upstream| {
            server.signal(libc::SIGTERM);
            server.wait();
            BUSY
        });
    }
}

#[test]
fn nginx_with_tls_stopped_gracefully() {
    for version in ["-tls1_2", "-tls1_3"] {
        tls(version, |server, upstream| {
            server.signal(libc::SIGQUIT);
            upstream.release();
            server.wait();
            0
        });
    }
}

/// Idle and busy TLS clients; `stop` ends the server and says how many requests that loses.
fn tls(version: &str, stop: impl FnOnce(&mut Nginx, &mut Upstream) -> usize + Send) {
    shared();
    Netns::run(|ns| {
        let mut upstream = Upstream::start();
        let mut server = Nginx::start();
        let mut clients: Vec<Tls> = (0..IDLE + BUSY).map(|_| Tls::connect(version)).collect();
        clients
            .iter_mut()
            .for_each(|client| client.talk.exchange("/"));
        for client in &mut clients[IDLE..] {
            client.talk.ask("/slow").unwrap();
        }
        upstream.hold(BUSY);
        let lost = stop(&mut server, &mut upstream);
        let unanswered = |client: &mut Tls| !client.talk.answered();
        let by_clients = clients[IDLE..]
            .iter_mut()
            .map(unanswered)
            .filter(|lost| *lost)
            .count();
        assert_eq!(by_clients, lost, "by the clients' count; {}", server.log());
        clients.iter_mut().for_each(Tls::wait);
        drop((server, upstream));
        wait_all_closed();
        let all = (IDLE + BUSY) as u64;
        let observed = || observed(ns, nginx::TLS);
        wait_until("every end is counted", || {
            let now = observed();
            now.server.closes() == all && now.client.closes() == all
        });
        let now = observed();
        let cut: u64 = Cut::ALL
            .into_iter()
            .map(|cut| now.server.get(Cell::cut(cut)))
            .sum();
        assert_eq!(cut, lost as u64, "cut connections");
        assert_eq!(
            now.server.get(Cell::unanswered(Evidence::Silent)),
            lost as u64,
            "unanswered connections"
        );
        // Every RST of the server only threw a client's goodbye away.
        let data = now
            .server
            .resets
            .iter()
            .filter(|((_, l), _)| *l == Lost::Data as u8);
        assert_eq!(
            data.count(),
            0,
            "RSTs that threw data away: {:?}",
            now.server.resets
        );
        eprintln!(
            "{version}: {} RSTs of {all} connections, {lost} requests lost",
            Snmp::read().get("OutRsts")
        );
        check_identities(ns, &Observed::read(shared().counters(), ns.cookie()));
    });
}

/// A master that listens nowhere, and whose workers each open a socket of their own: each is an instance, and the master
/// belongs to one that lives.
#[test]
fn a_master_controls_a_worker_that_listens_for_itself() {
    const MASTER: &str = "
import os, signal, socket
for _ in range(2):
    if os.fork() == 0:
        listener = socket.create_server(('127.0.0.1', 0))
        os.write(1, b'%d\\n' % os.getpid())
        signal.pause()
os.wait()
os.wait()
";
    let probe = shared();
    Netns::run(|_| {
        let mut master = Command::new("python3")
            .args(["-c", MASTER])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(Patient::new(master.stdout.take().unwrap())).lines();
        let mut worker = || lines.next().unwrap().unwrap().parse::<u32>().unwrap();
        let workers = [worker(), worker()];
        let instances = workers.map(|pid| servant::entry_of(pid).unwrap().instance);
        assert_eq!(instances.map(|instance| instance.tgid), workers);
        let told = |instance: Process| {
            let found = families::scan(&[instance], &mut families::Sockets::default()).unwrap();
            let mut found = found.iter();
            let (pid, entry) = found
                .find(|(pid, _)| *pid == master.id())
                .expect("the master forked it");
            assert_eq!(entry.kinship, Kinship::Controller as u8);
            probe.with(|probe| probe.processes.adopt(*pid, *entry));
            servant::entry_of(*pid).unwrap().instance
        };
        assert_eq!(told(instances[0]), instances[0]);
        assert_eq!(told(instances[1]), instances[0], "that one lives");
        servant::signal_process(workers[0], libc::SIGKILL);
        wait_until("the worker has ended", || {
            servant::entry_of(workers[0]).is_none()
        });
        assert_eq!(told(instances[1]), instances[1]);
        servant::signal_process(workers[1], libc::SIGKILL);
        assert!(wait_for_end(&mut master, "the master").success());
    });
}
