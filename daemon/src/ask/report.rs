//! What a verdict says to whoever reads the log of a pipeline: the verdict, why, and the findings behind it.

use anstyle::Style;

use super::{
    facts,
    gate::Passed,
    layout::wrap,
    table::{WIDTH, is_over, verdict_style, workload},
    words::plain,
};
use crate::story::{Finding, Rollout, Severity, Verdict};

/// The report, in a few lines.
pub(crate) fn verdict_report(passed: &Passed, fail_on_warn: bool) -> String {
    let Passed {
        verdict,
        reason,
        rollout,
    } = passed;
    let style = verdict_style(true, *verdict);
    let word = verdict.as_str().to_uppercase();
    let of = rollout.as_ref().map_or_else(String::new, |(_, rollout)| {
        format!("  {}  rollout {}", workload(rollout), plain(&rollout.id))
    });
    let mut text = format!("{style}{word}{style:#}{of}\n");
    add(&mut text, "  ", reason, Style::new());
    if *verdict == Verdict::Warn && !fail_on_warn {
        let why = "a warning passes, as --fail-on-warn was not given";
        add(&mut text, "  ", why, Style::new());
    }
    if let Some((_, rollout)) = rollout {
        for finding in grave(rollout) {
            add_finding(&mut text, finding);
        }
        if is_over(rollout) {
            let more = format!("more: finwatch rollouts show {}", plain(&rollout.id));
            add(&mut text, "  ", &more, Style::new().dimmed());
        }
    }
    text
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
    grave.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    grave
}

fn add_finding(text: &mut String, finding: &Finding) {
    let Finding {
        diagnosis,
        severity,
        evidence,
        remedy,
    } = finding;
    let style = facts::severity_style(*severity);
    let word = severity.as_str();
    text.push_str(&format!("  {style}{word}{style:#}  {}\n", plain(diagnosis)));
    for line in evidence {
        add(text, "        ", &plain(line), Style::new());
    }
    if !remedy.is_empty() {
        let remedy = format!("remedy: {}", plain(remedy));
        add(text, "        ", &remedy, Style::new().italic());
    }
}

fn add(text: &mut String, indent: &str, words: &str, style: Style) {
    for line in wrap(words, WIDTH - indent.len()) {
        text.push_str(&format!("{indent}{style}{line}{style:#}\n"));
    }
}
