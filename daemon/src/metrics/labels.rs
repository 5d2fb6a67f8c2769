//! The text of labels. Handwritten: renaming a variant must not break a dashboard.

use std::fmt;

use finwatch_common::{Lost, Phase, Role, tcp};
use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};

use finwatch_engine::{
    model::{Service, words::Word as _},
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

/// The labels of a service and, after them, those of one sample.
#[derive(Debug)]
pub(super) struct ServiceLabels<'a> {
    pub(super) service: &'a SeriesLabels,
    pub(super) more: &'a [(&'static str, &'a str)],
}

impl EncodeLabelSet for ServiceLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let SeriesLabels {
            workload,
            port,
            role: side,
        } = self.service;
        ("workload_namespace", workload.namespace.as_str()).encode(encoder.encode_label())?;
        ("workload_kind", workload.kind.as_str()).encode(encoder.encode_label())?;
        ("workload", workload.name.as_str()).encode(encoder.encode_label())?;
        ("port", *port).encode(encoder.encode_label())?;
        ("role", side.word()).encode(encoder.encode_label())?;
        Labels(self.more).encode(encoder)
    }
}

/// The same, of a service in the story; it is always the server.
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
