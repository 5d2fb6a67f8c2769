//! Who belongs to a drain: which processes make up an instance, and whose drain a connection that ended is.

mod assign;
pub(crate) mod instances;
pub(crate) mod late;
pub(crate) mod lingering;
pub(crate) mod merge;
pub(crate) mod own_calls;
