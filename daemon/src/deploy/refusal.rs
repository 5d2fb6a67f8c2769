//! Why an event was not taken: what was wrong, and what would mend it. It does not know how an answer is sent.

use serde::Serialize;

use super::Outcome;

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{error}; {remedy}")]
pub struct Refusal {
    /// What sort of refusal.
    #[serde(skip)]
    pub kind: RefusalKind,
    /// What was wrong.
    pub error: String,
    /// What would mend it.
    pub remedy: String,
}

/// What sort of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The body or a header is not what it should be.
    Malformed,
    /// No token or signature, or a wrong one.
    Unauthorized,
    /// The secret that a signature is checked with is not configured here.
    NotConfigured,
    /// There is nothing at this path.
    UnknownPath,
    /// Only POST is understood here.
    WrongMethod,
    /// The body did not come in time.
    Slow,
    /// The body has too many bytes.
    TooLarge,
    /// The content type, or its encoding, is not understood.
    WrongType,
    /// Too many events wait already.
    Overloaded,
    /// The secret's file cannot be read now.
    SecretUnreadable,
}

// === impl Refusal ===

impl Refusal {
    /// A refusal of this sort.
    pub fn new(kind: RefusalKind, error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            error: error.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn malformed(error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(RefusalKind::Malformed, error, remedy)
    }

    pub(super) fn wrong_type(error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(RefusalKind::WrongType, error, remedy)
    }
}

// === impl RefusalKind ===

impl RefusalKind {
    /// The HTTP status that says it.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthorized => 401,
            Self::NotConfigured => 403,
            Self::UnknownPath => 404,
            Self::WrongMethod => 405,
            Self::Slow => 408,
            Self::TooLarge => 413,
            Self::WrongType => 415,
            Self::Overloaded | Self::SecretUnreadable => 503,
        }
    }

    /// How it is counted.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Malformed
            | Self::UnknownPath
            | Self::WrongMethod
            | Self::Slow
            | Self::WrongType => Outcome::Malformed,
            Self::Unauthorized | Self::NotConfigured | Self::SecretUnreadable => {
                Outcome::Unauthorized
            }
            Self::TooLarge => Outcome::TooLarge,
            Self::Overloaded => Outcome::Overloaded,
        }
    }
}
