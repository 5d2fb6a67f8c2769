//! finwatch: the stages of the daemon, wired in the order in which data flows.

pub mod attribution;
pub mod probe;
pub mod tracker;
