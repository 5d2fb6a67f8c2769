//! An RST of the peer, in every state in which one can end a connection, and in those in which it
//! cannot.

use std::net::Shutdown;

use crate::{
    harness::{
        Cell, Expect, Origin, Outcome, Side, Snmp, opened, scenario, sock,
        sock::{connect_nonblocking, read_eof, read_reset, wait_gone, wait_port_state, wait_state},
        state, wait_until,
    },
    raw::{ACK, FIN, Family, RST, RawPeer},
};

#[test]
fn in_established() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.rst();
        read_reset(&server);
        Expect::server(Side::broken(Outcome::ResetReceived).reset_received(state::ESTABLISHED))
    });
}

#[test]
fn in_established_at_a_client_over_ipv6() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, client) = raw.connected(Family::V6);
        peer.rst();
        read_reset(&client);
        Expect::client(Side::broken(Outcome::ResetReceived).reset_received(state::ESTABLISHED))
    });
}

#[test]
fn in_close_wait() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.fin();
        wait_state(&server, state::CLOSE_WAIT);
        peer.rst();
        wait_state(&server, 7);
        Expect::server(
            Side::broken_in_close_wait(Outcome::ResetReceived).reset_received(state::CLOSE_WAIT),
        )
    });
}

#[test]
fn in_fin_wait1_half_closed() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        server.shutdown(Shutdown::Write).unwrap();
        wait_state(&server, state::FIN_WAIT1);
        peer.rst();
        read_reset(&server);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetReceived).reset_received(state::FIN_WAIT1),
        )
    });
}

#[test]
fn in_fin_wait1_closed() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        drop(server);
        peer.expect(FIN);
        peer.rst();
        wait_gone(peer.remote_port());
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetReceived).reset_received(state::FIN_WAIT1),
        )
    });
}

#[test]
fn in_fin_wait1_shut_in_both_directions() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V6));
        server.shutdown(Shutdown::Both).unwrap();
        peer.expect(FIN);
        peer.rst();
        wait_state(&server, 7);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetReceived).reset_received(state::FIN_WAIT1),
        )
    });
}

#[test]
fn in_fin_wait2_half_closed() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        server.shutdown(Shutdown::Write).unwrap();
        peer.expect(FIN);
        peer.acknowledge();
        wait_state(&server, state::FIN_WAIT2);
        peer.rst();
        read_reset(&server);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetReceived).reset_received(state::FIN_WAIT2),
        )
    });
}

#[test]
fn in_fin_wait2_closed_while_still_a_full_socket() {
    scenario(|ns| {
        // Above a minute the full socket stays until the rest of the time is a minute.
        ns.sysctl("ipv4/tcp_fin_timeout", 120);
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.rst();
        wait_until("the orphan is gone", || {
            !crate::harness::sockets()
                .iter()
                .any(|s| s.state == state::FIN_WAIT2)
        });
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetReceived).reset_received(state::FIN_WAIT2),
        )
    });
}

#[test]
fn at_the_fin_wait2_mini_socket() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.rst();
        wait_until("the mini-socket is gone", || {
            !crate::harness::sockets()
                .iter()
                .any(|s| s.state == state::FIN_WAIT2)
        });
        Expect::server(Side::closed(Origin::Local, Outcome::Fin).fin_wait2())
    });
}

#[test]
fn in_closing() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        let acknowledged = peer.ack;
        drop(server);
        peer.expect(FIN);
        peer.send_at(peer.seq, acknowledged, FIN | ACK, b"");
        wait_port_state(peer.remote_port(), state::CLOSING);
        peer.seq += 1;
        peer.rst();
        wait_gone(peer.remote_port());
        Expect::server(
            Side::closed(Origin::Both, Outcome::ResetReceived).reset_received(state::CLOSING),
        )
    });
}

#[test]
fn in_last_ack() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.fin();
        read_eof(&server);
        drop(server);
        peer.expect(FIN);
        peer.rst();
        wait_gone(peer.remote_port());
        Expect::server(
            Side::closed(Origin::Remote, Outcome::ResetReceived)
                .close_wait()
                .reset_received(state::LAST_ACK),
        )
    });
}

#[test]
fn in_syn_sent() {
    scenario(|_| {
        let raw = RawPeer::new();
        let client = connect_nonblocking(raw.address(Family::V6, 9));
        let mut peer = raw.syn(9);
        peer.send(RST | ACK, b"");
        wait_state(&client, 7);
        Expect::client(Side::connect_failed().reset_received(state::SYN_SENT))
    });
}

#[test]
fn to_a_request_that_is_no_socket_yet() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let mut peer = raw.half_open(listener.local_addr().unwrap());
        peer.send(RST, b"");
        wait_until("the request is dropped", || {
            Snmp::read().get("EmbryonicRsts") == 1
        });
        Expect::default()
    });
}

#[test]
fn with_a_number_out_of_the_window_ends_nothing() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        // In the window and not the next number: RFC 5961 wants a challenge, not a reset.
        peer.send_at(peer.seq + 100, peer.ack, RST | ACK, b"");
        peer.expect(ACK);
        assert_eq!(sock::tcp_state(&server), state::ESTABLISHED);
        // Held open until the counts are compared: the connection is established.
        std::mem::forget(server);
        Expect::server(opened(1))
    });
}

#[test]
fn after_a_reset_the_program_closes_and_nothing_is_counted_twice() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(super::REQUEST);
        sock::read(&server, super::REQUEST.len());
        peer.rst();
        wait_state(&server, 7);
        server.shutdown(Shutdown::Both).unwrap_err();
        drop(server);
        Expect::server(
            Side::broken(Outcome::ResetReceived)
                .reset_received(state::ESTABLISHED)
                .plus(Cell::ABANDONED, 1),
        )
    });
}
