//! The text of labels. Handwritten: renaming a variant must not break a dashboard.

use std::fmt::{self, Write as _};

use finwatch_common::{Lost, Phase, Role, tcp};
use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};

use finwatch_engine::{
    model::{Service, Workload, words::Word as _},
    services::SeriesLabels,
};

pub(super) const PHASES: [Phase; 3] = [Phase::Steady, Phase::Draining, Phase::Reloading];
pub(super) const LOSTS: [Lost; 3] = [Lost::Nothing, Lost::Goodbye, Lost::Data];

/// TCP states in which an RST can end a connection, by the kernel's number.
pub(super) const RESET_STATES: [(u8, &str); 8] = [
    (tcp::ESTABLISHED, "established"),
    (tcp::SYN_SENT, "syn_sent"),
    (tcp::SYN_RECV, "syn_recv"),
    (tcp::FIN_WAIT1, "fin_wait1"),
    (tcp::FIN_WAIT2, "fin_wait2"),
    (tcp::CLOSE_WAIT, "close_wait"),
    (tcp::LAST_ACK, "last_ack"),
    (tcp::CLOSING, "closing"),
];

/// A service's labels as they are written: made once a scrape, as each of its samples begins with them.
#[derive(Debug)]
pub(super) struct ServiceText {
    /// All of them, with their quotes and commas.
    text: String,
    role: &'static str,
}

/// Labels that come after a service's, likewise; none by default.
#[derive(Debug, Default)]
pub(super) struct MoreText<'a> {
    /// From the comma before them to the last one's name.
    up_to_last: String,
    last: &'a str,
}

/// Both: the labels of one sample. For the encoder they are one label with a long name, so that it takes them in a few pieces and
/// not in six for each.
#[derive(Debug)]
pub(super) struct SampleLabels<'a> {
    pub(super) service: &'a ServiceText,
    pub(super) more: &'a MoreText<'a>,
}

// === impl ServiceText ===

impl ServiceText {
    pub(super) fn new(labels: &SeriesLabels) -> Self {
        let SeriesLabels {
            workload:
                Workload {
                    namespace,
                    kind,
                    name,
                },
            port,
            role,
        } = labels;
        let mut text = String::new();
        push(&mut text, "workload_namespace", namespace);
        push(&mut text, "workload_kind", kind.as_str());
        push(&mut text, "workload", name);
        push(&mut text, "port", &port.to_string());
        push(&mut text, "role", role.word());
        Self {
            text,
            role: role.word(),
        }
    }

    /// Everything before the last one's value.
    fn up_to_last(&self) -> &str {
        &self.text[..self.text.len() - self.role.len() - "=\"\"".len()]
    }
}

/// Adds a label to others, its value escaped as both formats want it.
fn push(text: &mut String, name: &str, value: &str) {
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(name);
    text.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text.push('"');
}

// === impl MoreText ===

impl<'a> MoreText<'a> {
    /// `labels` have values that need no escaping.
    pub(super) fn new(labels: &[(&'static str, &'a str)]) -> Self {
        let Some(((last_name, last), before)) = labels.split_last() else {
            return Self::default();
        };
        let mut up_to_last = String::new();
        for (name, value) in before {
            up_to_last += &format!(",{name}=\"{value}\"");
        }
        up_to_last += &format!(",{last_name}");
        Self { up_to_last, last }
    }
}

// === impl SampleLabels ===

impl EncodeLabelSet for SampleLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Self { service, more } = self;
        let mut label = encoder.encode_label();
        let mut name = label.encode_label_key()?;
        let last = if more.up_to_last.is_empty() {
            name.write_str(service.up_to_last())?;
            service.role
        } else {
            name.write_str(&service.text)?;
            name.write_str(&more.up_to_last)?;
            more.last
        };
        let mut value = name.encode_label_value()?;
        value.write_str(last)?;
        value.finish()
    }
}

/// The labels of a service in the story, which is always the server, and after them those of one sample.
#[derive(Debug)]
pub(super) struct StoryLabels<'a> {
    pub(super) service: &'a Service,
    pub(super) more: &'a [(&'static str, &'a str)],
}

impl EncodeLabelSet for StoryLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let Service {
            workload_namespace,
            workload_kind,
            workload,
            port,
        } = self.service;
        ("workload_namespace", workload_namespace.as_str()).encode(encoder.encode_label())?;
        ("workload_kind", workload_kind.as_str()).encode(encoder.encode_label())?;
        ("workload", workload.as_str()).encode(encoder.encode_label())?;
        match port {
            0 if *self.service != Service::other() => {
                ("port", "").encode(encoder.encode_label())?;
            }
            port => ("port", *port).encode(encoder.encode_label())?,
        }
        ("role", Role::Server.word()).encode(encoder.encode_label())?;
        Labels(self.more).encode(encoder)
    }
}

/// Labels of a sample that belongs to no service.
#[derive(Debug)]
pub(super) struct Labels<'a>(pub(super) &'a [(&'static str, &'a str)]);

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (name, value) in self.0 {
            (*name, *value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}
