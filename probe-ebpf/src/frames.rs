//! Sizes of what is said beside requests and answers: HTTP/2's control frames, bare or in records of TLS, and TLS's own alerts.
//! It knows sizes only; what came before tells whether they mean it.

/// What TLS adds to what one record holds: TLS 1.3 (RFC 8446 section 5.2), TLS 1.2 with AES-GCM (RFC 5288), TLS 1.2 with
/// ChaCha20-Poly1305 (RFC 7905).
pub const TLS13: u32 = 22;
/// See [`TLS13`].
pub const TLS12_GCM: u32 = 29;
/// See [`TLS13`].
pub const TLS12_CHACHA: u32 = 21;

/// HTTP/2's PING and GOAWAY (RFC 9113 sections 6.7 and 6.8).
pub const PING_BYTES: u32 = 17;
/// A PING behind a WINDOW_UPDATE, as gRPC measures the path.
pub const PROBE_BYTES: u32 = 30;
/// The same, with the acknowledgement of the other side's PING.
pub const PROBE_AND_ACK_BYTES: u32 = 47;
/// HTTP/2's acknowledgement of SETTINGS (RFC 9113 section 6.5).
pub const SETTINGS_ACK_BYTES: u32 = 9;

/// Whether so many bytes are the size of a TLS close_notify record.
#[inline(always)]
pub const fn is_alert(bytes: u32) -> bool {
    matches!(bytes, 23 | 24 | 31)
}

/// The close_notify of a connection whose records add so much: 2 bytes.
#[inline(always)]
pub const fn alert_in(record: u32) -> u32 {
    record + 2
}

/// No size. An `Option` of it would make the compiler read what was never written, which the verifier forbids.
pub const NONE: u32 = u32::MAX;

/// When so many bytes are one or two HTTP/2 PINGs, or the peer's acknowledgements of ours: what is added to each, 0 without TLS;
/// else [`NONE`].
#[inline(always)]
pub const fn around_pings(bytes: u32, may_be_tls: bool) -> u32 {
    match bytes {
        17 | 34 => 0,
        39 | 56 | 78 if may_be_tls => TLS13,
        46 | 63 | 92 if may_be_tls => TLS12_GCM,
        38 | 55 | 76 if may_be_tls => TLS12_CHACHA,
        _ => NONE,
    }
}

/// When so many bytes are none, or control frames, an alert in such a record, or both: how many of them are the alert; else
/// [`NONE`].
#[inline(always)]
pub const fn silence(wrote: u32, record: u32) -> u32 {
    let alert = alert_in(record);
    if wrote == 0 || is_control_in(wrote, record) {
        0
    } else if record != 0 && (wrote == alert || is_control_in(wrote.wrapping_sub(alert), record)) {
        alert
    } else {
        NONE
    }
}

/// Whether so many bytes written are no answer but HTTP/2's control frames: what a gRPC server sends on each request to measure
/// the path (a PING of 17 bytes, with a WINDOW_UPDATE of 13, with the acknowledgement of the client's own), or a GOAWAY. A
/// whole answer of gRPC has 36 bytes at least.
#[inline(always)]
pub const fn is_control(bytes: u32) -> bool {
    matches!(bytes, PING_BYTES | PROBE_BYTES | 34 | PROBE_AND_ACK_BYTES)
}

/// The same in one record, or in two.
#[inline(always)]
pub const fn is_control_in(bytes: u32, record: u32) -> bool {
    is_control(bytes.wrapping_sub(record)) || is_control(bytes.wrapping_sub(2 * record))
}

/// Whether so many bytes are all that an HTTP/2 server writes before it answers: its SETTINGS with few values, a WINDOW_UPDATE,
/// the acknowledgement of the client's; the last two alone where the SETTINGS went out before it read.
#[inline(always)]
pub const fn is_settings(bytes: u32) -> bool {
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

/// Whether so many bytes are what Go's HTTP/2 server writes before it answers, in TLS records: SETTINGS of 5 values, and the
/// acknowledgement of the client's with a WINDOW_UPDATE, together or apart.
#[inline(always)]
pub const fn is_settings_of_go(bytes: u32) -> bool {
    matches!(bytes, 105 | 119 | 103 | 127 | 148 | 124)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_add_the_same_to_all() {
        for (record, alert) in [(TLS13, 24), (TLS12_GCM, 31), (TLS12_CHACHA, 23)] {
            assert_eq!(alert_in(record), alert);
            assert!(is_alert(alert));
            for pings in [17 + record, 34 + record, 2 * (17 + record)] {
                assert_eq!(around_pings(pings, true), record, "{pings}");
                assert_eq!(around_pings(pings, false), NONE, "{pings}");
                assert!(is_control_in(pings, record), "{pings}");
            }
            for control in [30 + record, 47 + record, 17 + 30 + 2 * record] {
                assert!(is_control_in(control, record), "{control}");
            }
            // The shortest answer of gRPC.
            assert!(!is_control_in(36 + record, record));
            let settings = 9 + 5 * 6;
            assert!(is_settings_of_go(settings + 9 + 13 + 2 * record));
            assert!(is_settings_of_go(settings + 9 + 13 + 3 * record));
        }
        assert_eq!(around_pings(17, false), 0);
        assert!(is_control_in(30, 0));
    }
}
