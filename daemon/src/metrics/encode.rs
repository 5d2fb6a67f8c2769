//! From values to the encoder's calls. It knows no metric by name.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder,
    NoLabelSet,
};

use super::catalog::Family;

/// Begins a metric.
pub(super) fn metric<'a>(
    out: &'a mut DescriptorEncoder<'_>,
    family: &Family,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    out.encode_descriptor(family.name, family.help, None, family.kind)
}

/// One sample of a counter.
pub(super) fn counter(
    out: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    value: impl EncodeCounterValue,
) -> fmt::Result {
    out.encode_family(labels)?
        .encode_counter::<NoLabelSet, _, u64>(&value, None)
}

/// One sample of a gauge.
pub(super) fn gauge(
    out: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    value: impl EncodeGaugeValue,
) -> fmt::Result {
    out.encode_family(labels)?.encode_gauge(&value)
}
