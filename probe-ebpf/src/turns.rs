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

/// A ClientHello has so many bytes at least (TLS 1.3: past 130), and comes with one of so many questions: after one or two
/// where TLS is asked for first (PostgreSQL, STARTTLS).
const HELLO_BYTES_MIN: u16 = 90;
const HELLO_TURNS: u16 = 3;

/// The longest beginning of an HTTP/2 client that may hold no request: the preface (24), SETTINGS of 8 values (57), a WINDOW_UPDATE (13).
const PREFACE_BYTES_MAX: u32 = 94;
/// HTTP/2's acknowledgement of SETTINGS (RFC 9113 section 6.5).
const SETTINGS_ACK_BYTES: u32 = 9;

/// Whether so many bytes are all that an HTTP/2 server writes before it answers: its SETTINGS with few values, a WINDOW_UPDATE,
/// the acknowledgement of the client's; the last two alone where the SETTINGS went out before it read.
#[inline(always)]
const fn is_settings(bytes: u32) -> bool {
    const fn is_of(bytes: u32, others: u32, values_max: u32) -> bool {
        let least = SETTINGS_ACK_BYTES + others;
        bytes >= least && (bytes - least).is_multiple_of(6) && (bytes - least) / 6 <= values_max
    }
    // With more values it could be a very short answer.
    is_of(bytes, 0, 5)
        || is_of(bytes, 9, 5)
        || is_of(bytes, 13, 5)
        || is_of(bytes, 22, 4)
        || bytes == 13
}

/// HTTP/2 clients make room for more with WINDOW_UPDATEs only after they took so many bytes (Go; others 32 KiB).
const ROOM_BYTES_MIN: u32 = 4096;
/// What one segment with WINDOW_UPDATEs holds at most: one for the stream and one for the connection, each a record of TLS 1.2.
const ROOM_SEGMENT_BYTES_MAX: u32 = 55;
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

    /// From [`Manner::bits`]; other bits are left out.
    #[inline(always)]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & (Self::PLAIN | Self::PINGS))
    }

    /// As bits that leave the lower five and the highest free.
    #[inline(always)]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether bytes of the peer, lost, were its goodbye rather than a request: an alert, or control frames (of gRPC: the
    /// acknowledgement of a PING with the end of a stream or a WINDOW_UPDATE).
    #[inline(always)]
    pub const fn is_goodbye(self, bytes: u32) -> bool {
        bytes < SMALL_BYTES
            || (self.0 & Self::PLAIN == 0 && is_alert(bytes))
            || (self.0 & Self::PINGS != 0 && bytes == 30)
    }

    /// The same of all that came after our FIN: an HTTP/2 client may send a GOAWAY (17) or two before its alert, each a record
    /// of TLS.
    #[inline(always)]
    pub const fn is_leave(self, bytes: u32) -> bool {
        self.is_goodbye(bytes)
            || (self.0 & Self::PLAIN == 0 && matches!(bytes, 61 | 63 | 77))
            || bytes == 34
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
    /// The longest of the first questions.
    pub hello_bytes: u16,
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
        self.hello_bytes = 0;
        self.prev_written = write_seq;
        self.prev_asked = 0;
    }

    /// The beginning of the conversation was not seen: it may be anything.
    #[inline(always)]
    pub const fn miss_beginning(&mut self) {
        self.hello_bytes = u16::MAX;
    }

    /// The program took bytes (`tcp_rcv_space_adjust`). A peek moves nothing and is no read. `segments`: with data, that came
    /// since the last read; 0 where that is not known.
    #[inline(always)]
    pub const fn on_read(&mut self, write_seq: u32, copied_seq: u32, segments: u32) {
        if copied_seq == self.read {
            return;
        }
        let bytes = seq_after(copied_seq, self.read);
        if self.is_making_room(seq_after(write_seq, self.written), bytes, segments) {
            // As if it had not come: the answer stays the last word.
            self.began = self.began.wrapping_add(bytes);
            self.read = copied_seq;
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
        if self.count <= HELLO_TURNS {
            let asked = seq_after(copied_seq, self.began);
            if asked > self.hello_bytes as u32 {
                self.hello_bytes = if asked > u16::MAX as u32 {
                    u16::MAX
                } else {
                    asked as u16
                };
            }
        }
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
        Manner(plain | if pings { Manner::PINGS } else { 0 })
    }

    /// Whether nothing seen speaks against TLS.
    #[inline(always)]
    pub const fn may_be_tls(&self) -> bool {
        self.hello_bytes >= HELLO_BYTES_MIN
    }

    /// The turn to judge: the last, or the one before when the last was only the peer's goodbye, or only its acknowledgement of a
    /// PING that was no answer (then with nothing written since).
    /// `unread` bytes belong to the last turn as long as nothing was written since.
    #[inline(always)]
    pub const fn last(&self, write_seq: u32, unread: u32) -> Turn {
        let asked = seq_after(self.read, self.began);
        if self.count >= 2 && self.may_be_tls() && is_alert(asked) && unread == 0 {
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
        is_pings(asked)
            && self.count >= 2
            && self.is_no_answer(seq_after(self.written, self.prev_written))
            && self.prev_asked >= SMALL_BYTES
            && !is_control(self.prev_asked)
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
        let hello = self.hello_bytes as u32;
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
    const fn is_no_answer(&self, wrote: u32) -> bool {
        is_control(wrote) || (self.count == 2 && wrote == 39)
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
        self.count >= 2 && matches!(bytes, 30 | 47)
    }

    /// Whether so many bytes, asked last, are how gRPC's C core takes leave behind its PINGs and our GOAWAY (17, and its reason): the
    /// acknowledgement of a PING with the end of a stream.
    #[inline(always)]
    const fn is_farewell_to_goaway(&self, bytes: u32) -> bool {
        const GOAWAY_BYTES_MIN: u32 = 32;
        bytes == 30
            && self.count >= 2
            && matches!(self.prev_asked, 17 | 34 | 47)
            && seq_after(self.written, self.prev_written) >= GOAWAY_BYTES_MIN
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
