//! A strict reader of both exposition formats: what the specifications demand of a producer, as errors.

use std::collections::{BTreeMap, HashSet};

use finwatch::metrics::Format;

#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// Value by name and labels.
    pub(crate) samples: BTreeMap<String, String>,
    /// Metrics declared.
    pub(crate) families: usize,
}

struct Family {
    name: String,
    kind: String,
}

pub(crate) fn parse(text: &str, format: Format) -> Result<Exposition, String> {
    let mut out = Exposition::default();
    let mut declared = HashSet::new();
    let mut help = None;
    let mut family: Option<Family> = None;
    let mut ended = false;
    if !text.ends_with('\n') {
        return Err("no line feed at the end".to_owned());
    }
    for line in text.lines() {
        let fail = |what: &str| Err(format!("{what}: {line}"));
        if ended {
            return fail("something after the end mark");
        }
        if line == "# EOF" {
            if format == Format::Text {
                return fail("an end mark in plain text");
            }
            ended = true;
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            let Some((name, _)) = rest.split_once(' ') else {
                return fail("help without text");
            };
            help = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else {
                return fail("type without a kind");
            };
            if help.as_deref() != Some(name) {
                return fail("type without its help before");
            }
            if !declared.insert(name.to_owned()) {
                return fail("declared twice");
            }
            check_name(name, kind, format).map_err(|why| format!("{why}: {line}"))?;
            out.families += 1;
            family = Some(Family {
                name: name.to_owned(),
                kind: kind.to_owned(),
            });
        } else if line.starts_with('#') || line.trim() != line || line.is_empty() {
            return fail("neither a declaration nor a sample");
        } else {
            let Some(family) = &family else {
                return fail("a sample before any declaration");
            };
            let (series, value) = sample(line).map_err(|why| format!("{why}: {line}"))?;
            let name = series.split('{').next().unwrap_or_default();
            let full = match (family.kind.as_str(), format) {
                ("counter", Format::OpenMetrics) => format!("{}_total", family.name),
                ("info", Format::OpenMetrics) => format!("{}_info", family.name),
                _ => family.name.clone(),
            };
            let of_histogram = family.kind == "histogram"
                && name
                    .strip_prefix(&family.name)
                    .is_some_and(|part| ["_bucket", "_sum", "_count"].contains(&part));
            if name != full && !of_histogram || name == full && family.kind == "histogram" {
                return fail("a sample of another metric");
            }
            if name.ends_with("_bucket") != series.contains("{le=\"") {
                return fail("a bucket without a bound, or a bound without a bucket");
            }
            if value.parse::<f64>().is_err() {
                return fail("not a number");
            }
            if out.samples.insert(series, value).is_some() {
                return fail("the same series twice");
            }
        }
    }
    if format == Format::OpenMetrics && !ended {
        return Err("no end mark".to_owned());
    }
    Ok(out)
}

fn check_name(name: &str, kind: &str, format: Format) -> Result<(), String> {
    let counted = name.ends_with("_total");
    match (format, kind) {
        (Format::Text, "counter") if !counted => Err("a counter without _total".to_owned()),
        (Format::Text, "counter" | "gauge" | "histogram") => Ok(()),
        (Format::OpenMetrics, "counter" | "gauge" | "histogram" | "info") if !counted => Ok(()),
        _ => Err(format!("type {kind} is not expected")),
    }
}

/// Splits `name{labels} value`, and checks names, quotes and escapes.
fn sample(line: &str) -> Result<(String, String), String> {
    let end = match line.find('{') {
        None => line.find(' ').ok_or("no value")?,
        Some(open) => {
            let length = labels(&line[open + 1..])?;
            open + 1 + length
        }
    };
    let name = &line[..line.find(['{', ' ']).unwrap_or(line.len())];
    if !name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        return Err("an odd name".to_owned());
    }
    let value = line[end..]
        .strip_prefix(' ')
        .ok_or("no space before the value")?;
    if value.contains(' ') {
        return Err("more than a value".to_owned());
    }
    Ok((line[..end].to_owned(), value.to_owned()))
}

/// Length of `a="b",c="d"}`.
fn labels(text: &str) -> Result<usize, String> {
    let mut seen = HashSet::new();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            return Err(format!("an odd label {name}"));
        }
        if !seen.insert(name) {
            return Err(format!("label {name} twice"));
        }
        let mut escaped = false;
        let close = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = &after[close.ok_or("an open quote")? + 1..];
        match rest.as_bytes().first() {
            Some(b',') => rest = &rest[1..],
            Some(b'}') => return Ok(text.len() - rest.len() + 1),
            _ => return Err("neither a comma nor the end after a label".to_owned()),
        }
    }
}

/// Every line must be there, word for word.
#[track_caller]
pub(crate) fn expect_lines(text: &str, expected: &[String]) {
    let present: HashSet<&str> = text.lines().collect();
    for line in expected {
        let name = line.split('{').next().expect("a name");
        let near: Vec<_> = text.lines().filter(|l| l.starts_with(name)).collect();
        assert!(
            present.contains(line.as_str()),
            "missing: {line}\nthere is: {near:#?}"
        );
    }
}
