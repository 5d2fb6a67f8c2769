//! Sizes of what is said beside requests and answers, in bytes: HTTP/2's control frames, bare or in records of TLS, and
//! TLS's own alerts. Sizes only: what came before tells whether they mean it.

/// What TLS 1.3 adds to what one record holds (RFC 8446 section 5.2).
pub const TLS13: u32 = 22;
/// The same of TLS 1.2 with AES-GCM (RFC 5288).
pub const TLS12_GCM: u32 = 29;
/// The same of TLS 1.2 with ChaCha20-Poly1305 (RFC 7905).
pub const TLS12_CHACHA: u32 = 21;

/// The close_notify of a connection whose records add so much: 2 bytes (RFC 8446 section 6.1).
#[inline(always)]
pub const fn alert_in(record: u32) -> u32 {
    record + 2
}

/// The longest close_notify: closing without the peer's acknowledgement of it truncates nothing.
pub const ALERT_BYTES_MAX: u32 = alert_in(TLS12_GCM);

/// A question below this size may be a control frame (WebSocket close, HTTP/2 PING or GOAWAY).
pub const SMALL_BYTES: u32 = 18;

/// HTTP/2's PING, and its acknowledgement (RFC 9113 section 6.7).
pub const PING_BYTES: u32 = 17;
/// Two of them.
pub const PINGS_BYTES: u32 = 2 * PING_BYTES;
/// HTTP/2's WINDOW_UPDATE (RFC 9113 section 6.9).
pub const WINDOW_UPDATE_BYTES: u32 = 13;
/// A PING behind a WINDOW_UPDATE, as gRPC measures the path.
pub const PROBE_BYTES: u32 = PING_BYTES + WINDOW_UPDATE_BYTES;
/// The same, with the acknowledgement of the other side's PING.
pub const PROBE_AND_ACK_BYTES: u32 = PROBE_BYTES + PING_BYTES;
/// HTTP/2's acknowledgement of SETTINGS (RFC 9113 section 6.5).
pub const SETTINGS_ACK_BYTES: u32 = 9;

/// HTTP/2's GOAWAY without debug text (RFC 9113 section 6.8).
pub const GOAWAY_BYTES: u32 = 17;
/// Two of them: a server that leaves gracefully says first that it will, and then from which stream on.
pub const GOAWAYS_BYTES: u32 = 2 * GOAWAY_BYTES;

/// What is written behind a request that a GOAWAY cut: the frame once or twice, bare or in records of TLS, and the alert
/// with it. In ascending order; exact sizes, as a short answer of HTTP/1.1 is as small.
pub const GOAWAY_ENDS: [u32; 14] = [
    GOAWAY_BYTES,
    GOAWAYS_BYTES,
    GOAWAY_BYTES + TLS12_CHACHA,
    GOAWAY_BYTES + TLS13,
    GOAWAY_BYTES + TLS12_GCM,
    GOAWAYS_BYTES + TLS13,
    goaway_and_alert_in(TLS12_CHACHA),
    // In TLS 1.3 with the alert, and two in one record of TLS 1.2.
    goaway_and_alert_in(TLS13),
    // No sum of the sizes above; which server writes so is not known here.
    70,
    2 * (GOAWAY_BYTES + TLS12_CHACHA),
    goaway_and_alert_in(TLS12_GCM),
    2 * (GOAWAY_BYTES + TLS13),
    GOAWAYS_BYTES + TLS13 + alert_in(TLS13),
    2 * (GOAWAY_BYTES + TLS12_GCM),
];

/// Of these, the ones that end with the alert: nothing more was to come, whoever hung up.
pub const GOAWAY_AND_ALERT_ENDS: [u32; 4] = [
    goaway_and_alert_in(TLS12_CHACHA),
    goaway_and_alert_in(TLS13),
    goaway_and_alert_in(TLS12_GCM),
    GOAWAYS_BYTES + TLS13 + alert_in(TLS13),
];

/// A WebSocket's close frame of a server (RFC 6455 section 5.5.1), without a code and with one. A reason in words may follow, and in TLS
/// it is as long as an answer and a bare close frame may be: neither is known by its size.
pub const CLOSE_FRAME_BYTES: [u32; 2] = [2, 4];

/// A client echoes a close frame with four bytes more: it masks what it sends.
pub const CLOSE_ECHO_BYTES: [u32; 2] = [CLOSE_FRAME_BYTES[0] + 4, CLOSE_FRAME_BYTES[1] + 4];

/// A GOAWAY and the alert, each in such a record: how an HTTP/2 peer leaves that speaks TLS.
#[inline(always)]
pub const fn goaway_and_alert_in(record: u32) -> u32 {
    GOAWAY_BYTES + record + alert_in(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_what_is_seen_on_the_wire() {
        assert_eq!((PROBE_BYTES, PROBE_AND_ACK_BYTES), (30, 47));
        assert_eq!([TLS13, TLS12_GCM, TLS12_CHACHA].map(alert_in), [24, 31, 23]);
        assert_eq!(
            GOAWAY_ENDS,
            [17, 34, 38, 39, 46, 56, 61, 63, 70, 76, 77, 78, 80, 92]
        );
        assert_eq!(GOAWAY_AND_ALERT_ENDS, [61, 63, 77, 80]);
        assert!(GOAWAY_ENDS.is_sorted());
        assert_eq!(CLOSE_ECHO_BYTES, [6, 8]);
    }
}
