//! Questions under 18 bytes on connections that do not tell whether they are questions: answered, left without an answer, never
//! read, late. What becomes of them is counted, and none of it as cut.

use std::{io::Write, net::TcpStream};

use super::{ANSWER, REQUEST, SMALL};
use crate::{
    harness::{
        Evidence, Expect, Lost, Origin, Outcome, Reason, Side, kernel, scenario,
        sock::{queued, read, wait_port_state, wait_state},
        state, wait_until,
    },
    raw::{ACK, FIN, Family, PSH, RST, RawConn, RawPeer},
};

const LINE: &[u8] = b"get x\r\n";

fn ask(peer: &mut RawConn<'_>, server: &TcpStream, question: &[u8]) {
    peer.data(question);
    read(server, question.len());
}

fn tell(peer: &mut RawConn<'_>, mut server: &TcpStream, answer: &[u8]) {
    server.write_all(answer).unwrap();
    peer.expect_data(answer.len());
    peer.acknowledge();
}

fn closed() -> Side {
    Side::closed(Origin::Local, Outcome::Fin).time_wait()
}

/// The server closes behind a conversation; the peer sees that before it leaves.
fn close_on(peer: &mut RawConn<'_>, server: TcpStream) {
    drop(server);
    peer.expect(FIN);
    peer.fin();
    peer.expect(ACK);
}

#[test]
fn the_first_question_of_a_connection_gets_an_answer_or_does_not() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        for answered in [true, false] {
            let (mut peer, server) = raw.accepted(&listener);
            ask(&mut peer, &server, LINE);
            if answered {
                tell(&mut peer, &server, ANSWER);
            }
            close_on(&mut peer, server);
        }
        Expect::server(
            closed().small_answered() + closed().unanswered(Evidence::Small).small_left(),
        )
    });
}

/// Only one that was answered before says what the last one is; in ordinary time it may be a goodbye all the same.
#[test]
fn the_last_word_of_a_client_that_had_answers() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        ask(&mut peer, &server, LINE);
        tell(&mut peer, &server, ANSWER);
        ask(&mut peer, &server, b"quit\r\n");
        close_on(&mut peer, server);
        Expect::server(
            closed()
                .small_answered()
                .unanswered(Evidence::Small)
                .small_left(),
        )
    });
}

/// Whoever waits for an answer does not hang up before he sees that none will come.
#[test]
fn a_client_that_hangs_up_behind_its_last_word() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        ask(&mut peer, &server, LINE);
        let before_our_end = peer.ack;
        drop(server);
        peer.expect(FIN);
        // The two FINs cross.
        peer.send_at(peer.seq, before_our_end, FIN | ACK, b"");
        peer.expect(ACK);
        peer.seq = peer.seq.wrapping_add(1);
        peer.acknowledge();
        Expect::server(
            Side::closed(Origin::Both, Outcome::Fin)
                .time_wait()
                .unanswered(Evidence::Small),
        )
    });
}

/// As FastCGI's, HTTP/2's and WebSocket's control frames, and the last word of PostgreSQL's clients: behind a beginning as long as
/// theirs such sizes ask nothing.
#[test]
fn frames_behind_a_long_beginning_are_nothing() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let sizes = [5, 6, 8, 9, 13, 17];
        for size in sizes {
            let (mut peer, server) = raw.accepted(&listener);
            ask(&mut peer, &server, REQUEST);
            tell(&mut peer, &server, ANSWER);
            ask(&mut peer, &server, &SMALL[..size]);
            close_on(&mut peer, server);
        }
        Expect::server(closed().unanswered(Evidence::Small) * sizes.len() as u64)
    });
}

#[test]
fn one_that_was_never_read() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(LINE);
        wait_until("it arrives", || queued(&server) == LINE.len());
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::broken(Outcome::ResetSent)
                .unread(LINE.len() as u64)
                .small_left()
                .reset_sent(Reason::AbortOnClose, Lost::Goodbye),
        )
    });
}

#[test]
fn one_that_crossed_our_end() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        let before_our_end = peer.ack;
        drop(server);
        peer.expect(FIN);
        peer.send_at(peer.seq, before_our_end, ACK | PSH, LINE);
        peer.expect(RST);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetSent)
                .small_late()
                .reset_sent(Reason::AbortOnData, Lost::Goodbye),
        )
    });
}

/// The beginning of a longer question is as short.
#[test]
fn part_of_a_long_one_is_none() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(REQUEST);
        read(&server, LINE.len());
        tell(&mut peer, &server, ANSWER);
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::broken(Outcome::ResetSent)
                .unread((REQUEST.len() - LINE.len()) as u64)
                .early()
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        )
    });
}

#[test]
fn a_client_that_gives_up_is_left_out() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        ask(&mut peer, &server, LINE);
        peer.fin();
        wait_state(&server, state::CLOSE_WAIT);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        Expect::server(Side::passively_closed())
    });
}

/// It had left before anybody read its last word.
#[test]
fn one_of_a_client_that_gave_up_that_was_never_read() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(LINE);
        peer.fin();
        wait_state(&server, state::CLOSE_WAIT);
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::broken_in_close_wait(Outcome::ResetSent)
                .unread(LINE.len() as u64)
                .reset_sent(Reason::AbortOnClose, Lost::Goodbye),
        )
    });
}

/// Behind a beginning that is too short for frames it may be a question, though it has the size of one.
#[test]
fn one_that_met_a_mini_socket() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        ask(&mut peer, &server, LINE);
        tell(&mut peer, &server, ANSWER);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.data(b"quit\r\n");
        peer.expect(RST);
        let closed = Side::closed(Origin::Local, Outcome::Fin)
            .fin_wait2()
            .small_answered();
        // Before 6.10 a mini-socket's RST has no tracepoint.
        Expect::server(match kernel::traces_every_reset() {
            true => closed
                .small_late()
                .reset_sent(Reason::TimeWaitSocket, Lost::Goodbye),
            false => closed,
        })
    });
}
