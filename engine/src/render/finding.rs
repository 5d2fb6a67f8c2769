//! A finding as a section, and what a verdict is called before there is one.

use super::{
    tree::{Line, Section, Tone},
    units::plain,
};
use crate::model::{Finding, Severity, Verdict};

/// A finding: its name, what was seen, what to do.
pub(crate) fn finding(finding: &Finding) -> Section {
    let Finding {
        diagnosis,
        severity,
        evidence,
        remedy,
    } = finding;
    let title = severity_title(*severity);
    let mut section = Section::new(title.and(Tone::Plain, plain(diagnosis)));
    for line in evidence {
        section.field("", plain(line));
    }
    if !remedy.is_empty() {
        section.toned("", Tone::Advice, format!("remedy: {}", plain(remedy)));
    }
    section
}

/// `fail  `, before a name.
pub(crate) fn severity_title(severity: Severity) -> Line {
    Line::default()
        .and(Tone::Severity(severity), severity.as_str())
        .and(Tone::Plain, "  ")
}

/// `running` until it is over.
pub(crate) fn verdict_word(is_over: bool, verdict: Verdict) -> (Tone, &'static str) {
    if is_over {
        (Tone::Verdict(verdict), verdict.as_str())
    } else {
        (Tone::Dim, "running")
    }
}
