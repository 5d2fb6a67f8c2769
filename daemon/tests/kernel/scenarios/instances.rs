//! Whose phase it is: several processes of one service, and several services on one port.

use std::{fs::File, net::TcpStream, os::fd::AsFd};

use finwatch::{clock, families, netns::owners, probe::Probe};
use finwatch_common::{Kinship, Phase, Process};
use finwatch_engine::input::Record;

use crate::harness::{
    Cell, Expect, Manners, Netns, OPTIONS, Observed, Order, Origin, Outcome, Servant, Side, opened,
    servant, settle_phases, shared, sock::read_eof_of_closed, told_of, wait_until,
};

/// A connection that was opened in another phase and ended by us in this one.
fn ended() -> Side {
    Side::default()
        .plus(Cell::LEFT, 1)
        .plus(Cell::closes(Origin::Local, Outcome::Fin), 1)
        .mini_socket()
}

#[test]
fn another_instance_on_the_port_stays_steady() {
    const CLIENTS: usize = 24;
    let probe = shared();
    Netns::run(|ns| {
        let manners = Manners {
            handled: &[libc::SIGTERM],
            reuse_port: true,
            ..Manners::default()
        };
        let stopped = Servant::start(manners);
        let port = stopped.address.port();
        let other = Servant::start(Manners { port, ..manners });
        assert_ne!(stopped.instance, other.instance);
        let clients: Vec<TcpStream> = (0..CLIENTS)
            .map(|_| TcpStream::connect(stopped.address).unwrap())
            .collect();
        let waiting = |servant: &Servant| servant.tell(Order::AcceptWaiting, 0) as u64;
        wait_until("both have accepted all", || {
            waiting(&stopped) + waiting(&other) == CLIENTS as u64
        });
        stopped.signal(libc::SIGTERM);
        let mut ends = Vec::new();
        for servant in [&stopped, &other] {
            let count = waiting(servant);
            assert!(count > 0, "the kernel spreads connections");
            for index in 0..count {
                servant.tell(Order::Close, index as u8);
            }
            ends.push(ended() * count);
        }
        clients.iter().for_each(read_eof_of_closed);
        drop(clients);
        let count = CLIENTS as u64;
        settle_phases(
            probe.counters(),
            ns,
            &[
                (
                    Phase::Steady,
                    Expect::both(
                        opened(count) + ends.pop().unwrap(),
                        Side::passively_closed() * count,
                    ),
                ),
                (Phase::Draining, Expect::server(ends.pop().unwrap())),
            ],
        );
    });
}

/// A worker's own stop is the master's business; the master's is the service's.
#[test]
fn only_the_masters_stop_drains() {
    let probe = shared();
    Netns::run(|ns| {
        let servant = Servant::start(Manners {
            handled: &[libc::SIGTERM],
            ..Manners::default()
        });
        let worker = servant.tell(Order::Fork, 0).cast_unsigned();
        let entry = servant::entry_of(worker).expect("the worker is known");
        assert_eq!(entry.kinship, Kinship::Member as u8);
        assert_eq!(entry.instance, servant.instance);
        let before = servant.connect_hand(1);
        let after = servant.connect_hand(1);
        servant::signal_process(worker, libc::SIGTERM);
        let close = |(client, index): (TcpStream, u8)| {
            servant.tell_hand(1, Order::Close, index);
            read_eof_of_closed(&client);
        };
        close(before);
        servant.signal(libc::SIGTERM);
        close(after);
        let end = ended();
        settle_phases(
            probe.counters(),
            ns,
            &[
                (
                    Phase::Steady,
                    Expect::both(opened(2) + end.clone(), Side::passively_closed() * 2),
                ),
                (Phase::Draining, Expect::server(end)),
            ],
        );
        told_of(servant.instance, 2);
    });
}

/// The program listens, forks, and its first process exits: the child is the service now.
#[test]
fn a_daemon_that_outlives_its_parent_drains_by_its_own_stop() {
    let probe = shared();
    Netns::run(|ns| {
        let mut servant = Servant::start(Manners {
            handled: &[libc::SIGTERM],
            ..Manners::default()
        });
        let daemon = servant.tell(Order::Fork, 0).cast_unsigned();
        servant.tell_last(0, Order::Exit, 0);
        assert_eq!(servant.wait_status(), 0);
        let (client, index) = servant.connect_hand(1);
        servant::signal_process(daemon, libc::SIGTERM);
        servant.tell_hand(1, Order::Close, index);
        read_eof_of_closed(&client);
        drop(client);
        settle_phases(
            probe.counters(),
            ns,
            &[
                (
                    Phase::Steady,
                    Expect::both(opened(1), Side::passively_closed()),
                ),
                (Phase::Draining, Expect::server(ended())),
            ],
        );
    });
}

/// Whoever saw a process first, the programs or user space, it is called the same: so the listeners that it had before
/// the programs came and those that it opens after are one instance's.
#[test]
fn what_an_older_instance_opens_later_is_its_own() {
    shared();
    Netns::run(|ns| {
        let servant = Servant::start(Manners {
            handled: &[libc::SIGTERM],
            ..Manners::default()
        });
        let mut probe = Probe::load(&OPTIONS).expect("a second probe loads beside the first");
        servant.tell(Order::Listen, 0);
        let netns = File::open("/proc/thread-self/ns/net").unwrap();
        let rows = probe.survey.sockets(netns.as_fd()).unwrap();
        let owners: Vec<_> = rows.iter().map(|row| row.owner).collect();
        assert_eq!(owners, [servant.instance, servant.instance]);
        let stat = owners::processes().unwrap();
        let stat = stat.iter().find(|stat| stat.pid == servant.pid()).unwrap();
        assert_eq!(servant.instance.start_ns, stat.start_ns);

        for (pid, entry) in
            families::scan(&[servant.instance], &mut families::Sockets::default()).unwrap()
        {
            probe.processes.adopt(pid, entry);
        }
        servant.signal(libc::SIGTERM);
        servant.tell_last(0, Order::Exit, 0);
        let down = |phase| {
            let observed = Observed::read_phase(&probe.rows, ns.cookie(), phase);
            observed.server.get(Cell::LISTEN_DOWN)
        };
        wait_until("both listeners close", || down(Phase::Draining) == 2);
    });
}

/// A server whose workers call `listen()` on what their parent made: the first to do so names the instance, and its
/// parent and its siblings belong to it.
#[test]
fn who_holds_a_socket_belongs_to_its_instance() {
    shared();
    Netns::run(|_| {
        let servant = Servant::start(Manners::default());
        let first = servant.tell(Order::Fork, 0).cast_unsigned();
        let second = servant.tell(Order::Fork, 0).cast_unsigned();
        let stranger = servant.tell(Order::Spawn, 0).cast_unsigned();
        let named = Process {
            tgid: first,
            ..Process::default()
        };
        let found = families::scan(&[named], &mut families::Sockets::default()).unwrap();
        let kinship = |pid: u32| {
            let mut of = found.iter().filter(|(found, _)| *found == pid);
            let kinship = of.next().map(|(_, entry)| entry.kinship);
            assert!(of.next().is_none(), "{pid} stands there twice");
            kinship
        };
        assert!(found.iter().all(|(_, entry)| entry.instance == named));
        assert_eq!(kinship(first), Some(Kinship::Owner as u8));
        assert_eq!(kinship(servant.pid()), Some(Kinship::Controller as u8));
        assert_eq!(kinship(second), Some(Kinship::Member as u8));
        assert_eq!(kinship(stranger), None, "it runs another program");
        servant::signal_process(stranger, libc::SIGKILL);
    });
}

/// A reload forks its new workers within milliseconds of the signal: their start times tell them from the old ones.
#[test]
fn workers_of_before_and_after_a_signal_are_told_apart() {
    shared();
    Netns::run(|_| {
        let servant = Servant::start(Manners {
            handled: &[libc::SIGHUP],
            ..Manners::default()
        });
        let worker = || servant.tell(Order::Fork, 0).cast_unsigned();
        let before = worker();
        servant.signal(libc::SIGHUP);
        let after = worker();
        let [Record::Signal(signal)] = told_of(servant.instance, 1)[..] else {
            panic!("one signal")
        };
        let boot_ns = clock::boot_ns_of(signal.header.at_ns);
        let started = |pid| servant::entry_of(pid).unwrap().born_ns;
        assert!(started(before) < boot_ns);
        assert!(started(after) > boot_ns);
    });
}
