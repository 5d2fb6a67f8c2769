//! Which turn is to be judged at a conversation's end, and whether its question was answered. Exact sizes tell requests from what
//! is only said beside them.

use finwatch_common::Evidence;

use super::{PREFACE_BYTES_MAX, SETTINGS_TURNS, Turn, Turns};
use crate::{
    frames::{
        AROUND_PINGS_MAX, NONE, PING_BYTES, PINGS_BYTES, PROBE_AND_ACK_BYTES, PROBE_BYTES,
        SETTINGS_ACK_BYTES, SMALL_BYTES, TLS13, alert_in, around_pings, is_alert, is_control,
        is_control_in, is_settings, is_settings_of_go, silence,
    },
    manner::is_farewell,
    tcp::seq_after,
};

impl Turns {
    /// The turn to judge: the last, or the one before when the last was only the peer's goodbye, or only its acknowledgement of a
    /// PING that was no answer (then with nothing written since).
    /// `unread` bytes belong to the last turn as long as nothing was written since.
    #[inline(always)]
    pub fn last(&self, write_seq: u32, unread: u32) -> Turn {
        self.last_by(
            write_seq,
            unread,
            || self.alert_behind_pings(write_seq, unread),
            || self.alert_behind_settings(write_seq, unread),
        )
    }

    /// The same for who has his own ways to ask [`Turns::alert_behind_pings`] and [`Turns::alert_behind_settings`].
    #[inline(always)]
    pub fn last_by(
        &self,
        write_seq: u32,
        unread: u32,
        behind_pings: impl FnOnce() -> u32,
        behind_settings: impl FnOnce() -> u32,
    ) -> Turn {
        let mut alert = NONE;
        if self.may_be_frames() {
            alert = behind_pings();
            if alert == NONE {
                alert = behind_settings();
            }
        }
        self.last_unless_open(alert, write_seq, unread)
    }

    /// Whether the last question is so short that it may be none: only then the request before it may be open.
    #[inline(always)]
    const fn may_be_frames(&self) -> bool {
        self.count >= 2 && seq_after(self.read, self.began) <= AROUND_PINGS_MAX
    }

    /// When the request before the last turn is open behind PINGs: how many of the bytes written since are an alert; else [`NONE`].
    #[inline(always)]
    pub const fn alert_behind_pings(&self, write_seq: u32, unread: u32) -> u32 {
        let asked = seq_after(self.read, self.began);
        let pings = around_pings(asked, self.may_be_tls());
        if (self.is_nothing_more(unread) || around_pings(unread, pings != 0) != NONE)
            && self.is_open_behind_pings(asked)
        {
            silence(seq_after(write_seq, self.written), pings)
        } else {
            NONE
        }
    }

    /// The same behind SETTINGS in TLS.
    #[inline(always)]
    pub const fn alert_behind_settings(&self, write_seq: u32, unread: u32) -> u32 {
        let asked = seq_after(self.read, self.began);
        if self.is_nothing_more(unread) && self.is_open_behind_tls_settings(asked) {
            silence(seq_after(write_seq, self.written), self.settings_record())
        } else {
            NONE
        }
    }

    /// The peer's alert may lie there still.
    #[inline(always)]
    const fn is_nothing_more(&self, unread: u32) -> bool {
        unread == 0 || (self.may_be_tls() && is_alert(unread))
    }

    /// [`Turns::last`], where it is known whether the request before the last turn is open: then `alert` is no [`NONE`].
    #[inline(always)]
    const fn last_unless_open(&self, alert: u32, write_seq: u32, unread: u32) -> Turn {
        let asked = seq_after(self.read, self.began);
        let since_read = seq_after(write_seq, self.written);
        if alert != NONE {
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
        if unread == alert_in(self.pinged_record()) && self.is_frames(asked) {
            return Turn {
                since_read: seq_after(write_seq, self.prev_written),
                asked: self.prev_asked,
            };
        }
        let pings = around_pings(asked, self.may_be_tls());
        if pings != NONE
            && self.is_nothing_more(unread)
            && self.count >= 2
            && self.is_no_question(pings)
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
    pub(super) const fn is_open_behind_pings(&self, asked: u32) -> bool {
        let record = around_pings(asked, self.may_be_tls());
        let wrote = seq_after(self.written, self.prev_written);
        record != NONE
            && self.count >= 2
            && (wrote == 0 || self.is_no_answer(wrote, record))
            && self.prev_asked >= SMALL_BYTES
            // A PING that a server sends with a WINDOW_UPDATE answers data. A call without a message is as long as the client's.
            && (record != 0 || !is_control(self.prev_asked)
                || (wrote == PROBE_BYTES
                    && matches!(self.prev_asked, PROBE_BYTES | PROBE_AND_ACK_BYTES)))
    }

    /// Whether the last question, as long as a PING in such a record of TLS, was one: only control frames were before it, or the two
    /// do send each other PINGs in records like this.
    #[inline(always)]
    pub(super) const fn is_no_question(&self, record: u32) -> bool {
        record != 0
            && (record == self.pinged_record()
                || self.is_no_answer(seq_after(self.written, self.prev_written), record))
    }

    /// Whether so many bytes are a client's acknowledgement of SETTINGS in TLS. As it can be a short request where the records
    /// are not known, these must be, but for 31: as an alert it would be none either.
    #[inline(always)]
    pub(super) const fn is_settings_ack(&self, asked: u32) -> bool {
        self.count >= 2
            && self.count <= SETTINGS_TURNS
            && self.may_be_tls()
            && asked == SETTINGS_ACK_BYTES + self.settings_record()
    }

    #[inline(always)]
    pub(super) const fn settings_record(&self) -> u32 {
        match self.record() {
            0 => TLS13,
            known => known,
        }
    }

    /// Whether the last question was only that, and a request before it got no answer but SETTINGS.
    #[inline(always)]
    pub(super) const fn is_open_behind_tls_settings(&self, asked: u32) -> bool {
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
            && matches!(
                self.prev_asked,
                PING_BYTES | PINGS_BYTES | PROBE_AND_ACK_BYTES
            )
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
