//! Conversations of HTTP/2 in TLS, by the sizes that real clients and servers use.

use finwatch_common::Evidence;

use super::tests::Talk;

/// A connection of gRPC-Go with TLS 1.3, after its first call: the record's overhead is known.
fn grpc_tls() -> Talk {
    Talk::new()
        .reads(238)
        .writes(778)
        .reads(141)
        .writes(37)
        .reads(115)
        .writes(83)
        .reads(39)
        .writes(245)
        .reads(52)
        .writes(39)
}

#[test]
fn pings_in_tls_are_no_questions() {
    let asked = grpc_tls().reads(63);
    assert_eq!(asked.owed(), Some(Evidence::Silent), "a call of 41 bytes");
    let pinged = asked.writes(52).reads(39);
    assert_eq!(pinged.owed(), Some(Evidence::Silent));
    assert_eq!(pinged.turns.last(pinged.written, 0).asked, 63);
    assert_eq!(pinged.writes(24).owed(), Some(Evidence::Alert), "Stop()");
    let told = |talk: Talk, unread| talk.turns.owed(talk.turns.last(talk.written, unread));
    assert_eq!(told(pinged.writes(24), 24), Some(Evidence::Alert));
    let drained = pinged.writes(69).reads(39).writes(52);
    assert_eq!(drained.owed(), Some(Evidence::Silent), "GracefulStop()");
    assert_eq!(
        drained.writes(24).owed(),
        Some(Evidence::Alert),
        "its limit"
    );
    assert_eq!(drained.writes(24).reads(24).owed(), Some(Evidence::Alert));
    let answered = drained.writes(211);
    assert_eq!(answered.reads_of(76, 2).writes(24).owed(), None);
    assert_eq!(answered.reads(52).reads(24).writes(24).owed(), None);
    assert_eq!(told(answered.reads(52).writes(24), 24), None);
    assert_eq!(
        answered.reads(76).owed(),
        Some(Evidence::Silent),
        "a call in one segment"
    );
    // A server that asks whether its idle clients are there.
    let kept_alive = grpc_tls().writes(39).reads(39);
    assert_eq!(kept_alive.owed(), Some(Evidence::Small));
    assert_eq!(
        kept_alive.writes(24).reads(24).owed(),
        Some(Evidence::Small)
    );
    assert_eq!(
        kept_alive.writes(39).reads(39).owed(),
        Some(Evidence::Small)
    );
}

#[test]
fn what_is_as_long_as_a_ping_is_a_question() {
    let tls = || Talk::new().reads(517).writes(1200).reads(200).writes(300);
    for bytes in [38, 39, 46, 52, 56, 59, 63, 76, 78] {
        let asked = tls().reads(bytes);
        assert_eq!(asked.owed(), Some(Evidence::Silent), "{bytes}");
        let manner = asked.writes(300).turns.manner();
        assert!(!manner.is_goodbye_in(bytes, 2), "{bytes}");
        let plain = Talk::new().reads(70).writes(17).reads(bytes);
        assert_eq!(plain.owed(), Some(Evidence::Silent), "{bytes} without TLS");
    }
    let again = || Talk::new().reads(34).writes(30).reads(34).writes(30);
    assert_eq!(again().owed(), None);
    let third = again().reads(34);
    assert_eq!(third.owed(), Some(Evidence::Silent), "as before");
    // A call without a message is as long as a PING with a WINDOW_UPDATE.
    let call = Talk::new().reads(33).writes(18).reads(9);
    let empty = call.reads(30).writes(30).reads(17);
    assert_eq!(empty.owed(), Some(Evidence::Silent));
}

#[test]
fn settings_in_tls_are_no_question() {
    let fresh = || Talk::new().reads(241).writes(631).reads(93).writes(51);
    let idle = fresh().reads(172).writes(68 + 51 + 246).reads(38);
    assert_eq!(idle.owed(), None, "TLS 1.2");
    assert_eq!(idle.writes(31).reads(31).owed(), None);
    let unanswered = fresh().reads(177).writes(68 + 51).reads(38);
    assert_eq!(unanswered.owed(), Some(Evidence::Silent));
    assert_eq!(
        unanswered.writes(31).reads(31).owed(),
        Some(Evidence::Alert)
    );
    let fresh = || Talk::new().reads(247).writes(778);
    let idle = fresh().reads(222).writes(61 + 44 + 239).reads(31);
    assert_eq!(idle.owed(), None, "TLS 1.3");
    assert_eq!(idle.writes(24).reads(24).owed(), None);
    let unanswered = fresh().reads(227).writes(61 + 44).reads(31);
    assert_eq!(unanswered.owed(), Some(Evidence::Silent));
    assert_eq!(unanswered.writes(24).owed(), Some(Evidence::Alert));
    assert_eq!(
        unanswered.writes(24).reads(24).owed(),
        Some(Evidence::Alert)
    );
}
