//! What comes behind the answer to a question that came in several parts, on a connection that this side closes upon: the rest of that
//! question, as of a slow upload that is refused, or another one. Where nothing tells which, it is counted as that.

use std::{io::Write, net::TcpStream, thread, time::Duration};

use super::{ANSWER, REQUEST};
use crate::{
    harness::{
        Cut, Expect, Lost, Origin, Outcome, Reason, Side, kernel, scenario,
        sock::{bytes_acked, queued, read, wait_port_state},
        state, wait_until,
    },
    raw::{ACK, FIN, Family, PSH, RST, RawConn, RawPeer},
};

/// Longer than the time after which nobody is in the instant of an answer any more.
const LONG: Duration = Duration::from_millis(120);

/// A question comes in so many parts.
fn ask(peer: &mut RawConn<'_>, server: &TcpStream, parts: usize) {
    for _ in 0..parts {
        peer.data(REQUEST);
        read(server, REQUEST.len());
    }
}

/// The server closes in the instant of its answer, or a while later; the peer has seen both by then.
fn answer_and_close(peer: &mut RawConn<'_>, mut server: TcpStream, idle: bool) {
    server.write_all(ANSWER).unwrap();
    if idle {
        peer.expect_data(ANSWER.len());
        peer.acknowledge();
        wait_until("it is acknowledged", || {
            bytes_acked(&server) >= ANSWER.len() as u64
        });
        thread::sleep(LONG);
    }
    drop(server);
    if !idle {
        peer.expect_data(ANSWER.len());
    }
    peer.expect(FIN);
}

fn late_to_mini_socket(parts: usize, idle: bool, told: fn(Side) -> Side) {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        ask(&mut peer, &server, parts);
        answer_and_close(&mut peer, server, idle);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.data(REQUEST);
        peer.expect(RST);
        let closed = Side::closed(Origin::Local, Outcome::Fin).fin_wait2();
        // Before 6.10 a mini-socket's RST has no tracepoint.
        Expect::server(match kernel::traces_every_reset() {
            true => told(closed).reset_sent(Reason::TimeWaitSocket, Lost::Data),
            false => closed,
        })
    });
}

fn late(side: Side) -> Side {
    side.cut(Cut::Late)
}

#[test]
fn after_the_answer_was_seen() {
    late_to_mini_socket(2, false, Side::rest_or_request);
}

#[test]
fn a_question_in_one_piece_has_no_rest() {
    late_to_mini_socket(1, false, late);
}

#[test]
fn a_kept_connection_has_no_rest() {
    late_to_mini_socket(2, true, late);
}

#[test]
fn with_the_acknowledgement_of_our_fin() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        ask(&mut peer, &server, 2);
        answer_and_close(&mut peer, server, false);
        peer.send_at(peer.seq, peer.ack, ACK | PSH, REQUEST);
        peer.expect(RST);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetSent)
                .rest_or_request()
                .reset_sent(Reason::AbortOnData, Lost::Data),
        )
    });
}

/// It came between the answer and the close.
fn unread(parts: usize, idle: bool, told: fn(Side) -> Side) {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        ask(&mut peer, &server, parts);
        server.write_all(ANSWER).unwrap();
        peer.expect_data(ANSWER.len());
        peer.acknowledge();
        if idle {
            thread::sleep(LONG);
        }
        peer.data(REQUEST);
        wait_until("it arrives", || queued(&server) == REQUEST.len());
        drop(server);
        peer.expect(RST);
        Expect::server(told(
            Side::broken(Outcome::ResetSent)
                .unread(REQUEST.len() as u64)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        ))
    });
}

#[test]
fn unread_behind_the_answer() {
    unread(2, false, Side::rest_or_request);
}

#[test]
fn another_question_that_nobody_read() {
    unread(2, true, |side| side.cut(Cut::Unread));
    unread(1, false, |side| side.cut(Cut::Unread));
}
