//! Real servers of the lab, stopped, reloaded and killed while clients are connected. What the running daemon tells
//! of each is held against what the clients saw, what the test did, and the namespace's SNMP counters.
//!
//! A test starts the daemon and a server, gathers a crowd of clients, sends the signal, and asks for the rollout as a user
//! would. It says only what it did and what the clients lost; what follows from that is in `told.rs`.

mod announced;
mod flight;
mod grpc;
mod idle;
mod kills;
mod late;
mod lives_on;
mod load;
mod recorded;
mod recorder;
mod restart;
mod spring;
mod stage;
mod told;
mod unclear;

/// Idle keep-alive connections of a crowd.
const IDLE: usize = 20;
/// Connections of a crowd with a request in flight.
const BUSY: usize = 10;
