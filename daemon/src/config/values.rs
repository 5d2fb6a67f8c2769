//! Text to values. Every value is read even after one failed, so that all mistakes are told at once.

use std::{fmt::Display, str::FromStr, time::Duration};

use super::{
    ConfigError, Effective,
    keys::{self, Key, Shape},
};

/// Reads settings and gathers what was wrong with them.
pub(super) struct Reader<'a> {
    effective: &'a Effective,
    errors: Vec<ConfigError>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(effective: &'a Effective) -> Self {
        Self {
            effective,
            errors: Vec::new(),
        }
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<ConfigError>> {
        if self.errors.is_empty() {
            Ok(value)
        } else {
            Err(self.errors)
        }
    }

    /// A list; an item that cannot be understood is left out and reported.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let (key, typed) = self.typed(name);
        let mut values = Vec::new();
        for item in &typed.items {
            match parse(item) {
                Some(value) => values.push(value),
                None => self.refuse(key, item, expected),
            }
        }
        values
    }

    /// A list that must not be empty.
    pub(super) fn some<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let (key, typed) = self.typed(name);
        if typed.items.is_empty() {
            self.refuse(key, "", &format!("at least one of: {expected}"));
        }
        self.list(name, expected, parse)
    }

    /// One value; where it cannot be understood the error is kept and the default stands in.
    pub(super) fn one<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T {
        let (key, typed) = self.typed(name);
        if let [item] = typed.items.as_slice()
            && let Some(value) = parse(item)
        {
            return value;
        }
        self.refuse(key, &typed.items.join(", "), expected);
        parse(key.default).unwrap_or_else(|| unreachable!("the default of {name} is refused"))
    }

    pub(super) fn number<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &'static str,
        min: T,
        max: T,
    ) -> T {
        let expected = format!("a number from {min} to {max}");
        self.one(name, &expected, |item| {
            let digits = item.replace('_', "");
            digits.parse().ok().filter(|n| *n >= min && *n <= max)
        })
    }

    pub(super) fn duration(
        &mut self,
        name: &'static str,
        min: Duration,
        max: Duration,
    ) -> Duration {
        let expected = format!("a time from {min:?} to {max:?}, as in 500ms, 15s, 5m or 1h");
        self.one(name, &expected, |item| {
            duration(item).filter(|d| *d >= min && *d <= max)
        })
    }

    pub(super) fn switch(&mut self, name: &'static str) -> bool {
        self.one(name, Shape::Switch.expected(), |item| match item {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        })
    }

    fn typed(&self, name: &'static str) -> (&'static Key, &'a super::Typed) {
        let key = keys::find(name).unwrap_or_else(|| unreachable!("{name} is not declared"));
        (key, self.effective.get(key))
    }

    fn refuse(&mut self, key: &'static Key, value: &str, expected: &str) {
        self.errors.push(ConfigError::Value {
            origin: self.effective.get(key).origin.clone(),
            key: key.name,
            value: value.to_owned(),
            expected: expected.to_owned(),
        });
    }
}

// === impl Shape ===

impl Shape {
    /// In words.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Switch => "true or false",
            Self::Number => "a whole number",
            Self::Duration => "a time as in 500ms, 15s, 5m or 1h",
            Self::Text => "text",
            Self::List => "a list of texts or numbers",
        }
    }
}

/// Reads `500ms`, `15s`, `5m`, `1h`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let millis = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("15s"), Some(Duration::from_secs(15)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Some(Duration::from_secs(3_600)));
        for bad in [
            "",
            "15",
            "s",
            "-1s",
            "1.5s",
            "1d",
            "99999999999999999999h",
            "18446744073709551615h",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
