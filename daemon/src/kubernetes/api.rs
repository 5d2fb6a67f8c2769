//! The way to the API server: how it is reached, and what it lets this process do. TLS, the token's reload from its file (each
//! minute), proxies and waiting where the server says `Retry-After` are the library's (kube): it is what nearly every
//! Rust program asks Kubernetes with, and a watch, its back-off and its credentials are not what finwatch exists for.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Pod,
};
use kube::{
    Client, Config,
    api::{Api, ListParams, PostParams},
    client::{ClientBuilder, DynBody},
    config::{KubeConfigOptions, Kubeconfig},
    core::Status,
};
use tower::util::MapResponseLayer;

use super::{Heard, source};

/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest silence: the server ends a watch by itself before it, and one that is not there any more says nothing.
const SILENCE: Duration = Duration::from_secs(300);

/// What somebody who looks finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Version of the server.
    pub version: String,
    /// Of what is needed (`list`, `watch`), what it refuses.
    pub refused: Vec<&'static str>,
    /// Whether it knows any pod of this node.
    pub knows_node: bool,
}

/// A client for it; nothing is asked yet. What it hears is told to `heard`.
///
/// # Errors
/// When a file is missing or cannot be understood.
pub(super) async fn connect(api: &source::Api, heard: &Arc<Heard>) -> anyhow::Result<Client> {
    let mut config = match &api.kubeconfig {
        Some(file) => {
            let kubeconfig = Kubeconfig::read_from(file)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
        }
        None => Config::incluster_env().context("cannot use the pod's ServiceAccount")?,
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    let heard = Arc::clone(heard);
    let listen = MapResponseLayer::new(move |answer: hyper::Response<_>| {
        let heard = Arc::clone(&heard);
        let is_good = answer.status().is_success();
        if is_good && heard.answer() {
            tracing::info!("the API server answers");
        }
        answer.map(|body: Box<DynBody>| {
            body.map_frame(move |frame| {
                if is_good {
                    heard.answer();
                }
                frame
            })
        })
    });
    Ok(ClientBuilder::try_from(config)?.with_layer(&listen).build())
}

/// Asks what the daemon will ask, and whether it may.
///
/// # Errors
/// When it cannot be reached, or does not say.
pub async fn look(api: &source::Api) -> anyhow::Result<Access> {
    let client = connect(api, &Arc::default()).await?;
    let version = client.apiserver_version().await.map_err(told)?;
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let mut refused = Vec::new();
    for verb in ["list", "watch"] {
        let review = reviews
            .create(&PostParams::default(), &review(verb))
            .await
            .map_err(told)?;
        if !review.status.is_some_and(|status| status.allowed) {
            refused.push(verb);
        }
    }
    let knows_node = refused.is_empty() && {
        let one = ListParams::default()
            .fields(&format!("spec.nodeName={}", api.node))
            .limit(1);
        !Api::<Pod>::all(client)
            .list_metadata(&one)
            .await
            .map_err(told)?
            .items
            .is_empty()
    };
    Ok(Access {
        version: version.git_version,
        refused,
        knows_node,
    })
}

/// What went wrong, in the server's words, else in those of what lies deepest: all between say the same again.
pub(super) fn cause(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return said(status);
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(deeper) = deepest.source() {
        deepest = deeper;
    }
    deepest.to_string()
}

/// The words of a refusal.
pub(super) fn said(status: &Status) -> String {
    format!("{} {}: {}", status.code, status.reason, status.message)
}

#[expect(clippy::needless_pass_by_value, reason = "what maps an error owns it")]
fn told(error: kube::Error) -> anyhow::Error {
    anyhow::Error::msg(cause(&error))
}

fn review(verb: &str) -> SelfSubjectAccessReview {
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                resource: Some("pods".to_owned()),
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}
