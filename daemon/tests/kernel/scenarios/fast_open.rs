//! TCP Fast Open: a server may read, answer and close before the handshake is over.

use std::net::TcpListener;

use super::{ANSWER, REQUEST};
use crate::{
    harness::{
        Cell, Cut, Evidence, Expect, Lost, Netns, Origin, Outcome, Reason, Side, opened, scenario,
        sock::{
            accept, read, read_eof, tcp_option, tcp_state, wait_gone, wait_port_state, wait_state,
        },
        state, wait_until,
    },
    raw::{ACK, FIN, Family, RST, RawConn, RawPeer, SYN},
};

/// A listener that takes data with a SYN, without a cookie.
fn listener(ns: &Netns, raw: &RawPeer) -> TcpListener {
    // Client and server, and the server wants no cookie.
    ns.sysctl("ipv4/tcp_fastopen", 0x203);
    let listener = raw.listener(Family::V4);
    tcp_option(&listener, libc::TCP_FASTOPEN, 16);
    listener
}

/// Sends a SYN with a request and takes the SYN-ACK; the last ACK is still to be sent.
fn call<'a>(raw: &'a RawPeer, listener: &TcpListener) -> RawConn<'a> {
    let mut peer = raw.dial(listener.local_addr().unwrap());
    peer.send(SYN, REQUEST);
    let answer = peer.expect(SYN | ACK);
    assert_eq!(answer.ack, peer.seq, "the SYN's data was taken");
    peer
}

#[test]
fn established_and_closed() {
    scenario(|ns| {
        let raw = RawPeer::new();
        let listener = listener(ns, &raw);
        let mut peer = call(&raw, &listener);
        let server = accept(&listener);
        assert_eq!(tcp_state(&server), state::SYN_RECV);
        read(&server, REQUEST.len());
        std::io::Write::write_all(&mut (&server), ANSWER).unwrap();
        peer.expect_data(ANSWER.len());
        peer.acknowledge();
        wait_state(&server, state::ESTABLISHED);
        peer.fin();
        read_eof(&server);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        Expect::server(Side::passively_closed())
    });
}

#[test]
fn read_before_the_handshake_is_over_and_never_answered() {
    scenario(|ns| {
        let raw = RawPeer::new();
        let listener = listener(ns, &raw);
        let mut peer = call(&raw, &listener);
        let server = accept(&listener);
        read(&server, REQUEST.len());
        peer.acknowledge();
        wait_state(&server, state::ESTABLISHED);
        drop(server);
        peer.expect(FIN);
        peer.fin();
        peer.expect(ACK);
        Expect::server(
            Side::closed(Origin::Local, Outcome::Fin)
                .time_wait()
                .unanswered(Evidence::Silent)
                .cut(Cut::Unanswered),
        )
    });
}

#[test]
fn closed_before_the_handshake_is_over() {
    scenario(|ns| {
        let raw = RawPeer::new();
        let listener = listener(ns, &raw);
        let mut peer = call(&raw, &listener);
        let server = accept(&listener);
        read(&server, REQUEST.len());
        std::io::Write::write_all(&mut (&server), ANSWER).unwrap();
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.fin();
        peer.expect(ACK);
        Expect::server(Side::closed(Origin::Local, Outcome::Fin).fin_wait2())
    });
}

#[test]
fn closed_with_the_request_unread() {
    scenario(|ns| {
        let raw = RawPeer::new();
        let listener = listener(ns, &raw);
        let mut peer = call(&raw, &listener);
        let server = accept(&listener);
        drop(server);
        peer.expect(RST);
        Expect::server(
            opened(1)
                .plus(Cell::LEFT, 1)
                .plus(Cell::closes(Origin::None, Outcome::ResetSent), 1)
                .unread(REQUEST.len() as u64)
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        )
    });
}

#[test]
fn reset_by_the_peer_before_the_handshake_is_over() {
    scenario(|ns| {
        let raw = RawPeer::new();
        let listener = listener(ns, &raw);
        let mut peer = call(&raw, &listener);
        let server = accept(&listener);
        read(&server, REQUEST.len());
        peer.rst();
        wait_state(&server, 7);
        Expect::server(
            opened(1)
                .plus(Cell::LEFT, 1)
                .plus(Cell::closes(Origin::None, Outcome::ResetReceived), 1)
                .reset_received(state::SYN_RECV)
                .abandoned(),
        )
    });
}

#[test]
fn never_accepted_and_dropped_with_the_listener() {
    scenario(|ns| {
        let raw = RawPeer::new();
        let listener = listener(ns, &raw);
        let mut peer = call(&raw, &listener);
        peer.acknowledge();
        wait_until("it is established", || {
            crate::harness::Snmp::read().get("CurrEstab") == 1
        });
        drop(listener);
        peer.expect(RST);
        Expect::server(
            Side::broken(Outcome::ResetSent)
                .plus(Cell::ACCEPT_QUEUE_DROPPED, 1)
                .unread(REQUEST.len() as u64)
                .cut(Cut::Unread)
                .reset_sent(Reason::State, Lost::Data),
        )
    });
}

#[test]
fn without_data_it_is_an_ordinary_handshake() {
    scenario(|ns| {
        let raw = RawPeer::new();
        let listener = listener(ns, &raw);
        let (mut peer, server) = raw.accepted(&listener);
        peer.fin();
        read_eof(&server);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_gone(peer.remote_port());
        Expect::server(Side::passively_closed())
    });
}
