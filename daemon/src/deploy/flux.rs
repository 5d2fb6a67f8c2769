//! Events of Flux's notification-controller, from a Provider of the type `generic-hmac`. The signature is checked
//! before this is called.

use super::{
    Headers, Refusal,
    headers::short,
    json::{Document, Field},
    memory, native,
    parsed::{Draft, Parsed},
};
use finwatch_engine::model::{DeployStage, Source, WorkloadRef};

/// Reads one event.
pub(super) fn parse(headers: &Headers, body: &[u8]) -> Result<Vec<Parsed>, Refusal> {
    headers.must_be_json()?;
    let document = Document::parse(body)?;
    let root = document.root();
    let object = root.at("involvedObject")?;
    let kind = object.at("kind")?.wanted(native::NAME_MAX)?;
    let name = object.at("name")?.wanted(native::NAME_MAX)?;
    let reason = root.at("reason")?.wanted(native::NAME_MAX)?;
    let severity = root.at("severity")?.text(native::NAME_MAX)?;
    let time = root.at("timestamp")?;
    let id = id(&object, reason, time.wanted(native::NAME_MAX)?, body)?;
    let Some(stage) = stage(kind, reason, severity.unwrap_or_default()) else {
        let why = format!(
            "{} of a {} neither begins nor ends a change",
            short(reason),
            short(kind)
        );
        return Ok(vec![Parsed::ignored(Source::Flux, id, why)]);
    };
    let metadata = root.at("metadata")?;
    Ok(vec![Parsed::Event(Draft {
        id: Some(id),
        delivery: None,
        source: Source::Flux,
        stage,
        workload: workload(&metadata, name)?,
        revision: told(&metadata, "revision")?
            .text(native::REVISION_MAX)?
            .map(str::to_owned),
        links: Vec::new(),
        time: time.time()?,
    })])
}

/// How far the change is: by the controllers' reasons, and an error of any other reason is a failure.
fn stage(kind: &str, reason: &str, severity: &str) -> Option<DeployStage> {
    match (kind, reason) {
        ("Kustomization" | "HelmRelease", "DependencyNotReady") => None,
        // Something was applied: the controller says so once for each change.
        ("Kustomization", "Progressing") => Some(DeployStage::Started),
        ("Kustomization", "ReconciliationSucceeded")
        | (
            "HelmRelease",
            "InstallSucceeded" | "UpgradeSucceeded" | "RollbackSucceeded" | "UninstallSucceeded",
        ) => Some(DeployStage::Finished),
        ("Kustomization" | "HelmRelease", reason) if reason.ends_with("Failed") => {
            Some(DeployStage::Failed)
        }
        ("Kustomization" | "HelmRelease", _) if severity == "error" => Some(DeployStage::Failed),
        _ => None,
    }
}

/// The Alert's `eventMetadata` may name the workload; the namespace of the object that Flux reconciles need not be
/// the workload's, so it is not taken for it.
fn workload(metadata: &Field<'_>, name: &str) -> Result<WorkloadRef, Refusal> {
    let text = |key| -> Result<Option<String>, Refusal> {
        Ok(told(metadata, key)?
            .text(native::NAME_MAX)?
            .map(str::to_owned))
    };
    Ok(WorkloadRef {
        namespace: text("workload_namespace")?,
        kind: text("workload_kind")?,
        name: text("workload")?.unwrap_or_else(|| name.to_owned()),
        port: told(metadata, "port")?.port()?,
    })
}

/// A field of the metadata, by its name or behind the API group that older controllers leave before it.
fn told<'a>(metadata: &Field<'a>, key: &str) -> Result<Field<'a>, Refusal> {
    let full = metadata.keys().find(|known| {
        known
            .strip_suffix(key)
            .is_some_and(|group| group.ends_with("toolkit.fluxcd.io/"))
    });
    match full {
        Some(full) if !metadata.keys().any(|known| known == key) => metadata.at(full),
        _ => metadata.at(key),
    }
}

/// Flux's events have no id: the object, what happened to it, when, and what was said make one.
fn id(object: &Field<'_>, reason: &str, time: &str, body: &[u8]) -> Result<String, Refusal> {
    let uid = object.at("uid")?.text(native::NAME_MAX)?.unwrap_or("-");
    let body = String::from_utf8_lossy(body);
    let hash = memory::name(&[uid, reason, time, &body]);
    Ok(format!("flux-{}", hex::encode(&hash[..8])))
}
