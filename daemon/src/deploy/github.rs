//! GitHub's webhook for deployments: `deployment_status`. The signature is checked before this is called.

use super::{
    Headers, Refusal,
    headers::short,
    json::{Document, Field},
    native,
    parsed::{Draft, Ignored, Parsed},
};
use finwatch_engine::model::{DeployStage, Source, WorkloadRef};

/// The header that names the event.
const EVENT: &str = "x-github-event";
/// The header that names the delivery; it stays the same when somebody delivers it again.
const DELIVERY: &str = "x-github-delivery";

/// Reads one delivery.
pub(super) fn parse(headers: &Headers, body: &[u8]) -> Result<Vec<Parsed>, Refusal> {
    if headers.media_type()?.name == "application/x-www-form-urlencoded" {
        return Err(Refusal::wrong_type(
            "the webhook's content type is a form",
            "choose application/json as the content type in the webhook's settings",
        ));
    }
    headers.must_be_json()?;
    let event = header(headers, EVENT)?;
    let delivery = header(headers, DELIVERY)?.to_owned();
    let document = Document::parse(body)?;
    if event == "ping" {
        return Ok(vec![Parsed::Ignored(Ignored {
            source: Source::Github,
            id: delivery,
            reason: "ping: the webhook is set up".to_owned(),
            ping: true,
        })]);
    }
    if event != "deployment_status" {
        let reason = format!(
            "{} events are not looked at, only deployment_status",
            short(event)
        );
        return Ok(vec![Parsed::ignored(Source::Github, delivery, reason)]);
    }
    Ok(vec![deployment_status(&document.root(), delivery)?])
}

fn deployment_status(root: &Field<'_>, delivery: String) -> Result<Parsed, Refusal> {
    let status = root.at("deployment_status")?;
    let state = status.at("state")?;
    let stage = match state.wanted(native::NAME_MAX)? {
        "in_progress" => DeployStage::Started,
        "success" => DeployStage::Finished,
        "failure" | "error" => DeployStage::Failed,
        other @ ("pending" | "queued" | "waiting" | "inactive") => {
            let reason = format!("the state {other} neither begins nor ends a change");
            return Ok(Parsed::ignored(Source::Github, delivery, reason));
        }
        _ => {
            return Err(state.refuse(
                "is no state of a deployment",
                "states are listed in GitHub's documentation of deployment statuses",
            ));
        }
    };
    let id = status.at("id")?;
    let id = id.number()?.ok_or_else(|| id.missing())?;
    let deployment = root.at("deployment")?;
    Ok(Parsed::Event(Draft {
        id: Some(format!("github-{id}")),
        delivery: Some(delivery),
        source: Source::Github,
        stage,
        workload: workload(root, &deployment)?,
        revision: deployment
            .at("sha")?
            .text(native::REVISION_MAX)?
            .map(str::to_owned),
        links: links(&status)?,
        time: status.at("created_at")?.time()?,
    }))
}

/// What the deployment's payload says, and the repository's name where it says nothing.
fn workload(root: &Field<'_>, deployment: &Field<'_>) -> Result<WorkloadRef, Refusal> {
    let repository = root.down(&["repository", "name"])?;
    let payload = deployment.at("payload")?;
    if payload.is_object() {
        native::workload(&payload, Some(repository.wanted(native::NAME_MAX)?))
    } else {
        Ok(WorkloadRef {
            name: repository.wanted(native::NAME_MAX)?.to_owned(),
            ..WorkloadRef::default()
        })
    }
}

fn links(status: &Field<'_>) -> Result<Vec<String>, Refusal> {
    let mut links: Vec<String> = Vec::new();
    for key in ["log_url", "target_url", "environment_url"] {
        let link = status.at(key)?.text(native::LINK_MAX)?;
        if let Some(link) = link.filter(|link| native::is_link(link))
            && !links.iter().any(|known| known == link)
        {
            links.push(link.to_owned());
        }
    }
    Ok(links)
}

fn header<'a>(headers: &'a Headers, name: &str) -> Result<&'a str, Refusal> {
    headers
        .get(name)
        .filter(|value| !value.is_empty() && value.len() <= native::ID_MAX)
        .filter(|value| !value.chars().any(char::is_control))
        .ok_or_else(|| {
            Refusal::malformed(
                format!("the header {name} is missing, or not what GitHub sends"),
                "point GitHub's webhook here, and leave its headers as they are",
            )
        })
}
