//! TCP_LINGER2: how long an orphan stays in FIN_WAIT2 as a full socket, or that it does not at all.

use std::net::Shutdown;

use crate::{
    harness::{
        Expect, Lost, Origin, Outcome, Reason, Side, Snmp, scenario,
        sock::{tcp_option, wait_port_state, wait_state},
        state, wait_until,
    },
    raw::{FIN, Family, RST, RawPeer},
};

#[test]
fn above_a_minute_the_timer_leaves_the_mini_socket() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        // The full socket stays for what is above a minute: one second.
        tcp_option(&server, libc::TCP_LINGER2, 61);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_until("the timer leaves a mini-socket", || {
            Snmp::read().get("TCPTimeWaitOverflow") == 0 && time_waits() == 1
        });
        Expect::server(Side::closed(Origin::Local, Outcome::Fin).fin_wait2())
    });
}

#[test]
fn the_fin_of_the_peer_reaches_the_full_orphan() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        tcp_option(&server, libc::TCP_LINGER2, 90);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.fin();
        wait_port_state(peer.remote_port(), state::TIME_WAIT);
        Expect::server(Side::closed(Origin::Local, Outcome::Fin).time_wait())
    });
}

#[test]
fn below_zero_the_acknowledgement_of_our_fin_is_reset() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        tcp_option(&server, libc::TCP_LINGER2, -1);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        peer.expect(RST);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetSent)
                .reset_sent(Reason::AbortOnData, Lost::Nothing),
        )
    });
}

#[test]
fn below_zero_close_in_fin_wait2_is_a_reset() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        tcp_option(&server, libc::TCP_LINGER2, -1);
        server.shutdown(Shutdown::Write).unwrap();
        peer.expect(FIN);
        peer.acknowledge();
        wait_state(&server, state::FIN_WAIT2);
        drop(server);
        peer.expect(RST);
        assert_eq!(Snmp::read().get("TCPAbortOnLinger"), 1);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetSent)
                .reset_sent(Reason::AbortOnLinger, Lost::Nothing),
        )
    });
}

/// Live mini-sockets, by `sockstat`.
fn time_waits() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/sockstat").unwrap();
    let mut words = text.split_whitespace().skip_while(|word| *word != "tw");
    words.nth(1).unwrap().parse().unwrap()
}
