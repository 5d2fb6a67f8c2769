//! Uploads that are answered before all of them is there: the rest is read and thrown away, so that the client reads its answer.

use std::io::Write as _;

use super::{ANSWER, REQUEST};
use crate::{
    harness::{
        Cut, Evidence, Expect, Lost, Origin, Outcome, Reason, Side, scenario, sock::read,
        wait_until,
    },
    raw::{ACK, FIN, Family, PSH, RST, RawConn, RawPeer},
};

/// More than the head of a request.
const PART: usize = 5000;

/// Sends an upload's bytes in segments of which the last has been read.
fn sends(peer: &mut RawConn<'_>, bytes: usize) {
    for segment in vec![b'x'; bytes].chunks(1000) {
        peer.data(segment);
    }
}

/// The same, but as one who has not seen what came since `seen`.
fn sends_unaware(peer: &mut RawConn<'_>, seen: u32, bytes: usize) {
    for segment in vec![b'x'; bytes].chunks(1000) {
        peer.send_at(peer.seq, seen, ACK | PSH, segment);
        peer.seq += u32::try_from(segment.len()).unwrap();
    }
}

/// A server that refuses an upload, reads what was under way, and closes: the client had its answer.
#[test]
fn whose_rest_is_read_before_the_close() {
    for all_unaware in [true, false] {
        scenario(|_| {
            let raw = RawPeer::new();
            let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
            sends(&mut peer, PART);
            read(&server, PART);
            let seen = peer.ack;
            server.write_all(ANSWER).unwrap();
            sends_unaware(&mut peer, seen, PART);
            peer.expect_data(ANSWER.len());
            if !all_unaware {
                // It goes on sending when it has the answer.
                sends(&mut peer, PART);
            }
            read(&server, if all_unaware { PART } else { 2 * PART });
            peer.acknowledge();
            drop(server);
            peer.expect(FIN);
            peer.fin();
            peer.expect(ACK);
            Expect::server(Side::closed(Origin::Local, Outcome::Fin).time_wait())
        });
    }
}

/// Its client read the answer, and sends the next upload: that one has none.
#[test]
fn behind_the_answer_to_another() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        sends(&mut peer, PART);
        read(&server, PART);
        server.write_all(ANSWER).unwrap();
        peer.expect_data(ANSWER.len());
        // Which segment acknowledged the answer is known until others have come.
        sends(&mut peer, 1000);
        read(&server, 1000);
        sends(&mut peer, PART);
        read(&server, PART);
        drop(server);
        peer.expect(FIN);
        peer.fin();
        peer.expect(ACK);
        Expect::server(
            Side::closed(Origin::Local, Outcome::Fin)
                .time_wait()
                .cut(Cut::Unanswered)
                .unanswered(Evidence::Silent),
        )
    });
}

/// A client that reads the answer and leaves did not give up.
#[test]
fn whose_client_leaves_with_its_answer() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        sends(&mut peer, PART);
        read(&server, PART);
        let seen = peer.ack;
        server.write_all(ANSWER).unwrap();
        sends_unaware(&mut peer, seen, PART);
        read(&server, PART);
        peer.expect_data(ANSWER.len());
        peer.fin();
        wait_until("the end is seen", || {
            server.peek(&mut [0]).is_ok_and(|bytes| bytes == 0)
        });
        drop(server);
        peer.expect(FIN);
        peer.acknowledge();
        Expect::server(Side::passively_closed())
    });
}

/// A server that answers the head and closes; the body comes when its client has the answer, as of one that sends slowly. A request
/// that crosses the FIN of a busy connection looks the same, so nobody can say that nothing was lost.
#[test]
fn whose_body_comes_behind_the_close() {
    scenario(|_| {
        let raw = RawPeer::new();
        let (mut peer, mut server) = raw.accepted(&raw.listener(Family::V4));
        peer.data(REQUEST);
        read(&server, REQUEST.len());
        server.write_all(ANSWER).unwrap();
        drop(server);
        peer.expect(FIN);
        peer.send(ACK | PSH, &[b'x'; PART]);
        peer.expect(RST);
        Expect::server(
            Side::closed(Origin::Local, Outcome::ResetSent)
                .rest_or_request()
                .reset_sent(Reason::AbortOnData, Lost::Data),
        )
    });
}
