//! finwatch: the stages of the daemon, wired in the order in which data flows.

pub mod attribution;
mod mounts;
pub mod netns;
pub mod probe;
