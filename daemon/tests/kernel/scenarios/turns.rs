//! Turns: who owed an answer when the connection ended. The peer is in user space, so that every byte
//! and every FIN comes when the test says so.

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    os::fd::AsRawFd,
};

use super::{ALERT, ANSWER, REQUEST, SMALL};
use crate::{
    harness::{
        Cut, Evidence, Expect, Lost, Origin, Outcome, Reason, Side, scenario,
        sock::{deliver, linger_zero, listen, pair, queued, read, read_eof, wait_state},
        state, wait_until,
    },
    raw::{ACK, FIN, Family, RawConn, RawPeer},
};

/// A TLS handshake's sizes: what the client says, what the server says.
const HELLO: &[u8] = &[22; 517];
const SERVER_HELLO: &[u8] = &[22; 1200];

/// As a TLS handshake is to finwatch: without one, nothing that a peer sends is an alert.
pub(super) fn shake_hands(peer: &mut RawConn<'_>, server: &TcpStream) {
    ask(peer, server, HELLO);
    tell(peer, server, SERVER_HELLO);
}

/// Runs a conversation on an accepted connection and then closes it from this side, to the end.
fn served(mut talk: impl FnMut(&mut RawConn<'_>, &TcpStream) + Send, side: fn(Side) -> Side) {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        talk(&mut peer, &server);
        drop(server);
        peer.expect(FIN);
        peer.fin();
        peer.expect(ACK);
        Expect::server(side(Side::closed(Origin::Local, Outcome::Fin).time_wait()))
    });
}

/// The peer asks, and the server reads.
fn ask(peer: &mut RawConn<'_>, server: &TcpStream, request: &[u8]) {
    peer.data(request);
    read(server, request.len());
}

/// The server writes, and the peer acknowledges.
fn tell(peer: &mut RawConn<'_>, mut server: &TcpStream, answer: &[u8]) {
    server.write_all(answer).unwrap();
    peer.expect_data(answer.len());
    peer.acknowledge();
}

fn silent(side: Side) -> Side {
    side.unanswered(Evidence::Silent).cut(Cut::Unanswered)
}

fn alert(side: Side) -> Side {
    side.unanswered(Evidence::Alert).cut(Cut::Unanswered)
}

fn nothing(side: Side) -> Side {
    side
}

#[test]
fn nothing_was_asked() {
    served(|_, _| (), nothing);
}

#[test]
fn asked_and_answered() {
    served(
        |peer, server| {
            ask(peer, server, REQUEST);
            tell(peer, server, ANSWER);
        },
        nothing,
    );
}

#[test]
fn asked_and_not_answered() {
    served(|peer, server| ask(peer, server, REQUEST), silent);
}

#[test]
fn the_second_request_is_not_answered() {
    served(
        |peer, server| {
            ask(peer, server, REQUEST);
            tell(peer, server, ANSWER);
            ask(peer, server, REQUEST);
        },
        silent,
    );
}

#[test]
fn a_request_in_pieces_is_one_request() {
    served(
        |peer, server| {
            for piece in REQUEST.chunks(7) {
                ask(peer, server, piece);
            }
        },
        silent,
    );
}

#[test]
fn a_request_of_exactly_the_limit() {
    served(|peer, server| ask(peer, server, &[b'x'; 18]), silent);
}

#[test]
fn a_control_frame_is_no_request() {
    served(
        |peer, server| {
            ask(peer, server, REQUEST);
            tell(peer, server, ANSWER);
            ask(peer, server, SMALL);
        },
        |side| side.unanswered(Evidence::Small),
    );
}

#[test]
fn a_tls_alert_is_no_answer() {
    for size in [23, 24, 31] {
        served(
            move |peer, server| {
                ask(peer, server, HELLO);
                tell(peer, server, SERVER_HELLO);
                ask(peer, server, REQUEST);
                tell(peer, server, &ALERT.repeat(2)[..size]);
            },
            alert,
        );
    }
}

#[test]
fn a_short_answer_is_an_answer() {
    for size in [1, 22, 25, 30, 32, 69] {
        served(
            move |peer, server| {
                ask(peer, server, HELLO);
                tell(peer, server, SERVER_HELLO);
                ask(peer, server, REQUEST);
                tell(peer, server, &ANSWER[..size]);
            },
            nothing,
        );
    }
}

#[test]
fn an_alerts_size_without_a_handshake_is_an_answer() {
    served(
        |peer, server| {
            ask(peer, server, REQUEST);
            tell(peer, server, ALERT);
        },
        nothing,
    );
}

#[test]
fn an_alert_after_the_answer_is_a_goodbye() {
    served(
        |peer, server| {
            ask(peer, server, HELLO);
            tell(peer, server, SERVER_HELLO);
            ask(peer, server, REQUEST);
            tell(peer, server, ANSWER);
            tell(peer, server, ALERT);
        },
        nothing,
    );
}

#[test]
fn the_peers_goodbye_is_no_request() {
    served(
        |peer, server| {
            ask(peer, server, HELLO);
            tell(peer, server, SERVER_HELLO);
            ask(peer, server, REQUEST);
            tell(peer, server, ANSWER);
            ask(peer, server, ALERT);
        },
        nothing,
    );
}

#[test]
fn the_server_speaks_first() {
    served(
        |peer, server| tell(peer, server, b"220 mail.example.test ESMTP\r\n"),
        nothing,
    );
}

#[test]
fn an_answer_that_goes_on_while_the_peer_sends_more() {
    served(
        |peer, server| {
            ask(peer, server, REQUEST);
            tell(peer, server, ANSWER);
            tell(peer, server, ANSWER);
            ask(peer, server, &[1; 9000][..1000]);
            tell(peer, server, ANSWER);
        },
        nothing,
    );
}

#[test]
fn taken_by_splice_is_read() {
    served(
        |peer, server| {
            let (from, to) = std::io::pipe().unwrap();
            peer.data(REQUEST);
            wait_until("the request arrives", || queued(server) == REQUEST.len());
            let none = std::ptr::null_mut();
            // SAFETY: no offsets are given, so no memory is involved.
            let moved = unsafe {
                libc::splice(
                    server.as_raw_fd(),
                    none,
                    to.as_raw_fd(),
                    none,
                    REQUEST.len(),
                    0,
                )
            };
            assert_eq!(moved, REQUEST.len() as isize);
            drop(from);
        },
        silent,
    );
}

#[test]
fn a_half_close_and_a_close_are_judged_once() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        ask(&mut peer, &server, REQUEST);
        server.shutdown(Shutdown::Write).unwrap();
        peer.expect(FIN);
        peer.acknowledge();
        wait_state(&server, state::FIN_WAIT2);
        drop(server);
        peer.fin();
        peer.expect(ACK);
        Expect::server(silent(
            Side::closed(Origin::Local, Outcome::Fin).fin_wait2(),
        ))
    });
}

#[test]
fn a_peek_is_no_read() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        ask(&mut peer, &server, REQUEST);
        tell(&mut peer, &server, ANSWER);
        peer.data(REQUEST);
        assert_eq!(server.peek(&mut [0; 500]).unwrap(), REQUEST.len());
        drop(server);
        peer.expect(crate::raw::RST);
        Expect::server(
            Side::broken(Outcome::ResetSent)
                .unread(REQUEST.len() as u64)
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        )
    });
}

#[test]
fn the_peer_gives_up_by_a_fin() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        ask(&mut peer, &server, REQUEST);
        peer.fin();
        read_eof(&server);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        Expect::server(Side::passively_closed().abandoned())
    });
}

#[test]
fn the_peer_gives_up_by_a_reset() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        deliver(&client, &server, REQUEST);
        read(&server, REQUEST.len());
        linger_zero(&client);
        drop(client);
        wait_state(&server, 7);
        drop(server);
        Expect::both(
            Side::broken(Outcome::ResetReceived)
                .reset_received(state::ESTABLISHED)
                .abandoned(),
            Side::broken(Outcome::ResetSent).reset_sent(Reason::State, Lost::Nothing),
        )
    });
}

#[test]
fn the_peer_closes_on_our_alert() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        ask(&mut peer, &server, HELLO);
        tell(&mut peer, &server, SERVER_HELLO);
        ask(&mut peer, &server, REQUEST);
        tell(&mut peer, &server, ALERT);
        peer.fin();
        read_eof(&server);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        Expect::server(alert(Side::passively_closed()))
    });
}

#[test]
fn a_client_whose_request_is_not_answered() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, client) = raw.connected(Family::V4);
        (&client).write_all(REQUEST).unwrap();
        peer.expect_data(REQUEST.len());
        peer.fin();
        read_eof(&client);
        drop(client);
        peer.expect(FIN);
        peer.acknowledge();
        Expect::client(Side::passively_closed().unanswered(Evidence::Silent))
    });
}

#[test]
fn a_client_that_gives_up_is_no_loss_of_its_own() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, client) = raw.connected(Family::V4);
        (&client).write_all(REQUEST).unwrap();
        peer.expect_data(REQUEST.len());
        peer.acknowledge();
        drop(client);
        peer.expect(FIN);
        peer.fin();
        peer.expect(ACK);
        Expect::client(Side::closed(Origin::Local, Outcome::Fin).time_wait())
    });
}

#[test]
fn a_client_that_was_answered() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, client) = raw.connected(Family::V6);
        (&client).write_all(REQUEST).unwrap();
        peer.expect_data(REQUEST.len());
        peer.data(ANSWER);
        read(&client, ANSWER.len());
        peer.fin();
        read_eof(&client);
        drop(client);
        peer.expect(FIN);
        peer.acknowledge();
        Expect::client(Side::passively_closed())
    });
}
