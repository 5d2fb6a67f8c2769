//! How a drain is told: what its connections add up to, and the drain as the model has it.

mod end;
pub mod names;
pub(crate) mod refused;
pub(crate) mod tally;
pub(crate) mod tell;
