//! finwatch's own JSON: what `finwatch deploy`, Jenkins and scripts send, and what is in the data of a CloudEvent.

use super::{
    Headers, Refusal,
    json::{Document, Field},
    parsed::{Draft, Parsed},
};
use crate::config;
use finwatch_engine::model::{DeployStage, Source, WorkloadRef};

/// How `finwatch deploy` begins its User-Agent.
pub(crate) const CLI_AGENT: &str = "finwatch/";

/// Longest texts, in characters.
pub(super) const NAME_MAX: usize = 253;
pub(super) const ID_MAX: usize = 512;
pub(super) const REVISION_MAX: usize = 512;
pub(super) const LINK_MAX: usize = 2_048;
/// Most links that are kept.
pub(super) const LINKS_MAX: usize = 16;

const FIELDS: [&str; 9] = [
    "workload",
    "stage",
    "revision",
    "namespace",
    "kind",
    "port",
    "links",
    "time",
    "id",
];

/// Reads a request whose body is the native JSON.
pub(super) fn parse(
    headers: &Headers,
    source: Source,
    body: &[u8],
) -> Result<Vec<Parsed>, Refusal> {
    headers.must_be_json()?;
    let document = Document::parse(body)?;
    let root = document.root();
    must_be_known(&root)?;
    Ok(vec![Parsed::Event(draft(&root, source)?)])
}

/// Reads the fields of one event.
pub(super) fn draft(fields: &Field<'_>, source: Source) -> Result<Draft, Refusal> {
    let stage = fields.at("stage")?;
    Ok(Draft {
        id: fields.at("id")?.text(ID_MAX)?.map(str::to_owned),
        delivery: None,
        source,
        stage: stage_named(stage.wanted(NAME_MAX)?).ok_or_else(|| {
            stage.refuse("is no stage of a change", "say started, finished or failed")
        })?,
        workload: workload(fields, None)?,
        revision: fields
            .at("revision")?
            .text(REVISION_MAX)?
            .map(str::to_owned),
        links: links(&fields.at("links")?)?,
        time: fields.at("time")?.time()?,
    })
}

/// The stage of this name.
pub(super) fn stage_named(text: &str) -> Option<DeployStage> {
    match text {
        "started" => Some(DeployStage::Started),
        "finished" => Some(DeployStage::Finished),
        "failed" => Some(DeployStage::Failed),
        _ => None,
    }
}

/// The workload as the fields name it; `fallback` where they have no name for it.
pub(super) fn workload(fields: &Field<'_>, fallback: Option<&str>) -> Result<WorkloadRef, Refusal> {
    let name = fields.at("workload")?;
    let typed = match (name.text(NAME_MAX)?, fallback) {
        (Some(typed), _) | (None, Some(typed)) => typed,
        (None, None) => return Err(name.missing()),
    };
    let text = |key| -> Result<Option<String>, Refusal> {
        Ok(fields.at(key)?.text(NAME_MAX)?.map(str::to_owned))
    };
    Ok(WorkloadRef {
        namespace: text("namespace")?,
        kind: text("kind")?,
        name: typed.to_owned(),
        port: fields.at("port")?.port()?,
    })
}

pub(super) fn links(field: &Field<'_>) -> Result<Vec<String>, Refusal> {
    let items = field.items()?;
    if items.len() > LINKS_MAX {
        return Err(field.refuse(
            &format!("has more than {LINKS_MAX} items"),
            "send the few that people need",
        ));
    }
    let mut links = Vec::new();
    for item in items {
        let link = item.wanted(LINK_MAX)?;
        if !is_link(link) {
            return Err(item.refuse("is no http:// or https:// address", "send addresses only"));
        }
        links.push(link.to_owned());
    }
    Ok(links)
}

/// Whether a page that shows it may make it something to click on.
pub(super) fn is_link(text: &str) -> bool {
    (text.starts_with("https://") || text.starts_with("http://"))
        && !text.contains(|c: char| c.is_whitespace() || "\"<>".contains(c))
}

/// A slip in a field's name must not pass for a field that was left out.
fn must_be_known(root: &Field<'_>) -> Result<(), Refusal> {
    let Some(unknown) = root.keys().find(|key| !FIELDS.contains(key)) else {
        return Ok(());
    };
    let remedy = config::nearest(unknown, FIELDS.into_iter()).map_or_else(
        || format!("the fields are {}", FIELDS.join(", ")),
        |nearest| format!("did you mean `{nearest}`?"),
    );
    Err(root.at(unknown)?.refuse("is not a known field", &remedy))
}
