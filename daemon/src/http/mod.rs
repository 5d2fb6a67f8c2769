//! The HTTP face: `/metrics`, `/live`, `/ready`, the read API below `/v1`, and an index. The only folder that
//! imports axum; it knows the exposition as text and nothing of what is in it.

mod api;
pub mod deploys;
mod names;
mod negotiate;
mod scrape;
mod serve;

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};

pub use api::{Story, openapi_document};
pub use serve::{bind, bind_for, serve};

use self::scrape::Scrapes;
use crate::metrics::Exporter;

/// How far the daemon is.
#[derive(Debug)]
pub struct Readiness(AtomicU8);

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

// === impl Readiness ===

impl Default for Readiness {
    fn default() -> Self {
        Self(AtomicU8::new(STARTING))
    }
}

impl Readiness {
    /// Everything is attached and the first look is done.
    pub fn ready(&self) {
        self.0.store(READY, Ordering::Relaxed);
    }

    /// No new work is wanted.
    pub fn stopping(&self) {
        self.0.store(STOPPING, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
struct Shared {
    scrapes: Arc<Scrapes>,
    readiness: Arc<Readiness>,
}

/// Every route. Without a story there is no read API.
pub fn router(
    exporter: Exporter,
    readiness: Arc<Readiness>,
    story: Option<Arc<dyn Story>>,
) -> Router {
    let router = Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .with_state(Shared {
            scrapes: Arc::new(Scrapes::new(exporter)),
            readiness,
        });
    match story {
        Some(story) => router.merge(api::router(story)),
        None => router,
    }
}

async fn metrics(State(shared): State<Shared>, headers: axum::http::HeaderMap) -> Response {
    let asked = |name| {
        let values = headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok())
    };
    let format = negotiate::format(asked(header::ACCEPT));
    let gzip = negotiate::gzip(asked(header::ACCEPT_ENCODING));
    shared.scrapes.scrape(format, gzip).await
}

async fn ready(State(shared): State<Shared>) -> Response {
    let (code, text) = match shared.readiness.0.load(Ordering::Relaxed) {
        READY => (StatusCode::OK, "ready\n"),
        STARTING => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    };
    (code, text).into_response()
}

async fn index() -> Html<&'static str> {
    Html(concat!(
        "<!doctype html><html lang=\"en\"><head><title>finwatch</title></head><body><h1>finwatch ",
        env!("CARGO_PKG_VERSION"),
        "</h1><p>Accounts for the end of every TCP connection on this host.</p><ul>",
        "<li><a href=\"/metrics\">/metrics</a>: OpenMetrics, or Prometheus text, by what is accepted</li>",
        "<li><a href=\"/v1/rollouts\">/v1/rollouts</a>, <a href=\"/v1/drains\">/v1/drains</a>, ",
        "<a href=\"/v1/services\">/v1/services</a>, <a href=\"/v1/closes\">/v1/closes</a>: the story as JSON, ",
        "described by <a href=\"/v1/openapi.json\">/v1/openapi.json</a></li>",
        "<li><a href=\"/live\">/live</a>: the process serves</li>",
        "<li><a href=\"/ready\">/ready</a>: the kernel programs are attached and the first survey is done</li>",
        "</ul></body></html>\n"
    ))
}
