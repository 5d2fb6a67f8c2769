//! What begins a drain: a signal that means something, a death, and the doubts about both.

pub(crate) mod begin;
pub(crate) mod cause;
mod deaths;
