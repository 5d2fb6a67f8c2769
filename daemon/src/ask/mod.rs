//! What the commands ask a running daemon, and how they show what it says: tables, the tree of one rollout, the
//! gate of a pipeline. It knows the read API and nothing of how the daemon came to its answers.

mod client;
mod facts;
mod gate;
mod layout;
mod report;
mod table;
mod tree;
mod words;

pub(crate) use self::{
    client::{AskError, Client, Query},
    gate::{Gate, Passed, Wanted, WatchesTime, find_drain, find_rollout},
    report::verdict_report,
    table::{drains_table, rollouts_table, services_table},
    tree::{drain_tree, rollout_tree},
    words::Words,
};
