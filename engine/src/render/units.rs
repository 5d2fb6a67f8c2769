//! Times, lengths of time, counts, sizes and names as people read them, in each place the same. It does not know what they
//! are of.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::model::{Cuts, Pod, Service};

// === times ===

/// Times of day of one time zone.
#[derive(Debug, Clone)]
pub struct Times {
    zone: TimeZone,
}

impl Times {
    /// Of this time zone.
    pub const fn new(zone: TimeZone) -> Self {
        Self { zone }
    }

    /// `2026-11-22 16:52:01.250 +01:00`.
    pub fn exact(&self, time: Timestamp) -> String {
        self.formatted(time, "%Y-%m-%d %H:%M:%S%.3f %:z")
    }

    /// `2026-11-22 16:52:01 +01:00`.
    pub fn full(&self, time: Timestamp) -> String {
        self.formatted(time, "%Y-%m-%d %H:%M:%S %:z")
    }

    /// `11-22 16:52:01`, in a column that names the offset.
    pub fn short(&self, time: Timestamp) -> String {
        self.formatted(time, "%m-%d %H:%M:%S")
    }

    /// `16:52:01.250`, of what happens now.
    pub fn of_day(&self, time: Timestamp) -> String {
        self.formatted(time, "%H:%M:%S%.3f")
    }

    /// `16:52:01`, of what happened in a time that is known.
    pub fn clock(&self, time: Timestamp) -> String {
        self.formatted(time, "%H:%M:%S")
    }

    /// `+01:00`, as it is at that time.
    pub fn offset(&self, time: Timestamp) -> String {
        self.formatted(time, "%:z")
    }

    fn formatted(&self, time: Timestamp, format: &str) -> String {
        let local = time.to_zoned(self.zone.clone());
        local.strftime(format).to_string()
    }
}

/// Seconds from one time to a later one; negative when it is earlier.
pub fn secs(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// `+1.2 s` after T0, `-0.5 ms` before.
pub fn after(time: Timestamp, start: Timestamp) -> String {
    let since = time.duration_since(start);
    let sign = if since.is_negative() { '-' } else { '+' };
    format!("{sign}{}", span(since.abs()))
}

// === lengths of time ===

/// In a sentence, with as many digits as it deserves: `0.004 s`, `1.2 s`, `75 s`, `10 min`.
pub fn length(secs: f64) -> String {
    match secs {
        s if s > 0.0 && s < 0.000_5 => "less than 0.001 s".to_owned(),
        s if s < 0.1 => format!("{s:.3} s"),
        s if s < 1.0 => format!("{s:.2} s"),
        s if s < 20.0 => format!("{s:.1} s"),
        s if s < 600.0 => format!("{s:.0} s"),
        s if s < 36_000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3_600.0),
    }
}

/// As a fact, in two units at most: `0.4 ms`, `850 ms`, `1.2 s`, `2 min 3 s`, `5 h 2 min`, `3 d 4 h`.
pub fn span(duration: SignedDuration) -> String {
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

/// [`span`] of seconds that were measured as a fraction.
pub fn span_of_secs(secs: f64) -> String {
    span(SignedDuration::try_from_secs_f64(secs).unwrap_or_default())
}

/// In a column of seven characters: `850us`, `12.3ms`, `1.203s`, `2m03s`, `5h02m`, `3d04h`.
pub fn span_column(secs: f64) -> String {
    let duration = SignedDuration::try_from_secs_f64(secs.max(0.0)).unwrap_or_default();
    let micros = duration.as_micros();
    let secs = duration.as_secs();
    match micros {
        0..1_000 => format!("{micros}us"),
        1_000..1_000_000 => format!("{}.{}ms", micros / 1_000, micros % 1_000 / 100),
        _ if secs < 60 => format!("{secs}.{:03}s", duration.subsec_millis()),
        _ if secs < 3_600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ if secs < 86_400 => format!("{}h{:02}m", secs / 3_600, secs % 3_600 / 60),
        _ => format!("{}d{:02}h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

// === counts ===

/// A number with its noun: `1 connection`, `20 connections`.
pub fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ if noun.ends_with('s') => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

/// A number with its noun where it may be large: `1,204 connections`.
pub fn many(number: u64, noun: &str) -> String {
    let digits = number.to_string();
    let plain = count(number, noun);
    let noun = plain.strip_prefix(&digits).unwrap_or_default();
    format!("{}{noun}", grouped(number))
}

/// `1,204`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = match digits.len() % 3 {
        0 => 3,
        some => some,
    };
    let (first, rest) = digits.split_at(first);
    let mut grouped = first.to_owned();
    for at in (0..rest.len()).step_by(3) {
        grouped.push(',');
        grouped.push_str(&rest[at..at + 3]);
    }
    grouped
}

/// `was` or `were`, after a number.
pub const fn were(number: u64) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

/// A share in per cent, of what is not nothing.
pub fn percent(part: u64, whole: u64) -> String {
    format!("{:.0} %", part as f64 * 100.0 / whole.max(1) as f64)
}

/// A p-value.
pub fn probability(p: f64) -> String {
    match p {
        p if p < 1e-300 => "below 1e-300".to_owned(),
        p if p < 0.001 => format!("{p:.1e}"),
        p => format!("{p:.3}"),
    }
}

/// `10 unanswered, 5 late`: those that are not zero.
pub fn parts(parts: &[(u64, &str)]) -> String {
    let told: Vec<_> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    told.join(", ")
}

/// `17 (10 unanswered, 2 unread, 5 late)`.
pub fn cuts(cut: Cuts) -> String {
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

// === sizes ===

/// `214 B`, `16.0 KiB`.
pub fn bytes(count: u64) -> String {
    match scaled(count) {
        None => format!("{count} B"),
        Some((value, unit)) => format!("{value:.1} {unit}iB"),
    }
}

/// In a column of six characters: `107B`, `1.2K`, `3.4M`.
pub fn bytes_column(count: u64) -> String {
    match scaled(count) {
        None => format!("{count}B"),
        Some((value, unit)) => format!("{value:.1}{unit}"),
    }
}

/// In powers of 1024; none below the first.
fn scaled(count: u64) -> Option<(f64, char)> {
    if count < 1024 {
        return None;
    }
    let (mut value, mut unit) = (count as f64 / 1024.0, 'K');
    for next in ['M', 'G', 'T', 'P', 'E'] {
        // What would be printed as 1024.0 is one of the next unit.
        if value < 1023.95 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    Some((value, unit))
}

// === names ===

/// `shop/checkout:8080`: a service where there is little room.
pub fn service(service: &Service) -> String {
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

/// `checkout-7d4b9c5f6-x2x5k, container app, revision 7d4b9c5f6, on node-1`: as much of a pod as is known, and its uid where its
/// name is not; none outside of pods.
pub fn pod(pod: &Pod) -> Option<String> {
    let Pod {
        uid,
        name,
        container,
        revision,
        node,
    } = pod;
    let mut text = plain(name.as_ref().or(uid.as_ref())?);
    for (word, more) in [
        ("container", container),
        ("revision", revision),
        ("on", node),
    ] {
        if let Some(more) = more {
            text.push_str(&format!(", {word} {}", plain(more)));
        }
    }
    Some(text)
}

/// What a sender wrote must not move the cursor.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_as_many_digits_as_they_deserve() {
        let told: Vec<_> = [
            0.0, 0.000_2, 0.0042, 0.25, 1.24, 19.96, 75.4, 600.0, 36_000.0,
        ]
        .map(length)
        .into();
        assert_eq!(
            told,
            [
                "0.000 s",
                "less than 0.001 s",
                "0.004 s",
                "0.25 s",
                "1.2 s",
                "20.0 s",
                "75 s",
                "10 min",
                "10 h"
            ]
        );
    }

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
    fn spans_fit_a_column() {
        for (nanos, want) in [
            (0_u64, "0us"),
            (850_999, "850us"),
            (12_345_678, "12.3ms"),
            (999_999_999, "999.9ms"),
            (1_203_000_000, "1.203s"),
            (59_999_999_999, "59.999s"),
            (123_000_000_000, "2m03s"),
            (18_120_000_000_000, "5h02m"),
            (273_600_000_000_000, "3d04h"),
        ] {
            assert_eq!(span_column(nanos as f64 / 1e9), want);
        }
        assert_eq!(span_column(-1.0), "0us");
    }

    #[test]
    fn nouns_follow_their_number() {
        assert_eq!(count(1, "connection"), "1 connection");
        assert_eq!(count(0, "connection"), "0 connections");
        assert_eq!(count(2, "old process"), "2 old processes");
        assert_eq!((were(1), were(2)), ("was", "were"));
    }

    #[test]
    fn large_numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_204, "1,204"),
            (20_480, "20,480"),
            (123_456, "123,456"),
            (1_000_000, "1,000,000"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(many(1, "connection"), "1 connection");
        assert_eq!(many(1_204, "connection"), "1,204 connections");
    }

    #[test]
    fn probabilities_keep_their_magnitude() {
        assert_eq!(probability(0.0), "below 1e-300");
        assert_eq!(probability(2.683e-50), "2.7e-50");
        assert_eq!(probability(0.0123), "0.012");
    }

    #[test]
    fn sizes_are_in_powers_of_1024() {
        for (count, column, text) in [
            (0, "0B", "0 B"),
            (1023, "1023B", "1023 B"),
            (1024, "1.0K", "1.0 KiB"),
            (16_384, "16.0K", "16.0 KiB"),
            (1_048_575, "1.0M", "1.0 MiB"),
            (3_565_158, "3.4M", "3.4 MiB"),
            (u64::MAX, "16.0E", "16.0 EiB"),
        ] {
            assert_eq!(bytes_column(count), column);
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn cuts_have_their_causes() {
        let cut = Cuts {
            unanswered: 1,
            unread: 0,
            late: 2,
        };
        assert_eq!(cuts(cut), "3 (1 unanswered, 2 late)");
        assert_eq!(cuts(Cuts::default()), "0");
    }

    #[test]
    fn what_a_sender_wrote_moves_no_cursor() {
        assert_eq!(plain("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
    }
}
