//! The story from recorded runs of real servers: what was told of them then is told again, byte for byte, and loses
//! nothing of what the clients lost.
#![expect(
    clippy::unwrap_used,
    reason = "all of it is test code, also the helpers outside of test functions"
)]

mod replay {
    mod recorded_runs;
    mod recording;
    mod teller;
}
