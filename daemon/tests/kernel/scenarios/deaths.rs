//! Processes that die with connections open, and descriptors that several processes share.

use super::{ANSWER, REQUEST};
use crate::harness::{
    Cut, Evidence, Expect, Lost, Origin, Outcome, Reason, Side,
    child::{Child, fds, gate, wait_gate},
    scenario,
    sock::{deliver, linger_zero, listen, pair, read, read_eof, read_reset, tcp_state},
    state,
};
use std::os::fd::AsRawFd;

#[test]
fn killed_with_idle_connections() {
    scenario(|_| {
        let listener = listen();
        let (clients, servers): (Vec<_>, Vec<_>) = (0..5).map(|_| pair(&listener)).unzip();
        let child = Child::holding(&fds(&servers));
        drop(servers);
        assert!(clients.iter().all(|c| tcp_state(c) == state::ESTABLISHED));
        child.kill();
        clients.iter().for_each(read_eof);
        drop(clients);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin)
                .mini_socket()
                .by_exit()
                * 5,
            Side::passively_closed() * 5,
        )
    });
}

#[test]
fn killed_with_a_request_unread() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        deliver(&client, &server, REQUEST);
        let child = Child::holding(&[server.as_raw_fd()]);
        drop(server);
        child.kill();
        read_reset(&client);
        Expect::both(
            Side::broken(Outcome::ResetSent)
                .unread(REQUEST.len() as u64)
                .cut(Cut::Unread)
                .by_exit()
                .reset_sent(Reason::AbortOnClose, Lost::Data),
            Side::broken(Outcome::ResetReceived)
                .reset_received(state::ESTABLISHED)
                .unanswered(Evidence::Silent),
        )
    });
}

#[test]
fn exits_with_a_request_unanswered() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        deliver(&client, &server, REQUEST);
        read(&server, REQUEST.len());
        let (inner, outer) = gate();
        let fd = inner.as_raw_fd();
        let child = Child::fork(&[server.as_raw_fd(), fd], || {
            wait_gate(fd);
            3
        });
        drop((server, inner));
        drop(outer);
        assert_eq!(child.wait(), 3);
        read_eof(&client);
        drop(client);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin)
                .mini_socket()
                .by_exit()
                .unanswered(Evidence::Silent)
                .cut(Cut::Unanswered),
            Side::passively_closed().unanswered(Evidence::Silent),
        )
    });
}

#[test]
fn closes_by_itself_and_then_exits() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        let fd = server.as_raw_fd();
        let (inner, outer) = gate();
        let wait = inner.as_raw_fd();
        let child = Child::fork(&[fd, wait], || {
            wait_gate(wait);
            // SAFETY: no memory is involved.
            unsafe { libc::close(fd) }
        });
        drop((server, inner));
        drop(outer);
        assert_eq!(child.wait(), 0);
        read_eof(&client);
        drop(client);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).mini_socket(),
            Side::passively_closed(),
        )
    });
}

#[test]
fn killed_with_linger_zero() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        linger_zero(&server);
        let child = Child::holding(&[server.as_raw_fd()]);
        drop(server);
        child.kill();
        read_reset(&client);
        Expect::both(
            Side::broken(Outcome::ResetSent)
                .by_exit()
                .reset_sent(Reason::State, Lost::Nothing),
            Side::broken(Outcome::ResetReceived).reset_received(state::ESTABLISHED),
        )
    });
}

#[test]
fn killed_as_a_client() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        let child = Child::holding(&[client.as_raw_fd()]);
        drop(client);
        child.kill();
        read_eof(&server);
        drop(server);
        Expect::both(
            Side::passively_closed(),
            Side::closed(Origin::Local, Outcome::Fin)
                .mini_socket()
                .by_exit(),
        )
    });
}

#[test]
fn killed_after_the_peer_closed() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        drop(client);
        read_eof(&server);
        let child = Child::holding(&[server.as_raw_fd()]);
        drop(server);
        child.kill();
        Expect::both(
            // The peer closed first: it was not ended from this side, and so not by the death.
            Side::passively_closed(),
            Side::closed(Origin::Local, Outcome::Fin).mini_socket(),
        )
    });
}

#[test]
fn killed_with_a_listener_and_its_queue() {
    scenario(|_| {
        let listener = listen();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let child = Child::holding(&[listener.as_raw_fd()]);
        drop(listener);
        child.kill();
        read_reset(&client);
        Expect::both(
            Side::broken(Outcome::ResetSent)
                .plus(crate::harness::Cell::ACCEPT_QUEUE_DROPPED, 1)
                .by_exit()
                .reset_sent(Reason::State, Lost::Nothing),
            Side::broken(Outcome::ResetReceived).reset_received(state::ESTABLISHED),
        )
    });
}

#[test]
fn shared_by_two_processes_ends_with_the_last() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        let first = Child::holding(&[server.as_raw_fd()]);
        let second = Child::holding(&[server.as_raw_fd()]);
        first.kill();
        second.kill();
        // Both are dead, and the connection lives: this process holds it as well.
        deliver(&client, &server, REQUEST);
        read(&server, REQUEST.len());
        deliver(&server, &client, ANSWER);
        read(&client, ANSWER.len());
        drop(server);
        read_eof(&client);
        drop(client);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).mini_socket(),
            Side::passively_closed(),
        )
    });
}
