//! The engine: what is true of the connections on this node, and what it means. Pure: no I/O, no clock, nothing that
//! can fail; the same inputs give the same answers, byte for byte. The compiler holds the wall: its `Cargo.toml` names
//! no runtime, no kernel interface, no disk and no HTTP.

mod accounting;
pub mod bounded;
mod clocks;
mod closes;
pub mod diagnoses;
pub mod drains;
mod elsewhere;
mod engine;
mod ids;
mod incidents;
pub mod input;
mod known;
pub mod model;
mod relatives;
pub mod render;
pub mod rollouts;
pub mod servers;
pub mod services;
mod snapshot;
pub mod summary;
pub mod timing;
mod want;

pub use self::{
    clocks::{Clocks, Moment},
    closes::tell_close,
    engine::{Engine, Options, Remembered},
    known::Reasons,
    snapshot::{Bounds, Change, EngineFigures, Namespaces, Snapshot},
    want::Want,
};

#[cfg(test)]
mod churn_tests;
#[cfg(test)]
mod incidents_tests;
#[cfg(test)]
mod restarts_tests;
