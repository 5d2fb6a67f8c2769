//! What begins a drain: a signal that means something, a death, and the doubts about both.

mod begin;
pub(crate) mod deaths;
