//! Peers that go silent: retransmissions, probes and keepalives without an answer, in each state.

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
};

use super::{ANSWER, REQUEST};
use crate::{
    harness::{
        Expect, Lost, Origin, Outcome, Reason, Side, scenario,
        sock::{
            connect_nonblocking, keepalive, listen, pair, read, read_eof, tcp_option, wait_gone,
            wait_state,
        },
        state,
    },
    raw::{FIN, Family, RawConn, RawPeer},
};

const BYTES: u64 = ANSWER.len() as u64;

#[test]
fn an_answer_is_never_acknowledged() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        answer(&mut peer, &server);
        tcp_option(&server, libc::TCP_USER_TIMEOUT, 300);
        wait_state(&server, 7);
        drop(server);
        Expect::server(Side::broken(Outcome::Timeout).unacked(BYTES))
    });
}

#[test]
fn an_answer_is_acknowledged_in_part() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V6));
        answer(&mut peer, &server);
        let all = peer.ack;
        peer.ack = all.wrapping_sub(50);
        peer.acknowledge();
        tcp_option(&server, libc::TCP_USER_TIMEOUT, 300);
        wait_state(&server, 7);
        Expect::server(Side::broken(Outcome::Timeout).unacked(50))
    });
}

#[test]
fn in_close_wait() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.fin();
        read_eof(&server);
        (&server).write_all(ANSWER).unwrap();
        tcp_option(&server, libc::TCP_USER_TIMEOUT, 300);
        wait_state(&server, 7);
        Expect::server(Side::broken_in_close_wait(Outcome::Timeout).unacked(BYTES))
    });
}

#[test]
fn an_orphan_in_fin_wait1() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_orphan_retries", 1);
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        answer(&mut peer, &server);
        drop(server);
        wait_gone_orphan(peer.remote_port());
        Expect::server(Side::closed(Origin::Local, Outcome::Timeout).unacked(BYTES))
    });
}

#[test]
fn a_half_closed_socket_in_fin_wait1() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        tcp_option(&server, libc::TCP_USER_TIMEOUT, 300);
        server.shutdown(Shutdown::Write).unwrap();
        peer.expect(FIN);
        wait_state(&server, 7);
        Expect::server(Side::closed(Origin::Local, Outcome::Timeout))
    });
}

#[test]
fn in_last_ack() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_orphan_retries", 1);
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.fin();
        read_eof(&server);
        drop(server);
        peer.expect(FIN);
        wait_gone_orphan(peer.remote_port());
        Expect::server(Side::closed(Origin::Remote, Outcome::Timeout).close_wait())
    });
}

#[test]
fn in_closing() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_orphan_retries", 1);
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        let acknowledged = peer.ack;
        drop(server);
        peer.expect(FIN);
        peer.send_at(peer.seq, acknowledged, FIN | crate::raw::ACK, b"");
        wait_gone_orphan(peer.remote_port());
        Expect::server(Side::closed(Origin::Both, Outcome::Timeout))
    });
}

#[test]
fn a_window_that_never_opens() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.window = 0;
        peer.data(REQUEST);
        read(&server, REQUEST.len());
        tcp_option(&server, libc::TCP_USER_TIMEOUT, 500);
        (&server).write_all(ANSWER).unwrap();
        wait_state(&server, 7);
        Expect::server(Side::broken(Outcome::Timeout).unacked(BYTES))
    });
}

#[test]
fn keepalive_without_an_answer() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (_peer, server) = raw.accepted(&raw.listener(Family::V4));
        keepalive(&server, 1);
        wait_state(&server, 7);
        drop(server);
        Expect::server(Side::broken(Outcome::Timeout).reset_sent(Reason::Keepalive, Lost::Nothing))
    });
}

#[test]
fn keepalive_without_an_answer_in_close_wait() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, client) = raw.connected(Family::V6);
        peer.fin();
        read_eof(&client);
        keepalive(&client, 1);
        wait_state(&client, 7);
        Expect::client(
            Side::broken_in_close_wait(Outcome::Timeout)
                .reset_sent(Reason::Keepalive, Lost::Nothing),
        )
    });
}

#[test]
fn keepalive_that_is_answered_ends_nothing() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        keepalive(&server, 1);
        let probes = || crate::harness::Snmp::read().get("TCPKeepAlive");
        crate::harness::wait_until("two probes are answered", || probes() >= 2);
        drop(server);
        read_eof(&client);
        drop(client);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).mini_socket(),
            Side::passively_closed(),
        )
    });
}

#[test]
fn a_connect_that_nobody_answers() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_syn_retries", 1);
        let raw = RawPeer::new();
        let client = connect_nonblocking(raw.address(Family::V4, 9));
        raw.syn(9);
        wait_state(&client, 7);
        drop(client);
        Expect::client(Side::connect_failed())
    });
}

/// A request is read and its answer written, which the peer receives and does not acknowledge.
fn answer(peer: &mut RawConn<'_>, mut server: &TcpStream) {
    peer.data(REQUEST);
    read(server, REQUEST.len());
    server.write_all(ANSWER).unwrap();
    peer.expect_data(ANSWER.len());
}

/// An orphan has no inode, but until it is gone the table shows it with its state.
fn wait_gone_orphan(port: u16) {
    wait_gone(port);
    crate::harness::wait_until("the orphan is gone", || {
        let orphan = |s: u8| matches!(s, state::FIN_WAIT1 | state::LAST_ACK | state::CLOSING);
        let mut all = crate::harness::sockets().into_iter();
        !all.any(|entry| entry.local_port == port && orphan(entry.state))
    });
}
