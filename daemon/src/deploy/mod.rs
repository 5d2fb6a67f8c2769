//! Deploy events from outside: what senders say, in their own formats, becomes one `DeployEvent`. Parsers are pure:
//! headers and bytes in, an event or a refusal out. What the events mean is the correlator's business.
//!
//! `docs/deploy-events.md` shows each format from the sender's side.

mod argo;
mod auth;
mod cdevents;
mod cloudevents;
mod context;
mod flux;
mod github;
mod headers;
mod intake;
mod json;
mod memory;
mod native;
mod parsed;
mod refusal;
mod route;
mod secrets;
mod tallies;

pub use headers::Headers;
pub use intake::{Intake, Receipt, Taken};
pub use refusal::{Refusal, RefusalKind};
pub use route::Route;
pub use tallies::{Outcome, Tallies};

/// Most bytes of a request's body. GitHub's deployment events, the largest known, are about 10 KiB.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Events that wait for whoever tells the story; a sender that meets a full queue is asked to come again.
pub const QUEUE: usize = 256;

#[cfg(test)]
mod tests;
