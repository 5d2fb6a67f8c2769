//! Times, durations, counts and bytes as people read them.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use finwatch_engine::model::{Cuts, Service};

/// Words whose times are those of a time zone.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    zone: TimeZone,
}

// === impl Words ===

impl Words {
    /// Of where this process runs.
    pub(crate) fn local() -> Self {
        Self {
            zone: TimeZone::system(),
        }
    }

    /// `2026-11-22 16:52:01.250 +01:00`.
    pub(super) fn full_time(&self, time: Timestamp) -> String {
        let local = time.to_zoned(self.zone.clone());
        local.strftime("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
    }

    /// `2026-11-22 16:52:01 +01:00`.
    pub(crate) fn time(&self, time: Timestamp) -> String {
        let local = time.to_zoned(self.zone.clone());
        local.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }

    /// `11-22 16:52:01`, in a column that names the offset.
    pub(super) fn short_time(&self, time: Timestamp) -> String {
        let local = time.to_zoned(self.zone.clone());
        local.strftime("%m-%d %H:%M:%S").to_string()
    }

    /// `+01:00`, as it is at that time.
    pub(super) fn offset(&self, time: Timestamp) -> String {
        let local = time.to_zoned(self.zone.clone());
        local.strftime("%:z").to_string()
    }
}

/// `0.4 ms`, `850 ms`, `1.2 s`, `2 min 3 s`, `5 h 2 min`, `3 d 4 h`.
pub(crate) fn span(duration: SignedDuration) -> String {
    let micros = duration.as_micros().max(0);
    let secs = duration.as_secs().max(0);
    let two = |large: i64, unit: &str, small: i64, smaller: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {smaller}"),
    };
    match secs {
        0 if micros < 10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        0 => format!("{} ms", micros / 1_000),
        // Rounded down, so that 59.99 s is not 60.0 s.
        1..60 => format!("{secs}.{} s", micros / 100_000 % 10),
        60..3_600 => two(secs / 60, "min", secs % 60, "s"),
        3_600..86_400 => two(secs / 3_600, "h", secs % 3_600 / 60, "min"),
        _ => two(secs / 86_400, "d", secs % 86_400 / 3_600, "h"),
    }
}

/// Seconds that were measured as a fraction.
pub(super) fn secs(secs: f64) -> String {
    span(SignedDuration::try_from_secs_f64(secs).unwrap_or_default())
}

/// `+1.2 s` after T0, `-0.5 ms` before.
pub(super) fn after(time: Timestamp, start: Timestamp) -> String {
    let since = time.duration_since(start);
    let sign = if since.is_negative() { '-' } else { '+' };
    format!("{sign}{}", span(since.abs()))
}

/// `1 connection`, `2 connections`.
pub(super) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ if noun.ends_with('s') => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

/// `214 B`, `16.0 KiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `17 (10 unanswered, 2 unread, 5 late)`.
pub(crate) fn cuts(cut: Cuts) -> String {
    let Cuts {
        unanswered,
        unread,
        late,
    } = cut;
    let causes = parts(&[
        (unanswered, "unanswered"),
        (unread, "unread"),
        (late, "late"),
    ]);
    match cut.total() {
        0 => "0".to_owned(),
        total => format!("{total} ({causes})"),
    }
}

/// `10 unanswered, 5 late`: those that are not zero.
pub(super) fn parts(parts: &[(u64, &str)]) -> String {
    let told: Vec<_> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    told.join(", ")
}

/// `shop/checkout:8080`: a service where there is little room.
pub(crate) fn service(service: &Service) -> String {
    let Service {
        workload_namespace,
        workload_kind: _,
        workload,
        port,
    } = service;
    if workload_namespace.is_empty() {
        format!("{workload}:{port}")
    } else {
        format!("{workload_namespace}/{workload}:{port}")
    }
}

/// What a sender wrote must not move the cursor.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (micros, text) in [
            (0, "0.0 ms"),
            (400, "0.4 ms"),
            (9_999, "10.0 ms"),
            (850_000, "850 ms"),
            (1_000_000, "1.0 s"),
            (1_250_000, "1.2 s"),
            (59_999_999, "59.9 s"),
            (60_000_000, "1 min"),
            (123_000_000, "2 min 3 s"),
            (18_120_000_000, "5 h 2 min"),
            (273_600_000_000, "3 d 4 h"),
            (-5, "0.0 ms"),
        ] {
            assert_eq!(span(SignedDuration::from_micros(micros)), text, "{micros}");
        }
    }

    #[test]
    fn counts_bytes_and_cuts() {
        assert_eq!(count(1, "SYN"), "1 SYN");
        assert_eq!(count(2, "process"), "2 processes");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(16_384), "16.0 KiB");
        let cut = Cuts {
            unanswered: 1,
            unread: 0,
            late: 2,
        };
        assert_eq!(cuts(cut), "3 (1 unanswered, 2 late)");
        assert_eq!(cuts(Cuts::default()), "0");
        assert_eq!(plain("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
    }
}
