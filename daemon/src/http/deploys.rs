//! Where deploy events come in over HTTP: one route a format, answers in JSON, and patience with nobody for long. What
//! an event says, and who may send one, is the intake's business.

use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::post,
};
use hyper::body::Body as _;
use jiff::Timestamp;
use tokio::time::timeout;

use super::{api::Story, names::Names};
use crate::{
    clock,
    deploy::{
        BODY_BYTES_MAX, Headers, Intake, Outcome, Receipt, Refusal, RefusalKind, Route, Taken,
    },
};
use finwatch_engine::render::units;

/// Longest time that a body may take to come.
const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes past the limit that are read and thrown away, so that a sender which writes before it reads gets the answer and
/// not a reset.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
/// When a sender that was refused for want of room should come again.
const RETRY_AFTER_SECS: &str = "1";

#[derive(Clone)]
struct Shared {
    intake: Arc<Intake>,
    names: Option<Names>,
}

/// Every route. With a story, a sender is told when nobody is called as it says.
pub fn router(intake: Arc<Intake>, story: Option<Arc<dyn Story>>) -> Router {
    let shared = Shared {
        intake,
        names: story.map(Names::new),
    };
    let mut router = Router::new();
    for route in Route::ALL {
        let receive = move |State(shared): State<Shared>, request: Request| async move {
            receive(route, &shared, request).await
        };
        router = router.route(route.path(), post(receive));
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

async fn receive(route: Route, shared: &Shared, request: Request) -> Response {
    let Shared { intake, names } = shared;
    let (head, body) = request.into_parts();
    let headers = headers(&head.headers);
    if let Err(refusal) = intake.admit(route, &headers) {
        // Nothing of it is kept, but it is read: see `DISCARDED_BYTES_MAX`.
        let _whatever = timeout(BODY_PATIENCE, collect(body, 0)).await;
        return refuse(&refusal);
    }
    let body = match timeout(BODY_PATIENCE, collect(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(refusal)) => {
            intake.refused(route, &headers, &refusal);
            return refuse(&refusal);
        }
        Err(_) => {
            let refusal = Refusal::new(
                RefusalKind::Slow,
                format!("the body did not come within {} s", BODY_PATIENCE.as_secs()),
                "send it in one piece",
            );
            intake.refused(route, &headers, &refusal);
            return refuse(&refusal);
        }
    };
    match intake.take(route, &headers, &body, now()) {
        Ok(mut taken) => {
            if let (Taken::One(receipt), Some(names)) = (&mut taken, names) {
                mind_the_name(receipt, names).await;
            }
            answer(taken)
        }
        Err(refusal) => refuse(&refusal),
    }
}

/// Says to the sender, and in the log for senders that read no answers, when nobody is called so.
async fn mind_the_name(receipt: &mut Receipt, names: &Names) {
    let Some(begins) = receipt.begins.clone() else {
        return;
    };
    receipt.unknown = names.unknown(begins).await;
    if let Some(unknown) = &receipt.unknown {
        let source = receipt.source.as_str();
        // The name is the sender's.
        let unknown = units::plain(&unknown.to_string());
        tracing::warn!(source, "a deploy was announced: {unknown}");
    }
}

/// The body, up to so many bytes.
async fn collect(mut body: Body, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let (mut whole, mut seen) = (Vec::new(), 0_usize);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let broken = |_| {
            Refusal::new(
                RefusalKind::Malformed,
                "the body broke off",
                "send as many bytes as Content-Length says",
            )
        };
        let Ok(bytes) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        seen = seen.saturating_add(bytes.len());
        if seen <= bytes_max {
            whole.extend_from_slice(&bytes);
        } else if seen > bytes_max + DISCARDED_BYTES_MAX {
            break;
        } else {
            whole = Vec::new();
        }
    }
    if seen > bytes_max {
        return Err(Refusal::new(
            RefusalKind::TooLarge,
            format!("the body has more than {bytes_max} bytes"),
            "send the fields of docs/deploy-events.md only",
        ));
    }
    Ok(whole)
}

async fn unknown_path(uri: Uri) -> Response {
    let paths: Vec<_> = Route::ALL.iter().map(|route| route.path()).collect();
    let path: String = uri.path().chars().take(80).collect();
    refuse(&Refusal::new(
        RefusalKind::UnknownPath,
        format!("there is nothing at {path}"),
        format!("deploy events are taken at {}", paths.join(", ")),
    ))
}

async fn wrong_method(method: Method) -> Response {
    let method: String = method.as_str().chars().take(20).collect();
    refuse(&Refusal::new(
        RefusalKind::WrongMethod,
        format!("{method} is not understood here"),
        "send the event with POST",
    ))
}

fn answer(taken: Taken) -> Response {
    let is_new = |receipt: &Receipt| !receipt.ping && receipt.result != Outcome::Duplicate;
    let (new, body) = match taken {
        Taken::One(receipt) => (is_new(&receipt), serde_json::json!(receipt)),
        Taken::Batch(receipts) => (
            receipts.iter().any(is_new),
            serde_json::json!({ "results": receipts }),
        ),
    };
    let status = if new {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    json(status, &body)
}

fn refuse(refusal: &Refusal) -> Response {
    let status =
        StatusCode::from_u16(refusal.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, &serde_json::json!(refusal));
    let further = match refusal.kind {
        RefusalKind::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer")),
        RefusalKind::WrongMethod => Some((header::ALLOW, "POST")),
        RefusalKind::Overloaded | RefusalKind::SecretUnreadable => {
            Some((header::RETRY_AFTER, RETRY_AFTER_SECS))
        }
        // What of the body is still to come would be taken for the next request.
        RefusalKind::Slow | RefusalKind::TooLarge => Some((header::CONNECTION, "close")),
        _ => None,
    };
    if let Some((name, value)) = further {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    let head = [(header::CONTENT_TYPE, "application/json")];
    (status, head, format!("{body}\n")).into_response()
}

fn headers(map: &HeaderMap) -> Headers {
    map.iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

fn now() -> Timestamp {
    // Fails only for years past 9999.
    Timestamp::try_from(clock::wall()).unwrap_or(Timestamp::MAX)
}
