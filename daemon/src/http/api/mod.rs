//! The read API: services, drains, rollouts, incidents and recent closes as JSON, and the document that describes it. It
//! does not know who tells the story, and changes nothing.

mod filter;
mod openapi;
mod parameters;
mod problem;
mod route;
mod routes;

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRequestParts, Path, Query, State},
    http::{Uri, header, request::Parts},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use tokio::{sync::Semaphore, time::timeout};

pub use self::routes::document as openapi_document;

use self::{
    parameters::Asked,
    problem::Problem,
    route::{Question, Route},
    routes::ROUTES,
};
use crate::clock;
use finwatch_engine::model::{Drain, Incident, RecentCloses, Rollout, ServiceState};

/// Questions answered at once; others wait for a turn.
const AT_ONCE: usize = 2;
/// Longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who tells the story. Its calls may block.
pub trait Story: Send + Sync + 'static {
    /// Every service as it is now, in the order of their labels.
    fn services(&self) -> Vec<ServiceState>;

    /// Shows drains until told to stop: those that are not over, then the others, each newest first. One that
    /// ends meanwhile may come twice.
    fn drains(&self, visit: &mut dyn FnMut(Drain) -> ControlFlow<()>);

    /// Shows rollouts until told to stop: those that are not over, then the others, each newest first. One
    /// that ends meanwhile may come twice.
    fn rollouts(&self, visit: &mut dyn FnMut(Rollout) -> ControlFlow<()>);

    /// Shows incidents until told to stop: those that are not over, then the others, each newest first. One
    /// that ends meanwhile may come twice.
    fn incidents(&self, visit: &mut dyn FnMut(Incident) -> ControlFlow<()>);

    /// Since when incidents are watched for without a break.
    fn watches_since(&self) -> Timestamp;

    /// The connections that ended last.
    fn closes(&self) -> RecentCloses;
}

#[derive(Clone)]
struct Shared {
    story: Arc<dyn Story>,
    turns: Arc<Semaphore>,
}

/// Every route of the table, and what is said below `/v1` where there is none.
pub(super) fn router(story: Arc<dyn Story>) -> Router {
    let shared = Shared {
        story,
        turns: Arc::new(Semaphore::new(AT_ONCE)),
    };
    let mut router = Router::new()
        .route("/v1", get(nothing_here))
        .route("/v1/{*rest}", get(nothing_here));
    for route in ROUTES {
        let handler = move |State(shared): State<Shared>, Given { id, query }: Given| async move {
            match answer(route, shared, id, query).await {
                Ok(json) => json,
                Err(problem) => problem.into_response(),
            }
        };
        router = router.route(route.path, get(handler));
    }
    router.with_state(shared)
}

/// The path's id and the query, as they were given.
struct Given {
    id: Option<String>,
    query: Result<Vec<(String, String)>, String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Given {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = match Option::<Path<String>>::from_request_parts(parts, state).await {
            Ok(id) => id.map(|Path(id)| id),
            Err(rejection) => return Err(Problem::bad_query(&rejection.body_text())),
        };
        let query = Query::try_from_uri(&parts.uri)
            .map(|Query(pairs)| pairs)
            .map_err(|rejection| rejection.body_text());
        Ok(Self { id, query })
    }
}

async fn answer(
    route: &'static Route,
    shared: Shared,
    id: Option<String>,
    query: Result<Vec<(String, String)>, String>,
) -> Result<Response, Problem> {
    let query = query.map_err(|why| Problem::bad_query(&why))?;
    let now = Timestamp::try_from(clock::wall()).map_err(|_| Problem::broken())?;
    let asked = Asked::new(route.parameters, &query, now)?;
    let turn = timeout(PATIENCE, Arc::clone(&shared.turns).acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        return Err(Problem::busy());
    };
    let answered = tokio::task::spawn_blocking(move || {
        let answered = (route.answer)(&*shared.story, &Question { asked, id });
        drop(turn);
        answered
    });
    let json = answered.await.map_err(|error| {
        tracing::error!(%error, path = route.path, "a question could not be answered");
        Problem::broken()
    })??;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, json).into_response())
}

async fn nothing_here(uri: Uri) -> Problem {
    let paths = ROUTES.iter().map(|route| route.path.to_owned());
    Problem::no_such_path(uri.path(), paths.collect())
}
