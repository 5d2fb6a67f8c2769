//! Notifications of Argo CD and Argo Rollouts. Both send what a template makes; the templates are those of
//! `docs/deploy-events.md`, and fields that they do not have are not looked at.

use super::{
    Headers, Refusal,
    headers::short,
    json::{Document, Field},
    native,
    parsed::{Draft, Parsed},
};
use finwatch_engine::model::{DeployStage, Source, WorkloadRef};

/// Reads what Argo CD sends: an Application, the phase of its last sync, and its health.
pub(super) fn parse_cd(headers: &Headers, body: &[u8]) -> Result<Vec<Parsed>, Refusal> {
    headers.must_be_json()?;
    let document = Document::parse(body)?;
    let root = document.root();
    let app = root.at("app")?.wanted(native::NAME_MAX)?;
    let phase = root.at("phase")?;
    let named = phase.wanted(native::NAME_MAX)?;
    let health = root.at("health")?.text(native::NAME_MAX)?;
    let (started, finished) = (root.at("started_at")?, root.at("finished_at")?);
    let revision = root.at("revision")?.text(native::REVISION_MAX)?;
    let (stage, time) = match (named, health) {
        ("Running", _) => (DeployStage::Started, started.time()?),
        ("Succeeded", Some("Degraded")) => (DeployStage::Failed, None),
        ("Succeeded", _) => (DeployStage::Finished, finished.time()?),
        ("Failed" | "Error", _) => (DeployStage::Failed, finished.time()?),
        ("Terminating", _) => {
            return Ok(vec![Parsed::ignored(
                Source::Argocd,
                app,
                "a sync that is being terminated has not ended yet",
            )]);
        }
        _ => {
            return Err(phase.refuse(
                "is no phase of a sync",
                "send app.status.operationState.phase",
            ));
        }
    };
    // One sync is one change: it is told by its beginning, which each of its notifications carries.
    let id = started
        .text(native::NAME_MAX)?
        .map(|started| format!("argocd-{app}-{started}-{}", health.unwrap_or_default()));
    Ok(vec![Parsed::Event(Draft {
        id,
        delivery: None,
        source: Source::Argocd,
        stage,
        workload: workload(&root, app)?,
        revision: revision.map(str::to_owned),
        links: links(&root)?,
        time,
    })])
}

/// Reads what Argo Rollouts sends: a Rollout, and the trigger that fired.
pub(super) fn parse_rollouts(headers: &Headers, body: &[u8]) -> Result<Vec<Parsed>, Refusal> {
    headers.must_be_json()?;
    let document = Document::parse(body)?;
    let root = document.root();
    let rollout = root.at("rollout")?.wanted(native::NAME_MAX)?;
    let trigger = root.at("trigger")?;
    let named = trigger.wanted(native::NAME_MAX)?;
    let stage = match named {
        "on-rollout-updated" => DeployStage::Started,
        "on-rollout-completed" => DeployStage::Finished,
        "on-rollout-aborted" | "on-analysis-run-failed" | "on-analysis-run-error" => {
            DeployStage::Failed
        }
        other if other.starts_with("on-") => {
            let why = format!("{} neither begins nor ends a change", short(other));
            return Ok(vec![Parsed::ignored(Source::ArgoRollouts, rollout, why)]);
        }
        _ => {
            return Err(trigger.refuse(
                "is no trigger of Argo Rollouts",
                "send on-rollout-updated, on-rollout-completed or on-rollout-aborted",
            ));
        }
    };
    let text = |key| -> Result<Option<&str>, Refusal> { root.at(key)?.text(native::REVISION_MAX) };
    let (uid, number) = (text("uid")?, text("number")?);
    Ok(vec![Parsed::Event(Draft {
        id: uid
            .zip(number)
            .map(|(uid, number)| format!("argo-rollouts-{uid}-{number}-{named}")),
        delivery: None,
        source: Source::ArgoRollouts,
        stage,
        workload: workload(&root, rollout)?,
        revision: text("revision")?.or(number).map(str::to_owned),
        links: links(&root)?,
        time: root.at("time")?.time()?,
    })])
}

fn workload(root: &Field<'_>, name: &str) -> Result<WorkloadRef, Refusal> {
    native::workload(root, Some(name))
}

fn links(root: &Field<'_>) -> Result<Vec<String>, Refusal> {
    let link = root.at("link")?.text(native::LINK_MAX)?;
    Ok(link
        .filter(|link| native::is_link(link))
        .map(str::to_owned)
        .into_iter()
        .collect())
}
