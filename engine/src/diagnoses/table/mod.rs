//! Every diagnosis, declared once: what it is called, how grave it is, what shows it, what to do about it, and what it
//! cannot see. `finwatch explain`, `docs/diagnoses.md` and the judge read it here. It judges nothing itself.

mod cost;
mod lost;
mod state;
mod wider;

use std::fmt;

pub use self::{cost::*, lost::*, state::*, wider::*};
use crate::model::{Finding, Severity};

/// One diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diagnosis {
    /// Stable, kebab-case.
    pub name: &'static str,
    /// How grave it is, unless the evidence says that it is less so.
    pub severity: Severity,
    /// One sentence.
    pub summary: &'static str,
    /// What shows it, in kernel facts.
    pub signature: &'static str,
    /// How to read the evidence.
    pub evidence: &'static str,
    /// The remedy in short, as it stands beside a finding; empty when there is nothing to mend.
    pub remedy: &'static str,
    /// The remedy in full: for what, and what to do there.
    pub advice: &'static [Advice],
    /// What it does not see, or sees wrongly.
    pub limits: &'static str,
}

/// What to do in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Server, platform or protocol.
    pub place: &'static str,
    /// What to do there.
    pub text: &'static str,
}

/// Every diagnosis, in the order of the reference: by what is lost, then by what it costs.
pub const DIAGNOSES: &[Diagnosis] = &[
    CLEAN_DRAIN,
    REQUESTS_CUT,
    RESPONSE_TRUNCATED,
    KEEPALIVE_RACE,
    IDLE_TIMEOUT_RACE,
    TLS_GOODBYE_RESETS,
    SERVER_HANGS_UP_FIRST,
    TIME_WAIT_BURST,
    ACCEPTS_AFTER_SIGNAL,
    DIED_SERVING,
    CLIENTS_GAVE_UP,
    LISTENER_CLOSED_EARLY,
    LISTENER_GAP,
    TRAFFIC_BEFORE_READY,
    ACCEPT_QUEUE_DROPPED,
    NOT_ACCEPTING,
    DRAIN_TIMED_OUT,
    SIGNAL_IGNORED,
    SIGNAL_MEANS_RELOAD,
    WORKERS_LEFT_BEHIND,
    FAST_STOP_SIGNAL,
    EXITED_TOO_EARLY,
    HELD_BY_IDLE_CONNECTIONS,
    REQUESTS_KEEP_COMING,
    OLD_WORKERS_PILE_UP,
    UPSTREAM_CLOSED_EARLY,
    CLOSE_WAIT_LEAK,
    KILLED_WITHOUT_STOP,
    TOO_LITTLE_SEEN,
];

/// The diagnosis of this name.
pub fn find(name: &str) -> Option<&'static Diagnosis> {
    DIAGNOSES.iter().find(|diagnosis| diagnosis.name == name)
}

// === impl Diagnosis ===

impl Diagnosis {
    /// A finding of it.
    pub fn found(&self, evidence: Vec<String>) -> Finding {
        Finding {
            diagnosis: self.name.to_owned(),
            severity: self.severity,
            evidence,
            remedy: self.remedy.to_owned(),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Shorthand of the table.
const fn at(place: &'static str, text: &'static str) -> Advice {
    Advice { place, text }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let names: HashSet<_> = DIAGNOSES.iter().map(|diagnosis| diagnosis.name).collect();
        assert_eq!(names.len(), DIAGNOSES.len());
        for name in names {
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
                "{name}"
            );
        }
    }

    #[test]
    fn every_diagnosis_is_told_in_sentences() {
        for diagnosis in DIAGNOSES {
            let Diagnosis {
                name,
                severity,
                summary,
                signature,
                evidence,
                remedy,
                advice,
                limits,
            } = diagnosis;
            for text in [summary, signature, evidence, limits] {
                assert!(
                    text.ends_with('.') && !text.contains("  "),
                    "{name}: {text}"
                );
            }
            for Advice { place, text } in *advice {
                assert!(
                    !place.is_empty() && text.ends_with('.') && !text.contains("  "),
                    "{name}: {text}"
                );
            }
            assert!(
                remedy.is_empty() || remedy.ends_with('.'),
                "{name}: {remedy}"
            );
            if matches!(severity, Severity::Warn | Severity::Fail) {
                assert!(
                    !remedy.is_empty() && !advice.is_empty(),
                    "{name} has no remedy"
                );
            }
        }
    }

    #[test]
    fn a_name_finds_its_diagnosis() {
        assert_eq!(find("requests-cut"), Some(&REQUESTS_CUT));
        assert_eq!(find("requests-cut "), None);
    }
}
