//! The headers of a request as the parsers need them, and what a content type says. It knows no HTTP library.

use super::Refusal;

/// Header names in lower case, with their values.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(String, Vec<u8>)>);

/// A content type: its media type in lower case, without parameters.
pub(super) struct MediaType<'a> {
    pub(super) name: String,
    given: &'a str,
}

// === impl Headers ===

impl Headers {
    /// The first value of this name, if it is text; `name` in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
            .map(str::trim)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// The content type. Text in another charset than UTF-8, and compressed bodies, are refused here once for all.
    pub(super) fn media_type(&self) -> Result<MediaType<'_>, Refusal> {
        if let Some(encoding) = self.get("content-encoding")
            && !encoding.eq_ignore_ascii_case("identity")
        {
            return Err(Refusal::wrong_type(
                format!(
                    "the body is encoded (Content-Encoding: {})",
                    short(encoding)
                ),
                "send it as it is",
            ));
        }
        let given = self.get("content-type").unwrap_or_default();
        let (name, parameters) = given.split_once(';').unwrap_or((given, ""));
        for parameter in parameters.split(';') {
            let Some((key, value)) = parameter.split_once('=') else {
                continue;
            };
            let value = value.trim().trim_matches('"');
            if key.trim().eq_ignore_ascii_case("charset")
                && !["utf-8", "utf8", "us-ascii"]
                    .iter()
                    .any(|charset| value.eq_ignore_ascii_case(charset))
            {
                return Err(Refusal::wrong_type(
                    format!("the body's charset is {}", short(value)),
                    "send UTF-8",
                ));
            }
        }
        Ok(MediaType {
            name: name.trim().to_ascii_lowercase(),
            given,
        })
    }

    /// Refuses what is not JSON.
    pub(super) fn must_be_json(&self) -> Result<(), Refusal> {
        let media = self.media_type()?;
        if media.is_json() {
            Ok(())
        } else {
            Err(media.refuse("application/json"))
        }
    }
}

impl<N: Into<String>, V: Into<Vec<u8>>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        let lower = |(name, value): (N, V)| (name.into().to_ascii_lowercase(), value.into());
        Self(headers.into_iter().map(lower).collect())
    }
}

// === impl MediaType ===

impl MediaType<'_> {
    pub(super) fn is_json(&self) -> bool {
        matches!(self.name.as_str(), "application/json" | "text/json")
            || (self.name.starts_with("application/") && self.name.ends_with("+json"))
    }

    pub(super) fn refuse(&self, wanted: &str) -> Refusal {
        let error = if self.given.is_empty() {
            "there is no Content-Type".to_owned()
        } else {
            format!("Content-Type {} is not understood here", short(self.given))
        };
        Refusal::wrong_type(
            error,
            format!(
                "send Content-Type: {wanted} (curl -H 'Content-Type: application/json' or --json)"
            ),
        )
    }
}

/// Text of the sender, cut for an answer.
pub(super) fn short(text: &str) -> String {
    const CHARS: usize = 80;
    let mut cut: String = text.chars().take(CHARS).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}
