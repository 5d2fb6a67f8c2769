//! finwatch: the stages of the daemon, wired in the order in which data flows.

pub mod attribution;
pub mod cli {
    //! One file a subcommand.
    pub mod doctor;
    pub mod watch;
}
pub mod clock;
mod mounts;
pub mod netns;
pub mod preflight;
pub mod probe;
pub mod tracker;
mod watch;
