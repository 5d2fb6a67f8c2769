//! What tells the rest of an upload, which was answered early, from another request: when it came, how it was read, and how it ended.

use std::{
    io::Write as _,
    net::{Shutdown, TcpStream},
    os::fd::AsRawFd as _,
    thread,
    time::Duration,
};

use super::{ALERT, ANSWER, REQUEST};
use crate::{
    harness::{
        Cut, Evidence, Expect, Lost, Origin, Outcome, Reason, Side,
        child::Child,
        kernel, scenario,
        sock::{
            bytes_acked, deliver, listen, pair, queued, read, read_eof, read_reset,
            wait_port_state, wait_state,
        },
        state, wait_until,
    },
    raw::{ACK, FIN, Family, PSH, RST, RawConn, RawPeer},
};

/// More than the head of a request.
const PART: usize = 5000;
/// Longer than the time after which nobody is in the instant of an answer, or of a read, any more.
const LONG: Duration = Duration::from_millis(150);

/// Bytes in one segment of a peer that has not seen what came since `seen`.
fn sends_unaware(peer: &mut RawConn<'_>, seen: u32, bytes: usize) {
    peer.send_at(peer.seq, seen, ACK | PSH, &vec![b'x'; bytes]);
    peer.seq += u32::try_from(bytes).unwrap();
}

/// The head was answered, and the peer has acknowledged that.
fn head_is_answered(peer: &mut RawConn<'_>, server: &mut TcpStream) {
    peer.data(REQUEST);
    read(server, REQUEST.len());
    server.write_all(ANSWER).unwrap();
    peer.expect_data(ANSWER.len());
    peer.acknowledge();
    wait_until("it is acknowledged", || {
        bytes_acked(server) >= ANSWER.len() as u64
    });
}

/// The server closes, and the peer follows.
fn close_on(peer: &mut RawConn<'_>, server: TcpStream) {
    drop(server);
    peer.expect(FIN);
    peer.fin();
    peer.expect(ACK);
}

/// A part was answered; the rest of one segment was sent unaware of it, and is read. The server says goodbye as in TLS, or waits.
fn rest_is_read(goodbye: &[u8], waits: Duration) -> Expect {
    let raw = RawPeer::new();
    let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
    peer.data(&[b'x'; 1000]);
    read(&server, 1000);
    for turn in 0..2 {
        let seen = peer.ack;
        server.write_all(ANSWER).unwrap();
        sends_unaware(&mut peer, seen, PART);
        read(&server, PART);
        peer.expect_data(ANSWER.len());
        if turn == 0 {
            peer.acknowledge();
        }
    }
    peer.acknowledge();
    thread::sleep(waits);
    if !goodbye.is_empty() {
        server.write_all(goodbye).unwrap();
        peer.expect_data(goodbye.len());
    }
    close_on(&mut peer, server);
    Expect::server(Side::closed(Origin::Local, Outcome::Fin).time_wait())
}

#[test]
fn a_rest_of_one_segment_that_is_read_and_let_go() {
    scenario(|_| rest_is_read(b"", Duration::ZERO));
}

/// The alert is no answer, and none is owed.
#[test]
fn a_rest_that_is_read_before_a_goodbye_in_tls() {
    scenario(|_| rest_is_read(ALERT, Duration::ZERO));
}

/// A limit of what can be known: a question takes its time.
#[test]
fn what_was_read_long_before_the_close_is_a_question() {
    scenario(|_| {
        let mut expect = rest_is_read(b"", LONG);
        expect.server = expect
            .server
            .cut(Cut::Unanswered)
            .unanswered(Evidence::Silent);
        expect
    });
}

/// Who answered a part and reads the rest does not die of it.
#[test]
fn a_server_that_dies_behind_the_rest_loses_a_question() {
    for unread in [0, PART] {
        scenario(|_| {
            let (client, server) = pair(&listen());
            deliver(&client, &server, &[b'x'; 2 * PART]);
            read(&server, PART);
            deliver(&server, &client, ANSWER);
            read(&client, ANSWER.len());
            read(&server, PART);
            deliver(&client, &server, &vec![b'x'; unread]);
            let child = Child::holding(&[server.as_raw_fd()]);
            drop(server);
            child.kill();
            if unread == 0 {
                read_eof(&client);
                drop(client);
                Expect::both(
                    Side::closed(Origin::Local, Outcome::Fin)
                        .mini_socket()
                        .by_exit()
                        .cut(Cut::Unanswered)
                        .unanswered(Evidence::Silent),
                    Side::passively_closed(),
                )
            } else {
                read_reset(&client);
                Expect::both(
                    Side::broken(Outcome::ResetSent)
                        .unread(unread as u64)
                        .by_exit()
                        .cut(Cut::Unread)
                        .unanswered(Evidence::Silent)
                        .reset_sent(Reason::AbortOnClose, Lost::Data),
                    Side::broken(Outcome::ResetReceived)
                        .reset_received(state::ESTABLISHED)
                        .unanswered(Evidence::Silent),
                )
            }
        });
    }
}

/// The client had the answer to a part of what it sent, and hangs up; the rest was there, some of it read or none.
#[test]
fn a_client_that_leaves_with_its_answer_did_not_give_up() {
    for read_on in [true, false] {
        scenario(|_| {
            let raw = RawPeer::new();
            let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
            peer.data(&[b'x'; PART]);
            let part = if read_on { PART } else { 1000 };
            read(&server, part);
            let seen = peer.ack;
            server.write_all(ANSWER).unwrap();
            let mut rest = PART - part;
            if read_on {
                for _ in 0..2 {
                    sends_unaware(&mut peer, seen, 1000);
                }
                read(&server, 2000);
                sends_unaware(&mut peer, seen, PART);
                rest = PART;
            }
            peer.expect_data(ANSWER.len());
            peer.fin();
            wait_state(&server, state::CLOSE_WAIT);
            read(&server, rest);
            drop(server);
            peer.expect(FIN);
            peer.acknowledge();
            Expect::server(Side::passively_closed())
        });
    }
}

/// The server closes in the instant of its answer to the head, and the body is there.
#[test]
fn a_body_that_lies_unread_in_the_instant_of_the_answer() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        head_is_answered(&mut peer, &mut server);
        peer.data(&[b'x'; PART]);
        wait_until("it arrives", || queued(&server) == PART);
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::broken(Outcome::ResetSent)
                .unread(PART as u64)
                .rest_or_request()
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        )
    });
}

/// In many segments, of which some come behind the one that acknowledged the answer, and long after it.
#[test]
fn another_upload_that_nobody_read() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        head_is_answered(&mut peer, &mut server);
        thread::sleep(LONG);
        for _ in 0..PART / 1000 {
            peer.data(&[b'x'; 1000]);
        }
        wait_until("it arrives", || queued(&server) == PART);
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::broken(Outcome::ResetSent)
                .unread(PART as u64)
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        )
    });
}

#[test]
fn another_upload_that_met_the_end_of_an_idle_connection() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        head_is_answered(&mut peer, &mut server);
        thread::sleep(LONG);
        drop(server);
        peer.expect(FIN);
        peer.send(ACK | PSH, &[b'x'; PART]);
        peer.expect(RST);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetSent)
                .cut(Cut::Late)
                .reset_sent(Reason::AbortOnData, Lost::Data),
        )
    });
}

/// What came in one piece has no rest, in however many pieces it is read.
#[test]
fn a_question_that_is_read_in_pieces_came_in_one() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(REQUEST);
        read(&server, 20);
        read(&server, REQUEST.len() - 20);
        server.write_all(ANSWER).unwrap();
        drop(server);
        peer.expect_data(ANSWER.len());
        peer.expect(FIN);
        peer.send(ACK | PSH, REQUEST);
        peer.expect(RST);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetSent)
                .cut(Cut::Late)
                .reset_sent(Reason::AbortOnData, Lost::Data),
        )
    });
}

/// The answer took its time to be acknowledged: whoever acknowledges it in this instant may still send.
#[test]
fn a_connection_whose_answer_was_acknowledged_just_now_is_not_idle() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(REQUEST);
        read(&server, REQUEST.len());
        server.write_all(ANSWER).unwrap();
        peer.expect_data(ANSWER.len());
        thread::sleep(LONG);
        peer.acknowledge();
        wait_until("it is acknowledged", || {
            bytes_acked(&server) >= ANSWER.len() as u64
        });
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

/// Of a question that nobody read both directions are closed before the peer knows of it.
#[test]
fn a_question_that_is_thrown_away_behind_our_end() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(REQUEST);
        wait_until("it arrives", || queued(&server) == REQUEST.len());
        server.shutdown(Shutdown::Write).unwrap();
        wait_state(&server, state::FIN_WAIT1);
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetSent)
                .unread(REQUEST.len() as u64)
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        )
    });
}

/// A short answer, which has not been acknowledged, is no goodbye where nobody speaks TLS: this is the instant of it, however long the
/// client had waited.
#[test]
fn the_rest_of_a_question_whose_answer_took_its_time() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        for part in [&REQUEST[..20], &REQUEST[20..]] {
            peer.data(part);
            read(&server, part.len());
        }
        thread::sleep(LONG);
        server.write_all(&ANSWER[..60]).unwrap();
        drop(server);
        peer.expect_data(60);
        peer.expect(FIN);
        peer.send(ACK | PSH, REQUEST);
        peer.expect(RST);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetSent)
                .rest_or_request()
                .reset_sent(Reason::AbortOnData, Lost::Data),
        )
    });
}

/// A connection counts once: what comes behind a question that had no answer adds nothing.
#[test]
fn what_meets_the_mini_socket_of_one_that_was_cut() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(REQUEST);
        read(&server, REQUEST.len());
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        wait_port_state(peer.remote_port(), state::FIN_WAIT2);
        peer.data(REQUEST);
        peer.expect(RST);
        let cut = Side::closed(Origin::Local, Outcome::Fin)
            .fin_wait2()
            .cut(Cut::Unanswered)
            .unanswered(Evidence::Silent);
        // Before 6.10 a mini-socket's RST has no tracepoint.
        Expect::server(match kernel::traces_every_reset() {
            true => cut.reset_sent(Reason::TimeWaitSocket, Lost::Data),
            false => cut,
        })
    });
}
