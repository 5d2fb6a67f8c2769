//! The engine: what is true of the connections on this node, and what it means. Pure: no I/O, no clock, nothing that
//! can fail; the same inputs give the same answers, byte for byte. The compiler holds the wall: its `Cargo.toml` names
//! no runtime, no kernel interface, no disk and no HTTP.

pub mod diagnoses;
pub mod drains;
pub mod input;
pub mod model;
pub mod rollouts;
pub mod servers;
pub mod services;
