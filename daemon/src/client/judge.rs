//! What a gate's rollouts and incidents come to: the worst verdict, and why, in a sentence.

use std::cmp::Reverse;

use super::{
    api::AskError,
    gate::{Found, FoundIncident, Gate, Judged, Passed},
    span::Quiet,
};
use finwatch_engine::{
    model::{Rollout, Verdict},
    render::units,
    summary::{headline, incident_headline},
};

// === impl Gate ===

impl Gate<'_> {
    /// Takes what was found.
    pub(super) fn judge(&self, found: Vec<Found>) -> Result<Passed, AskError> {
        let incidents = self.incidents_that_count(&found)?;
        let beside = self.incidents_beside(&found, &incidents)?;
        let mut others = self.others(&found)?;
        others.retain(|other| !is_told_by(other, &incidents));
        let nothing = match found.is_empty() {
            true => Some(self.nothing(incidents.is_empty())?),
            false => None,
        };
        let mut judged: Vec<Judged> = found
            .into_iter()
            .map(|found| self.judge_one(found))
            .collect();
        judged.sort_by_key(|one| Reverse(one.verdict));
        let of_rollouts = judged.first().map(|worst| worst.verdict);
        let of_rollouts = of_rollouts.or(nothing.as_ref().map(|(verdict, _)| *verdict));
        let of_rollouts = of_rollouts.unwrap_or_default();
        let of_incidents = incidents.first().map(|(_, worst)| worst.verdict);
        let nothing = nothing.map(|(_, nothing)| nothing);
        let rollouts = rollouts_reason(&judged, nothing.as_deref());
        let reason = match incidents_reason(&incidents) {
            None => rollouts,
            // Who reads one line reads what made the verdict.
            Some(incidents) if judged.is_empty() || of_incidents > Some(of_rollouts) => {
                format!("{incidents}; {rollouts}")
            }
            Some(incidents) => format!("{rollouts}; beside it, {incidents}"),
        };
        Ok(Passed {
            verdict: of_incidents.unwrap_or(of_rollouts).max(of_rollouts),
            reason,
            judged,
            others,
            incidents,
            beside,
            nothing,
        })
    }

    /// What it comes to that no rollout was found, and that in words.
    fn nothing(&self, is_without_incidents: bool) -> Result<(Verdict, String), AskError> {
        let nothing = match self.patience.is_zero() {
            true => format!("there is no {}", self.called()),
            false => format!("waited {} for {}", self.waited(), self.called()),
        };
        // Who waits, waits for a rollout.
        let quiet = match self.patience.is_zero() {
            true => self.quiet()?,
            false => None,
        };
        let quiet = quiet.unwrap_or(Quiet::Unknown);
        let verdict = quiet.verdict();
        let told = match quiet {
            Quiet::Watched if is_without_incidents => {
                format!("{nothing}, and no incident: nothing lost")
            }
            Quiet::Watched => nothing,
            Quiet::WatchedSince(at) => format!(
                "{nothing}, and finwatch watches only since {}",
                self.times.full(at)
            ),
            Quiet::Unknown => match self.instead()? {
                Some(instead) => format!("{nothing}; {instead}"),
                None => nothing,
            },
        };
        Ok((verdict, told))
    }

    fn judge_one(&self, (value, rollout): Found) -> Judged {
        let over = rollout.is_over();
        Judged {
            verdict: if over {
                rollout.verdict
            } else {
                Verdict::Inconclusive
            },
            reason: if over {
                headline(&rollout)
            } else {
                self.still_running(&rollout)
            },
            value,
            rollout,
        }
    }

    fn still_running(&self, rollout: &Rollout) -> String {
        let id = units::plain(&rollout.id);
        if self.patience.is_zero() {
            format!("rollout {id} is still running; --wait waits for its end")
        } else {
            format!("rollout {id} is still running after {}", self.waited())
        }
    }
}

/// Why the rollouts come to what they do; where there is none, that.
fn rollouts_reason(judged: &[Judged], nothing: Option<&str>) -> String {
    match judged {
        [] => nothing.unwrap_or_default().to_owned(),
        [one] => one.reason.clone(),
        [worst, ..] => format!(
            "{} rollouts overlap, and the worst counts, {}: {}",
            judged.len(),
            units::plain(&worst.rollout.id),
            worst.reason
        ),
    }
}

/// The same of incidents, of which the worst is the first.
fn incidents_reason(incidents: &[FoundIncident]) -> Option<String> {
    let (_, worst) = incidents.first()?;
    let of = units::plain(&units::service(&worst.service));
    let worst = format!("{of}: {}", incident_headline(worst));
    Some(match incidents.len() {
        1 => format!("an incident of {worst}"),
        several => format!("{several} incidents, the worst of {worst}"),
    })
}

/// Whether all drains of a rollout are told by these incidents.
fn is_told_by(rollout: &Rollout, incidents: &[FoundIncident]) -> bool {
    let told = |id: &String| {
        incidents
            .iter()
            .any(|(_, one)| one.drain.as_ref() == Some(id))
    };
    let mut drains = rollout.drains.iter();
    !rollout.drains.is_empty() && drains.all(|drain| told(&drain.id))
}
