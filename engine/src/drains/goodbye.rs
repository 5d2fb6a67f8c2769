//! What a server says last to a client whose question it leaves unanswered: HTTP/2's GOAWAY, a WebSocket's close frame. Told by
//! sizes, and by what came before; it knows no drain.

use finwatch_common::{
    CloseRecord, Evidence, Origin, close_flags,
    frames::{
        CLOSE_ECHO_BYTES, CLOSE_FRAME_BYTES, GOAWAY_AND_ALERT_ENDS, GOAWAY_ENDS, GOAWAYS_BYTES,
        SMALL_BYTES,
    },
};

/// A connection becomes a WebSocket by an answer that says `HTTP/1.1 101 Switching Protocols` and `Upgrade: websocket`.
const UPGRADED_BYTES_MIN: u64 = 56;

/// Whether nothing but a goodbye followed the last question, of an open connection: `sent` says that something was sent since T0. A
/// GOAWAY without TLS is too short to be told from an answer.
pub(super) fn is_all(asked: u32, since_read: u32, sent: bool) -> bool {
    let goaway = since_read > GOAWAYS_BYTES && GOAWAY_ENDS.contains(&since_read);
    sent && asked >= SMALL_BYTES && (goaway || CLOSE_FRAME_BYTES.contains(&since_read))
}

/// Whether a connection that owed an answer at T0 ended with only a goodbye.
pub(super) fn was_all(record: &CloseRecord, since_ns: u64) -> bool {
    let quiet = record.last_read_ns <= since_ns;
    (quiet && (is_behind_goaway(record) || is_behind_close_frame(record)))
        || is_behind_close_echo(record)
}

/// Whether a WebSocket's message that was read before T0 got only a close frame since then: this shows that an answer was owed.
pub(super) fn is_close_frame_since(record: &CloseRecord, since_ns: u64) -> bool {
    record.flags & close_flags::SENT_IN_PHASE != 0
        && record.last_read_ns <= since_ns
        && is_behind_close_frame(record)
}

/// As a server of HTTP/2 ends a stream behind its GOAWAY.
fn is_behind_goaway(record: &CloseRecord) -> bool {
    let by_us = record.origin == Origin::Local as u8 || record.origin == Origin::None as u8;
    (by_us || GOAWAY_AND_ALERT_ENDS.contains(&record.since_read))
        && GOAWAY_ENDS.contains(&record.since_read)
}

/// As a server of WebSockets ends a conversation, whoever hangs up then. Who answers everything with as few bytes was never
/// upgraded to one.
fn is_behind_close_frame(record: &CloseRecord) -> bool {
    let before = record.bytes_sent.saturating_sub(record.since_read.into());
    let turns = u64::from(record.turns);
    let begun_before = turns >= 2 || record.flags & close_flags::PREEXISTING != 0;
    let others = turns.saturating_sub(2) * u64::from(record.since_read);
    record.asked >= SMALL_BYTES
        && CLOSE_FRAME_BYTES.contains(&record.since_read)
        && begun_before
        && before >= UPGRADED_BYTES_MIN + others
}

/// The client's own close frame was the last word; what it had asked before is not known any more.
fn is_behind_close_echo(record: &CloseRecord) -> bool {
    record.evidence() == Some(Evidence::Small) && CLOSE_ECHO_BYTES.contains(&record.asked)
}
