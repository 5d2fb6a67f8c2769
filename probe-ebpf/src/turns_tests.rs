//! Conversations, byte by byte, and what is owed at their end.

use finwatch_common::Evidence;

use super::*;

/// A connection on which the peer's bytes and ours are counted from one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    pub(super) turns: Turns,
    pub(super) written: u32,
    read: u32,
}

impl Talk {
    pub(super) fn new() -> Self {
        let mut turns = Turns::default();
        turns.begin(1000, 5000);
        Self {
            turns,
            written: 1000,
            read: 5000,
        }
    }
    pub(super) fn reads(mut self, bytes: u32) -> Self {
        self.read = self.read.wrapping_add(bytes);
        self.turns.on_read(self.written, self.read, 1);
        self
    }
    pub(super) fn reads_of(mut self, bytes: u32, segments: u32) -> Self {
        self.read = self.read.wrapping_add(bytes);
        self.turns.on_read(self.written, self.read, segments);
        self
    }
    pub(super) fn writes(mut self, bytes: u32) -> Self {
        self.written = self.written.wrapping_add(bytes);
        self
    }
    pub(super) fn owed(&self) -> Option<Evidence> {
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
fn settings_are_no_answer() {
    let fresh = |wrote| Talk::new().reads(64).reads(46).writes(wrote).reads(9);
    // nginx, Go, Node: one write or two, before and after the client's acknowledgement.
    for (before, after) in [(49, 0), (39, 22), (9, 9), (9, 0), (9, 26)] {
        let talk = fresh(before).writes(after);
        assert_eq!(talk.owed(), Some(Evidence::Silent), "{before} {after}");
        assert_eq!(talk.turns.last(talk.written, 0).asked, 110);
    }
    let in_two = Talk::new()
        .reads(64)
        .writes(9)
        .reads(46)
        .writes(22)
        .reads(9);
    assert_eq!(in_two.owed(), Some(Evidence::Silent));
    assert_eq!(in_two.writes(17).owed(), Some(Evidence::Silent), "a GOAWAY");
    let at_once = Talk::new().writes(9).reads(119).writes(9);
    assert_eq!(at_once.owed(), Some(Evidence::Silent));
    assert_eq!(at_once.turns.last(at_once.written, 0).asked, 119);
    assert_eq!(at_once.writes(49).owed(), None);
    assert_eq!(Talk::new().reads(119).writes(9).owed(), None, "Redis");
    assert_eq!(
        Talk::new().writes(9).reads(91).writes(9).owed(),
        None,
        "no request"
    );
    let two_and_idle = Talk::new()
        .reads(24)
        .writes(39)
        .reads(40)
        .writes(9)
        .reads(9);
    assert_eq!(two_and_idle.owed(), Some(Evidence::Small));
    let server_first = Talk::new().writes(46).reads(148).writes(9).reads(9);
    assert_eq!(server_first.owed(), Some(Evidence::Silent));
    assert_eq!(fresh(49).writes(62).owed(), None, "answered");
    assert_eq!(
        fresh(49 + 62).owed(),
        Some(Evidence::Small),
        "answered before"
    );
    let idle = Talk::new().reads(82).writes(49).reads(9);
    assert_eq!(
        idle.owed(),
        Some(Evidence::Small),
        "no request was sent yet"
    );
    let later = fresh(49).writes(62).reads(40).writes(9).reads(9);
    assert_eq!(later.owed(), Some(Evidence::Small), "not at the beginning");
    // Redis: short answers to short questions.
    let redis = Talk::new().reads(33).writes(9).reads(22).writes(9);
    assert_eq!(redis.owed(), None);
    assert_eq!(
        redis.reads(22).writes(9).reads(9).owed(),
        Some(Evidence::Small)
    );
}

#[test]
fn no_alert_without_a_hello() {
    let plain = || Talk::new().reads(27).writes(43);
    for bytes in [23, 24, 31] {
        assert_eq!(
            plain().reads(bytes).owed(),
            Some(Evidence::Silent),
            "{bytes}"
        );
        assert_eq!(
            plain().reads(27).writes(bytes).owed(),
            None,
            "an answer of {bytes}"
        );
        let manner = plain().turns.manner();
        assert!(!manner.is_goodbye(bytes), "{bytes}");
        assert!(Manner::from_bits(manner.bits() | 0x87) == manner);
        assert!(Manner::default().is_goodbye(bytes), "nothing is known");
    }
    let asked_for_tls = Talk::new().reads(8).writes(1).reads(320).writes(1500);
    assert_eq!(asked_for_tls.reads(64).writes(300).reads(24).owed(), None);
    let mut old = Talk::new();
    old.turns.miss_beginning();
    assert_eq!(old.reads(27).writes(43).reads(24).owed(), None);
}

#[test]
fn a_client_of_http2_takes_leave_with_a_goaway_and_an_alert() {
    let encrypted = Talk::new().reads(320).writes(1500).turns.manner();
    let plain = Talk::new().reads(40).writes(43).turns.manner();
    for bytes in [17, 24, 61, 63, 77] {
        assert!(encrypted.is_leave(bytes), "{bytes}");
    }
    for bytes in [24, 61, 63, 77] {
        assert!(!plain.is_leave(bytes), "{bytes}");
    }
    assert!(plain.is_leave(34), "two GOAWAYs");
    assert!(!encrypted.is_leave(62) && !encrypted.is_leave(100));
    // A request of that size is as likely, unless a part of it never came.
    assert!(encrypted.is_goodbye_at_close(63, 31) && encrypted.is_goodbye_at_close(63, 0));
    assert!(!encrypted.is_goodbye_at_close(63, 63) && !encrypted.is_goodbye_at_close(100, 0));
}

#[test]
fn a_ping_with_the_end_of_a_stream_is_a_goodbye() {
    for pings in [17, 34, 47] {
        let pinged = Talk::new().reads(260).writes(175).reads(pings).writes(103);
        assert!(pinged.turns.manner().is_goodbye(30), "{pings}");
        assert!(!pinged.turns.manner().is_goodbye(41), "{pings}");
    }
    let read = Talk::new()
        .reads(260)
        .writes(175)
        .reads(34)
        .writes(66)
        .reads(30);
    assert_eq!(read.owed(), Some(Evidence::Small));
    let short = Talk::new().reads(34).writes(5).reads(30);
    assert_eq!(short.owed(), Some(Evidence::Silent), "Redis");
    let asked = Talk::new().reads(30).writes(175).reads(30).writes(103);
    assert!(!asked.turns.manner().is_goodbye(30), "a request as before");
}

#[test]
fn room_for_more_is_no_question() {
    let plain = || Talk::new().reads(70).writes(100_000);
    let tls = || {
        Talk::new()
            .reads(517)
            .writes(1245)
            .reads(93)
            .writes(51)
            .reads(177)
            .writes(100_000)
    };
    for bytes in [13, 26] {
        let idle = plain().reads(9).reads(bytes).reads(bytes);
        assert_eq!(idle.owed(), None, "{bytes}");
        assert_eq!(
            idle.reads(40).owed(),
            Some(Evidence::Silent),
            "a request after {bytes}"
        );
        assert_eq!(idle.reads(40).turns.last(idle.written, 0).asked, 40);
    }
    for bytes in [35, 48, 42, 55] {
        assert_eq!(tls().reads(38).reads(bytes).owed(), None, "{bytes}");
        assert_eq!(
            plain().reads(bytes).owed(),
            Some(Evidence::Silent),
            "{bytes}"
        );
    }
    assert_eq!(plain().reads_of(191, 8).owed(), None, "many at once");
    assert_eq!(tls().reads_of(423, 8).owed(), None);
    assert_eq!(tls().reads_of(423, 2).owed(), Some(Evidence::Silent));
    let short = Talk::new().reads(70).writes(300);
    assert_eq!(
        short.reads(26).owed(),
        Some(Evidence::Silent),
        "not after a short answer"
    );
    let same = Talk::new().reads(26).writes(5000);
    assert_eq!(
        same.reads(26).owed(),
        Some(Evidence::Silent),
        "the same again"
    );
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
    turns.on_read(u32::MAX - 1, 50, 1);
    assert_eq!(turns.last(u32::MAX - 1, 0).asked, 52);
    assert_eq!(
        turns.owed(turns.last(u32::MAX - 1, 0)),
        Some(Evidence::Silent)
    );
    assert_eq!(turns.owed(turns.last(30, 0)), None);
}

#[test]
fn a_small_question_is_one_where_small_ones_were_answered() {
    // A text protocol: begin, update x, commit.
    let text = Talk::new().reads(7).writes(4).reads(10).writes(4).reads(8);
    assert_eq!(text.owed(), Some(Evidence::Small));
    let manner = text.turns.manner_at_stop();
    assert!(manner.is_small_question(8) && !manner.is_goodbye(8) && !manner.is_leave(8));
    assert!(!manner.is_small_question(18) && !manner.is_small_question(0));
    assert!(text.turns.manner().is_goodbye(8), "in ordinary time");
    assert_eq!(Manner::from_bits(manner.bits() | 0x87), manner);
    // PostgreSQL: a beginning of 84 bytes or more, BEGIN, COMMIT.
    for startup in [84, 102] {
        let talk = Talk::new()
            .reads(startup)
            .writes(300)
            .reads(11)
            .writes(17)
            .reads(12);
        let manner = talk.turns.manner_at_stop();
        assert!(!manner.is_goodbye(12), "{startup}");
        assert!(manner.is_goodbye(8), "it might be a frame");
        assert_eq!(manner.is_goodbye(24), startup >= 90, "it may yet be TLS");
        assert_eq!(Manner::from_bits(manner.bits()), manner);
    }
}

#[test]
fn what_nobody_answers_makes_no_small_question() {
    // FastCGI's end of a stream, behind its answer; a WebSocket with answered messages of nine bytes that takes leave.
    let fast_cgi = Talk::new().reads(700).writes(2_000).reads(8);
    let web_socket = Talk::new()
        .reads(49)
        .writes(76)
        .reads(10)
        .writes(6)
        .reads(8);
    // HTTP/2 in clear text: the preface, acknowledgements, room, a PING.
    let http2 = Talk::new()
        .reads(64)
        .writes(40)
        .reads(9)
        .writes(120)
        .reads(17)
        .writes(17);
    for (talk, bytes) in [(fast_cgi, 8), (web_socket, 8), (http2, 13), (http2, 17)] {
        assert!(talk.turns.manner_at_stop().is_goodbye(bytes), "{bytes}");
    }
    // SMTP asks for TLS in words.
    let smtp = Talk::new()
        .reads(16)
        .writes(90)
        .reads(10)
        .writes(30)
        .reads(320)
        .writes(1_500);
    for alert in [23, 24, 31] {
        assert!(smtp.turns.manner_at_stop().is_goodbye(alert), "{alert}");
    }
}

#[test]
fn a_short_request_behind_a_long_answer_makes_no_room() {
    let get = Talk::new()
        .reads(26)
        .writes(5_000)
        .reads(26)
        .writes(5_000)
        .reads(13);
    assert_eq!(get.owed(), Some(Evidence::Small), "not left out");
    // "GET / HTTP/1.1" with a Host and nothing else; HTTP/2 begins with as many bytes at the least.
    for (first, owed) in [
        (27, Some(Evidence::Silent)),
        (46, Some(Evidence::Silent)),
        (47, None),
    ] {
        let get = Talk::new().reads(first).writes(5_000).reads(26);
        assert_eq!(get.owed(), owed, "{first}");
    }
}

#[test]
fn small_questions_are_learnt_of() {
    let answered = |talk: Talk| talk.turns.answered_small(talk.turns.last(talk.written, 0));
    let first = || Talk::new().reads(7);
    assert!(!answered(first()));
    assert!(answered(first().writes(4)), "the last one");
    assert!(answered(first().writes(4).reads(400)), "one before");
    assert!(!answered(Talk::new().reads(400).writes(4)));
    // Of the size of frames: behind a beginning that is too short for any.
    for bytes in [5, 6, 8, 9, 13, 17] {
        let line = Talk::new().reads(bytes);
        assert!(line.turns.may_ask(bytes), "{bytes}");
        assert!(answered(line.writes(4).reads(bytes)), "{bytes}");
        let framed = Talk::new().reads(64).writes(40).reads(bytes);
        assert!(!framed.turns.may_ask(bytes), "{bytes}");
        assert!(!answered(framed.writes(40)), "{bytes}");
    }
    let framed = Talk::new().reads(64).writes(40).reads(12).turns;
    assert!(framed.may_ask(12) && !framed.may_ask(18) && !framed.may_ask(0));
    let mut old = Turns::default();
    old.miss_beginning();
    assert!(old.may_ask(12) && !old.may_ask(8), "nothing is known");
    assert!(Talk::new().turns.may_ask(8), "never read");
}

#[test]
fn who_asked_and_was_answered_in_the_size_of_a_frame_asks_so_again() {
    let redis = Talk::new().reads(6).writes(7).reads(6);
    assert!(redis.turns.manner_at_stop().is_small_question(6));
    let postgres = Talk::new().reads(84).writes(300).reads(12).writes(17);
    let manner = postgres.reads(5).turns.manner_at_stop();
    assert!(manner.is_small_question(12));
    assert!(!manner.is_small_question(5), "Terminate");
}

#[test]
fn frames_begin_at_their_shortest_beginning() {
    let short = |bytes: u32| Talk::new().reads(bytes).turns.has_short_beginning();
    assert!(short(46), "no request behind a preface");
    assert!(!short(47));
}

#[test]
fn a_first_small_question_shows_nothing_of_itself() {
    let manner = Talk::new().reads(7).turns.manner_at_stop();
    assert!(!manner.is_small_question(7));
}

#[test]
fn a_farewell_of_two_records_comes_in_two_segments() {
    let manner = Manner::new(false, false, TLS12_GCM);
    let farewell = PING_BYTES + TLS12_GCM + alert_in(TLS12_GCM);
    assert!(manner.is_goodbye_in(farewell, 2));
    assert!(!manner.is_goodbye_in(farewell, 1), "a request");
}
