//! What a verdict says to whoever reads the log of a pipeline: the verdict, why, and the findings behind it.

use anstyle::Style;

use super::{
    facts,
    gate::{Judged, Passed},
    table::{WIDTH, is_over, verdict_style, workload},
    words::plain,
};
use crate::columns::wrap;
use finwatch_engine::model::{Finding, Rollout, Severity, Verdict};

/// The report, in a few lines; of several rollouts each has its own, below a line that says what they come to.
pub(crate) fn verdict_report(passed: &Passed, fail_on_warn: bool) -> String {
    let let_pass = passed.verdict == Verdict::Warn && !fail_on_warn;
    let mut text = String::new();
    match passed.judged.as_slice() {
        [] => {
            add_verdict(&mut text, passed.verdict, "");
            add(&mut text, "  ", &passed.reason, Style::new());
        }
        [one] => add_judged(&mut text, one, let_pass),
        several => {
            let of = format!("  the worst of {} rollouts that overlap", several.len());
            add_verdict(&mut text, passed.verdict, &of);
            for one in several {
                add_judged(&mut text, one, let_pass);
            }
        }
    }
    text
}

fn add_judged(text: &mut String, judged: &Judged, let_pass: bool) {
    let rollout = &judged.rollout;
    let of = format!("  {}  rollout {}", workload(rollout), plain(&rollout.id));
    add_verdict(text, judged.verdict, &of);
    add(text, "  ", &judged.reason, Style::new());
    if judged.verdict == Verdict::Warn && let_pass {
        let why = "a warning passes, as --fail-on-warn was not given";
        add(text, "  ", why, Style::new());
    }
    for finding in grave(rollout) {
        add_finding(text, finding);
    }
    if is_over(rollout) {
        let more = format!("more: finwatch rollouts show {}", plain(&rollout.id));
        add(text, "  ", &more, Style::new().dimmed());
    }
}

fn add_verdict(text: &mut String, verdict: Verdict, of: &str) {
    let style = verdict_style(true, verdict);
    let word = verdict.as_str().to_uppercase();
    text.push_str(&format!("{style}{word}{style:#}{of}\n"));
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
