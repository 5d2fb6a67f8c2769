//! What a pipeline's log says of a rollout that was judged.

use super::{
    groups::groups,
    lost::Lost,
    rollout, rollout_with,
    subject::{Subject, lost_in},
};
use crate::{
    model::{Incident, Rollout, Verdict},
    render::{
        COLUMNS, Judged, Section, Tone,
        columns::fitted,
        units::{Times, many},
        verdict::{PASSES, title, verdict_of},
    },
};

/// The answer; where the rollout is not over, that it is not.
pub fn judged(judged: &Judged<'_>, lets_warnings_pass: bool, times: &Times) -> Section {
    let Judged {
        verdict,
        reason,
        rollout: of,
    } = *judged;
    if !of.is_over() {
        let reason = format!("  {reason}");
        return Section::new(title(verdict).and(Tone::Plain, reason));
    }
    match verdict == Verdict::Warn && lets_warnings_pass {
        true => rollout_with(of, times, PASSES),
        false => rollout(of, times),
    }
}

/// What rollouts and incidents come to together: all that was lost, each of it once, and what most of it came of.
pub fn together(verdict: Verdict, rollouts: &[&Rollout], incidents: &[&Incident]) -> Section {
    let counts: Vec<_> = incidents.iter().map(|one| lost_in(one)).collect();
    let of_rollouts = rollouts.iter().map(|one| Subject::of_rollout(one));
    let of_incidents = incidents.iter().zip(&counts);
    let of_incidents = of_incidents.map(|(one, counts)| Subject::of_incident(one, counts));
    let (mut all, mut by_rollouts) = (Lost::default(), Lost::default());
    let mut most: (u64, Option<String>) = (0, None);
    for (at, subject) in of_rollouts.chain(of_incidents).enumerate() {
        let groups = groups(&subject);
        let lost = Lost::of(&subject, &groups);
        all.add(&lost);
        if at < rollouts.len() {
            by_rollouts.add(&lost);
        }
        if lost.total() > most.0 {
            most = (lost.total(), lost.why(&subject, &groups));
        }
    }
    let [changes, bursts] = [(rollouts.len(), "rollout"), (incidents.len(), "incident")]
        .map(|(number, what)| many(number as u64, what));
    let of = match by_rollouts.is_nothing() {
        true => bursts,
        false => format!("{changes} and {bursts}"),
    };
    let (_, why) = most;
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    let told = format!("{} in {of}{why}", all.amount());
    // Two blanks before it, and the marks around the verdict's word where it is written as Markdown.
    let room = COLUMNS - title(verdict).plain().len() - 6;
    verdict_of(verdict, &fitted(&told, room, 1))
}
