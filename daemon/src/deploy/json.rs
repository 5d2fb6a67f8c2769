//! JSON of a sender, read field by field, so that a refusal names the field and its place. What a field means is the
//! parsers' business.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, value::RawValue};

use super::{Refusal, headers::short};

const REMEDY: &str = "docs/deploy-events.md shows what each sender sends";

/// A parsed body.
pub(super) struct Document<'a> {
    body: &'a [u8],
    value: Value,
}

/// One field of it, present or not.
#[derive(Clone)]
pub(super) struct Field<'a> {
    document: &'a Document<'a>,
    path: Vec<Step>,
    value: &'a Value,
}

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

// === impl Document ===

impl<'a> Document<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Refusal> {
        let value = serde_json::from_slice(body).map_err(|error| {
            Refusal::malformed(format!("the body is not JSON: {error}"), REMEDY)
        })?;
        Ok(Self { body, value })
    }

    pub(super) fn root(&'a self) -> Field<'a> {
        Field {
            document: self,
            path: Vec::new(),
            value: &self.value,
        }
    }
}

// === impl Field ===

impl<'a> Field<'a> {
    /// The field below, which may be absent; refuses when this one is there and no object.
    pub(super) fn at(&self, key: &str) -> Result<Self, Refusal> {
        let value = match self.value {
            Value::Object(fields) => fields.get(key).unwrap_or(&Value::Null),
            Value::Null => &Value::Null,
            _ => return Err(self.not("an object")),
        };
        Ok(self.below(Step::Key(key.to_owned()), value))
    }

    /// Several steps down.
    pub(super) fn down(&self, keys: &[&str]) -> Result<Self, Refusal> {
        keys.iter()
            .try_fold(self.clone(), |field, key| field.at(key))
    }

    pub(super) fn is_object(&self) -> bool {
        self.value.is_object()
    }

    /// The names of its fields, where it is an object.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.value
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.keys().map(String::as_str))
    }

    /// Its items; none when absent.
    pub(super) fn items(&self) -> Result<Vec<Self>, Refusal> {
        match self.value {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, item)| self.below(Step::Index(index), item))
                .collect()),
            _ => Err(self.not("an array")),
        }
    }

    /// Its text; none when absent or empty, and when a template had nothing to put there.
    pub(super) fn text(&self, chars_max: usize) -> Result<Option<&'a str>, Refusal> {
        let text = match self.value {
            Value::Null => return Ok(None),
            Value::String(text) => text.trim(),
            _ => return Err(self.not("text")),
        };
        if text.chars().any(char::is_control) {
            return Err(self.refuse("contains control characters", "leave them out"));
        }
        if text.chars().count() > chars_max {
            return Err(self.refuse(
                &format!("is longer than {chars_max} characters"),
                "shorten it",
            ));
        }
        Ok((!text.is_empty() && text != "<no value>" && text != "<nil>").then_some(text))
    }

    /// Its text, which must be there.
    pub(super) fn wanted(&self, chars_max: usize) -> Result<&'a str, Refusal> {
        self.text(chars_max)?.ok_or_else(|| self.missing())
    }

    /// Its time.
    pub(super) fn time(&self) -> Result<Option<Timestamp>, Refusal> {
        const CHARS: usize = 64;
        self.text(CHARS)?
            .map(|text| {
                text.parse().map_err(|_| {
                    self.refuse(
                        &format!("is {}, which is no time", short(text)),
                        "write it as RFC 3339 does: 2026-01-31T12:00:00Z",
                    )
                })
            })
            .transpose()
    }

    /// Its port: a number, or the text of one, as templates write it.
    pub(super) fn port(&self) -> Result<Option<u16>, Refusal> {
        let number = match self.value {
            Value::Number(number) => number.as_u64(),
            _ => match self.text(8)? {
                None => return Ok(None),
                Some(text) => text.parse().ok(),
            },
        };
        number
            .and_then(|number| u16::try_from(number).ok())
            .filter(|port| *port > 0)
            .map(Some)
            .ok_or_else(|| self.not("a port from 1 to 65535"))
    }

    /// A number that names something, as text.
    pub(super) fn number(&self) -> Result<Option<u64>, Refusal> {
        match self.value {
            Value::Null => Ok(None),
            Value::Number(number) => number.as_u64().map(Some).ok_or_else(|| self.not("an id")),
            _ => Err(self.not("a number")),
        }
    }

    pub(super) fn missing(&self) -> Refusal {
        let Self { path, .. } = self;
        Refusal::malformed(format!("`{}` is missing", named(path)), REMEDY)
    }

    pub(super) fn refuse(&self, what: &str, remedy: &str) -> Refusal {
        let Self { document, path, .. } = self;
        let place = place(document.body, path)
            .map(|(line, column)| format!(" (line {line}, column {column})"))
            .unwrap_or_default();
        let named = named(path);
        let subject = if path.is_empty() {
            named
        } else {
            format!("`{named}`")
        };
        Refusal::malformed(format!("{subject} {what}{place}"), remedy)
    }

    fn not(&self, wanted: &str) -> Refusal {
        let found = match self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "true or false".to_owned(),
            Value::Number(number) => format!("the number {number}"),
            Value::String(text) => format!("the text {}", short(text)),
            Value::Array(_) => "an array".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        self.refuse(&format!("is {found}, expected {wanted}"), REMEDY)
    }

    fn below(&self, step: Step, value: &'a Value) -> Self {
        let mut path = self.path.clone();
        path.push(step);
        Self {
            document: self.document,
            path,
            value,
        }
    }
}

fn named(path: &[Step]) -> String {
    let mut name = String::new();
    for step in path {
        match step {
            Step::Index(index) => name.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(key.chars().filter(|c| !c.is_control()).take(80));
            }
        }
    }
    if name.is_empty() {
        "the body".to_owned()
    } else {
        name
    }
}

/// Line and column where the value at this path begins, both counted from one.
fn place(body: &[u8], path: &[Step]) -> Option<(usize, usize)> {
    let mut value: &RawValue = serde_json::from_slice(body).ok()?;
    for step in path {
        value = match step {
            Step::Key(key) => {
                let fields: HashMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
                fields.get(key)?
            }
            Step::Index(index) => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
                items.get(*index)?
            }
        };
    }
    // The value is a part of the body, not a copy.
    let begins = value.get().as_ptr().addr() - body.as_ptr().addr();
    let lines = body.get(..begins)?.split(|byte| *byte == b'\n');
    let (line, before) = lines.enumerate().last()?;
    Some((line + 1, before.len() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_field_and_its_place() {
        let body = b"{\n  \"a\": {\"b\": [\"x\", 5]}\n}";
        let document = Document::parse(body).expect("JSON");
        let item = document
            .root()
            .down(&["a", "b"])
            .and_then(|field| field.items())
            .expect("items")
            .remove(1);
        let refusal = item.text(10).expect_err("a number");
        assert_eq!(
            refusal.error,
            "`a.b[1]` is the number 5, expected text (line 2, column 20)"
        );
        let refusal = document.root().text(10).expect_err("an object");
        assert!(
            refusal
                .error
                .starts_with("the body is an object, expected text"),
            "{refusal}"
        );
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        let refusal = Document::parse(b"{\"a\": }").err().expect("no JSON");
        assert_eq!(
            refusal.error,
            "the body is not JSON: expected value at line 1 column 7"
        );
        assert!(Document::parse(b"").is_err());
        assert!(Document::parse(&b"[".repeat(100_000)).is_err());
        assert!(Document::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn ports_may_be_text_and_are_never_zero() {
        let port = |text: &str| {
            let document = Document::parse(text.as_bytes()).expect("JSON");
            document.root().port().ok()
        };
        assert_eq!(port("80"), Some(Some(80)));
        assert_eq!(port("\"8080\""), Some(Some(8080)));
        assert_eq!(port("null"), Some(None));
        assert_eq!(port("\"\""), Some(None));
        for bad in ["0", "65536", "-1", "1.5", "\"x\"", "true", "[80]"] {
            assert_eq!(port(bad), None, "{bad}");
        }
    }

    #[test]
    fn control_characters_and_endless_text_are_refused() {
        let text = |json: &str| {
            let document = Document::parse(json.as_bytes()).expect("JSON");
            document.root().text(5).map(|text| text.map(str::to_owned))
        };
        assert_eq!(text("\" äöüäö \""), Ok(Some("äöüäö".to_owned())));
        assert!(text("\"a\\u0000b\"").is_err());
        assert!(text("\"a\\nb\"").is_err());
        assert!(text("\"123456\"").is_err());
        assert_eq!(text("\"  \""), Ok(None));
    }
}
