//! Ends that this host decides on with an RST: SO_LINGER of zero, connect() to AF_UNSPEC, and the
//! administrator's `ss -K`.

use std::net::{Shutdown, TcpStream};

use super::{ANSWER, REQUEST};
use crate::{
    harness::{
        Evidence, Expect, Lost, Origin, Outcome, Reason, Side, Snmp, destroy, scenario,
        sock::{
            accept, close_to_mini, connect_again, connect_nonblocking, deliver, disconnect,
            linger_zero, listen, pair, read, read_eof, read_reset, wait_state,
        },
        state,
    },
    raw::{FIN, Family, RST, RawPeer},
};

fn reset_by_peer() -> Side {
    Side::broken(Outcome::ResetReceived).reset_received(state::ESTABLISHED)
}

#[test]
fn linger_zero_in_established() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        linger_zero(&server);
        drop(server);
        read_reset(&client);
        assert_eq!(Snmp::read().get("TCPAbortOnData"), 1);
        Expect::both(
            Side::broken(Outcome::ResetSent).reset_sent(Reason::State, Lost::Nothing),
            reset_by_peer(),
        )
    });
}

#[test]
fn linger_zero_with_an_answer_under_way() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(REQUEST);
        read(&server, REQUEST.len());
        std::io::Write::write_all(&mut (&server), ANSWER).unwrap();
        peer.expect_data(ANSWER.len());
        linger_zero(&server);
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::broken(Outcome::ResetSent)
                .unacked(ANSWER.len() as u64)
                .reset_sent(Reason::State, Lost::Nothing),
        )
    });
}

#[test]
fn linger_zero_in_close_wait() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.fin();
        read_eof(&server);
        linger_zero(&server);
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::broken_in_close_wait(Outcome::ResetSent).reset_sent(Reason::State, Lost::Nothing),
        )
    });
}

#[test]
fn linger_zero_in_fin_wait1() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        server.shutdown(Shutdown::Write).unwrap();
        peer.expect(FIN);
        linger_zero(&server);
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetSent)
                .reset_sent(Reason::State, Lost::Nothing),
        )
    });
}

#[test]
fn linger_zero_in_fin_wait2() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        client.shutdown(Shutdown::Write).unwrap();
        wait_state(&client, state::FIN_WAIT2);
        linger_zero(&client);
        drop(client);
        wait_state(&server, 7);
        drop(server);
        Expect::both(
            Side::broken_in_close_wait(Outcome::ResetReceived).reset_received(state::CLOSE_WAIT),
            Side::closed(Origin::Local, Outcome::ResetSent)
                .reset_sent(Reason::State, Lost::Nothing),
        )
    });
}

#[test]
fn linger_zero_in_syn_sent() {
    scenario(|_| {
        let raw = RawPeer::new();
        let client = connect_nonblocking(raw.address(Family::V4, 9));
        raw.syn(9);
        linger_zero(&client);
        drop(client);
        Expect::client(Side::connect_failed())
    });
}

#[test]
fn disconnect_and_connect_again_with_the_same_socket() {
    scenario(|_| {
        let listener = listen();
        let (client, server) = pair(&listener);
        disconnect(&client);
        read_reset(&server);
        connect_again(&client, listener.local_addr().unwrap()).unwrap();
        let second = accept(&listener);
        deliver(&client, &second, REQUEST);
        read(&second, REQUEST.len());
        deliver(&second, &client, ANSWER);
        read(&client, ANSWER.len());
        drop(second);
        read_eof(&client);
        drop(client);
        Expect::both(
            reset_by_peer() + Side::closed(Origin::Local, Outcome::Fin).mini_socket(),
            Side::broken(Outcome::ResetSent).reset_sent(Reason::State, Lost::Nothing)
                + Side::passively_closed(),
        )
    });
}

#[test]
fn disconnect_in_close_wait_then_listen_with_the_same_socket() {
    scenario(|_| {
        let listener = listen();
        let (client, server) = pair(&listener);
        // Our RST then only ends the mini-socket, which nobody counts.
        close_to_mini(server);
        disconnect(&client);
        // The socket's second life is that of a server.
        // SAFETY: no memory is involved.
        let result = unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&client), 8) };
        assert_eq!(result, 0);
        let listener = std::net::TcpListener::from(std::os::fd::OwnedFd::from(client));
        let (second_client, second_server) = pair(&listener);
        close_to_mini(second_client);
        drop(second_server);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).fin_wait2() + Side::passively_closed(),
            Side::broken_in_close_wait(Outcome::ResetSent).reset_sent(Reason::State, Lost::Nothing)
                + Side::closed(Origin::Local, Outcome::Fin).fin_wait2(),
        )
    });
}

#[test]
fn killed_by_the_administrator_in_established() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        deliver(&client, &server, REQUEST);
        read(&server, REQUEST.len());
        destroy(&server);
        read_reset(&client);
        drop(server);
        Expect::both(
            Side::broken(Outcome::ResetSent)
                .unanswered(Evidence::Silent)
                .cut(crate::harness::Cut::Unanswered)
                .reset_sent(Reason::State, Lost::Nothing),
            reset_by_peer().unanswered(Evidence::Silent),
        )
    });
}

#[test]
fn killed_by_the_administrator_in_close_wait() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        client.shutdown(Shutdown::Write).unwrap();
        wait_state(&client, state::FIN_WAIT2);
        destroy(&server);
        read_reset(&client);
        drop((client, server));
        Expect::both(
            Side::broken_in_close_wait(Outcome::ResetSent).reset_sent(Reason::State, Lost::Nothing),
            Side::closed(Origin::Local, Outcome::ResetReceived).reset_received(state::FIN_WAIT2),
        )
    });
}

#[test]
fn killed_by_the_administrator_in_syn_sent() {
    scenario(|_| {
        let raw = RawPeer::new();
        let client = connect_nonblocking(raw.address(Family::V4, 9));
        raw.syn(9);
        destroy(&client);
        wait_state(&client, 7);
        Expect::client(Side::connect_failed())
    });
}

#[test]
fn a_listener_killed_by_the_administrator() {
    scenario(|_| {
        let listener = listen();
        let queued = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        destroy(&listener);
        read_reset(&queued);
        drop(listener);
        Expect::both(
            Side::broken(Outcome::ResetSent)
                .plus(crate::harness::Cell::ACCEPT_QUEUE_DROPPED, 1)
                .reset_sent(Reason::State, Lost::Nothing),
            reset_by_peer(),
        )
    });
}
