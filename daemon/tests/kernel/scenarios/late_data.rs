//! Data that arrives after our FIN: the RST that answers it, and what it threw away.

use std::{io::Write, net::Shutdown, time::Duration};

use super::{ALERT, ANSWER, REQUEST, SMALL, turns::shake_hands};
use crate::{
    harness::{
        Cut, Expect, Lost, Netns, Origin, Outcome, Reason, Side, Snmp, kernel, scenario,
        sock::{self, read, read_eof, tcp_option, wait_port_state, wait_state},
        state, wait_until,
    },
    raw::{ACK, FIN, Family, PSH, RST, RawPeer},
};

/// Longer than the time after which a connection counts as idle.
const AT_REST: Duration = Duration::from_millis(120);

/// Closed by us, reset by us as data came for which nobody was left.
fn aborted(lost: Lost) -> Side {
    Side::closed(Origin::Local, Outcome::ResetSent).reset_sent(Reason::AbortOnData, lost)
}

#[test]
fn in_fin_wait1_after_close() {
    for (payload, lost) in [
        (REQUEST, Lost::Data),
        (ALERT, Lost::Goodbye),
        (SMALL, Lost::Goodbye),
    ] {
        scenario(|_| {
            let raw = RawPeer::new();
            let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
            shake_hands(&mut peer, &server);
            let acknowledged = peer.ack;
            drop(server);
            peer.expect(FIN);
            // It does not acknowledge our FIN: it left the peer before the FIN arrived there.
            peer.send_at(peer.seq, acknowledged, ACK | PSH, payload);
            peer.expect(RST);
            assert_eq!(Snmp::read().get("TCPAbortOnData"), 1);
            Expect::server(late(aborted(lost), lost))
        });
    }
}

/// The rest of an upload that was answered from its beginning, sent before the answer was seen.
#[test]
fn the_rest_of_a_request_that_had_its_answer() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(REQUEST);
        read(&server, REQUEST.len());
        let before_the_answer = peer.ack;
        server.write_all(ANSWER).unwrap();
        peer.expect_data(ANSWER.len());
        drop(server);
        peer.expect(FIN);
        peer.send_at(peer.seq, before_the_answer, ACK | PSH, REQUEST);
        peer.expect(RST);
        Expect::server(aborted(Lost::Data).early().unacked(ANSWER.len() as u64))
    });
}

#[test]
fn with_the_acknowledgement_of_our_fin() {
    for family in [Family::V4, Family::V6] {
        scenario(|_| {
            let raw = RawPeer::new();
            let (mut peer, server) = raw.accepted(&raw.listener(family));
            drop(server);
            peer.expect(FIN);
            peer.data(REQUEST);
            peer.expect(RST);
            Expect::server(late(aborted(Lost::Data), Lost::Data))
        });
    }
}

#[test]
fn in_fin_wait2_while_still_a_full_socket() {
    scenario(|ns| {
        ns.sysctl("ipv4/tcp_fin_timeout", 120);
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.data(REQUEST);
        peer.expect(RST);
        Expect::server(late(aborted(Lost::Data), Lost::Data))
    });
}

#[test]
fn in_fin_wait2_held_by_linger2() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V6));
        shake_hands(&mut peer, &server);
        tcp_option(&server, libc::TCP_LINGER2, 90);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.data(ALERT);
        peer.expect(RST);
        Expect::server(aborted(Lost::Goodbye))
    });
}

#[test]
fn after_a_shutdown_of_both_directions() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        server.shutdown(Shutdown::Both).unwrap();
        peer.expect(FIN);
        peer.acknowledge();
        wait_state(&server, state::FIN_WAIT2);
        peer.data(REQUEST);
        peer.expect(RST);
        wait_state(&server, 7);
        drop(server);
        Expect::server(late(aborted(Lost::Data), Lost::Data))
    });
}

#[test]
fn after_a_half_close_it_is_simply_read() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        server.shutdown(Shutdown::Write).unwrap();
        peer.expect(FIN);
        peer.data(REQUEST);
        read(&server, REQUEST.len());
        peer.fin();
        read_eof(&server);
        drop(server);
        Expect::server(Side::closed(Origin::Local, Outcome::Fin).time_wait())
    });
}

#[test]
fn into_a_lingering_close_of_an_idle_connection() {
    for (payload, cut) in [(REQUEST, Some(Cut::Late)), (SMALL, None)] {
        scenario(|_| lingering_close(payload, AT_REST, cut));
    }
}

#[test]
fn into_a_lingering_close_in_the_instant_of_an_early_answer() {
    scenario(|_| lingering_close(REQUEST, Duration::ZERO, None));
}

#[test]
fn to_the_fin_wait2_mini_socket() {
    for (payload, lost) in [
        (REQUEST, Lost::Data),
        (ALERT, Lost::Goodbye),
        (SMALL, Lost::Goodbye),
    ] {
        for family in [Family::V4, Family::V6] {
            scenario(|ns| to_mini_socket(ns, payload, lost, family));
        }
    }
}

/// Of the size of a TLS alert, where nobody spoke TLS.
#[test]
fn a_short_request_to_the_fin_wait2_mini_socket() {
    const SHORT: &[u8] = b"GET /x HTTP/1.1\r\nHost: a.bc\r\n\r\n";
    scenario(|_| {
        assert_eq!(SHORT.len(), 31);
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(SHORT);
        read(&server, SHORT.len());
        server.write_all(ANSWER).unwrap();
        peer.expect_data(ANSWER.len());
        peer.acknowledge();
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.data(SHORT);
        peer.expect(RST);
        Expect::server(mini_socket_reset(Lost::Data))
    });
}

#[test]
fn a_request_and_a_fin_in_one_segment_to_the_mini_socket() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.send(FIN | ACK | PSH, REQUEST);
        peer.expect(RST);
        Expect::server(mini_socket_reset(Lost::Data))
    });
}

#[test]
fn to_a_time_wait_mini_socket_is_only_acknowledged() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        drop(server);
        peer.expect(FIN);
        peer.fin();
        peer.expect(ACK);
        peer.send_at(peer.seq, peer.ack, ACK | PSH, REQUEST);
        peer.expect(ACK);
        Expect::server(Side::closed(Origin::Local, Outcome::Fin).time_wait())
    });
}

#[test]
fn out_of_order_with_the_acknowledgement_of_our_fin() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        drop(server);
        peer.expect(FIN);
        peer.send_at(peer.seq + 50, peer.ack, ACK | PSH, REQUEST);
        peer.expect(RST);
        Expect::server(late(aborted(Lost::Data), Lost::Data))
    });
}

/// The bytes before a FIN may be lost on the way, or in the instant in which a mini-socket takes its socket's place: the RST that
/// the FIN draws threw them away.
#[test]
fn a_fin_whose_data_never_came() {
    for (payload, lost) in [
        (REQUEST, Lost::Data),
        (ALERT, Lost::Goodbye),
        (SMALL, Lost::Goodbye),
    ] {
        let missing = u32::try_from(payload.len()).unwrap();
        // With the acknowledgement of our FIN, to the socket; behind it, to the mini-socket.
        for to_mini_socket in [false, true] {
            scenario(|_| {
                let raw = RawPeer::new();
                let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
                shake_hands(&mut peer, &server);
                drop(server);
                peer.expect(FIN);
                if to_mini_socket {
                    peer.acknowledge();
                    wait_port_state(peer.remote_port(), state::FIN_WAIT2);
                }
                peer.send_at(peer.seq.wrapping_add(missing), peer.ack, FIN | ACK, b"");
                peer.expect(RST);
                Expect::server(if to_mini_socket {
                    mini_socket_reset(lost)
                } else {
                    late(aborted(lost), lost)
                })
            });
        }
    }
}

#[test]
fn a_request_sent_again_is_cut_once() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        let (seq, ack) = (peer.seq, peer.ack);
        peer.data(REQUEST);
        peer.expect(RST);
        // The mini-socket is gone: what comes now finds nobody.
        peer.send_at(seq, ack, ACK | PSH, REQUEST);
        peer.expect(RST);
        Expect::server(mini_socket_reset(Lost::Data).reset_sent(Reason::NoSocket, Lost::Data))
    });
}

#[test]
fn a_kernel_client_sends_its_request_into_a_closed_server() {
    scenario(|_| {
        let (client, server) = sock::pair(&sock::listen());
        sock::close_to_mini(server);
        read_eof(&client);
        (&client).write_all(REQUEST).unwrap();
        wait_until("the reset arrives", || {
            sock::tcp_state(&client) == state::CLOSE
        });
        drop(client);
        Expect::both(
            mini_socket_reset(Lost::Data),
            Side::broken_in_close_wait(Outcome::ResetReceived)
                .reset_received(state::CLOSE_WAIT)
                .unacked(REQUEST.len() as u64),
        )
    });
}

/// As Apache and lighttpd close: what comes behind the FIN is read and thrown away.
fn lingering_close(payload: &[u8], idle: Duration, cut: Option<Cut>) -> Expect {
    let (client, server) = sock::pair(&sock::listen());
    sock::deliver(&client, &server, REQUEST);
    read(&server, REQUEST.len());
    sock::deliver(&server, &client, ANSWER);
    read(&client, ANSWER.len());
    // How long it was idle is what is tried.
    std::thread::sleep(idle);
    server.shutdown(Shutdown::Write).unwrap();
    read_eof(&client);
    sock::deliver(&client, &server, payload);
    drop(client);
    read(&server, payload.len());
    read_eof(&server);
    drop(server);
    let closed = Side::closed(Origin::Local, Outcome::Fin).time_wait();
    Expect::both(
        match cut {
            Some(cut) => closed.cut(cut),
            None => closed,
        },
        Side::passively_closed(),
    )
}

fn to_mini_socket(_ns: &Netns, payload: &[u8], lost: Lost, family: Family) -> Expect {
    let raw = RawPeer::new();
    let (mut peer, server) = raw.accepted(&raw.listener(family));
    drop(server);
    peer.expect(FIN);
    peer.acknowledge();
    wait_port_state(peer.remote_port(), state::FIN_WAIT2);
    peer.data(payload);
    peer.expect(RST);
    Expect::server(mini_socket_reset(lost))
}

/// Before 6.10 a mini-socket's RST has no tracepoint, so neither it nor the cut can be counted.
fn mini_socket_reset(lost: Lost) -> Side {
    let closed = Side::closed(Origin::Local, Outcome::Fin).fin_wait2();
    if kernel::traces_every_reset() {
        late(closed.reset_sent(Reason::TimeWaitSocket, lost), lost)
    } else {
        closed
    }
}

/// A request that came too late is a cut connection; a goodbye is not.
fn late(side: Side, lost: Lost) -> Side {
    match lost {
        Lost::Data => side.cut(Cut::Late),
        Lost::Goodbye | Lost::Nothing => side,
    }
}
