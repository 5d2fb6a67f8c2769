//! What a verdict says to whoever reads the log of a pipeline: the verdict, why, and the findings behind it.

use std::cmp::Reverse;

use super::{
    finding::finding,
    lists::workload,
    tree::{Line, Section, Tone},
    units::plain,
};
use crate::model::{Finding, Rollout, Severity, Verdict};

/// One rollout and what it comes to.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The verdict that counts; `inconclusive` when the rollout is not over.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub reason: &'a str,
    /// What was judged.
    pub rollout: &'a Rollout,
}

/// What a verdict that lets a warning pass says so with.
pub(crate) const PASSES: &str = "a warning passes, as --fail-on-warn was not given";

/// What several come to that were judged, above them.
pub fn verdict_of(verdict: Verdict, of: &str) -> Section {
    Section::new(title(verdict).and(Tone::Plain, format!("  {of}")))
}

/// What is to be said below it all.
pub fn note(note: &str) -> Section {
    Section::new(Line::default().and(Tone::Plain, plain(note)))
}

/// Where nothing was found that could be judged: why.
pub fn verdict_of_nothing(verdict: Verdict, reason: &str) -> Section {
    let mut nothing = Section::new(title(verdict));
    nothing.field("", reason);
    nothing
}

/// A rollout that was judged, with all evidence of each grave finding. That a warning passes is told where it made a
/// difference.
pub fn judged(judged: &Judged<'_>, lets_warnings_pass: bool) -> Section {
    let Judged {
        verdict,
        reason,
        rollout,
    } = judged;
    let id = plain(&rollout.id);
    let title = title(*verdict)
        .and(Tone::Plain, format!("  {}  rollout ", workload(rollout)))
        .and(Tone::Id, id.as_str());
    let mut section = Section::new(title);
    section.field("", *reason);
    if *verdict == Verdict::Warn && lets_warnings_pass {
        section.field("", PASSES);
    }
    section.parts = grave(rollout).into_iter().map(finding).collect();
    section.more = rollout.is_over().then(|| {
        let more = format!("more: finwatch rollouts show {id}");
        Line::default().and(Tone::Dim, more)
    });
    section
}

/// `FAIL`.
pub(crate) fn title(verdict: Verdict) -> Line {
    Line::default().and(Tone::Verdict(verdict), verdict.as_str().to_uppercase())
}

/// What made the verdict what it is, the worst first, each diagnosis once.
fn grave(rollout: &Rollout) -> Vec<&Finding> {
    let of_drains = rollout.drains.iter().flat_map(|drain| &drain.findings);
    let all = rollout.findings.iter().chain(of_drains);
    let mut grave: Vec<&Finding> = Vec::new();
    for finding in all.filter(|finding| finding.severity >= Severity::Warn) {
        if !grave.contains(&finding) {
            grave.push(finding);
        }
    }
    grave.sort_by_key(|finding| Reverse(finding.severity));
    grave
}
