//! Turns of a conversation: who asked, and whether this side has answered. Sequence numbers only, no
//! time: a fast answer falls into the same jiffy as its question.

mod owed;
mod rest;

pub use self::rest::{is_body, is_upload};
use crate::{
    frames::{
        NONE, PING_BYTES, PINGS_BYTES, PROBE_AND_ACK_BYTES, TLS12_CHACHA, TLS12_GCM, alert_in,
        around_pings, is_alert, is_control_in, silence,
    },
    manner::{Manner, Small, is_farewell, kind_of, may_ask, record_of},
    tcp::seq_after,
};

/// A ClientHello has so many bytes at least (TLS 1.3: past 130), and comes with one of so many questions: after one or two
/// where TLS is asked for first (PostgreSQL, STARTTLS).
const HELLO_BYTES_MIN: u32 = 90;
const HELLO_TURNS: u16 = 3;

/// The longest beginning of an HTTP/2 client that may hold no request: the preface (24), SETTINGS of 8 values (57), a WINDOW_UPDATE (13).
const PREFACE_BYTES_MAX: u32 = 94;
/// HTTP/2 clients make room for more with WINDOW_UPDATEs only after they took so many bytes (Go; others 32 KiB).
const ROOM_BYTES_MIN: u32 = 4096;
/// What one segment with WINDOW_UPDATEs holds at most: one for the stream and one for the connection, each a record of TLS 1.2.
const ROOM_SEGMENT_BYTES_MAX: u32 = 55;
/// HTTP/2's beginning is no shorter: the preface (24), empty SETTINGS (9) and the shortest request (9, and a byte or two for each of
/// four headers); nor is a WebSocket's handshake, by far.
const FRAMES_BYTES_MIN: u32 = 47;
/// Of [`Turns::hello`]: the bytes; that a small question was answered; the kind of TLS's records; that the two send each other
/// PINGs in them.
const HELLO_BYTES: u16 = SMALL_ANSWERED - 1;
const SMALL_ANSWERED: u16 = 1 << 12;
const RECORD_SHIFT: u16 = 13;
const RECORD_KIND: u16 = 0b11 << RECORD_SHIFT;
const PINGED: u16 = 1 << 15;

/// The turns in which a client may still acknowledge the server's SETTINGS: TLS has two before.
const SETTINGS_TURNS: u16 = 5;

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
    pub count: u16,
    /// The longest of the first questions; above, what was learned of its peer's manner.
    hello: u16,
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
        self.hello = 0;
        self.prev_written = write_seq;
        self.prev_asked = 0;
    }

    /// The beginning of the conversation was not seen: it may be anything.
    #[inline(always)]
    pub const fn miss_beginning(&mut self) {
        self.hello = HELLO_BYTES;
    }

    /// The program took bytes (`tcp_rcv_space_adjust`). A peek moves nothing and is no read. `segments`: with data, that came
    /// since the last read; 0 where that is not known.
    #[inline(always)]
    pub const fn on_read(&mut self, write_seq: u32, copied_seq: u32, segments: u32) {
        if copied_seq == self.read {
            return;
        }
        let bytes = seq_after(copied_seq, self.read);
        let answered = seq_after(write_seq, self.written);
        if self.is_making_room(answered, bytes, segments)
            || (segments == 2 && answered > 0 && is_farewell(bytes, self.pinged_record()))
        {
            // As if it had not come: the answer stays the last word.
            self.began = self.began.wrapping_add(bytes);
            self.read = copied_seq;
            return;
        }
        if self.count == 0 || write_seq != self.written {
            self.turn_over(write_seq);
        } else if self.is_frames(seq_after(self.read, self.began))
            && bytes == alert_in(self.pinged_record())
        {
            // Whoever says goodbye behind a PING had no question.
            self.began = self.read;
        }
        self.written = write_seq;
        self.read = copied_seq;
        if self.count <= HELLO_TURNS {
            let asked = seq_after(copied_seq, self.began);
            if asked > self.hello_bytes() {
                let most = HELLO_BYTES as u32;
                self.hello =
                    self.hello & !HELLO_BYTES | (if asked > most { most } else { asked }) as u16;
            }
        }
    }

    /// A new turn begins: what was the last is the one before.
    #[inline(always)]
    const fn turn_over(&mut self, write_seq: u32) {
        let asked = seq_after(self.read, self.began);
        let wrote = seq_after(write_seq, self.written);
        // It was answered since: this is a turn because something was written, or because nothing was asked before.
        if self.may_ask(asked) {
            self.hello |= SMALL_ANSWERED;
        }
        let pings = around_pings(asked, self.may_be_tls());
        let silence_behind_pings = if self.is_open_behind_pings(asked) {
            silence(wrote, pings)
        } else {
            NONE
        };
        if silence_behind_pings != NONE {
            // Pings went to and fro once more: the request before them stays the one to judge.
            self.prev_written = write_seq.wrapping_sub(silence_behind_pings);
            self.learn_pings(pings);
        } else if self.is_settings_ack(asked) {
            let alert = silence(wrote, self.settings_record());
            if self.is_open_behind_tls_settings(asked) && alert != NONE {
                self.prev_written = write_seq.wrapping_sub(alert);
            }
        } else {
            self.prev_written = self.written;
            self.prev_asked = asked;
            let acknowledged = around_pings(wrote, self.may_be_tls());
            if self.count >= 2 && pings != NONE && self.is_no_question(pings) {
                self.prev_asked = PING_BYTES;
                self.learn_pings(pings);
            } else if acknowledged != NONE && is_control_in(asked, acknowledged) {
                self.prev_asked = PING_BYTES;
                self.learn_pings(acknowledged);
            } else if self.count == 2 {
                self.learn_handshake(asked);
            }
        }
        self.began = self.read;
        self.count = self.count.saturating_add(1);
    }

    /// The two send each other PINGs, in such records.
    #[inline(always)]
    const fn learn_pings(&mut self, record: u32) {
        if record != 0 {
            self.hello = self.hello & !RECORD_KIND | kind_of(record) << RECORD_SHIFT | PINGED;
        }
    }

    /// A client of TLS 1.2 with X25519 ends its handshake with so many bytes: its key, ChangeCipherSpec, Finished.
    #[inline(always)]
    const fn learn_handshake(&mut self, asked: u32) {
        let record = match asked {
            93 => TLS12_GCM,
            85 => TLS12_CHACHA,
            _ => return,
        };
        if self.may_be_tls() {
            self.hello |= kind_of(record) << RECORD_SHIFT;
        }
    }

    /// What TLS adds to each record, 0 where that is not known.
    #[inline(always)]
    const fn record(&self) -> u32 {
        record_of((self.hello >> RECORD_SHIFT) as u8 & 0b11)
    }

    /// The same, where the two send each other PINGs.
    #[inline(always)]
    const fn pinged_record(&self) -> u32 {
        if self.hello & PINGED == 0 {
            return 0;
        }
        self.record()
    }

    #[inline(always)]
    const fn hello_bytes(&self) -> u32 {
        (self.hello & HELLO_BYTES) as u32
    }

    /// Whether bytes that come behind a long answer are no question but HTTP/2's WINDOW_UPDATEs for it, in clear or in TLS: nobody
    /// answers them. One segment must have the exact size; several are told by being so short. A client that asks the same
    /// again is never taken for this.
    #[inline(always)]
    const fn is_making_room(&self, answered: u32, bytes: u32, segments: u32) -> bool {
        if self.count == 0
            || answered < ROOM_BYTES_MIN
            || bytes == seq_after(self.read, self.began)
            || self.hello_bytes() < FRAMES_BYTES_MIN
        {
            return false;
        }
        if segments > 1 {
            return bytes <= segments.saturating_mul(ROOM_SEGMENT_BYTES_MAX);
        }
        match bytes {
            9 | 13 | 26 => true,
            35 | 42 | 48 | 55 => self.may_be_tls(),
            31 | 38 => self.may_be_tls() && self.count <= SETTINGS_TURNS,
            _ => false,
        }
    }

    /// Whether so many bytes, asked, are as long as what gRPC's client sends to measure the path, where the two do that in TLS.
    #[inline(always)]
    const fn is_frames(&self, asked: u32) -> bool {
        let record = self.pinged_record();
        record != 0 && self.count >= 2 && is_control_in(asked, record)
    }

    /// What the conversation says of the peer's last bytes.
    #[inline(always)]
    pub const fn manner(&self) -> Manner {
        let asked = seq_after(self.read, self.began);
        let pings =
            self.count >= 2 && matches!(asked, PING_BYTES | PINGS_BYTES | PROBE_AND_ACK_BYTES);
        Manner::new(!self.may_be_tls(), pings, self.pinged_record())
    }

    /// The same while a server ends what is open: a small question that it leaves without an answer is lost, where small ones
    /// were answered before. In ordinary time it may be a goodbye in words, as memcached's `quit` is.
    #[inline(always)]
    pub const fn manner_at_stop(&self) -> Manner {
        let manner = self.manner();
        if self.hello & SMALL_ANSWERED == 0 {
            manner
        } else if self.has_short_beginning() {
            manner.with_small(Small::All)
        } else {
            manner.with_small(Small::ButFrames)
        }
    }

    /// Whether so few bytes may be a question.
    #[inline(always)]
    pub const fn may_ask(&self, bytes: u32) -> bool {
        may_ask(bytes, self.has_short_beginning())
    }

    /// Whether such a question was answered: the last one, or one before.
    #[inline(always)]
    pub const fn answered_small(&self, last: Turn) -> bool {
        self.hello & SMALL_ANSWERED != 0 || (last.since_read > 0 && self.may_ask(last.asked))
    }

    /// Whether the peer has said so little that it speaks in no frames.
    #[inline(always)]
    pub const fn has_short_beginning(&self) -> bool {
        self.hello_bytes() < FRAMES_BYTES_MIN
    }

    /// Whether a segment that acknowledges so much was sent by a peer that had seen some of the last answer.
    #[inline(always)]
    pub const fn was_answer_seen(&self, acknowledged: u32) -> bool {
        seq_after(acknowledged, self.written) > 0
    }

    /// Whether so many bytes, read at once, are the peer's goodbye in TLS.
    #[inline(always)]
    pub const fn is_goodbye(&self, bytes: u32) -> bool {
        self.may_be_tls() && is_alert(bytes)
    }

    /// Whether nothing seen speaks against TLS.
    #[inline(always)]
    pub const fn may_be_tls(&self) -> bool {
        self.hello_bytes() >= HELLO_BYTES_MIN
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "turns_tls_tests.rs"]
mod tls_tests;
