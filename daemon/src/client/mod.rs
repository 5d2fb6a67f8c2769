//! The other end of a daemon's read API: a typed client, and the gate of a pipeline. It knows the API and nothing of how the
//! daemon came to its answers, nor how they are shown.

mod api;
mod beside;
mod find;
mod gate;
mod judge;
mod span;

pub(crate) use self::{
    api::{AskError, Client, Query},
    find::{find_drain, find_incident, find_rollout},
    gate::{FoundIncident, Gate, Passed, Since, Wanted, WatchesTime},
};
