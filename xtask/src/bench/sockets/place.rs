//! A network namespace of the benchmark's own, into which threads go and processes are started. It is gone with the last of them
//! and the value itself.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::thread;

use anyhow::{Context as _, Result, ensure};

use crate::bench::sys;

pub(super) struct Place(File);

/// As many as connections that may end at once: where there are too many, the peers of others are answered by RSTs.
const MINI_SOCKETS_MAX: &str = "1000000";

// === impl Place ===

impl Place {
    pub(super) fn new() -> Result<Self> {
        sys::in_new_netns(|| {
            // It is each namespace's own.
            fs::write("/proc/sys/net/ipv4/tcp_max_tw_buckets", MINI_SOCKETS_MAX)
                .context("allow many mini-sockets")?;
            File::open("/proc/thread-self/ns/net")
                .map(Self)
                .context("hold the network namespace")
        })
    }

    /// Runs `body` on a thread in the namespace.
    pub(super) fn within<R: Send>(&self, body: impl FnOnce() -> Result<R> + Send) -> Result<R> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                // SAFETY: no memory is involved; only the calling thread changes its namespace.
                let entered = unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) };
                ensure!(
                    entered == 0,
                    "enter the network namespace: {}",
                    std::io::Error::last_os_error()
                );
                body()
            });
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}
