//! Closes by FIN: who was first, and which mini-socket stays.

use std::net::Shutdown;

use super::{ANSWER, REQUEST};
use crate::{
    harness::{
        Expect, Origin, Outcome, Side, scenario,
        sock::{
            close_to_mini, deliver, listen, pair, read, read_eof, wait_gone, wait_port_state,
            wait_state,
        },
        state,
    },
    raw::{ACK, FIN, Family, RawPeer},
};

#[test]
fn the_server_closes_first() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        // The peer's FIN is not there yet, so the mini-socket is in substate FIN_WAIT2.
        close_to_mini(server);
        drop(client);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).fin_wait2(),
            Side::passively_closed(),
        )
    });
}

#[test]
fn the_client_closes_first() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        close_to_mini(client);
        read_eof(&server);
        drop(server);
        Expect::both(
            Side::passively_closed(),
            Side::closed(Origin::Local, Outcome::Fin).fin_wait2(),
        )
    });
}

#[test]
fn both_ends_close_as_fast_as_they_can() {
    scenario(|_| {
        let listener = listen();
        for _ in 0..50 {
            let (client, server) = pair(&listener);
            drop(server);
            drop(client);
        }
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).mini_socket() * 50,
            Side::passively_closed() * 50,
        )
    });
}

#[test]
fn the_fin_comes_with_the_acknowledgement() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        drop(server);
        peer.expect(FIN);
        peer.fin();
        peer.expect(ACK);
        Expect::server(Side::closed(Origin::Local, Outcome::Fin).time_wait())
    });
}

#[test]
fn a_half_closed_client_waits_for_the_answer() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        deliver(&client, &server, REQUEST);
        read(&server, REQUEST.len());
        client.shutdown(Shutdown::Write).unwrap();
        wait_state(&client, state::FIN_WAIT2);
        read_eof(&server);
        deliver(&server, &client, ANSWER);
        drop(server);
        read(&client, ANSWER.len());
        read_eof(&client);
        drop(client);
        Expect::both(
            // The peer half-closed before it had its answer. It came later, but a closing transition
            // is judged when it happens: nobody can tell a half-close from giving up.
            Side::passively_closed().abandoned(),
            Side::closed(Origin::Local, Outcome::Fin).time_wait(),
        )
    });
}

#[test]
fn a_half_closed_server_reads_on() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        server.shutdown(Shutdown::Write).unwrap();
        wait_state(&server, state::FIN_WAIT2);
        read_eof(&client);
        deliver(&client, &server, REQUEST);
        read(&server, REQUEST.len());
        drop(client);
        read_eof(&server);
        drop(server);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).time_wait(),
            Side::passively_closed(),
        )
    });
}

#[test]
fn shutdown_of_both_directions_then_close() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        server.shutdown(Shutdown::Both).unwrap();
        wait_state(&server, state::FIN_WAIT2);
        drop(client);
        // The full socket is gone from the table before its descriptor is closed.
        wait_state(&server, 7);
        drop(server);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).time_wait(),
            Side::passively_closed(),
        )
    });
}

#[test]
fn shutdown_then_close_before_the_fin_is_acknowledged() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        server.shutdown(Shutdown::Write).unwrap();
        peer.expect(FIN);
        drop(server);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.fin();
        peer.expect(ACK);
        Expect::server(Side::closed(Origin::Local, Outcome::Fin).fin_wait2())
    });
}

#[test]
fn shutdown_then_close_in_fin_wait2() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        server.shutdown(Shutdown::Write).unwrap();
        wait_state(&server, state::FIN_WAIT2);
        drop(server);
        read_eof(&client);
        drop(client);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).fin_wait2(),
            Side::passively_closed(),
        )
    });
}

#[test]
fn simultaneous_close() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        let acknowledged = peer.ack;
        drop(server);
        peer.expect(FIN);
        // The peer's FIN left before ours arrived: it acknowledges nothing new.
        peer.send_at(peer.seq, acknowledged, FIN | ACK, b"");
        wait_port_state(peer.remote_port(), state::CLOSING);
        peer.seq += 1;
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::TIME_WAIT);
        Expect::server(Side::closed(Origin::Both, Outcome::Fin).time_wait())
    });
}

#[test]
fn simultaneous_close_of_a_half_closed_socket() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V6));
        let acknowledged = peer.ack;
        server.shutdown(Shutdown::Write).unwrap();
        peer.expect(FIN);
        peer.send_at(peer.seq, acknowledged, FIN | ACK, b"");
        wait_state(&server, state::CLOSING);
        peer.seq += 1;
        peer.acknowledge();
        read_eof(&server);
        wait_state(&server, 7);
        drop(server);
        Expect::server(Side::closed(Origin::Both, Outcome::Fin).time_wait())
    });
}

#[test]
fn a_fin_that_must_be_sent_again_is_counted_once() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        drop(server);
        peer.expect(FIN);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.fin();
        peer.expect(ACK);
        Expect::server(Side::closed(Origin::Local, Outcome::Fin).fin_wait2())
    });
}

#[test]
fn the_last_acknowledgement_of_a_passive_close_comes_late() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.fin();
        read_eof(&server);
        drop(server);
        peer.expect(FIN);
        wait_port_state(peer.remote_port(), state::LAST_ACK);
        peer.acknowledge();
        wait_gone(peer.remote_port());
        Expect::server(Side::passively_closed())
    });
}

#[test]
fn a_fin_out_of_order_waits_for_the_bytes_before_it() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        let after_request = peer.seq + REQUEST.len() as u32;
        peer.send_at(after_request, peer.ack, FIN | ACK, b"");
        peer.expect(ACK);
        assert_eq!(crate::harness::sock::tcp_state(&server), state::ESTABLISHED);
        peer.data(REQUEST);
        wait_state(&server, state::CLOSE_WAIT);
        peer.seq += 1;
        read(&server, REQUEST.len());
        deliver_to_peer(&server);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_gone(peer.remote_port());
        Expect::server(Side::passively_closed().abandoned())
    });
}

fn deliver_to_peer(mut server: &std::net::TcpStream) {
    std::io::Write::write_all(&mut server, ANSWER).unwrap();
}
