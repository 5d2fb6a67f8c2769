//! The kernel tier: real programs, real sockets, every test in a fresh network namespace. What finwatch
//! counted is compared, cell by cell and with equality, with what the test did and with the kernel's own
//! counters of that namespace. It needs root and a kernel that loads the programs; without either every
//! test fails, none is skipped.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "all of it is test code, also the helpers outside of test functions"
)]

mod deployed;
mod drains;
mod harness;
mod host;
#[path = "../manifest/mod.rs"]
mod manifest;
mod raw;
#[path = "../replay/recording.rs"]
mod recording;
mod scenarios;
#[path = "../replay/teller.rs"]
mod teller;
