//! The phase of the counters: what happens before the signal is steady, what happens after it belongs to the drain
//! or the reload, in every cell, whoever is left to do it.

use std::net::TcpStream;

use finwatch::{
    clock,
    probe::{Probe, ProbeOptions, Rows},
};
use finwatch_common::Phase;

use super::{ANSWER, REQUEST};
use crate::harness::{
    Cell, Cut, Evidence, Expect, Lost, Manners, Netns, OPTIONS, Observed, Order, Origin, Outcome,
    Reason, Servant, Side, check_identities, kernel, opened, settle_phases, shared,
    sock::{
        self, listen, pair, read, read_eof_of_closed, tcp_state, wait_gone, wait_port_state,
        wait_state,
    },
    state, wait_until,
};

/// A connection that was opened in another phase and ended in this one.
fn ended(origin: Origin, outcome: Outcome) -> Side {
    Side::default()
        .plus(Cell::LEFT, 1)
        .plus(Cell::closes(origin, outcome), 1)
}

fn both(server: Side, client: Side) -> Expect {
    Expect::both(server, client)
}

/// Waits until the server's end of every closed connection is gone or a mini-socket.
fn wait_closed(servant: &Servant, left: usize) {
    let port = servant.address.port();
    wait_until("the server's ends close", || {
        let full = |entry: &&crate::harness::Entry| {
            entry.local_port == port && entry.state != state::LISTEN && entry.inode != 0
        };
        crate::harness::sockets().iter().filter(full).count() == left
    });
}

#[test]
fn a_stop_splits_the_counts() {
    shared();
    Netns::run(|ns| split(ns, shared().counters(), libc::SIGTERM, Phase::Draining));
}

#[test]
fn a_reload_splits_the_counts() {
    shared();
    Netns::run(|ns| split(ns, shared().counters(), libc::SIGHUP, Phase::Reloading));
}

/// A ring of one page that nobody empties.
#[test]
fn the_counts_are_split_though_every_record_is_lost() {
    shared();
    let probe = Probe::load(&ProbeOptions {
        ring_bytes: 4096,
        ..OPTIONS
    })
    .expect("a second probe loads beside the first");
    Netns::run(|_| {
        let listener = listen();
        for _ in 0..40 {
            pair(&listener);
        }
    });
    let full = probe.losses.read().ring_full;
    assert!(full[0] > 0, "the ring is full: {full:?}");
    for (signal, phase) in [
        (libc::SIGTERM, Phase::Draining),
        (libc::SIGHUP, Phase::Reloading),
    ] {
        Netns::run(|ns| split(ns, &probe.rows, signal, phase));
    }
    let lost = probe.losses.read().ring_full;
    assert_eq!((lost[3] - full[3], lost[4] - full[4]), (2, 2), "{lost:?}");
}

/// Five connections around a signal, ended in four ways; the last by the server's exit.
pub(super) fn split(ns: &Netns, counters: &Rows, signal: i32, phase: Phase) {
    let mut servant = Servant::start(Manners {
        handled: &[signal],
        ..Manners::default()
    });
    let clients: Vec<(TcpStream, u8)> = (0..4).map(|_| servant.connect()).collect();
    let close = |(client, index): (TcpStream, u8)| {
        servant.tell(Order::Close, index);
        read_eof_of_closed(&client);
    };
    let mut clients = clients.into_iter();
    close(clients.next().unwrap());
    let server_first = Side::closed(Origin::Local, Outcome::Fin).mini_socket();
    let steady = server_first.clone() + opened(3);
    settle_phases(
        counters,
        ns,
        &[(
            Phase::Steady,
            both(steady.clone(), Side::passively_closed() + opened(3)),
        )],
    );

    servant.signal(signal);
    close(clients.next().unwrap());
    let (client, index) = clients.next().unwrap();
    drop(client);
    assert_eq!(servant.tell(Order::Read, index), 0);
    servant.tell(Order::Close, index);
    close(servant.connect());
    servant.tell_last(0, Order::Exit, 0);
    let (client, _) = clients.next().unwrap();
    read_eof_of_closed(&client);
    assert_eq!(servant.wait_status(), 0);
    drop(client);
    settle_phases(
        counters,
        ns,
        &[
            (
                Phase::Steady,
                both(
                    steady,
                    Side::passively_closed() * 4
                        + Side::closed(Origin::Local, Outcome::Fin).mini_socket(),
                ),
            ),
            (
                phase,
                Expect::server(
                    ended(Origin::Local, Outcome::Fin).mini_socket()
                        + ended(Origin::Remote, Outcome::Fin).close_wait()
                        + server_first
                        + ended(Origin::Local, Outcome::Fin).mini_socket().by_exit(),
                ),
            ),
        ],
    );
    check_identities(ns, &Observed::read(counters, ns.cookie()));
    let listener = |phase, cell| {
        let observed = Observed::read_phase(counters, ns.cookie(), phase);
        observed.server.get(cell)
    };
    assert_eq!(listener(Phase::Steady, Cell::LISTEN_UP), 1);
    assert_eq!(listener(Phase::Steady, Cell::LISTEN_DOWN), 0);
    assert_eq!(listener(phase, Cell::LISTEN_UP), 0);
    assert_eq!(listener(phase, Cell::LISTEN_DOWN), 1);
}

#[test]
fn a_stop_during_a_reload_drains_and_a_reload_during_a_stop_changes_nothing() {
    let probe = shared();
    Netns::run(|ns| {
        let servant = Servant::start(Manners {
            handled: &[libc::SIGTERM, libc::SIGHUP],
            ..Manners::default()
        });
        let open = || drop(servant.connect());
        open();
        servant.signal(libc::SIGHUP);
        open();
        servant.signal(libc::SIGTERM);
        open();
        servant.signal(libc::SIGHUP);
        open();
        for (phase, count) in [
            (Phase::Steady, 1),
            (Phase::Reloading, 1),
            (Phase::Draining, 2),
        ] {
            let observed = Observed::read_phase(probe.counters(), ns.cookie(), phase);
            assert_eq!(observed.server.get(Cell::OPENED), count, "{phase:?}");
        }
    });
}

/// Whoever ends a phase may not have heard of a signal that asked for one again: that one goes on.
#[test]
fn a_phase_that_was_asked_for_since_does_not_end() {
    let probe = shared();
    Netns::run(|ns| {
        let servant = Servant::start(Manners {
            handled: &[libc::SIGHUP],
            ..Manners::default()
        });
        let open = || drop(servant.connect());
        servant.signal(libc::SIGHUP);
        let heard_ns = clock::monotonic_ns();
        servant.signal(libc::SIGHUP);
        probe.with(|probe| probe.phases.end(servant.instance, heard_ns));
        open();
        probe.with(|probe| probe.phases.end(servant.instance, clock::monotonic_ns()));
        open();
        for (phase, count) in [(Phase::Steady, 1), (Phase::Reloading, 1)] {
            let observed = Observed::read_phase(probe.counters(), ns.cookie(), phase);
            assert_eq!(observed.server.get(Cell::OPENED), count, "{phase:?}");
        }
    });
}

#[test]
fn the_end_of_a_phase_is_steady_again() {
    let probe = shared();
    Netns::run(|ns| {
        let servant = Servant::start(Manners {
            handled: &[libc::SIGHUP],
            ..Manners::default()
        });
        let (client, index) = servant.connect();
        servant.signal(libc::SIGHUP);
        let (other, other_index) = servant.connect();
        for _ in 0..2 {
            // To end it twice changes nothing.
            probe.with(|probe| probe.phases.end(servant.instance, clock::monotonic_ns()));
        }
        for (client, index) in [(client, index), (other, other_index), servant.connect()] {
            servant.tell(Order::Close, index);
            read_eof_of_closed(&client);
        }
        let end = ended(Origin::Local, Outcome::Fin).mini_socket();
        settle_phases(
            probe.counters(),
            ns,
            &[
                (
                    Phase::Steady,
                    both(opened(2) + end * 3, Side::passively_closed() * 3),
                ),
                (Phase::Reloading, Expect::server(opened(1))),
            ],
        );
        // And it can begin again.
        servant.signal(libc::SIGHUP);
        drop(servant.connect());
        let reloading = || {
            let observed = Observed::read_phase(probe.counters(), ns.cookie(), Phase::Reloading);
            observed.server.get(Cell::OPENED)
        };
        assert_eq!(reloading(), 2);
        check_identities(ns, &Observed::read(probe.counters(), ns.cookie()));
    });
}

/// Requests in flight and unread when the process is killed: lost while draining.
#[test]
fn what_a_kill_cuts_is_cut_while_draining() {
    let probe = shared();
    Netns::run(|ns| {
        let mut servant = Servant::start(Manners::default());
        let (read_one, index) = servant.connect();
        std::io::Write::write_all(&mut &read_one, REQUEST).unwrap();
        assert_eq!(servant.tell(Order::Read, index), REQUEST.len() as i32);
        let (unread, _) = servant.connect();
        std::io::Write::write_all(&mut &unread, REQUEST).unwrap();
        servant.signal(libc::SIGKILL);
        assert_eq!(servant.wait_status(), 9);
        read_eof_of_closed(&read_one);
        sock::read_reset(&unread);
        // The client's own close comes long after the process's end, and makes the server's TIME_WAIT.
        wait_port_state(servant.address.port(), state::FIN_WAIT2);
        drop(read_one);
        wait_port_state(servant.address.port(), state::TIME_WAIT);
        settle_phases(
            probe.counters(),
            ns,
            &[
                (
                    Phase::Steady,
                    both(
                        opened(2),
                        Side::passively_closed().unanswered(Evidence::Silent)
                            + Side::broken(Outcome::ResetReceived)
                                .reset_received(state::ESTABLISHED)
                                .unanswered(Evidence::Silent),
                    ),
                ),
                (
                    Phase::Draining,
                    Expect::server(
                        ended(Origin::Local, Outcome::Fin)
                            .fin_wait2()
                            .by_exit()
                            .unanswered(Evidence::Silent)
                            .cut(Cut::Unanswered)
                            + ended(Origin::None, Outcome::ResetSent)
                                .plus(Cell::ESTAB_RESETS, 1)
                                .by_exit()
                                .unread(REQUEST.len() as u64)
                                .cut(Cut::Unread)
                                .reset_sent(Reason::AbortOnClose, Lost::Data),
                    ),
                ),
            ],
        );
    });
}

/// Lines of a text protocol, under the size of a control frame, where such lines had been answered: one that was read and one
/// that comes late are lost.
#[test]
fn small_questions_are_lost_where_small_ones_were_answered() {
    const LINE: &[u8] = b"commit\r\n";
    let probe = shared();
    Netns::run(|ns| {
        let mut servant = Servant::start(Manners::default());
        let talk = || {
            let (client, index) = servant.connect();
            for line in [&b"begin\r\n"[..], b"update x\r\n"] {
                std::io::Write::write_all(&mut &client, line).unwrap();
                assert_eq!(servant.tell(Order::Read, index), line.len() as i32);
                servant.tell(Order::Answer, index);
                read(&client, 200);
            }
            (client, index)
        };
        let ((owed, index), (late, _)) = (talk(), talk());
        std::io::Write::write_all(&mut &owed, LINE).unwrap();
        assert_eq!(servant.tell(Order::Read, index), LINE.len() as i32);
        servant.signal(libc::SIGKILL);
        assert_eq!(servant.wait_status(), 9);
        read_eof_of_closed(&owed);
        read_eof_of_closed(&late);
        std::io::Write::write_all(&mut &late, LINE).unwrap();
        wait_state(&late, state::CLOSE);
        drop(owed);
        let end = ended(Origin::Local, Outcome::Fin).fin_wait2().by_exit();
        let late_end = match kernel::traces_every_reset() {
            true => end.clone().cut(Cut::Late),
            false => end.clone(),
        };
        settle_phases(
            probe.counters(),
            ns,
            &[
                (
                    Phase::Steady,
                    both(
                        opened(2),
                        Side::passively_closed().unanswered(Evidence::Small)
                            + Side::broken_in_close_wait(Outcome::ResetReceived)
                                .reset_received(state::CLOSE_WAIT)
                                .unacked(LINE.len() as u64),
                    ),
                ),
                (
                    Phase::Draining,
                    Expect::server(
                        end.clone()
                            .unanswered(Evidence::Small)
                            .cut(Cut::Unanswered)
                            .small_answered()
                            + late_end
                                .small_answered()
                                .reset_sent(Reason::TimeWaitSocket, Lost::Data),
                    ),
                ),
            ],
        );
    });
}

/// The peer's FIN comes when the process is gone and the server's socket is still a full one: its end, and its
/// TIME_WAIT, belong to the drain.
#[test]
fn a_time_wait_made_after_the_exit_is_made_while_draining() {
    let probe = shared();
    Netns::run(|ns| {
        ns.sysctl("ipv4/tcp_fin_timeout", 120);
        let mut servant = Servant::start(Manners::default());
        let (client, _) = servant.connect();
        servant.signal(libc::SIGTERM);
        assert_eq!(servant.wait_status(), 15);
        let port = servant.address.port();
        wait_port_state(port, state::FIN_WAIT2);
        let seen = || Observed::read_phase(probe.counters(), ns.cookie(), Phase::Draining);
        assert_eq!(seen().server.closes(), 0, "it is closing, and not closed");
        drop(client);
        wait_port_state(port, state::TIME_WAIT);
        settle_phases(
            probe.counters(),
            ns,
            &[
                (Phase::Steady, both(opened(1), Side::passively_closed())),
                (
                    Phase::Draining,
                    Expect::server(ended(Origin::Local, Outcome::Fin).time_wait().by_exit()),
                ),
            ],
        );
    });
}

/// The phase is over before the peers of connections that were closed in it hang up: their ends are of the phase all the same,
/// and those of connections that were closed before it are not.
#[test]
fn what_was_left_half_closed_in_a_phase_ends_in_it_when_it_is_over() {
    let probe = shared();
    Netns::run(|ns| {
        ns.sysctl("ipv4/tcp_fin_timeout", 120);
        let servant = Servant::start(Manners {
            handled: &[libc::SIGHUP],
            ..Manners::default()
        });
        let half_close = |(client, index): (TcpStream, u8)| {
            servant.tell(Order::Close, index);
            read_eof_of_closed(&client);
            client
        };
        let steady = half_close(servant.connect());
        let old = servant.connect();
        servant.signal(libc::SIGHUP);
        let old = half_close(old);
        probe.with(|probe| probe.phases.end(servant.instance, clock::monotonic_ns()));
        let new = half_close(servant.connect());
        drop((steady, old, new));
        let port = servant.address.port();
        wait_until("the server's ends are mini-sockets", || {
            let minis = |entry: &&crate::harness::Entry| {
                entry.local_port == port && entry.state == state::TIME_WAIT
            };
            crate::harness::sockets().iter().filter(minis).count() == 3
        });
        let end = ended(Origin::Local, Outcome::Fin).time_wait();
        settle_phases(
            probe.counters(),
            ns,
            &[
                (
                    Phase::Steady,
                    both(opened(3) + end.clone() * 2, Side::passively_closed() * 3),
                ),
                (Phase::Reloading, Expect::server(end)),
            ],
        );
        check_identities(ns, &Observed::read(probe.counters(), ns.cookie()));
    });
}

/// A request for a connection that was closed while draining is lost while draining, also when the drain is over.
#[test]
fn a_late_request_belongs_to_the_phase_of_its_close() {
    if !kernel::traces_every_reset() {
        eprintln!("before 6.10 a mini-socket's RST has no tracepoint: there is nothing to count");
        return;
    }
    let probe = shared();
    Netns::run(|ns| {
        let servant = Servant::start(Manners {
            handled: &[libc::SIGTERM],
            ..Manners::default()
        });
        let late = |(client, index): (TcpStream, u8)| {
            servant.tell(Order::Close, index);
            read_eof_of_closed(&client);
            wait_closed(&servant, 0);
            client
        };
        let send = |client: TcpStream| {
            std::io::Write::write_all(&mut &client, REQUEST).unwrap();
            wait_until("the reset arrives", || tcp_state(&client) == state::CLOSE);
        };
        let steady = late(servant.connect());
        let draining_one = servant.connect();
        servant.signal(libc::SIGTERM);
        let draining_one = late(draining_one);
        let draining_two = late(servant.connect());
        send(steady);
        send(draining_one);
        probe.with(|probe| probe.phases.end(servant.instance, clock::monotonic_ns()));
        send(draining_two);
        let cut = |side: Side| {
            side.fin_wait2()
                .cut(Cut::Late)
                .reset_sent(Reason::TimeWaitSocket, Lost::Data)
        };
        let closed = Side::closed(Origin::Local, Outcome::Fin);
        settle_phases(
            probe.counters(),
            ns,
            &[
                (
                    Phase::Steady,
                    both(
                        opened(1) + cut(closed.clone()),
                        Side::broken_in_close_wait(Outcome::ResetReceived)
                            .reset_received(state::CLOSE_WAIT)
                            .unacked(REQUEST.len() as u64)
                            * 3,
                    ),
                ),
                (
                    Phase::Draining,
                    Expect::server(cut(ended(Origin::Local, Outcome::Fin)) + cut(closed)),
                ),
            ],
        );
    });
}

/// An answer that a drain was given time for is nobody's loss.
#[test]
fn a_request_answered_while_draining_is_not_cut() {
    let probe = shared();
    Netns::run(|ns| {
        let servant = Servant::start(Manners {
            handled: &[libc::SIGTERM],
            ..Manners::default()
        });
        let (client, index) = servant.connect();
        std::io::Write::write_all(&mut &client, REQUEST).unwrap();
        servant.tell(Order::Read, index);
        servant.signal(libc::SIGTERM);
        servant.tell(Order::Answer, index);
        read(&client, ANSWER.len());
        servant.tell(Order::Close, index);
        read_eof_of_closed(&client);
        drop(client);
        wait_gone(servant.address.port());
        settle_phases(
            probe.counters(),
            ns,
            &[
                (Phase::Steady, both(opened(1), Side::passively_closed())),
                (
                    Phase::Draining,
                    Expect::server(ended(Origin::Local, Outcome::Fin).mini_socket()),
                ),
            ],
        );
    });
}
