//! The gate over a time since which a workload is to be judged: whatever its clients lost counts, whether a rollout tells of it or an
//! incident. Nothing counts twice: what a rollout tells is in no incident, but for a worker's crash, which names its drain.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::{
    api::{AskError, Query},
    gate::{BEFORE, Found, FoundIncident, Gate, LIMIT, Since, Wanted},
};
use finwatch_engine::model::{Incident, Role, Rollout, ServiceState, Verdict};

/// An incident that began so long before a time, at most, may reach into it.
const REACH: SignedDuration = SignedDuration::from_hours(1);

/// What a time comes to in which no rollout began.
pub(super) enum Quiet {
    /// It was watched, and clients came.
    Watched,
    /// It was watched only since then.
    WatchedSince(Timestamp),
    /// A rollout that began before reaches into it, or nobody of that name had clients: it is not known.
    Unknown,
}

#[derive(Deserialize)]
struct Page {
    incidents: Vec<Value>,
    watched_since: Timestamp,
}

#[derive(Deserialize)]
struct Services {
    services: Vec<ServiceState>,
}

// === impl Quiet ===

impl Quiet {
    /// With nothing lost.
    pub(super) const fn verdict(&self) -> Verdict {
        match self {
            Self::Watched => Verdict::Pass,
            Self::WatchedSince(_) | Self::Unknown => Verdict::Inconclusive,
        }
    }
}

// === impl Gate ===

impl Gate<'_> {
    /// Since when all that a workload's clients lost is asked for, and of whom; none where a rollout alone is.
    pub(super) const fn span(&self) -> Option<(&Query, Timestamp)> {
        match &self.wanted {
            Wanted::Fitting {
                workload: Some(_),
                query,
                since: Since::Deploy(since),
                ..
            } => Some((query, *since)),
            _ => None,
        }
    }

    /// What counts beside these rollouts, the worst first.
    pub(super) fn incidents_that_count(
        &self,
        judged: &[Found],
    ) -> Result<Vec<FoundIncident>, AskError> {
        let Some((query, since)) = self.span() else {
            return Ok(Vec::new());
        };
        let mut incidents = self.incidents(query, since)?.0;
        incidents.retain(|(_, incident)| !is_told(incident, judged));
        sort(&mut incidents);
        Ok(incidents)
    }

    /// What is known of a time in which no rollout began; none where another question was asked.
    pub(super) fn quiet(&self) -> Result<Option<Quiet>, AskError> {
        let Some((query, since)) = self.span() else {
            return Ok(None);
        };
        let earlier = self.list(query, since.checked_sub(BEFORE).ok(), LIMIT)?;
        let reaches = |one: &Rollout| one.ended_at.is_none_or(|at| at >= since);
        if earlier.iter().any(|(_, one)| reaches(one)) || !self.has_served(query)? {
            return Ok(Some(Quiet::Unknown));
        }
        let (_, watched_since) = self.incidents(query, since)?;
        Ok(Some(match watched_since > since {
            true => Quiet::WatchedSince(watched_since),
            false => Quiet::Watched,
        }))
    }

    /// Whether any service is known that is meant, and had clients.
    fn has_served(&self, query: &Query) -> Result<bool, AskError> {
        let Services { services } = self.client.ask("/v1/services", query)?;
        let mut servers = services.iter().filter(|state| state.role == Role::Server);
        Ok(servers.any(|state| state.totals.opened + state.open > 0))
    }

    /// Those that reach into the time, the newest first, and since when they are watched for.
    pub(super) fn incidents(
        &self,
        query: &Query,
        since: Timestamp,
    ) -> Result<(Vec<FoundIncident>, Timestamp), AskError> {
        let mut query = query.clone();
        let from = since.checked_sub(REACH).unwrap_or(since);
        query.push(("since", from.to_string()));
        query.push(("limit", LIMIT.to_string()));
        let page: Page = self.client.ask("/v1/incidents", &query)?;
        let mut incidents = Vec::new();
        for value in page.incidents {
            let incident: Incident = self
                .client
                .understand("/v1/incidents", &value.to_string())?;
            if incident.last_at >= since {
                incidents.push((value, incident));
            }
        }
        Ok((incidents, page.watched_since))
    }
}

/// Whether one of these rollouts has the drain that tells of an incident.
pub(super) fn is_told(incident: &Incident, judged: &[Found]) -> bool {
    let mut drains = judged.iter().flat_map(|(_, rollout)| &rollout.drains);
    incident
        .drain
        .as_ref()
        .is_some_and(|told_by| drains.any(|drain| drain.id == *told_by))
}

/// The worst first, and of those the one that lost most.
pub(super) fn sort(incidents: &mut [FoundIncident]) {
    incidents.sort_by_key(|(_, incident)| Reverse((incident.verdict, incident.lost())));
}
