//! The read API's one table: what is served and what is documented are both made from it, so that they cannot
//! differ.

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;

use super::{
    filter, openapi,
    parameters::{
        CAUSE, CUT, ID, KIND, LIMIT, NAMESPACE, ORIGIN, OUTCOME, PHASE, PORT, ROLE, SINCE, SOURCE,
        STATE, VERDICT, WORKLOAD,
    },
    problem::Problem,
    route::{Question, Route},
};
use finwatch_engine::model::{Close, Drain, Incident, Rollout, ServiceState};
use jiff::Timestamp;

/// Every route, in the order of the document.
pub(super) const ROUTES: &[Route] = &[
    Route {
        path: "/v1/services",
        operation: "listServices",
        summary: "Every service as it is now",
        parameters: &[&WORKLOAD, &NAMESPACE, &PORT, &ROLE, &PHASE],
        schema: SchemaGenerator::subschema_for::<Services>,
        answer: |story, Question { asked, .. }| {
            json(&Services {
                services: filter::services(story, asked),
            })
        },
    },
    Route {
        path: "/v1/drains",
        operation: "listDrains",
        summary: "Drains: those that are not over, then the others, each newest first",
        parameters: &[
            &WORKLOAD, &NAMESPACE, &PORT, &VERDICT, &KIND, &STATE, &SINCE, &ID, &LIMIT,
        ],
        schema: SchemaGenerator::subschema_for::<Drains>,
        answer: |story, Question { asked, .. }| {
            let (drains, more) = filter::drains(story, asked);
            json(&Drains { drains, more })
        },
    },
    Route {
        path: "/v1/drains/{id}",
        operation: "getDrain",
        summary: "One drain",
        parameters: &[],
        schema: SchemaGenerator::subschema_for::<Drain>,
        answer: |story, Question { id, .. }| {
            let id = id.as_deref().unwrap_or_default();
            json(&find(
                "drain",
                id,
                |visit| story.drains(visit),
                |drain: &Drain| &drain.id,
            )?)
        },
    },
    Route {
        path: "/v1/rollouts",
        operation: "listRollouts",
        summary: "Rollouts with their drains: those that are not over, then the others, each newest first",
        parameters: &[
            &WORKLOAD, &NAMESPACE, &PORT, &VERDICT, &SOURCE, &STATE, &SINCE, &ID, &LIMIT,
        ],
        schema: SchemaGenerator::subschema_for::<Rollouts>,
        answer: |story, Question { asked, .. }| {
            let (rollouts, more) = filter::rollouts(story, asked);
            json(&Rollouts { rollouts, more })
        },
    },
    Route {
        path: "/v1/rollouts/{id}",
        operation: "getRollout",
        summary: "One rollout with its drains",
        parameters: &[],
        schema: SchemaGenerator::subschema_for::<Rollout>,
        answer: |story, Question { id, .. }| {
            let id = id.as_deref().unwrap_or_default();
            json(&find(
                "rollout",
                id,
                |visit| story.rollouts(visit),
                |rollout: &Rollout| &rollout.id,
            )?)
        },
    },
    Route {
        path: "/v1/incidents",
        operation: "listIncidents",
        summary: "Requests that services lost with nobody stopping or changing them: incidents that are not over, then the others, each newest first",
        parameters: &[
            &WORKLOAD, &NAMESPACE, &PORT, &VERDICT, &CAUSE, &STATE, &SINCE, &ID, &LIMIT,
        ],
        schema: SchemaGenerator::subschema_for::<Incidents>,
        answer: |story, Question { asked, .. }| {
            let (incidents, more) = filter::incidents(story, asked);
            json(&Incidents {
                incidents,
                more,
                watched_since: story.watches_since(),
            })
        },
    },
    Route {
        path: "/v1/incidents/{id}",
        operation: "getIncident",
        summary: "One incident",
        parameters: &[],
        schema: SchemaGenerator::subschema_for::<Incident>,
        answer: |story, Question { id, .. }| {
            let id = id.as_deref().unwrap_or_default();
            json(&find(
                "incident",
                id,
                |visit| story.incidents(visit),
                |incident: &Incident| &incident.id,
            )?)
        },
    },
    Route {
        path: "/v1/closes",
        operation: "listCloses",
        summary: "The connections that ended last, newest first; as many as the daemon remembers. Once asked, all of them are told for a minute",
        parameters: &[
            &WORKLOAD, &NAMESPACE, &PORT, &ROLE, &PHASE, &ORIGIN, &OUTCOME, &CUT, &SINCE, &LIMIT,
        ],
        schema: SchemaGenerator::subschema_for::<Closes>,
        answer: |story, Question { asked, .. }| {
            let (recent, more) = filter::closes(story, asked);
            json(&Closes {
                closes: recent.closes,
                complete_since: recent.complete_since,
                more,
            })
        },
    },
    Route {
        path: "/v1/openapi.json",
        operation: "getOpenapi",
        summary: "This document",
        parameters: &[],
        schema: |_| schemars::json_schema!({"type": "object"}),
        answer: |_, _| json(&document()),
    },
];

/// The document that describes them all.
pub fn document() -> serde_json::Value {
    openapi::document(ROUTES)
}

#[derive(Serialize, JsonSchema)]
struct Services {
    /// In the order of their labels.
    services: Vec<ServiceState>,
}

#[derive(Serialize, JsonSchema)]
struct Drains {
    /// Newest first, those that are not over before the others.
    drains: Vec<Drain>,
    /// Whether the limit left others out.
    more: bool,
}

#[derive(Serialize, JsonSchema)]
struct Rollouts {
    /// Newest first, those that are not over before the others.
    rollouts: Vec<Rollout>,
    /// Whether the limit left others out.
    more: bool,
}

#[derive(Serialize, JsonSchema)]
struct Incidents {
    /// Newest first, those that are not over before the others.
    incidents: Vec<Incident>,
    /// Whether the limit left others out.
    more: bool,
    /// Since when this daemon watches without a break: of the time before, it has what an earlier one wrote.
    watched_since: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct Closes {
    /// Newest first.
    closes: Vec<Close>,
    /// Since when every connection that ended is among them, as far as the daemon remembers; null: of those that ended as they should in ordinary
    /// time, only a sample is, and whoever asks has them all for the next minute. What was cut, reset, or else of note when it ended is
    /// always there; a request that came after such an end is not.
    complete_since: Option<Timestamp>,
    /// Whether the limit left others out.
    more: bool,
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|error| {
        tracing::warn!(%error, "cannot write an answer as JSON");
        Problem::broken()
    })
}

/// Nearest ids that a question for an unknown one is answered with.
const NEAREST: usize = 3;

/// The one with this id; else the ids that are most like it.
fn find<T>(
    what: &str,
    id: &str,
    all: impl Fn(&mut dyn FnMut(T) -> std::ops::ControlFlow<()>),
    id_of: impl Fn(&T) -> &String,
) -> Result<T, Problem> {
    let mut found = None;
    let mut nearest: Vec<(f64, String)> = Vec::new();
    all(&mut |value| {
        let candidate = id_of(&value);
        if candidate == id {
            found = Some(value);
            return std::ops::ControlFlow::Break(());
        }
        let likeness = strsim::normalized_damerau_levenshtein(candidate, id);
        if likeness > 0.5 {
            nearest.push((likeness, candidate.clone()));
            nearest.sort_by(|a, b| b.0.total_cmp(&a.0));
            nearest.truncate(NEAREST);
        }
        std::ops::ControlFlow::Continue(())
    });
    let nearest = || nearest.into_iter().map(|(_, id)| id).collect();
    found.ok_or_else(|| Problem::no_such(what, id, nearest()))
}
