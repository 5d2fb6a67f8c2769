//! CDEvents about services, carried in CloudEvents or as they are. They tell facts that are done: a service was
//! deployed, upgraded, rolled back, published or removed. Other CDEvents are none of ours.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{
    Headers, Refusal,
    context::{Context, identity},
    json::{Document, Field},
    native,
    parsed::{Draft, Parsed},
};
use finwatch_engine::model::{DeployStage, Source};

/// How the types begin.
pub(super) const PREFIX: &str = "dev.cdevents.";
/// A CDEvent that no CloudEvent carries; as a content type of a CloudEvent's data it means the same.
pub(super) const MEDIA_TYPE: &str = "application/cdevents+json";

/// Whether a CloudEvent of this type carries a CDEvent.
pub(super) fn is_type(kind: &str) -> bool {
    kind.starts_with(PREFIX)
}

/// Reads a CDEvent that no CloudEvent carries.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Parsed>, Refusal> {
    let document = Document::parse(body)?;
    let root = document.root();
    let context = root.at("context")?;
    let kind = context.at("type")?;
    let name = kind.wanted(native::ID_MAX)?;
    if !is_type(name) {
        return Err(kind.refuse("is no type of a CDEvent", "types begin with dev.cdevents."));
    }
    let context = Context {
        id: identity(
            context.at("source")?.wanted(native::ID_MAX)?,
            context.at("id")?.wanted(native::ID_MAX)?,
        ),
        kind: name.to_owned(),
        subject: None,
        time: None,
    };
    Ok(vec![event(context, &root)?])
}

/// Whether a request carries one outside of a CloudEvent.
pub(super) fn is_bare(headers: &Headers) -> bool {
    headers
        .media_type()
        .is_ok_and(|media| media.name == MEDIA_TYPE)
}

/// Reads a CDEvent: the context of the CloudEvent around it, and the CDEvent itself.
pub(super) fn event(context: Context, cdevent: &Field<'_>) -> Result<Parsed, Refusal> {
    let Context {
        id,
        kind,
        subject: _,
        time,
    } = context;
    let mut words = kind.trim_start_matches(PREFIX).split('.');
    let (about, what) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let ends_a_change = matches!(
        what,
        "deployed" | "upgraded" | "rolledback" | "published" | "removed"
    );
    if about != "service" || !ends_a_change {
        return Ok(Parsed::ignored(
            Source::Cdevents,
            id,
            format!(
                "CDEvents of the type {} end no change of a service",
                super::headers::short(&kind)
            ),
        ));
    }
    let told = cdevent.down(&["context", "type"])?;
    if told.wanted(native::ID_MAX)? != kind {
        return Err(told.refuse(
            "is not the type of the CloudEvent around it",
            "send both alike, as the CDEvents binding says",
        ));
    }
    let subject = cdevent.at("subject")?;
    let named = subject.at("id")?.wanted(native::ID_MAX)?;
    // Ids of subjects may be paths: /namespace/checkout.
    let last = named.rsplit('/').find(|part| !part.is_empty());
    let content = subject.at("content")?;
    let custom = cdevent.at("customData")?;
    let own = if custom.is_object() {
        &custom
    } else {
        &content
    };
    let artifact = content.at("artifactId")?.text(native::REVISION_MAX)?;
    let time = match time {
        Some(time) => Some(time),
        None => cdevent.down(&["context", "timestamp"])?.time()?,
    };
    Ok(Parsed::Event(Draft {
        id: Some(id),
        delivery: None,
        source: Source::Cdevents,
        stage: DeployStage::Finished,
        workload: native::workload(own, last)?,
        revision: artifact.map(revision_of),
        links: Vec::new(),
        time,
    }))
}

/// The version of a package URL: `pkg:oci/checkout@sha256%3A0b31` is `sha256:0b31`. Other ids are left as they are.
fn revision_of(artifact: &str) -> String {
    let bare = artifact.split(['?', '#']).next().unwrap_or(artifact);
    bare.strip_prefix("pkg:")
        .and_then(|purl| purl.rsplit_once('@'))
        .and_then(|(_, version)| percent_decode_str(version).decode_utf8().ok())
        .filter(|version| !version.is_empty() && !version.chars().any(char::is_control))
        .map_or_else(|| artifact.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_package_url_is_the_revision() {
        assert_eq!(
            revision_of("pkg:oci/myapp@sha256%3A0b31b1c0?repository_url=x.example/a@b"),
            "sha256:0b31b1c0"
        );
        assert_eq!(revision_of("pkg:oci/myapp"), "pkg:oci/myapp");
        assert_eq!(revision_of("v42"), "v42");
        assert_eq!(revision_of("pkg:oci/a@%0A"), "pkg:oci/a@%0A");
    }
}
