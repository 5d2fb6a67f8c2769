//! The daemon's own log, to standard error. It does not know what is logged.

use std::io;

use tracing_subscriber::{
    Layer as _, filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// Reads `text` or `json`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// As it is typed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Begins to log. A second call changes nothing.
pub fn init(level: Targets, format: Format) {
    let lines = match format {
        Format::Text => tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(
                io::IsTerminal::is_terminal(&io::stderr())
                    && std::env::var_os("NO_COLOR").is_none(),
            )
            .boxed(),
        Format::Json => tracing_subscriber::fmt::layer()
            .json()
            .with_writer(io::stderr)
            .boxed(),
    };
    let started = tracing_subscriber::registry()
        .with(lines.with_filter(level))
        .try_init();
    if let Err(error) = started {
        tracing::debug!(%error, "the log was begun before");
    }
}
