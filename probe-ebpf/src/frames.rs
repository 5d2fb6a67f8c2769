//! What bytes may be that are no question and no answer, by their sizes alone: alerts, PINGs, SETTINGS. What came before
//! tells whether they are.

pub use finwatch_common::frames::{
    GOAWAYS_BYTES, PING_BYTES, PINGS_BYTES, PROBE_AND_ACK_BYTES, PROBE_BYTES, SETTINGS_ACK_BYTES,
    SMALL_BYTES, TLS12_CHACHA, TLS12_GCM, TLS13, WINDOW_UPDATE_BYTES, alert_in,
    goaway_and_alert_in,
};

/// Whether so many bytes are the size of a TLS close_notify record.
#[inline(always)]
pub const fn is_alert(bytes: u32) -> bool {
    bytes == alert_in(TLS13) || bytes == alert_in(TLS12_GCM) || bytes == alert_in(TLS12_CHACHA)
}

/// No size. An `Option` of it would make the compiler read what was never written, which the verifier forbids.
pub const NONE: u32 = u32::MAX;

/// The most that [`around_pings`] knows.
pub const AROUND_PINGS_MAX: u32 = 2 * (PING_BYTES + TLS12_GCM);

/// When so many bytes are one or two HTTP/2 PINGs, or the peer's acknowledgements of ours: what is added to each, 0 without TLS;
/// else [`NONE`].
#[inline(always)]
pub const fn around_pings(bytes: u32, may_be_tls: bool) -> u32 {
    const fn are_in(bytes: u32, record: u32) -> bool {
        bytes == PING_BYTES + record
            || bytes == PINGS_BYTES + record
            || bytes == 2 * (PING_BYTES + record)
    }
    if are_in(bytes, 0) {
        0
    } else if !may_be_tls {
        NONE
    } else if are_in(bytes, TLS13) {
        TLS13
    } else if are_in(bytes, TLS12_GCM) {
        TLS12_GCM
    } else if are_in(bytes, TLS12_CHACHA) {
        TLS12_CHACHA
    } else {
        NONE
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
    matches!(
        bytes,
        PING_BYTES | PINGS_BYTES | PROBE_BYTES | PROBE_AND_ACK_BYTES
    )
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
        || is_of(bytes, SETTINGS_ACK_BYTES, 5)
        || is_of(bytes, WINDOW_UPDATE_BYTES, 5)
        || is_of(bytes, SETTINGS_ACK_BYTES + WINDOW_UPDATE_BYTES, 4)
        || bytes == WINDOW_UPDATE_BYTES
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
