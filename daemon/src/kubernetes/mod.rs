//! Whose pods there are on this node: from the API server, which is watched for the metadata of this node's pods, or from the
//! names of their log files. It says what a pod is called and which workload it belongs to, and knows no cgroup and no service.

mod guess;
mod heard;
mod logs;
mod meta;
mod pods;
mod source;

#[cfg(feature = "kubernetes")]
mod api;
#[cfg(feature = "kubernetes")]
mod watch;

pub use self::{
    heard::{Heard, HeardFigures},
    logs::{LOGS, Logs},
    meta::{Controller, PodMeta},
    pods::{Change, PODS_MAX, Pods, PodsFigures, TOMBSTONES_MAX},
    source::{Api, Found, Mode, Options, Source},
};

#[cfg(feature = "kubernetes")]
pub use self::{
    api::{Access, look},
    watch::watch,
};

/// Without the library there is nobody to watch: [`Source::choose`] chooses no API server then.
#[cfg(not(feature = "kubernetes"))]
pub async fn watch(_: &Api, _: &std::sync::Arc<Heard>, _: impl Fn(Change)) {
    std::future::pending::<()>().await;
}
