//! Who belongs to a drain: which processes make up an instance, and whose drain a connection that ended is.

pub(crate) mod connections;
pub(crate) mod instances;
pub(crate) mod late;
pub(crate) mod lingering;
pub(crate) mod members;
pub(crate) mod merge;
mod own_calls;
