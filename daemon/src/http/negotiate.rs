//! Which exposition format a client wants, by its `Accept` headers (RFC 9110 section 12.5.1), and whether it may be
//! compressed, by `Accept-Encoding` (section 12.5.3).

use crate::metrics::Format;

/// OpenMetrics when it is asked for by name and nothing else is preferred; Prometheus text otherwise.
pub(super) fn format<'a>(accept: impl Iterator<Item = &'a str>) -> Format {
    let (mut open, mut text) = (0, 0);
    for range in accept.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<_> = parts.collect();
        let weight = weight(&parameters);
        match media.as_str() {
            "application/openmetrics-text" if known_version(&parameters) => open = open.max(weight),
            "text/plain" => text = text.max(weight),
            _ => {}
        }
    }
    if open > 0 && open >= text {
        Format::OpenMetrics
    } else {
        Format::Text
    }
}

/// Whether gzip is asked for by name, or anything is taken. A client that says nothing gets plain text: it is the one that is
/// read by people.
pub(super) fn gzip<'a>(accept_encoding: impl Iterator<Item = &'a str>) -> bool {
    let (mut gzip, mut any) = (None, None);
    for coding in accept_encoding.flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = weight(&parts.collect::<Vec<_>>());
        match name.as_str() {
            "gzip" | "x-gzip" => gzip = gzip.max(Some(weight)),
            "*" => any = any.max(Some(weight)),
            _ => {}
        }
    }
    gzip.or(any).is_some_and(|weight| weight > 0)
}

/// The weight in thousandths; 1000 where none is given, 0 where it cannot be read.
fn weight(parameters: &[&str]) -> u16 {
    let weight = parameters.iter().find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    match weight.map(str::parse::<f32>) {
        None => 1_000,
        Some(Ok(weight)) if (0.0..=1.0).contains(&weight) => (weight * 1_000.0) as u16,
        Some(_) => 0,
    }
}

fn known_version(parameters: &[&str]) -> bool {
    parameters
        .iter()
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim() == "version")
        .all(|(_, version)| matches!(version.trim().trim_matches('"'), "1.0.0" | "0.0.1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &str) -> Format {
        format([accept].into_iter())
    }

    #[test]
    fn prometheus_gets_openmetrics() {
        let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                      application/openmetrics-text;version=0.0.1;q=0.5,\
                      text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(of(accept), Format::OpenMetrics);
    }

    #[test]
    fn everybody_else_gets_text() {
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=nonsense",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0.3,text/plain;q=0.4",
        ] {
            assert_eq!(of(accept), Format::Text, "{accept}");
        }
    }

    #[test]
    fn gzip_is_for_who_asks_for_it() {
        for (asked, expected) in [
            ("gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("deflate, GZIP;q=0.5", true),
            ("x-gzip", true),
            ("*", true),
            ("", false),
            ("identity", false),
            ("br, deflate", false),
            ("gzip;q=0", false),
            ("gzip;q=nonsense", false),
            ("*;q=0", false),
            ("gzip;q=0, *", false),
            ("*;q=0, gzip", true),
        ] {
            assert_eq!(gzip([asked].into_iter()), expected, "{asked}");
        }
        assert!(!gzip(std::iter::empty()));
        assert!(gzip(["br", "gzip"].into_iter()), "headers add up");
    }

    #[test]
    fn a_tie_goes_to_openmetrics_and_headers_add_up() {
        assert_eq!(
            of("text/plain, application/openmetrics-text"),
            Format::OpenMetrics
        );
        let two = ["text/plain;q=0.1", "APPLICATION/OpenMetrics-Text; Q=0.2"];
        assert_eq!(format(two.into_iter()), Format::OpenMetrics);
    }
}
