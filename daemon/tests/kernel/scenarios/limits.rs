//! Ends that a limit decides: no room for the mini-socket, too many orphans.

use std::{net::Shutdown, os::unix::fs::FileExt};

use super::{ANSWER, REQUEST};
use crate::{
    harness::{
        Cell, Expect, Lost, Origin, Outcome, Reason, Side, Snmp, scenario,
        sock::{listen, pair, read, read_eof, tcp_option, wait_gone, wait_port_state, wait_state},
        state,
    },
    raw::{ACK, FIN, Family, RST, RawPeer},
};

#[test]
fn no_room_for_a_time_wait() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_max_tw_buckets", 0);
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        drop(server);
        peer.expect(FIN);
        peer.fin();
        wait_gone(peer.remote_port());
        Expect::server(Side::closed(Origin::Local, Outcome::Fin).plus(Cell::NO_MINI_SOCKET, 1))
    });
}

#[test]
fn no_room_after_a_half_close() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_max_tw_buckets", 0);
        let (client, server) = pair(&listen());
        server.shutdown(Shutdown::Write).unwrap();
        wait_state(&server, state::FIN_WAIT2);
        read_eof(&client);
        drop(client);
        read_eof(&server);
        wait_state(&server, 7);
        drop(server);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin).plus(Cell::NO_MINI_SOCKET, 1),
            Side::passively_closed(),
        )
    });
}

#[test]
fn no_room_when_close_finds_fin_wait2() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_max_tw_buckets", 0);
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        server.shutdown(Shutdown::Write).unwrap();
        peer.expect(FIN);
        peer.acknowledge();
        wait_state(&server, state::FIN_WAIT2);
        drop(server);
        assert_eq!(Snmp::read().get("TCPTimeWaitOverflow"), 1);
        Expect::server(Side::closed(Origin::Local, Outcome::Fin).plus(Cell::NO_MINI_SOCKET, 1))
    });
}

#[test]
fn no_room_after_a_simultaneous_close() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_max_tw_buckets", 0);
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        let acknowledged = peer.ack;
        drop(server);
        peer.expect(FIN);
        peer.send_at(peer.seq, acknowledged, FIN | ACK, b"");
        wait_port_state(peer.remote_port(), state::CLOSING);
        peer.seq += 1;
        peer.acknowledge();
        wait_gone(peer.remote_port());
        assert_eq!(Snmp::read().get("TCPTimeWaitOverflow"), 1);
        Expect::server(Side::closed(Origin::Both, Outcome::Fin).plus(Cell::NO_MINI_SOCKET, 1))
    });
}

#[test]
fn room_for_some_of_many() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_max_tw_buckets", 5);
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        for _ in 0..12 {
            let (mut peer, server) = raw.accepted(&listener);
            drop(server);
            peer.expect(FIN);
            peer.fin();
        }
        wait_gone(listener.local_addr().unwrap().port());
        let closed = Side::closed(Origin::Local, Outcome::Fin);
        Expect::server(closed.clone().time_wait() * 5 + closed.plus(Cell::NO_MINI_SOCKET, 1) * 7)
    });
}

/// `tcp_max_orphans` is one for the whole host, so this one runs only where the host is the test's own.
#[test]
#[ignore = "sets tcp_max_orphans for the whole host; the run in a virtual machine includes it"]
fn too_many_orphans() {
    const LIMIT: &str = "/proc/sys/net/ipv4/tcp_max_orphans";
    let before = std::fs::read(LIMIT).unwrap();
    // Only the first network namespace has the file, so it is opened before the test enters its own.
    let limit = std::fs::File::options().write(true).open(LIMIT).unwrap();
    let set = |value: &[u8]| assert_eq!(limit.write_at(value, 0).unwrap(), value.len());
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let aborted = || Snmp::read().get("TCPAbortOnMemory");
        // One orphan stays all the time, in FIN_WAIT2 as a full socket: no timer of it may meet the limit.
        let (mut orphan, server) = raw.accepted(&listener);
        tcp_option(&server, libc::TCP_LINGER2, 90);
        drop(server);
        orphan.expect(FIN);
        orphan.acknowledge();
        // The kernel counts its orphans ten times a second, so the first closes may still get through.
        let mut through = 0;
        loop {
            let (mut peer, server) = raw.accepted(&listener);
            peer.data(REQUEST);
            read(&server, REQUEST.len());
            std::io::Write::write_all(&mut (&server), ANSWER).unwrap();
            peer.expect_data(ANSWER.len());
            set(b"0");
            drop(server);
            set(&before);
            if aborted() == 1 {
                peer.expect(RST);
                break;
            }
            peer.expect(FIN);
            peer.fin();
            peer.expect(ACK);
            through += 1;
            assert!(through < 5000, "the limit never takes effect");
        }
        orphan.fin();
        orphan.expect(ACK);
        Expect::server(
            Side::closed(Origin::Local, Outcome::Fin).time_wait() * (through + 1)
                + Side::closed(Origin::Local, Outcome::ResetSent)
                    .unacked(ANSWER.len() as u64)
                    .reset_sent(Reason::AbortOnMemory, Lost::Nothing),
        )
    });
}
