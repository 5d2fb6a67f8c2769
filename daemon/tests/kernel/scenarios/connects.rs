//! connect(): what fails before a connection is there, and what the other side says to it.

use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::{
    harness::{
        Cell, Expect, Lost, Origin, Outcome, Reason, Side, Snmp, kernel, scenario,
        sock::{
            bind, connect_again, connect_nonblocking, listen, new_stream, pair, read_eof,
            wait_state,
        },
        state, wait_until,
    },
    raw::{ACK, FIN, Family, RST, RawPeer, SYN},
};

/// A SYN that nobody listens for, as the port's last owner is charged with it. Before 6.10 its RST has
/// no tracepoint.
fn refused() -> Side {
    if kernel::traces_every_reset() {
        Side::default()
            .plus(Cell::REFUSED, 1)
            .reset_sent(Reason::NoSocket, Lost::Nothing)
    } else {
        Side::default()
    }
}

#[test]
fn to_a_port_whose_listener_is_gone() {
    scenario(|_| {
        let listener = listen();
        let address = listener.local_addr().unwrap();
        drop(listener);
        for _ in 0..3 {
            TcpStream::connect(address).unwrap_err();
        }
        Expect::both(
            refused() * 3,
            Side::connect_failed().reset_received(state::SYN_SENT) * 3,
        )
    });
}

#[test]
fn to_a_port_on_which_nobody_ever_listened() {
    scenario(|_| {
        for address in ["127.0.0.1:9", "[::1]:9"] {
            let address: SocketAddr = address.parse().unwrap();
            TcpStream::connect(address).unwrap_err();
        }
        Expect::both(
            refused() * 2,
            Side::connect_failed().reset_received(state::SYN_SENT) * 2,
        )
    });
}

#[test]
fn from_another_host_to_a_port_on_which_nobody_listens() {
    scenario(|_| {
        let raw = RawPeer::new();
        for family in [Family::V4, Family::V6] {
            let listener = raw.listener(family);
            let address = listener.local_addr().unwrap();
            drop(listener);
            let mut peer = raw.dial(address);
            peer.send(SYN, b"");
            peer.expect(RST);
        }
        Expect::server(refused() * 2)
    });
}

#[test]
fn a_stray_segment_to_a_closed_port_is_reset_and_not_refused() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut peer = raw.dial(address);
        peer.send(ACK, super::REQUEST);
        peer.expect(RST);
        let server = Side::default().reset_sent(Reason::NoSocket, Lost::Data);
        Expect::server(if kernel::traces_every_reset() {
            server
        } else {
            Side::default()
        })
    });
}

#[test]
fn given_up_before_the_answer() {
    scenario(|_| {
        let raw = RawPeer::new();
        let client = connect_nonblocking(raw.address(Family::V4, 9));
        raw.syn(9);
        drop(client);
        Expect::client(Side::connect_failed())
    });
}

#[test]
fn a_syn_ack_for_another_syn_is_reset_and_the_connection_lives() {
    scenario(|_| {
        let raw = RawPeer::new();
        let client = connect_nonblocking(raw.address(Family::V4, 9));
        let mut peer = raw.syn(9);
        peer.send_at(peer.seq, peer.ack.wrapping_add(1000), SYN | ACK, b"");
        let reset = peer.next(std::time::Duration::from_secs(30)).unwrap();
        assert!(reset.has(RST));
        // The RST carries the number that the bad segment acknowledged; ours was one above the SYN's.
        peer.send(SYN | ACK, b"");
        peer.expect(ACK);
        wait_state(&client, state::ESTABLISHED);
        drop(client);
        peer.expect(FIN);
        peer.fin();
        peer.expect(ACK);
        Expect::client(
            Side::closed(Origin::Local, Outcome::Fin)
                .time_wait()
                .reset_sent(Reason::InvalidAck, Lost::Nothing),
        )
    });
}

#[test]
fn simultaneous_open() {
    scenario(|_| {
        let raw = RawPeer::new();
        let client = connect_nonblocking(raw.address(Family::V4, 9));
        let mut peer = raw.syn(9);
        // The peer's own SYN, which acknowledges nothing: both called at the same time.
        peer.send(SYN, b"");
        peer.expect(SYN | ACK);
        wait_state(&client, state::SYN_RECV);
        peer.acknowledge();
        wait_state(&client, state::ESTABLISHED);
        peer.fin();
        wait_state(&client, state::CLOSE_WAIT);
        drop(client);
        peer.expect(FIN);
        peer.acknowledge();
        Expect::client(Side::passively_closed())
    });
}

#[test]
fn to_oneself() {
    scenario(|_| {
        // A socket that connects to its own address meets its own SYN: a simultaneous open of one.
        let address: SocketAddr = "127.0.0.1:4242".parse().unwrap();
        let socket = new_stream(&address, 0, 0);
        bind(&socket, address);
        connect_again(&socket, address).unwrap();
        wait_state(&socket, state::ESTABLISHED);
        drop(socket);
        // Its FIN meets itself as well.
        wait_until("the socket leaves a mini-socket", || {
            let snmp = Snmp::read();
            snmp.get("CurrEstab") == 0
        });
        Expect::client(Side::closed(Origin::Both, Outcome::Fin).time_wait())
    });
}

#[test]
fn many_in_a_row_that_succeed_after_failures() {
    scenario(|_| {
        let listener = listen();
        let address = listener.local_addr().unwrap();
        drop(listener);
        TcpStream::connect(address).unwrap_err();
        let listener = TcpListener::bind(address).unwrap();
        let (client, server) = pair(&listener);
        drop(client);
        read_eof(&server);
        drop(server);
        Expect::both(
            refused() + Side::passively_closed(),
            Side::connect_failed().reset_received(state::SYN_SENT)
                + Side::closed(Origin::Local, Outcome::Fin).mini_socket(),
        )
    });
}
