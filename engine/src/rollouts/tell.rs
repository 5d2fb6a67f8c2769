//! A rollout as it is told: sums, growth, findings of its own, and the verdict over all of it.

use super::{CorrelatorOptions, grow, live::Live, outside, own};
use crate::{
    diagnoses::{self as diagnoses, judge::worst},
    model::{Rollout, Verdict},
    render::units::{count, were},
};

/// A rollout that runs: no verdict yet.
pub(super) fn running(live: &Live, options: &CorrelatorOptions) -> Rollout {
    let mut rollout = live.rollout.clone();
    rollout.starts.retain(|start| !live.is_old(start));
    let of_drains = grow::sum(&rollout.drains);
    // A drain begins a little before it is known that there is anything to account for.
    rollout.counts = live.shares.counts().at_least(&of_drains);
    rollout.outside = rollout.counts.less(&of_drains);
    rollout.outside_unjudged = live.shares.unjudged(&rollout.drains);
    rollout.outside_examples = live.shares.examples(rollout.started_at);
    rollout.growth = if rollout.drains.is_empty() {
        outside::growth(live)
    } else {
        grow::growth(&rollout.drains)
    };
    rollout.findings = own::findings(&rollout, &live.looks, &options.judge);
    rollout
        .findings
        .extend(outside::findings(&rollout, live, &options.judge));
    rollout.verdict = Verdict::Inconclusive;
    rollout
}

/// A rollout that is over, with its verdict.
pub(super) fn ended(live: &Live, options: &CorrelatorOptions) -> Rollout {
    let mut rollout = running(live, options);
    let unseen = unseen(&rollout);
    rollout.verdict = verdict(&rollout, !unseen.is_empty());
    if !unseen.is_empty() {
        rollout
            .findings
            .push(diagnoses::TOO_LITTLE_SEEN.found(unseen));
    }
    rollout
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    rollout
}

/// The worst of the drains' verdicts and of its own findings. A drain with nobody connected hides nothing beside
/// others that had somebody.
fn verdict(rollout: &Rollout, may_hide: bool) -> Verdict {
    let own = worst(&rollout.findings, may_hide);
    let drains = rollout
        .drains
        .iter()
        .map(|drain| drain.verdict)
        .filter(|verdict| *verdict != Verdict::Inconclusive)
        .max();
    own.max(drains.unwrap_or(Verdict::Pass))
}

/// Why a pass would say too much; nothing when it would not.
fn unseen(rollout: &Rollout) -> Vec<String> {
    let drains = &rollout.drains;
    let nothing_ended = rollout.counts.closes() == 0 && rollout.counts.refused == 0;
    if drains.is_empty() && rollout.starts.is_empty() && rollout.gaps.is_empty() && nothing_ended {
        return vec!["Nothing happened to the workload on this node.".to_owned()];
    }
    let mut reasons = Vec::new();
    let mut told = |number: usize, what: &str| {
        if number > 0 {
            let number = number as u64;
            reasons.push(format!(
                "{} {} {what}.",
                count(number, "drain"),
                were(number)
            ));
        }
    };
    told(
        drains.iter().filter(|drain| drain.records_lost > 0).count(),
        "told in part, as records were lost",
    );
    told(
        drains.iter().filter(|drain| drain.interrupted).count(),
        "interrupted by a restart of finwatch",
    );
    told(
        drains
            .iter()
            .filter(|drain| drain.ended_at.is_none())
            .count(),
        "not over yet",
    );
    let nobody = drains
        .iter()
        .all(|drain| drain.verdict == Verdict::Inconclusive);
    if reasons.is_empty() && !drains.is_empty() && nobody && nothing_ended {
        reasons.push(
            "None of its drains had a client, and no connection ended beside them.".to_owned(),
        );
    }
    reasons
}
