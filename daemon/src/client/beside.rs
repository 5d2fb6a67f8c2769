//! What there is beside the rollouts that a gate judges, and where it finds none, instead of them: so that nobody takes an
//! answer for another, nor waits for a name that is written wrong.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{
    api::{AskError, Query},
    gate::{BEFORE, Found, FoundIncident, Gate, Since, Wanted, WatchesTime},
    span::{is_told, sort},
};
use crate::nearest::Unknown;
use finwatch_engine::{
    model::{Rollout, ServiceState},
    render::units,
};

/// Where neither a time nor a workload was said, what ended so long before the chosen one is no part of the picture.
const AROUND: SignedDuration = SignedDuration::from_mins(10);
/// Most rollouts that are looked through for what was not judged.
const OTHERS_LIMIT: usize = 100;

#[derive(Deserialize)]
struct Services {
    services: Vec<ServiceState>,
}

// === impl Gate ===

impl Gate<'_> {
    /// What fits as well and is not judged: where a deploy is meant, what began or lasted since; and where no workload is
    /// named, what happened around the one that was chosen. Nothing where nothing was found: that has its own words.
    pub(super) fn others(&self, judged: &[Found]) -> Result<Vec<Rollout>, AskError> {
        let (
            Some((_, chosen)),
            Wanted::Fitting {
                workload,
                query,
                since,
                ..
            },
        ) = (judged.first(), &self.wanted)
        else {
            return Ok(Vec::new());
        };
        let from = match (since, workload) {
            (Since::Deploy(at), _) | (Since::Lately(at), None) => *at,
            (Since::Ever, None) => chosen
                .started_at
                .checked_sub(AROUND)
                .unwrap_or(Timestamp::MIN),
            (_, Some(_)) => return Ok(Vec::new()),
        };
        let found = self.list(query, from.checked_sub(BEFORE).ok(), OTHERS_LIMIT)?;
        let is_judged = |other: &Rollout| judged.iter().any(|(_, one)| one.id == other.id);
        let lasted = |other: &Rollout| other.ended_at.is_none_or(|ended_at| ended_at >= from);
        let others = found.into_iter().map(|(_, other)| *other);
        Ok(others
            .filter(|other| lasted(other) && !is_judged(other))
            .collect())
    }

    /// Incidents in the time of what is judged, of which it tells nothing and which do not count; where a deploy is meant also what
    /// its own workloads lost since.
    pub(super) fn incidents_beside(
        &self,
        judged: &[Found],
        counted: &[FoundIncident],
    ) -> Result<Vec<FoundIncident>, AskError> {
        let since = match &self.wanted {
            Wanted::Fitting {
                since: Since::Deploy(since),
                ..
            } => Some(*since),
            _ => None,
        };
        let started = judged.iter().map(|(_, rollout)| rollout.started_at);
        let Some(from) = started.min() else {
            return Ok(Vec::new());
        };
        let from = since.map_or(from, |since| from.min(since));
        let (mut incidents, _) = self.incidents(&Query::new(), from)?;
        incidents.retain(|(_, incident)| {
            let after = since.is_some_and(|since| incident.last_at >= since);
            let beside = judged.iter().any(|(_, rollout)| {
                let lasted = |at| rollout.ended_at.is_none_or(|ended_at| at <= ended_at);
                let beside = incident.last_at >= rollout.started_at && lasted(incident.started_at);
                beside || after && rollout.workload.means(&incident.service)
            });
            let counts = counted.iter().any(|(_, one)| one.id == incident.id);
            beside && !counts && !is_told(incident, judged)
        });
        sort(&mut incidents);
        Ok(incidents)
    }

    /// What there is where nothing was found: the newest that would fit had it begun later, or the names that are known.
    pub(super) fn instead(&self) -> Result<Option<String>, AskError> {
        let Wanted::Fitting { query, since, .. } = &self.wanted else {
            return Ok(None);
        };
        let Some(since) = since.bound() else {
            return Ok(self.unknown()?.map(|unknown| unknown.to_string()));
        };
        let newest = self.list(query, None, 1)?.into_iter().next();
        Ok(match newest {
            Some((_, newest)) if newest.started_at < since => Some(earlier(&newest, since)),
            // It came this moment.
            Some(_) => None,
            None => self.unknown()?.map(|unknown| unknown.to_string()),
        })
    }

    /// Says at once that the name is not known, as a slip of the pen is waited for in vain. Where no name is known yet, there
    /// is nothing to say.
    pub(super) fn doubt_the_name(&self, time: &mut impl WatchesTime) -> Result<(), AskError> {
        let Wanted::Fitting { query, .. } = &self.wanted else {
            return Ok(());
        };
        if !self.list(query, None, 1)?.is_empty() {
            return Ok(());
        }
        if let Some(unknown) = self.unknown()?.filter(|unknown| !unknown.knows_nobody()) {
            time.mention(&format!("{unknown}. It is waited for all the same"));
        }
        Ok(())
    }

    /// What there is to say of the workload's name, of which there is no rollout.
    fn unknown(&self) -> Result<Option<Unknown>, AskError> {
        let Wanted::Fitting {
            workload: Some(typed),
            ..
        } = &self.wanted
        else {
            return Ok(None);
        };
        let Services { services } = self.client.ask("/v1/services", &Query::new())?;
        let names = services.into_iter().map(|state| state.service.workload);
        Ok(Unknown::check(typed, names))
    }
}

/// The newest rollout where all began before the time that was asked for.
fn earlier(newest: &Rollout, since: Timestamp) -> String {
    let id = units::plain(&newest.id);
    let before = units::span(since.duration_since(newest.started_at));
    if newest.is_over() {
        let verdict = newest.verdict.as_str();
        format!("the newest, {id} ({verdict}), began {before} before that")
    } else {
        format!("rollout {id} began {before} before that and is still running")
    }
}
