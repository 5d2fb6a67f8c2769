//! Turns of a conversation: who asked, and whether this side has answered. Sequence numbers only, no
//! time: a fast answer falls into the same jiffy as its question.

use finwatch_common::Evidence;

use crate::tcp::seq_after;

/// A question below this size may be a control frame (WebSocket close, HTTP/2 PING or GOAWAY).
pub const SMALL_BYTES: u32 = 18;

/// Whether so many bytes are the size of a TLS close_notify record: TLS 1.2 with ChaCha20-Poly1305,
/// TLS 1.3 (RFC 8446 section 5.2), TLS 1.2 with AES-GCM (RFC 5288).
#[inline(always)]
pub const fn is_alert(bytes: u32) -> bool {
    matches!(bytes, 23 | 24 | 31)
}

/// Whether so many bytes are one or two HTTP/2 PINGs (RFC 9113 section 6.7), or the peer's acknowledgements of ours.
#[inline(always)]
const fn is_pings(bytes: u32) -> bool {
    matches!(bytes, 17 | 34)
}

/// Whether so many bytes written are no answer but HTTP/2's control frames: what a gRPC server sends on each request to measure
/// the path (a PING of 17 bytes, with a WINDOW_UPDATE of 13, with the acknowledgement of the client's own), or a GOAWAY. A
/// whole answer of gRPC has 36 bytes at least.
#[inline(always)]
const fn is_control(bytes: u32) -> bool {
    matches!(bytes, 17 | 30 | 34 | 47)
}

/// Whether bytes of the peer, lost, were its goodbye rather than a request.
#[inline(always)]
pub const fn is_goodbye(bytes: u32) -> bool {
    bytes < SMALL_BYTES || is_alert(bytes)
}

/// Where one connection's conversation stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Turns {
    /// `write_seq` at the last read.
    pub written: u32,
    /// `copied_seq` at the last read.
    pub read: u32,
    /// `copied_seq` when the turn began: with the first read after a write.
    pub began: u32,
    /// Turns so far.
    pub count: u32,
    /// Of the turn before: `write_seq` at its last read.
    pub prev_written: u32,
    /// Of the turn before: bytes asked.
    pub prev_asked: u32,
}

/// What is to be judged at a closing transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Bytes this side wrote since the last read.
    pub since_read: u32,
    /// Bytes the peer asked.
    pub asked: u32,
}

impl Turns {
    /// Starts over at the instant the connection is established.
    #[inline(always)]
    pub const fn begin(&mut self, write_seq: u32, copied_seq: u32) {
        self.written = write_seq;
        self.read = copied_seq;
        self.began = copied_seq;
        self.count = 0;
        self.prev_written = write_seq;
        self.prev_asked = 0;
    }

    /// The program took bytes (`tcp_rcv_space_adjust`). A peek moves nothing and is no read.
    #[inline(always)]
    pub const fn on_read(&mut self, write_seq: u32, copied_seq: u32) {
        if copied_seq == self.read {
            return;
        }
        if self.count == 0 || write_seq != self.written {
            let asked = seq_after(self.read, self.began);
            if self.is_open_behind_pings(asked) && is_control(seq_after(write_seq, self.written)) {
                // Pings went to and fro once more: the request before them stays the one to judge.
                self.prev_written = write_seq.wrapping_sub(17);
            } else {
                self.prev_written = self.written;
                self.prev_asked = asked;
            }
            self.began = self.read;
            self.count = self.count.saturating_add(1);
        }
        self.written = write_seq;
        self.read = copied_seq;
    }

    /// The turn to judge: the last, or the one before when the last was only the peer's goodbye, or only its acknowledgement of a
    /// PING that was no answer (then with nothing written since).
    /// `unread` bytes belong to the last turn as long as nothing was written since.
    #[inline(always)]
    pub const fn last(&self, write_seq: u32, unread: u32) -> Turn {
        let asked = seq_after(self.read, self.began);
        if self.count >= 2 && is_alert(asked) && unread == 0 {
            return Turn {
                since_read: seq_after(write_seq, self.prev_written),
                asked: self.prev_asked,
            };
        }
        let since_read = seq_after(write_seq, self.written);
        if (unread == 0 || is_pings(unread))
            && (since_read == 0 || is_control(since_read))
            && self.is_open_behind_pings(asked)
        {
            return Turn {
                since_read: 0,
                asked: self.prev_asked,
            };
        }
        Turn {
            since_read,
            asked: if since_read == 0 {
                asked.saturating_add(unread)
            } else {
                asked
            },
        }
    }

    /// Whether the last question was only the acknowledgement of a PING, and that PING, with the like of it, was all that a request
    /// before it got.
    #[inline(always)]
    const fn is_open_behind_pings(&self, asked: u32) -> bool {
        is_pings(asked)
            && self.count >= 2
            && self.is_no_answer(seq_after(self.written, self.prev_written))
            && self.prev_asked >= SMALL_BYTES
            && !is_control(self.prev_asked)
    }

    /// Whether so many bytes, written in the turn before the last, left its request open. On a new connection the acknowledgement
    /// of the client's SETTINGS (9) may be among them.
    #[inline(always)]
    const fn is_no_answer(&self, wrote: u32) -> bool {
        is_control(wrote) || (self.count == 2 && wrote == 39)
    }

    /// Server: whether a request was read and left without an answer, and what shows it.
    #[inline(always)]
    pub const fn owed(&self, turn: Turn) -> Option<Evidence> {
        let silent = turn.since_read == 0;
        let alert = is_alert(turn.since_read) && self.count >= 2;
        if self.count == 0 || !(silent || alert) || turn.asked == 0 {
            return None;
        }
        if turn.asked < SMALL_BYTES {
            return Some(Evidence::Small);
        }
        Some(if silent {
            Evidence::Silent
        } else {
            Evidence::Alert
        })
    }

    /// Whether so many bytes, asked last, are what a gRPC client sends behind each answer to measure the path: a PING with a
    /// WINDOW_UPDATE, and maybe with the acknowledgement of the server's own. It leaves without waiting for the like.
    #[inline(always)]
    pub const fn is_farewell_ping(&self, bytes: u32) -> bool {
        self.count >= 2 && matches!(bytes, 30 | 47)
    }

    /// Client: whether a request of ours waits for its answer. `unread`: an answer that has arrived.
    #[inline(always)]
    pub const fn awaited(&self, turn: Turn, unread: u32) -> Option<Evidence> {
        if unread > 0 || turn.since_read == 0 || (self.count > 0 && is_alert(turn.since_read)) {
            return None;
        }
        Some(if turn.since_read < SMALL_BYTES {
            Evidence::Small
        } else {
            Evidence::Silent
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    /// A connection on which the peer's bytes and ours are counted from one.
    struct Talk {
        turns: Turns,
        written: u32,
        read: u32,
    }

    impl Talk {
        fn new() -> Self {
            let mut turns = Turns::default();
            turns.begin(1000, 5000);
            Self {
                turns,
                written: 1000,
                read: 5000,
            }
        }
        fn reads(mut self, bytes: u32) -> Self {
            self.read = self.read.wrapping_add(bytes);
            self.turns.on_read(self.written, self.read);
            self
        }
        fn writes(mut self, bytes: u32) -> Self {
            self.written = self.written.wrapping_add(bytes);
            self
        }
        fn owed(&self) -> Option<Evidence> {
            self.turns.owed(self.turns.last(self.written, 0))
        }
    }

    #[test]
    fn idle_after_an_answer_owes_nothing() {
        assert_eq!(Talk::new().reads(107).writes(118).owed(), None);
        assert_eq!(Talk::new().owed(), None, "nothing was ever asked");
    }

    #[test]
    fn a_request_without_a_byte_of_answer_is_owed() {
        assert_eq!(Talk::new().reads(107).owed(), Some(Evidence::Silent));
        let second = Talk::new().reads(107).writes(118).reads(107);
        assert_eq!(second.owed(), Some(Evidence::Silent));
    }

    #[test]
    fn a_request_read_in_pieces_is_one_turn() {
        let part = Talk::new().reads(10);
        assert_eq!(
            part.turns.last(part.written, 50).asked,
            60,
            "the rest lies unread"
        );
        let talk = Talk::new().reads(10).reads(10);
        assert_eq!(talk.turns.count, 1);
        assert_eq!(talk.turns.last(talk.written, 0).asked, 20);
        assert_eq!(talk.owed(), Some(Evidence::Silent));
    }

    #[test]
    fn a_peek_is_no_read() {
        let talk = Talk::new().reads(0);
        assert_eq!(talk.turns.count, 0);
        assert_eq!(talk.owed(), None);
    }

    #[test]
    fn a_tls_alert_is_no_answer() {
        let handshake = Talk::new().reads(517).writes(1500);
        assert_eq!(
            handshake.reads(129).writes(24).owed(),
            Some(Evidence::Alert)
        );
        let first = Talk::new().reads(129).writes(24);
        assert_eq!(
            first.owed(),
            None,
            "without a handshake it may be a short answer"
        );
    }

    #[test]
    fn the_peers_goodbye_is_judged_by_the_turn_before() {
        let tls = || Talk::new().reads(517).writes(1500);
        let answered = tls().reads(129).writes(300).reads(24);
        assert_eq!(answered.owed(), None);
        let cut = tls().reads(129).writes(24).reads(24);
        assert_eq!(cut.owed(), Some(Evidence::Alert));
    }

    #[test]
    fn a_ping_that_is_acknowledged_is_no_answer() {
        let settled = || Talk::new().reads(33).writes(18).reads(9);
        for ping in [17, 30, 47] {
            let call = settled().reads(41).writes(ping);
            let owed = call.reads(17);
            assert_eq!(owed.owed(), Some(Evidence::Silent), "{ping}");
            assert_eq!(owed.turns.last(owed.written, 0).asked, 50, "{ping}");
            assert_eq!(owed.writes(189).owed(), None, "{ping}");
        }
        let fresh = Talk::new().reads(24).reads(102).writes(39).reads(17);
        assert_eq!(fresh.owed(), Some(Evidence::Silent), "the first call");
        let again = settled().reads(41).writes(30).reads(17);
        let stopping = again.writes(47).reads(17);
        assert_eq!(
            stopping.owed(),
            Some(Evidence::Silent),
            "a GOAWAY and a PING"
        );
        assert_eq!(stopping.reads(17).writes(17).owed(), Some(Evidence::Silent));
        // The client measures the path too; an answer is longer.
        let idle = || {
            settled()
                .reads(41)
                .writes(30)
                .reads(17)
                .writes(189)
                .reads(30)
        };
        assert_eq!(idle().writes(17).owed(), None);
        assert_eq!(idle().writes(17).reads(17).owed(), Some(Evidence::Small));
        let answered = settled().reads(41).writes(189).reads(17);
        assert_eq!(answered.owed(), Some(Evidence::Small));
    }

    #[test]
    fn a_small_question_is_told_apart() {
        assert_eq!(Talk::new().reads(6).owed(), Some(Evidence::Small));
        assert_eq!(Talk::new().reads(17).owed(), Some(Evidence::Small));
        assert_eq!(Talk::new().reads(18).owed(), Some(Evidence::Silent));
    }

    #[test]
    fn a_client_waits_until_an_answer_arrives() {
        let asked = Talk::new().writes(100);
        let turn = asked.turns.last(asked.written, 0);
        assert_eq!(asked.turns.awaited(turn, 0), Some(Evidence::Silent));
        assert_eq!(
            asked.turns.awaited(turn, 5),
            None,
            "it is in the receive queue"
        );
        let answered = Talk::new().writes(100).reads(200);
        assert_eq!(
            answered
                .turns
                .awaited(answered.turns.last(answered.written, 0), 0),
            None
        );
        let goodbye = Talk::new().writes(100).reads(200).writes(24);
        assert_eq!(
            goodbye
                .turns
                .awaited(goodbye.turns.last(goodbye.written, 0), 0),
            None
        );
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut turns = Turns::default();
        turns.begin(u32::MAX - 1, u32::MAX - 1);
        turns.on_read(u32::MAX - 1, 50);
        assert_eq!(turns.last(u32::MAX - 1, 0).asked, 52);
        assert_eq!(
            turns.owed(turns.last(u32::MAX - 1, 0)),
            Some(Evidence::Silent)
        );
        assert_eq!(turns.owed(turns.last(30, 0)), None);
    }
}
