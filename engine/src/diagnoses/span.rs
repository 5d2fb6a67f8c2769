//! Times and numbers as sentences tell them. It does not know what they are of.

use jiff::Timestamp;

/// Seconds from one time to a later one; negative when it is earlier.
pub(crate) fn secs(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// A length of time with as many digits as it deserves: `0.004 s`, `1.2 s`, `75 s`, `10 min`.
pub(crate) fn length(secs: f64) -> String {
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

/// A number with its noun: `1 connection`, `20 connections`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ if noun.ends_with('s') => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

/// `was` or `were`, after a number.
pub(crate) const fn were(number: u64) -> &'static str {
    if number == 1 { "was" } else { "were" }
}

/// A share in per cent, of what is not nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    format!("{:.0} %", part as f64 * 100.0 / whole.max(1) as f64)
}

/// A p-value.
pub(crate) fn probability(p: f64) -> String {
    match p {
        p if p < 1e-300 => "below 1e-300".to_owned(),
        p if p < 0.001 => format!("{p:.1e}"),
        p => format!("{p:.3}"),
    }
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
    fn nouns_follow_their_number() {
        assert_eq!(count(1, "connection"), "1 connection");
        assert_eq!(count(0, "connection"), "0 connections");
        assert_eq!(count(2, "old process"), "2 old processes");
        assert_eq!((were(1), were(2)), ("was", "were"));
    }

    #[test]
    fn probabilities_keep_their_magnitude() {
        assert_eq!(probability(0.0), "below 1e-300");
        assert_eq!(probability(2.683e-50), "2.7e-50");
        assert_eq!(probability(0.0123), "0.012");
    }
}
