//! CloudEvents 1.0 over HTTP, in binary, structured and batched mode, in JSON. The data is finwatch's own JSON, or a
//! CDEvent. Extensions are not looked at.

use percent_encoding::percent_decode_str;

use super::{
    Headers, Refusal, cdevents,
    context::{Context, identity},
    headers::short,
    json::{Document, Field},
    native,
    parsed::{Draft, Parsed},
};
use finwatch_engine::model::{DeployStage, Source};

/// Most events of one batch.
pub(super) const BATCH_MAX: usize = 64;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCHED: &str = "application/cloudevents-batch+json";
const REQUIRED: [&str; 4] = ["ce-specversion", "ce-id", "ce-source", "ce-type"];

/// Whether a request carries CloudEvents, by its head.
pub(super) fn is_one(headers: &Headers) -> bool {
    REQUIRED.iter().any(|name| headers.has(name))
        || headers.get("content-type").is_some_and(|given| {
            given
                .to_ascii_lowercase()
                .starts_with("application/cloudevents")
        })
}

/// Whether they are several, by the request's head.
pub(super) fn is_batch(headers: &Headers) -> bool {
    headers
        .media_type()
        .is_ok_and(|media| media.name == BATCHED)
}

/// Reads every event of a request.
pub(super) fn parse(headers: &Headers, body: &[u8]) -> Result<Vec<Parsed>, Refusal> {
    let media = headers.media_type()?;
    if media.name == STRUCTURED {
        let document = Document::parse(body)?;
        return Ok(vec![structured(&document.root())?]);
    }
    if media.name == BATCHED {
        let document = Document::parse(body)?;
        let root = document.root();
        if root.is_object() {
            return Err(root.refuse(
                "is an object, expected an array of events",
                "send one event as application/cloudevents+json",
            ));
        }
        let events = root.items()?;
        if events.len() > BATCH_MAX {
            return Err(root.refuse(
                &format!("has more than {BATCH_MAX} events"),
                "send smaller batches",
            ));
        }
        return events.iter().map(structured).collect();
    }
    if media.name.starts_with("application/cloudevents") {
        return Err(media.refuse(&format!("{STRUCTURED} or {BATCHED}")));
    }
    if !media.is_json() {
        return Err(media.refuse("application/json for the data of a CloudEvent"));
    }
    let context = Context::of_headers(headers)?;
    let document = Document::parse(body)?;
    Ok(vec![event(context, &document.root())?])
}

fn structured(event_field: &Field<'_>) -> Result<Parsed, Refusal> {
    let context = Context::of_json(event_field)?;
    if event_field.keys().any(|key| key == "data_base64") {
        return Err(event_field.at("data_base64")?.refuse(
            "holds binary data",
            "send the event's data as JSON, in `data`",
        ));
    }
    event(context, &event_field.at("data")?)
}

fn event(context: Context, data: &Field<'_>) -> Result<Parsed, Refusal> {
    if cdevents::is_type(&context.kind) {
        return cdevents::event(context, data);
    }
    let Context {
        id,
        kind,
        subject,
        time,
    } = context;
    let stage = data.at("stage")?;
    let by_type = kind.rsplit('.').next().and_then(native::stage_named);
    let stage: DeployStage = match (stage.text(native::NAME_MAX)?, by_type) {
        (Some(text), _) => native::stage_named(text).ok_or_else(|| {
            stage.refuse("is no stage of a change", "say started, finished or failed")
        })?,
        (None, Some(stage)) => stage,
        (None, None) => return Err(stage.missing()),
    };
    Ok(Parsed::Event(Draft {
        id: Some(id),
        delivery: None,
        source: Source::Cloudevents,
        stage,
        workload: native::workload(data, subject.as_deref())?,
        revision: data
            .at("revision")?
            .text(native::REVISION_MAX)?
            .map(str::to_owned),
        links: native::links(&data.at("links")?)?,
        time: match time {
            Some(time) => Some(time),
            None => data.at("time")?.time()?,
        },
    }))
}

// === impl Context ===

impl Context {
    fn of_headers(headers: &Headers) -> Result<Self, Refusal> {
        let wanted = |name: &str| -> Result<String, Refusal> {
            attribute(headers, name)?
                .filter(|value| !value.is_empty())
                .ok_or_else(|| {
                    Refusal::malformed(
                        format!("the header {name} is missing"),
                        format!("a CloudEvent in binary mode has {}", REQUIRED.join(", ")),
                    )
                })
        };
        must_be_1_0(&wanted("ce-specversion")?)?;
        let time = attribute(headers, "ce-time")?
            .map(|text| {
                text.parse().map_err(|_| {
                    Refusal::malformed(
                        format!("the header ce-time is {}, which is no time", short(&text)),
                        "write it as RFC 3339 does: 2026-01-31T12:00:00Z",
                    )
                })
            })
            .transpose()?;
        Ok(Self {
            id: identity(&wanted("ce-source")?, &wanted("ce-id")?),
            kind: wanted("ce-type")?,
            subject: attribute(headers, "ce-subject")?.filter(|subject| !subject.is_empty()),
            time,
        })
    }

    fn of_json(event: &Field<'_>) -> Result<Self, Refusal> {
        must_be_1_0(event.at("specversion")?.wanted(native::ID_MAX)?)?;
        let text = |key| event.at(key)?.wanted(native::ID_MAX);
        Ok(Self {
            id: identity(text("source")?, text("id")?),
            kind: text("type")?.to_owned(),
            subject: event
                .at("subject")?
                .text(native::ID_MAX)?
                .map(str::to_owned),
            time: event.at("time")?.time()?,
        })
    }
}

fn must_be_1_0(version: &str) -> Result<(), Refusal> {
    if version == "1.0" {
        return Ok(());
    }
    Err(Refusal::malformed(
        format!(
            "CloudEvents specversion {} is not understood",
            short(version)
        ),
        "send specversion 1.0",
    ))
}

/// An attribute out of its header: quotes undone, then percent-encoding (HTTP binding, section 3.1.3.2).
fn attribute(headers: &Headers, name: &str) -> Result<Option<String>, Refusal> {
    let refuse = |what: &str| {
        Refusal::malformed(
            format!("the header {name} {what}"),
            "encode attributes as the CloudEvents HTTP binding says",
        )
    };
    if !headers.has(name) {
        return Ok(None);
    }
    let given = headers.get(name).ok_or_else(|| refuse("is not UTF-8"))?;
    let unquoted = unquoted(given);
    let decoded = percent_decode_str(&unquoted)
        .decode_utf8()
        .map_err(|_| refuse("is not percent-encoded UTF-8"))?
        .into_owned();
    if decoded.chars().any(char::is_control) {
        return Err(refuse("contains control characters"));
    }
    if decoded.chars().count() > native::ID_MAX {
        return Err(refuse(&format!(
            "is longer than {} characters",
            native::ID_MAX
        )));
    }
    Ok(Some(decoded))
}

fn unquoted(text: &str) -> String {
    let (mut plain, mut quoted) = (String::with_capacity(text.len()), false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => plain.extend(chars.next()),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_decoded_as_the_binding_says() {
        let decoded = |value: &str| {
            let headers: Headers = [("ce-subject", value)].into_iter().collect();
            attribute(&headers, "ce-subject").ok().flatten()
        };
        assert_eq!(
            decoded("Euro%20%E2%82%AC%20%F0%9F%98%80").as_deref(),
            Some("Euro € 😀")
        );
        assert_eq!(decoded("%C0%A0"), None);
        assert_eq!(decoded("100%").as_deref(), Some("100%"));
        assert_eq!(decoded(r#""a \"b\" c" d"#).as_deref(), Some(r#"a "b" c d"#));
    }
}
