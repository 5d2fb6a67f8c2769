//! The gate over a time in which nothing was rolled out: judged by the incidents that it has. What a rollout tells is in no
//! incident, so a time that one reached into is not judged so.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::{
    api::{AskError, Query},
    gate::{BEFORE, Gate, LIMIT, Passed, Since, Wanted},
};
use finwatch_engine::{
    model::{Incident, Role, ServiceState, Verdict},
    render::units::{count, plain, service},
    summary::incident_headline,
};

/// An incident that began so long before a time, at most, may reach into it.
const REACH: SignedDuration = SignedDuration::from_hours(1);

#[derive(Deserialize)]
struct Page {
    incidents: Vec<Value>,
    watched_since: Timestamp,
}

#[derive(Deserialize)]
struct Services {
    services: Vec<ServiceState>,
}

// === impl Gate ===

impl Gate<'_> {
    /// What a workload lost since a time, with no rollout in it; none where another question was asked, where a rollout reaches
    /// into that time, or where nobody of that name is known.
    pub(super) fn judge_span(&self) -> Result<Option<Passed>, AskError> {
        let Wanted::Fitting {
            workload: Some(_),
            query,
            since: Since::Deploy(since),
            ..
        } = &self.wanted
        else {
            return Ok(None);
        };
        let earlier = self.list(query, since.checked_sub(BEFORE).ok(), LIMIT)?;
        let reaches = |ended_at: Option<Timestamp>| ended_at.is_none_or(|at| at >= *since);
        if earlier.iter().any(|(_, one)| reaches(one.ended_at)) || !self.has_served(query)? {
            return Ok(None);
        }
        let (incidents, watched_since) = self.incidents(query, *since)?;
        let worst = incidents
            .iter()
            .max_by_key(|(_, one)| (one.verdict, one.lost()));
        let called = format!("there is no {}", self.called());
        let (verdict, reason) = match worst {
            Some((_, worst)) => (
                worst.verdict,
                format!(
                    "{called}, but {}; {}: {}",
                    count(incidents.len() as u64, "incident"),
                    plain(&service(&worst.service)),
                    incident_headline(worst)
                ),
            ),
            None if watched_since > *since => (
                Verdict::Inconclusive,
                format!(
                    "{called}, and finwatch watches only since {}",
                    self.times.full(watched_since)
                ),
            ),
            None => (
                Verdict::Pass,
                format!("{called}, and no incident: nothing lost"),
            ),
        };
        Ok(Some(Passed {
            verdict,
            reason,
            judged: Vec::new(),
            others: Vec::new(),
            incidents,
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
    ) -> Result<(Vec<(Value, Incident)>, Timestamp), AskError> {
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
