//! Where events come in: one path a format that cannot be told by its headers.

use super::Headers;
use finwatch_engine::model::Source;

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Native JSON, CloudEvents and CDEvents, told apart by their headers.
    Deploys,
    /// GitHub's webhook.
    Github,
    /// Flux's notification-controller.
    Flux,
    /// Argo CD's notifications.
    Argocd,
    /// Argo Rollouts' notifications.
    ArgoRollouts,
}

// === impl Route ===

impl Route {
    /// Every way in.
    pub const ALL: [Self; 5] = [
        Self::Deploys,
        Self::Github,
        Self::Flux,
        Self::Argocd,
        Self::ArgoRollouts,
    ];

    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Deploys => "/v1/deploys",
            Self::Github => "/v1/deploys/github",
            Self::Flux => "/v1/deploys/flux",
            Self::Argocd => "/v1/deploys/argocd",
            Self::ArgoRollouts => "/v1/deploys/argo-rollouts",
        }
    }

    /// Whom a request would come from, as far as its head tells.
    pub(super) fn source(self, headers: &Headers) -> Source {
        match self {
            Self::Github => Source::Github,
            Self::Flux => Source::Flux,
            Self::Argocd => Source::Argocd,
            Self::ArgoRollouts => Source::ArgoRollouts,
            Self::Deploys => {
                let starts = |name, beginning: &str| {
                    headers.get(name).is_some_and(|value| {
                        value
                            .get(..beginning.len())
                            .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
                    })
                };
                if starts("ce-type", super::cdevents::PREFIX)
                    || starts("content-type", super::cdevents::MEDIA_TYPE)
                {
                    Source::Cdevents
                } else if super::cloudevents::is_one(headers) {
                    Source::Cloudevents
                } else if starts("user-agent", super::native::CLI_AGENT) {
                    Source::Cli
                } else {
                    Source::Http
                }
            }
        }
    }
}
