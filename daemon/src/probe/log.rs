//! The programs' own log lines (`--probe-log`): off unless asked for, and then the verifier drops them.

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::{Interest, unix::AsyncFd};

/// Value of the programs' log level: everything up to debug, or nothing.
pub(super) const fn level(on: bool) -> u8 {
    const DEBUG: u8 = 4;
    if on { DEBUG } else { 0 }
}

/// Passes the lines on to `tracing`, as long as the runtime runs.
pub(super) fn start(ebpf: &mut Ebpf) {
    let logger = match EbpfLogger::init(ebpf) {
        Ok(logger) => logger,
        Err(error) => {
            tracing::warn!(%error, "the programs' log lines cannot be shown");
            return;
        }
    };
    if tokio::runtime::Handle::try_current().is_err() {
        tracing::warn!("the programs' log lines are shown by the daemon and by `watch` only");
        return;
    }
    // SAFETY: the logger owns its descriptor and keeps it open as long as it lives.
    match unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) } {
        Ok(mut logger) => {
            tokio::spawn(async move {
                while let Ok(mut guard) = logger.readable_mut().await {
                    guard.get_inner_mut().flush();
                    guard.clear_ready();
                }
            });
        }
        Err(error) => tracing::warn!(%error, "the programs' log lines cannot be waited for"),
    }
}
