//! What a pipeline's log says of a rollout that was judged.

use super::{rollout, rollout_with};
use crate::{
    model::Verdict,
    render::{
        Judged, Section, Tone,
        units::Times,
        verdict::{PASSES, title},
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
