//! Every metric, declared once, and a collector that reads the kernel's truth at each scrape. The only folder
//! that imports prometheus_client; it knows nothing of HTTP.

mod catalog;
mod encode;
mod labels;
mod own;
mod scrape;
mod service;
mod story;
mod text;

use std::{fmt, time::SystemTime};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text::encode as encode_openmetrics},
    registry::Registry,
};

pub use catalog::{FAMILIES, Family};
pub use scrape::{ProbeFigures, Scrape, Source};

/// Form of the exposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics text 1.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Text,
}

/// Writes the exposition.
#[derive(Debug)]
pub struct Exporter {
    registry: Registry,
}

struct Truth<S> {
    source: S,
    started: SystemTime,
}

// === impl Exporter ===

impl Exporter {
    /// Shows what the source says at each scrape; the daemon started at `started`.
    pub fn new(source: impl Source, started: SystemTime) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Truth { source, started }));
        Self { registry }
    }

    /// Reads the kernel and writes what it holds. Blocking.
    ///
    /// # Errors
    /// When `out` takes no more.
    pub fn write(&self, format: Format, out: &mut impl fmt::Write) -> fmt::Result {
        match format {
            Format::OpenMetrics => encode_openmetrics(out, &self.registry),
            Format::Text => {
                let mut plain = text::PlainText::new(out);
                encode_openmetrics(&mut plain, &self.registry)?;
                plain.finish()
            }
        }
    }
}

// === impl Format ===

impl Format {
    /// The content type that announces it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

// === impl Truth ===

impl<S: Source> Collector for Truth<S> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // A scrape of a daemon that ends must fail: what it got would be taken for everything.
        let scrape = self.source.scrape().ok_or(fmt::Error)?;
        service::encode(&mut encoder, &scrape.view.series, &scrape.reset_reasons)?;
        story::encode(&mut encoder, &scrape.story)?;
        own::encode(&mut encoder, &scrape, self.started)
    }
}

impl<S> fmt::Debug for Truth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Truth").finish_non_exhaustive()
    }
}
