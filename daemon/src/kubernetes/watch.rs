//! The watch: one connection to the API server, for the metadata of this node's pods. Its state machine (list, watch from the
//! list's version on, bookmarks, a new list after 410) and the times between two attempts (doubling with jitter, up to half a
//! minute) are the library's. Nothing that goes wrong ends it.

use std::{pin::pin, sync::Arc};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api,
    core::PartialObjectMeta,
    runtime::watcher::{Config, DefaultBackoff, Error, Event, watcher},
};

use super::{
    Change, Heard, PodMeta,
    api::{cause, connect, said},
    meta::{ANNOTATIONS, Controller, LABELS},
    source,
};

/// The version that the watch was to go on from is forgotten.
const GONE: u16 = 410;
/// The token is not taken any more.
const UNAUTHORIZED: u16 = 401;

/// Watches the pods of a node and tells what happens to them, until it is dropped.
pub async fn watch(api: &source::Api, heard: &Arc<Heard>, tell: impl Fn(Change)) {
    let mut pauses = DefaultBackoff::default();
    let mut is_told = false;
    loop {
        let failed = match follow(api, heard, &tell, &mut pauses, &mut is_told).await {
            Ok(()) => continue,
            Err(failed) => failed,
        };
        note(&format!("{failed:#}"), heard, &mut is_told);
        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
    }
}

/// Follows the pods until it must be begun anew.
async fn follow(
    api: &source::Api,
    heard: &Arc<Heard>,
    tell: &impl Fn(Change),
    pauses: &mut DefaultBackoff,
    is_told: &mut bool,
) -> anyhow::Result<()> {
    let client = connect(api, heard)
        .await
        .context("cannot ask the API server")?;
    let pods: Api<PartialObjectMeta<Pod>> = Api::all(client);
    // Out of the server's cache, as every node asks when the server was away: in pages it would read them anew.
    let of_node = Config {
        page_size: None,
        ..Config::default()
            .fields(&format!("spec.nodeName={}", api.node))
            .any_semantic()
    };
    let mut events = pin!(watcher(pods, of_node));
    while let Some(event) = events.next().await {
        let failed = match event {
            Ok(event) => {
                // The first comes before anything was asked.
                *is_told &= matches!(event, Event::Init);
                tell(change(event, heard));
                continue;
            }
            Err(failed) => failed,
        };
        let code = code(&failed);
        // Ordinary after the server was away: its memory begins anew with it.
        if code == Some(GONE) {
            tracing::debug!(
                "the API server has forgotten where the watch was: all pods are listed anew"
            );
        } else {
            note(&describe(&failed), heard, is_told);
        }
        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        // Else the library asks again for a watch that was refused before its first event, as it was; and it reads a new token
        // only when its minute is over.
        if matches!(code, Some(GONE | UNAUTHORIZED)) {
            break;
        }
    }
    Ok(())
}

/// What the server said, if it did.
fn code(failed: &Error) -> Option<u16> {
    match (failed, refusal(failed)) {
        (Error::WatchError(status), _) => Some(status.code),
        (_, Some(kube::Error::Api(status))) => Some(status.code),
        _ => None,
    }
}

fn describe(failed: &Error) -> String {
    match (failed, refusal(failed)) {
        (Error::WatchError(status), _) => said(status),
        (_, Some(refusal)) => cause(refusal),
        (other, None) => other.to_string(),
    }
}

/// What became of a request.
fn refusal(failed: &Error) -> Option<&kube::Error> {
    match failed {
        Error::InitialListFailed(refusal)
        | Error::WatchStartFailed(refusal)
        | Error::WatchFailed(refusal) => Some(refusal),
        Error::WatchError(_) | Error::NoResourceVersion => None,
    }
}

/// Says that it failed: once, until it works again.
fn note(failed: &str, heard: &Heard, is_told: &mut bool) {
    let had_worked = heard.failure();
    if had_worked || !*is_told {
        tracing::warn!(
            error = failed,
            "the watch of this node's pods failed: it goes on, and new pods have no names meanwhile"
        );
        *is_told = true;
    } else {
        tracing::debug!(error = failed, "the watch of this node's pods failed again");
    }
}

fn change(event: Event<PartialObjectMeta<Pod>>, heard: &Heard) -> Change {
    match event {
        Event::Init => Change::Listing,
        Event::InitApply(pod) => Change::Listed(pod.metadata.into()),
        Event::InitDone => {
            heard.list();
            Change::ListEnd
        }
        Event::Apply(pod) => Change::Applied(pod.metadata.into()),
        Event::Delete(pod) => Change::Deleted(pod.metadata.into()),
    }
}

impl From<ObjectMeta> for PodMeta {
    fn from(meta: ObjectMeta) -> Self {
        let controller = meta.owner_references.into_iter().flatten();
        let controller = controller.filter(|owner| owner.controller == Some(true));
        let mut labels = meta.labels.unwrap_or_default();
        labels.retain(|name, _| LABELS.contains(&name.as_str()));
        let mut annotations = meta.annotations.unwrap_or_default();
        annotations.retain(|name, _| ANNOTATIONS.contains(&name.as_str()));
        Self {
            uid: meta.uid.unwrap_or_default(),
            namespace: meta.namespace.unwrap_or_default(),
            name: meta.name.unwrap_or_default(),
            controller: controller
                .map(|owner| Controller {
                    kind: owner.kind,
                    name: owner.name,
                })
                .next(),
            labels,
            annotations,
        }
    }
}
