//! What finwatch learns of the host around the connections, and the commands that show it: real cgroups,
//! real namespaces, the real program.

mod commands;
mod memory;
mod namespaces;
mod prototypes;
mod waits;
pub(crate) mod workloads;
