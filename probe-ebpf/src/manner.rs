//! How a peer leaves: which of its last bytes are its goodbye. It knows what the conversation told, and no more of it.

use crate::frames::{
    GOAWAYS_BYTES, PING_BYTES, PROBE_AND_ACK_BYTES, PROBE_BYTES, SMALL_BYTES, TLS12_CHACHA,
    TLS12_GCM, TLS13, alert_in, goaway_and_alert_in, is_alert,
};

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

    /// What a conversation tells: whether it cannot be TLS, whether its last question was PINGs, and what TLS adds to each record
    /// where the two send each other PINGs in them, else 0.
    #[inline(always)]
    pub(crate) const fn new(is_plain: bool, pings: bool, pinged_record: u32) -> Self {
        let plain = if is_plain { Self::PLAIN } else { 0 };
        let pings = if pings { Self::PINGS } else { 0 };
        Self(plain | pings | (kind_of(pinged_record) as u8) << Self::RECORD_SHIFT)
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

    /// The same of all that came after our FIN: an HTTP/2 client may send a GOAWAY or two before its alert, each a record
    /// of TLS.
    #[inline(always)]
    pub const fn is_leave(self, bytes: u32) -> bool {
        let in_tls = bytes == goaway_and_alert_in(TLS13)
            || bytes == goaway_and_alert_in(TLS12_GCM)
            || bytes == goaway_and_alert_in(TLS12_CHACHA);
        self.is_goodbye(bytes) || (self.0 & Self::PLAIN == 0 && in_tls) || bytes == GOAWAYS_BYTES
    }

    /// The same of what came after our FIN and drew an RST: with its last segment, of so much payload, or with others before it
    /// that never arrived.
    #[inline(always)]
    pub const fn is_goodbye_at_close(self, bytes: u32, payload: u32) -> bool {
        bytes > payload && self.is_leave(bytes)
    }

    #[inline(always)]
    const fn record(self) -> u32 {
        record_of((self.0 & Self::RECORD) >> Self::RECORD_SHIFT)
    }
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
    match kind {
        1 => TLS13,
        2 => TLS12_GCM,
        3 => TLS12_CHACHA,
        _ => 0,
    }
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
