//! How a peer leaves: which of its last bytes are its goodbye. It knows what the conversation told, and no more of it.

use crate::frames::{
    GOAWAYS_BYTES, PING_BYTES, PROBE_AND_ACK_BYTES, PROBE_BYTES, SMALL_BYTES, TLS12_CHACHA,
    TLS12_GCM, TLS13, alert_in, goaway_and_alert_in, is_alert,
};

/// What a connection's conversation says of the bytes that the peer sends when it leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner(u8);

impl Manner {
    /// It cannot be TLS, but for [`Manner::SMALL_BEFORE_TLS`]. Nothing of this is set where nothing is known.
    const PLAIN: u8 = 1 << 6;
    /// The last question was a PING or two, or their acknowledgements.
    const PINGS: u8 = 1 << 5;
    /// The two send each other PINGs in TLS: which records.
    const RECORD: u8 = 0b11 << Self::RECORD_SHIFT;
    const RECORD_SHIFT: u8 = 3;
    /// In place of records, which what cannot be TLS has none of: small questions are questions, and which ones.
    const SMALL_ALL: u8 = Self::PLAIN | 1 << Self::RECORD_SHIFT;
    const SMALL_BUT_FRAMES: u8 = Self::PLAIN | 2 << Self::RECORD_SHIFT;
    /// As the second, where it may yet be TLS: PostgreSQL begins with as many bytes, and SMTP asks for TLS in words.
    const SMALL_BEFORE_TLS: u8 = Self::PLAIN | Self::RECORD;
    const SMALL: u8 = Self::PLAIN | Self::RECORD;

    /// What a conversation tells: whether it cannot be TLS, whether its last question was PINGs, and what TLS adds to each record
    /// where the two send each other PINGs in them, else 0.
    #[inline(always)]
    pub(crate) const fn new(is_plain: bool, pings: bool, pinged_record: u32) -> Self {
        let plain = if is_plain { Self::PLAIN } else { 0 };
        let pings = if pings { Self::PINGS } else { 0 };
        Self(plain | pings | (kind_of(pinged_record) as u8) << Self::RECORD_SHIFT)
    }

    /// The same of a peer whose small questions get answers, which in TLS there are none of.
    #[inline(always)]
    pub(crate) const fn with_small(self, small: Small) -> Self {
        let bits = match small {
            Small::All => Self::SMALL_ALL,
            Small::ButFrames if self.is_plain() => Self::SMALL_BUT_FRAMES,
            Small::ButFrames => Self::SMALL_BEFORE_TLS,
        };
        Self(self.0 & !Self::SMALL | bits)
    }

    /// Whether so few bytes are a question.
    #[inline(always)]
    pub const fn is_small_question(self, bytes: u32) -> bool {
        bytes > 0
            && bytes < SMALL_BYTES
            && match self.0 & Self::SMALL {
                Self::SMALL_ALL => true,
                Self::SMALL_BUT_FRAMES | Self::SMALL_BEFORE_TLS => !is_small_frame(bytes),
                _ => false,
            }
    }

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
        (bytes < SMALL_BYTES && !self.is_small_question(bytes))
            || (!self.is_plain() && is_alert(bytes))
            || (self.0 & Self::PINGS != 0 && bytes == PROBE_BYTES)
            || (record != 0 && matches!(bytes.wrapping_sub(record), PING_BYTES | PROBE_BYTES))
    }

    /// The same of all that came since the last read, in so many segments: control frames and an alert come in one each.
    #[inline(always)]
    pub const fn is_goodbye_in(self, bytes: u32, segments: u32) -> bool {
        self.is_goodbye(bytes) || (segments == 2 && is_farewell(bytes, self.record()))
    }

    /// The same of all that came after our FIN: an HTTP/2 client may send a GOAWAY or two before its alert, each a record
    /// of TLS.
    #[inline(always)]
    pub const fn is_leave(self, bytes: u32) -> bool {
        let in_tls = bytes == goaway_and_alert_in(TLS13)
            || bytes == goaway_and_alert_in(TLS12_GCM)
            || bytes == goaway_and_alert_in(TLS12_CHACHA);
        self.is_goodbye(bytes) || (!self.is_plain() && in_tls) || bytes == GOAWAYS_BYTES
    }

    /// The same of what came after our FIN and drew an RST: with its last segment, of so much payload, or with others before it
    /// that never arrived.
    #[inline(always)]
    pub const fn is_goodbye_at_close(self, bytes: u32, payload: u32) -> bool {
        bytes > payload && self.is_leave(bytes)
    }

    #[inline(always)]
    const fn is_plain(self) -> bool {
        self.0 & Self::PLAIN != 0 && self.0 & Self::SMALL != Self::SMALL_BEFORE_TLS
    }

    #[inline(always)]
    const fn record(self) -> u32 {
        if self.0 & Self::PLAIN != 0 {
            return 0;
        }
        record_of((self.0 & Self::RECORD) >> Self::RECORD_SHIFT)
    }
}

/// Which of a peer's small questions get answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Small {
    /// All: it speaks in short lines, and in no frames.
    All,
    /// Those that cannot be a control frame.
    ButFrames,
}

/// Whether so few bytes may be a question: of a size that no control frame has, or, behind a beginning that is too short for frames,
/// of any.
#[inline(always)]
pub const fn may_ask(bytes: u32, short_beginning: bool) -> bool {
    bytes > 0 && bytes < SMALL_BYTES && (short_beginning || !is_small_frame(bytes))
}

/// Whether so few bytes may be a frame that nobody answers: a WebSocket's close (RFC 6455 section 5.5.1: 6, or 8 with a code),
/// FastCGI's end of a stream (8), HTTP/2's SETTINGS (9), WINDOW_UPDATE and RST_STREAM (13), PING and GOAWAY (17), the last word of
/// PostgreSQL's and MySQL's clients (Terminate, COM_QUIT: 5).
#[inline(always)]
pub(crate) const fn is_small_frame(bytes: u32) -> bool {
    matches!(bytes, 5 | 6 | 8 | 9 | 13 | 17)
}

/// Whether so many bytes in two records are a gRPC client's last: a PING, a WINDOW_UPDATE, an acknowledgement, and the alert.
#[inline(always)]
pub(crate) const fn is_farewell(bytes: u32, record: u32) -> bool {
    record != 0
        && matches!(
            bytes.wrapping_sub(record + alert_in(record)),
            PING_BYTES | PROBE_BYTES | PROBE_AND_ACK_BYTES
        )
}

/// What TLS adds to a record, as two bits; 0 is not known.
#[inline(always)]
pub(crate) const fn record_of(kind: u8) -> u32 {
    // By shifting: of what is behind a branch the verifier would follow each way on its own.
    const RECORDS: u32 = TLS13 << 8 | TLS12_GCM << 16 | TLS12_CHACHA << 24;
    RECORDS >> (8 * (kind as u32 & 0b11)) & 0xff
}

#[inline(always)]
pub(crate) const fn kind_of(record: u32) -> u16 {
    match record {
        TLS13 => 1,
        TLS12_GCM => 2,
        TLS12_CHACHA => 3,
        _ => 0,
    }
}
