//! Turns of a conversation: who asked, and whether this side has answered. Sequence numbers only, no
//! time: a fast answer falls into the same jiffy as its question.

use finwatch_common::Evidence;

use crate::{
    frames::{
        PING_BYTES, PROBE_AND_ACK_BYTES, PROBE_BYTES, SETTINGS_ACK_BYTES, TLS12_CHACHA, TLS12_GCM,
        TLS13, alert_in, around_pings, is_alert, is_control, is_control_in, is_settings,
        is_settings_of_go,
    },
    tcp::seq_after,
};

/// A question below this size may be a control frame (WebSocket close, HTTP/2 PING or GOAWAY).
pub const SMALL_BYTES: u32 = 18;

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
/// Of [`Turns::hello`]: the bytes; the kind of TLS's records; that the two send each other PINGs in them.
const HELLO_BYTES: u16 = (1 << RECORD_SHIFT) - 1;
const RECORD_SHIFT: u16 = 13;
const RECORD_KIND: u16 = 0b11 << RECORD_SHIFT;
const PINGED: u16 = 1 << 15;

/// The turns in which a client may still acknowledge the server's SETTINGS: TLS has two before.
const SETTINGS_TURNS: u16 = 5;

/// What a connection's conversation says of the bytes that the peer sends when it leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner(u8);

impl Manner {
    /// It cannot be TLS. Nothing of this is set where nothing is known.
    const PLAIN: u8 = 1 << 6;
    /// The last question was a PING or two, or their acknowledgements.
    const PINGS: u8 = 1 << 5;
    /// The two send each other PINGs in TLS: which records.
    const RECORD: u8 = 0b11 << Self::RECORD_SHIFT;
    const RECORD_SHIFT: u8 = 3;

    /// From [`Manner::bits`]; other bits are left out.
    #[inline(always)]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & (Self::PLAIN | Self::PINGS | Self::RECORD))
    }

    /// As bits that leave the lower three and the highest free.
    #[inline(always)]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether bytes of the peer, lost, were its goodbye rather than a request: an alert, or control frames (of gRPC: the
    /// acknowledgement of a PING with the end of a stream or a WINDOW_UPDATE).
    #[inline(always)]
    pub const fn is_goodbye(self, bytes: u32) -> bool {
        let record = self.record();
        bytes < SMALL_BYTES
            || (self.0 & Self::PLAIN == 0 && is_alert(bytes))
            || (self.0 & Self::PINGS != 0 && bytes == PROBE_BYTES)
            || (record != 0 && matches!(bytes.wrapping_sub(record), PING_BYTES | PROBE_BYTES))
    }

    /// The same of all that came since the last read, in so many segments: control frames and an alert come in one each.
    #[inline(always)]
    pub const fn is_goodbye_in(self, bytes: u32, segments: u32) -> bool {
        self.is_goodbye(bytes) || (segments == 2 && is_farewell(bytes, self.record()))
    }

    #[inline(always)]
    const fn record(self) -> u32 {
        record_of((self.0 & Self::RECORD) >> Self::RECORD_SHIFT)
    }
}

/// Whether so many bytes in two records are a gRPC client's last: a PING, a WINDOW_UPDATE, an acknowledgement, and the alert.
#[inline(always)]
const fn is_farewell(bytes: u32, record: u32) -> bool {
    record != 0
        && matches!(
            bytes.wrapping_sub(record + alert_in(record)),
            PING_BYTES | PROBE_BYTES | PROBE_AND_ACK_BYTES
        )
}

/// What TLS adds to a record, as two bits; 0 is not known.
#[inline(always)]
const fn record_of(kind: u8) -> u32 {
    match kind {
        1 => TLS13,
        2 => TLS12_GCM,
        3 => TLS12_CHACHA,
        _ => 0,
    }
}

#[inline(always)]
const fn kind_of(record: u32) -> u16 {
    match record {
        TLS13 => 1,
        TLS12_GCM => 2,
        TLS12_CHACHA => 3,
        _ => 0,
    }
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
    pub count: u16,
    /// The longest of the first questions; above, what was learned of TLS.
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

/// When so many bytes are none, or control frames, an alert in such a record, or both: how many of them are the alert.
#[inline(always)]
const fn silence(wrote: u32, record: u32) -> Option<u32> {
    let alert = alert_in(record);
    if wrote == 0 || is_control_in(wrote, record) {
        Some(0)
    } else if record != 0 && (wrote == alert || is_control_in(wrote.wrapping_sub(alert), record)) {
        Some(alert)
    } else {
        None
    }
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
        let pings = around_pings(asked, self.may_be_tls());
        if let Some(record) = pings
            && self.is_open_behind_pings(asked)
            && let Some(alert) = silence(wrote, record)
        {
            // Pings went to and fro once more: the request before them stays the one to judge.
            self.prev_written = write_seq.wrapping_sub(alert);
            self.learn_pings(record);
        } else if self.is_settings_ack(asked) {
            if self.is_open_behind_tls_settings(asked)
                && let Some(alert) = silence(wrote, TLS13)
            {
                self.prev_written = write_seq.wrapping_sub(alert);
            }
        } else {
            self.prev_written = self.written;
            self.prev_asked = asked;
            if let Some(record) = pings
                && self.is_no_question(record)
            {
                self.prev_asked = PING_BYTES;
                self.learn_pings(record);
            } else if let Some(record) = around_pings(wrote, self.may_be_tls())
                && is_control_in(asked, record)
            {
                self.prev_asked = PING_BYTES;
                self.learn_pings(record);
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
        if self.count == 0 || answered < ROOM_BYTES_MIN || bytes == seq_after(self.read, self.began)
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

    /// What the conversation says of the peer's last bytes.
    #[inline(always)]
    pub const fn manner(&self) -> Manner {
        let plain = if self.may_be_tls() { 0 } else { Manner::PLAIN };
        let pings = matches!(seq_after(self.read, self.began), 17 | 34 | 47) && self.count >= 2;
        let record = kind_of(self.pinged_record()) as u8;
        Manner(plain | if pings { Manner::PINGS } else { 0 } | record << Manner::RECORD_SHIFT)
    }

    #[inline(always)]
    const fn may_be_tls(&self) -> bool {
        self.hello_bytes() >= HELLO_BYTES_MIN
    }

    /// The turn to judge: the last, or the one before when the last was only the peer's goodbye, or only its acknowledgement of a
    /// PING that was no answer (then with nothing written since).
    /// `unread` bytes belong to the last turn as long as nothing was written since.
    #[inline(always)]
    pub const fn last(&self, write_seq: u32, unread: u32) -> Turn {
        let asked = seq_after(self.read, self.began);
        let since_read = seq_after(write_seq, self.written);
        let pings = around_pings(asked, self.may_be_tls());
        if let Some(record) = pings
            && (unread == 0 || around_pings(unread, record != 0).is_some())
            && self.is_open_behind_pings(asked)
            && let Some(alert) = silence(since_read, record)
        {
            return Turn {
                since_read: alert,
                asked: self.prev_asked,
            };
        }
        if unread == 0
            && self.is_open_behind_tls_settings(asked)
            && let Some(alert) = silence(since_read, TLS13)
        {
            return Turn {
                since_read: alert,
                asked: self.prev_asked,
            };
        }
        if self.count >= 2
            && self.may_be_tls()
            && (is_alert(asked) || self.is_settings_ack(asked))
            && unread == 0
        {
            return Turn {
                since_read: seq_after(write_seq, self.prev_written),
                asked: self.prev_asked,
            };
        }
        if let Some(record) = pings
            && unread == 0
            && self.count >= 2
            && self.is_no_question(record)
        {
            return Turn {
                since_read,
                asked: PING_BYTES,
            };
        }
        if unread == 0 && self.is_open_behind_settings(asked, since_read) {
            return Turn {
                since_read: 0,
                asked: if self.count == 1 {
                    asked
                } else {
                    self.prev_asked
                },
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
        let Some(record) = around_pings(asked, self.may_be_tls()) else {
            return false;
        };
        let wrote = seq_after(self.written, self.prev_written);
        self.count >= 2
            && (wrote == 0 || self.is_no_answer(wrote, record))
            && self.prev_asked >= SMALL_BYTES
            // A PING that a server sends with a WINDOW_UPDATE answers data. A call without a message is as long as the client's.
            && (record != 0 || !is_control(self.prev_asked) || wrote == PROBE_BYTES)
    }

    /// Whether the last question, as long as a PING in such a record, was one: only control frames were before it, or the two
    /// do send each other PINGs in records like this.
    #[inline(always)]
    const fn is_no_question(&self, record: u32) -> bool {
        record == self.pinged_record()
            || self.is_no_answer(seq_after(self.written, self.prev_written), record)
    }

    /// Whether so many bytes are a client's acknowledgement of SETTINGS in TLS. As it can be a short request where the records
    /// are not known, these must be, but for 31: as an alert it would be none either.
    #[inline(always)]
    const fn is_settings_ack(&self, asked: u32) -> bool {
        let record = match self.record() {
            0 => TLS13,
            known => known,
        };
        self.count >= 2
            && self.count <= SETTINGS_TURNS
            && self.may_be_tls()
            && asked == SETTINGS_ACK_BYTES + record
    }

    /// Whether the last question was only that, and a request before it got no answer but SETTINGS.
    #[inline(always)]
    const fn is_open_behind_tls_settings(&self, asked: u32) -> bool {
        let wrote = seq_after(self.written, self.prev_written);
        self.is_settings_ack(asked)
            && (wrote == 0 || is_settings_of_go(wrote))
            && self.prev_asked > PREFACE_BYTES_MAX
    }

    /// Whether an HTTP/2 client's first words held a request, and all that followed on either side were SETTINGS, their
    /// acknowledgements and a GOAWAY (17). Exact sizes on the first two or three turns, so a short answer to a short question is
    /// not taken for this.
    #[inline(always)]
    const fn is_open_behind_settings(&self, asked: u32, since_read: u32) -> bool {
        let silent = match self.count {
            // The server spoke first, and the client's acknowledgement came with its request.
            1 => {
                return asked > PREFACE_BYTES_MAX + SETTINGS_ACK_BYTES
                    && matches!(since_read, 9 | 13 | 22 | 26 | 39)
                    && is_settings(seq_after(self.written, self.prev_written));
            }
            2 => matches!(since_read, 0 | 9 | 13 | 17 | 22 | 26 | 30 | 39),
            3 => matches!(since_read, 0 | 9 | 17),
            _ => false,
        };
        // Of three turns the longest question is remembered too.
        let hello = self.hello_bytes();
        let beginning = if self.count == 3 && hello > self.prev_asked {
            hello.saturating_add(self.prev_asked)
        } else {
            self.prev_asked
        };
        silent
            && asked == SETTINGS_ACK_BYTES
            && beginning > PREFACE_BYTES_MAX
            && self.prev_asked >= SMALL_BYTES
            && is_settings(seq_after(self.written, self.prev_written))
    }

    /// Whether so many bytes, written in the turn before the last, left its request open. On a new connection the acknowledgement
    /// of the client's SETTINGS (9) may be among them.
    #[inline(always)]
    const fn is_no_answer(&self, wrote: u32, record: u32) -> bool {
        const FIRST: u32 = SETTINGS_ACK_BYTES + PROBE_BYTES;
        is_control_in(wrote, record)
            || (record == 0 && self.count == 2 && wrote == FIRST)
            || (record != 0
                && self.count <= SETTINGS_TURNS
                && (wrote == FIRST + record || wrote == FIRST + 2 * record))
    }

    /// Server: whether a request was read and left without an answer, and what shows it.
    #[inline(always)]
    pub const fn owed(&self, turn: Turn) -> Option<Evidence> {
        let silent = turn.since_read == 0;
        let alert = self.may_be_tls() && is_alert(turn.since_read) && self.count >= 2;
        if self.count == 0 || !(silent || alert) || turn.asked == 0 {
            return None;
        }
        if turn.asked < SMALL_BYTES || self.is_farewell_to_goaway(turn.asked) {
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
        let record = self.pinged_record();
        self.count >= 2
            && (matches!(bytes, PROBE_BYTES | PROBE_AND_ACK_BYTES)
                || is_farewell(bytes, record)
                || (record != 0
                    && matches!(
                        bytes.wrapping_sub(record),
                        PROBE_BYTES | PROBE_AND_ACK_BYTES
                    )))
    }

    /// Whether so many bytes, asked last, are how gRPC's C core takes leave behind its PINGs and our GOAWAY (17, and its reason): the
    /// acknowledgement of a PING with the end of a stream.
    #[inline(always)]
    const fn is_farewell_to_goaway(&self, bytes: u32) -> bool {
        const GOAWAY_BYTES_MIN: u32 = 32;
        let record = if bytes == PROBE_BYTES {
            0
        } else {
            self.pinged_record()
        };
        bytes == PROBE_BYTES + record
            && self.count >= 2
            && matches!(self.prev_asked, 17 | 34 | 47)
            && seq_after(self.written, self.prev_written) >= GOAWAY_BYTES_MIN + record
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
#[path = "turns_tests.rs"]
mod tests;
