//! Findings and verdicts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Pass,
    /// Worth knowing; costs nobody anything.
    Info,
    /// Costs something, lost nothing.
    Warn,
    /// A client lost something.
    Fail,
}

/// The judgement of a drain or a rollout.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was lost and nothing is untidy.
    Pass,
    /// Nothing was lost, something is untidy.
    Warn,
    /// Too little was seen to tell.
    #[default]
    Inconclusive,
    /// Clients lost something.
    Fail,
}

/// A named finding with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Stable name, as `finwatch explain NAME` knows it.
    pub diagnosis: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen: one sentence each, with counts and times.
    pub evidence: Vec<String>,
    /// How to mend it; empty when nothing is to be mended.
    pub remedy: String,
}

// === impl Verdict ===

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Warn, Self::Inconclusive, Self::Fail];

    /// As in labels and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        }
    }
}

// === impl Severity ===

impl Severity {
    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}
