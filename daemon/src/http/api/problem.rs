//! What is answered when a question cannot be: a problem document (RFC 9457) that names what is wrong and what
//! would be right.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

/// The body of every answer that is not 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// Status code of the answer.
    pub(super) status: u16,
    /// What is wrong, in a sentence.
    pub(super) title: String,
    /// The parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameter: Option<String>,
    /// What would be right: values, parameters, or the nearest ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) allowed: Vec<String>,
}

// === impl Problem ===

impl Problem {
    pub(super) fn unknown_parameter(name: &str, allowed: Vec<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST.as_u16(),
            title: format!("there is no parameter `{name}` here"),
            parameter: Some(name.to_owned()),
            allowed,
        }
    }

    pub(super) fn repeated_parameter(name: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST.as_u16(),
            title: format!("the parameter `{name}` is given more than once"),
            parameter: Some(name.to_owned()),
            allowed: Vec::new(),
        }
    }

    pub(super) fn bad_value(name: &str, value: &str, expected: &str, allowed: &[&str]) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST.as_u16(),
            title: format!("`{name}` is `{value}`, expected {expected}"),
            parameter: Some(name.to_owned()),
            allowed: allowed.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    pub(super) fn bad_query(why: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST.as_u16(),
            title: format!("the query cannot be understood: {why}"),
            parameter: None,
            allowed: Vec::new(),
        }
    }

    pub(super) fn no_such(what: &str, id: &str, nearest: Vec<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND.as_u16(),
            title: format!("there is no {what} `{id}`"),
            parameter: None,
            allowed: nearest,
        }
    }

    pub(super) fn no_such_path(path: &str, allowed: Vec<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND.as_u16(),
            title: format!("nothing is served at {path}"),
            parameter: None,
            allowed,
        }
    }

    pub(super) fn busy() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE.as_u16(),
            title: "too many questions at once; ask again in a moment".to_owned(),
            parameter: None,
            allowed: Vec::new(),
        }
    }

    pub(super) fn broken() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
            title: "the answer could not be made; the daemon's log says why".to_owned(),
            parameter: None,
            allowed: Vec::new(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (
            status,
            [
                (header::CONTENT_TYPE, "application/problem+json"),
                (header::CACHE_CONTROL, "no-store"),
            ],
            body,
        )
            .into_response()
    }
}
