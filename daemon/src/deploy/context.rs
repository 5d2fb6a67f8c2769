//! What a CloudEvent says around its data, as far as it matters here. It does not know how that was sent.

/// The context attributes that matter here.
pub(super) struct Context {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) subject: Option<String>,
    pub(super) time: Option<jiff::Timestamp>,
}

/// Only source and id together are unique.
pub(super) fn identity(source: &str, id: &str) -> String {
    format!("{source}#{id}")
}
