//! Closes that throw away bytes the program never read.

use std::{io::Write, net::Shutdown, time::Duration};

use super::{ALERT, ANSWER, REQUEST, SMALL, turns::shake_hands};
use crate::{
    harness::{
        Cut, Evidence, Expect, Lost, Origin, Outcome, Reason, Side, Snmp, scenario,
        sock::{
            bytes_acked, deliver, listen, pair, queued, read, read_eof, read_reset, wait_state,
        },
        state, wait_until,
    },
    raw::{FIN, Family, RST, RawPeer},
};

const BYTES: u64 = REQUEST.len() as u64;

#[test]
fn a_request_never_read() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        deliver(&client, &server, REQUEST);
        drop(server);
        read_reset(&client);
        assert_eq!(Snmp::read().get("TCPAbortOnClose"), 1);
        Expect::both(
            Side::broken(Outcome::ResetSent)
                .unread(BYTES)
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
            Side::broken(Outcome::ResetReceived)
                .reset_received(state::ESTABLISHED)
                .unanswered(Evidence::Silent),
        )
    });
}

#[test]
fn a_request_read_in_part() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        deliver(&client, &server, REQUEST);
        read(&server, 10);
        drop(server);
        read_reset(&client);
        Expect::both(
            // One connection is cut once, by the first cause; that it was not answered is told too.
            Side::broken(Outcome::ResetSent)
                .unread(BYTES - 10)
                .cut(Cut::Unread)
                .unanswered(Evidence::Silent)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
            Side::broken(Outcome::ResetReceived)
                .reset_received(state::ESTABLISHED)
                .unanswered(Evidence::Silent),
        )
    });
}

/// As a server answers an upload that it will not take: from its beginning.
#[test]
fn the_rest_of_a_request_that_had_its_answer() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        for acknowledged in [true, false] {
            let (mut peer, mut server) = raw.accepted(&listener);
            peer.data(REQUEST);
            read(&server, 10);
            server.write_all(ANSWER).unwrap();
            peer.expect_data(ANSWER.len());
            if acknowledged {
                peer.acknowledge();
                wait_until("it is acknowledged", || {
                    bytes_acked(&server) >= ANSWER.len() as u64
                });
            }
            drop(server);
            peer.expect(RST);
        }
        let early = Side::broken(Outcome::ResetSent)
            .unread(BYTES - 10)
            .early()
            .reset_sent(Reason::AbortOnClose, Lost::Data);
        Expect::server(early.clone() + early.unacked(ANSWER.len() as u64))
    });
}

/// Most of a long answer waits for the peer's acknowledgement of its beginning, and the RST takes its place.
#[test]
fn the_rest_of_a_request_whose_answer_had_not_left() {
    const LONG: usize = 30_000;
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(REQUEST);
        read(&server, 10);
        server.write_all(&vec![b'a'; LONG]).unwrap();
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::broken(Outcome::ResetSent)
                .unread(BYTES - 10)
                .unacked(LONG as u64)
                .early()
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        )
    });
}

/// It is as long as an upload, and no rest of what was answered before it.
#[test]
fn a_long_request_on_a_connection_that_had_been_idle() {
    const IDLE: Duration = Duration::from_millis(120);
    const LONG: usize = 8_192;
    scenario(|_| {
        let (client, mut server) = pair(&listen());
        deliver(&client, &server, REQUEST);
        read(&server, REQUEST.len());
        server.write_all(ANSWER).unwrap();
        read(&client, ANSWER.len());
        std::thread::sleep(IDLE);
        deliver(&client, &server, &[b'b'; LONG]);
        drop(server);
        read_reset(&client);
        Expect::both(
            Side::broken(Outcome::ResetSent)
                .unread(LONG as u64)
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
            Side::broken(Outcome::ResetReceived)
                .reset_received(state::ESTABLISHED)
                .unanswered(Evidence::Silent),
        )
    });
}

/// As a server of TLS says goodbye when it closes: that is no answer to what lies there.
#[test]
fn the_request_behind_an_answer_and_before_our_goodbye() {
    const TICKS: Duration = Duration::from_millis(20);
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let lost = Side::broken(Outcome::ResetSent)
            .unread(BYTES)
            .cut(Cut::Unread)
            .reset_sent(Reason::AbortOnClose, Lost::Data);
        for seen in [true, false] {
            let (mut peer, mut server) = raw.accepted(&listener);
            peer.data(REQUEST);
            read(&server, REQUEST.len());
            server.write_all(ANSWER).unwrap();
            peer.expect_data(ANSWER.len());
            peer.data(REQUEST);
            wait_until("it arrives", || queued(&server) == REQUEST.len());
            std::thread::sleep(TICKS);
            server.write_all(ALERT).unwrap();
            if seen {
                peer.expect_data(ALERT.len());
                peer.acknowledge();
                let all = (ANSWER.len() + ALERT.len()) as u64;
                wait_until("it is acknowledged", || bytes_acked(&server) == all);
            }
            drop(server);
            peer.expect(RST);
        }
        Expect::server(lost.clone() + lost.unacked(ALERT.len() as u64))
    });
}

/// All of what was answered had been read; another request lies behind it.
#[test]
fn the_request_behind_an_answer() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(REQUEST);
        read(&server, REQUEST.len());
        server.write_all(ANSWER).unwrap();
        peer.expect_data(ANSWER.len());
        peer.data(REQUEST);
        wait_until("it arrives", || queued(&server) == REQUEST.len());
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::broken(Outcome::ResetSent)
                .unread(BYTES)
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        )
    });
}

#[test]
fn an_answer_the_client_never_read() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        deliver(&client, &server, REQUEST);
        read(&server, REQUEST.len());
        deliver(&server, &client, ANSWER);
        drop(client);
        read_reset(&server);
        Expect::both(
            Side::broken(Outcome::ResetReceived).reset_received(state::ESTABLISHED),
            Side::broken(Outcome::ResetSent)
                .unread(ANSWER.len() as u64)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        )
    });
}

#[test]
fn only_a_goodbye_never_read() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        for goodbye in [ALERT, SMALL] {
            let (mut peer, server) = raw.accepted(&listener);
            shake_hands(&mut peer, &server);
            peer.data(goodbye);
            wait_until("it arrives", || queued(&server) == goodbye.len());
            drop(server);
            peer.expect(RST);
        }
        let server =
            Side::broken(Outcome::ResetSent).reset_sent(Reason::AbortOnClose, Lost::Goodbye);
        Expect::server(
            server.clone().unread(ALERT.len() as u64) + server.unread(SMALL.len() as u64),
        )
    });
}

#[test]
fn after_the_peer_closed() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(REQUEST);
        peer.fin();
        wait_state(&server, state::CLOSE_WAIT);
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::broken_in_close_wait(Outcome::ResetSent)
                .unread(BYTES)
                .abandoned()
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        )
    });
}

#[test]
fn only_the_end_of_the_stream_never_read() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        peer.fin();
        wait_state(&server, state::CLOSE_WAIT);
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        Expect::server(Side::passively_closed())
    });
}

#[test]
fn after_a_half_close() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V4));
        server.shutdown(Shutdown::Write).unwrap();
        peer.expect(FIN);
        peer.acknowledge();
        wait_state(&server, state::FIN_WAIT2);
        peer.data(REQUEST);
        wait_until("the request arrives", || queued(&server) == REQUEST.len());
        drop(server);
        peer.expect(RST);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetSent)
                .unread(BYTES)
                .cut(Cut::Late)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
        )
    });
}

/// Java's servers close so: `shutdown()` at once, `close()` a second later. The client has left by then, and no RST tells.
#[test]
fn when_the_client_leaves_between_the_half_close_and_the_close() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        deliver(&client, &server, REQUEST);
        server.shutdown(Shutdown::Write).unwrap();
        read_eof(&client);
        drop(client);
        wait_state(&server, 7);
        drop(server);
        assert_eq!(Snmp::read().get("TCPAbortOnClose"), 0);
        Expect::both(
            Side::closed(Origin::Local, Outcome::Fin)
                .time_wait()
                .unread(BYTES)
                .cut(Cut::Unread),
            Side::passively_closed().unanswered(Evidence::Silent),
        )
    });
}

#[test]
fn when_the_request_and_the_peers_fin_come_after_the_half_close() {
    scenario(|_| {
        let raw = RawPeer::new();
        let listener = raw.listener(Family::V4);
        let ends = |parting: &[u8]| {
            let (mut peer, server) = raw.accepted(&listener);
            shake_hands(&mut peer, &server);
            server.shutdown(Shutdown::Write).unwrap();
            peer.expect(FIN);
            peer.acknowledge();
            peer.data(parting);
            peer.fin();
            wait_state(&server, 7);
            server
        };
        drop(ends(REQUEST));
        drop(ends(ALERT));
        // The program drains it at last: it was read, as an upload is whose answer came first.
        let server = ends(REQUEST);
        read(&server, REQUEST.len());
        drop(server);
        let left = || Side::closed(Origin::Local, Outcome::Fin).time_wait();
        Expect::server(
            left().unread(BYTES).cut(Cut::Late) + left().unread(ALERT.len() as u64) + left(),
        )
    });
}

#[test]
fn when_the_peer_resets() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, server) = raw.accepted(&raw.listener(Family::V6));
        peer.data(REQUEST);
        wait_until("the request arrives", || queued(&server) == REQUEST.len());
        peer.rst();
        wait_state(&server, 7);
        drop(server);
        assert_eq!(Snmp::read().get("TCPAbortOnClose"), 0);
        Expect::server(
            Side::broken(Outcome::ResetReceived)
                .reset_received(state::ESTABLISHED)
                .unread(BYTES)
                .abandoned(),
        )
    });
}

#[test]
fn read_to_the_end_is_not_unread() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        deliver(&client, &server, REQUEST);
        client.shutdown(Shutdown::Write).unwrap();
        read(&server, REQUEST.len());
        deliver(&server, &client, ANSWER);
        read(&client, ANSWER.len());
        read_eof(&server);
        drop(server);
        read_eof(&client);
        Expect::both(
            Side::passively_closed().abandoned(),
            Side::closed(Origin::Local, Outcome::Fin).time_wait(),
        )
    });
}

#[test]
fn shut_for_reading_is_unread_all_the_same() {
    scenario(|_| {
        let (client, server) = pair(&listen());
        server.shutdown(Shutdown::Read).unwrap();
        deliver(&client, &server, REQUEST);
        drop(server);
        read_reset(&client);
        Expect::both(
            Side::broken(Outcome::ResetSent)
                .unread(BYTES)
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data),
            Side::broken(Outcome::ResetReceived)
                .reset_received(state::ESTABLISHED)
                .unanswered(Evidence::Silent),
        )
    });
}
