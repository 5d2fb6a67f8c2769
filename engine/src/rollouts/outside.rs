//! What a rollout's services lost outside of every drain: a change that comes without a signal (a reload by an API, workers
//! told by messages, checks that fail) loses requests too.

use super::live::Live;
use crate::{
    diagnoses::{
        self as diagnoses, Diagnosis, JudgeOptions, growth,
        judge::{beside, example_told},
    },
    model::{Cuts, EndedConnection, Finding, Growth, Rollout, Severity},
    render::units::{length, secs},
};

/// Most connections shown of each kind.
const EXAMPLES_MAX: usize = 3;

/// Growth of a rollout without a drain: over all of it.
pub(super) fn growth(live: &Live) -> Growth {
    let (counts, ordinary) = (live.shares.counts(), live.shares.ordinary());
    // Over several services seconds are added up, as those of their ordinary time are.
    let lasted = lasted(live) * live.shares.services().max(1) as f64;
    let beside = |now, before| growth::test(now, lasted, before, ordinary.window_secs);
    let before = &ordinary.counts;
    Growth {
        time_wait: beside(
            counts.time_wait + counts.fin_wait2,
            before.time_wait + before.fin_wait2,
        ),
        resets: beside(
            counts.resets_without_goodbyes(),
            before.resets_without_goodbyes(),
        ),
        resets_with_goodbyes: beside(counts.resets(), before.resets()),
    }
}

/// Requests that were lost, each kind told as what it is.
pub(super) fn findings(rollout: &Rollout, live: &Live, options: &JudgeOptions) -> Vec<Finding> {
    let Cuts {
        unanswered,
        unread,
        late,
    } = rollout.lost_outside();
    let ordinary = live.shares.ordinary();
    let services = live.shares.services().max(1) as f64;
    let judged =
        |now, before| growth::test(now, lasted(live) * services, before, ordinary.window_secs);
    let before = &ordinary.counts.cut;
    let lost = [
        (
            &diagnoses::REQUESTS_CUT,
            judged(unanswered + unread + late, before.total()),
            told(&[
                (unanswered, "read and not answered"),
                (unread, "received and never read"),
                (late, "sent after this side had closed"),
            ]),
        ),
        (
            &diagnoses::KEEPALIVE_RACE,
            judged(late, before.late),
            told(&[(late, "sent after this side had closed")]),
        ),
    ];
    let is_lost = |(_, grown, _): &(_, crate::model::GrowthTest, _)| grown.count > 0;
    lost.into_iter()
        .filter(is_lost)
        .map(|(diagnosis, grown, kinds)| {
            let mut evidence = vec![format!(
                "{} lost while nothing was told to stop: {kinds}.",
                match grown.count {
                    1 => "1 request was".to_owned(),
                    many => format!("{many} requests were"),
                }
            )];
            let usual = grown.baseline_count > 0
                && grown.p_value.is_some_and(|p| p >= options.significance);
            let examples = rollout.outside_examples.iter();
            let of_kind = examples.filter(|one| is_of(diagnosis, one));
            let since = rollout.started_at;
            evidence.extend(of_kind.take(EXAMPLES_MAX).map(|one| {
                let when = length(secs(since, one.ended_at));
                example_told(one, &format!("{when} after its begin"))
            }));
            if usual {
                evidence.push(format!(
                    "As in its ordinary time: {}",
                    beside(&grown, "request lost", "requests lost")
                ));
            }
            let mut finding = diagnosis.found(evidence);
            if usual {
                finding.severity = Severity::Info;
            }
            finding
        })
        .collect()
}

fn told(kinds: &[(u64, &str)]) -> String {
    let kinds = kinds.iter().filter(|(number, _)| *number > 0);
    let kinds: Vec<_> = kinds
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    kinds.join(", ")
}

fn is_of(diagnosis: &Diagnosis, example: &EndedConnection) -> bool {
    diagnosis.name == diagnoses::REQUESTS_CUT.name || example.cut == "late"
}

/// How long it lasted so far, seconds: at least one, as a count in no time has no rate.
fn lasted(live: &Live) -> f64 {
    let until = live.shares.last_at().max(Some(live.last_sign()));
    until
        .map_or(0.0, |until| secs(live.rollout.started_at, until))
        .max(1.0)
}
