//! How a drain is told: what its connections add up to, and the drain as the model has it.

pub(crate) mod counted;
pub(crate) mod examples;
pub mod names;
pub(crate) mod refused;
pub(crate) mod reported;
pub(crate) mod reports;
pub(crate) mod tally;
mod tell;
