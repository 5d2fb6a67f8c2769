//! The way to a daemon's read API. Each failure says what address was asked and what to do.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use ureq::{Agent, Body, http::Response};

/// Longest time for one question.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest time for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of one answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// What a part of a path cannot hold as it is: all but the unreserved characters (RFC 3986 section 2.3).
const OF_A_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A question's parameters.
pub(crate) type Query = Vec<(&'static str, String)>;

/// Asks one daemon.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nobody there.
    #[error(
        "cannot ask finwatch at {url}: {cause}; is the daemon running (`systemctl status finwatch`), and does it listen \
         there? --url or FINWATCH_URL names another address"
    )]
    Unreachable {
        /// What was asked.
        url: String,
        /// What went wrong.
        cause: String,
    },
    /// There is no such thing.
    #[error("{title}{}", nearest(.allowed))]
    NoSuch {
        /// In the daemon's words.
        title: String,
        /// The nearest there are.
        allowed: Vec<String>,
    },
    /// There are several.
    #[error("more than one {what} begins with `{id}`: {}", .ids.join(", "))]
    Several {
        /// What was looked for.
        what: String,
        /// The beginning.
        id: String,
        /// Some of them.
        ids: Vec<String>,
    },
    /// The question was refused.
    #[error("finwatch at {url} refuses the question: {title}")]
    Refused {
        /// What was asked.
        url: String,
        /// In the daemon's words.
        title: String,
    },
    /// Somebody else, or another version.
    #[error(
        "what answers at {url} is no finwatch of this version ({why}): compare `finwatch --version` with the daemon's, or \
         name another address by --url"
    )]
    Strange {
        /// What was asked.
        url: String,
        /// What is strange.
        why: String,
    },
}

/// What the daemon says when it has no answer.
#[derive(Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    allowed: Vec<String>,
}

// === impl Client ===

impl Client {
    /// Of the daemon at `base`, as in `http://127.0.0.1:10346`.
    pub(crate) fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .timeout_connect(Some(CONNECT_PATIENCE))
            .http_status_as_error(false)
            .user_agent(concat!("finwatch/", env!("CARGO_PKG_VERSION")))
            // The daemon is here, or in the same network: a proxy for the web is not the way to it.
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    /// The answer as the daemon wrote it.
    pub(crate) fn text(&self, path: &str, query: &Query) -> Result<String, AskError> {
        let url = format!("{}{path}", self.base);
        let unreachable = |error: ureq::Error| AskError::Unreachable {
            url: self.base.clone(),
            cause: match error {
                // Its kind goes without saying.
                ureq::Error::Io(error) => error.to_string(),
                error => error.to_string(),
            },
        };
        let mut request = self.agent.get(&url);
        for (name, value) in query {
            request = request.query(name, value);
        }
        let mut answer = request.call().map_err(unreachable)?;
        let body = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(unreachable)?;
        match answer.status().as_u16() {
            200 => Ok(body),
            status => Err(problem(url, status, &answer, &body)),
        }
    }

    /// The answer, understood.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
    ) -> Result<T, AskError> {
        let text = self.text(path, query)?;
        self.understand(path, &text)
    }

    /// An answer of [`Self::text`], understood.
    pub(crate) fn understand<T: DeserializeOwned>(
        &self,
        path: &str,
        text: &str,
    ) -> Result<T, AskError> {
        let strange = |why: String| AskError::Strange {
            url: format!("{}{path}", self.base),
            why,
        };
        let mut reader = serde_json::Deserializer::from_str(text);
        let answer = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| strange(error.to_string()))?;
        reader.end().map_err(|error| strange(error.to_string()))?;
        Ok(answer)
    }
}

/// A path whose last part is somebody's id.
pub(super) fn path_of(collection: &str, id: &str) -> String {
    format!("{collection}/{}", utf8_percent_encode(id, OF_A_PATH))
}

fn problem(url: String, status: u16, answer: &Response<Body>, body: &str) -> AskError {
    let is_ours = answer
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
    let problem = serde_json::from_str(body).ok().filter(|_| is_ours);
    match problem {
        Some(Problem { title, allowed }) if status == 404 => AskError::NoSuch { title, allowed },
        Some(Problem { title, .. }) => AskError::Refused { url, title },
        None => AskError::Strange {
            url,
            why: format!("status {status}"),
        },
    }
}

fn nearest(allowed: &[String]) -> String {
    match allowed {
        [] => String::new(),
        ids => format!("; the nearest: {}", ids.join(", ")),
    }
}
