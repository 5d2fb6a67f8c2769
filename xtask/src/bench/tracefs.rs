//! Where a peer finds the kernel's tracepoints by name: a tracefs, mounted for it alone where this machine has none.
//! finwatch needs none.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

const FOLDER: &str = "/sys/kernel/tracing";

/// Lets the program see tracepoints where it looks for them.
pub(super) fn provide(command: &mut Command) -> Result<()> {
    let folder = Path::new(FOLDER);
    if folder.join("events").exists() {
        return Ok(());
    }
    ensure!(
        folder.exists(),
        "mount a tracefs, which bpftrace, tcplife and tcpstates need: the kernel has no {FOLDER}"
    );
    // SAFETY: between fork and exec the closure makes system calls only, on constants.
    unsafe { command.pre_exec(mount_privately) };
    Ok(())
}

/// In a mount namespace of the calling process alone, which ends with it.
fn mount_privately() -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    // SAFETY: the strings are constants; a null means that nothing is said, as the call wants it here.
    check(unsafe {
        libc::mount(
            std::ptr::null(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        )
    })?;
    // SAFETY: as above.
    check(unsafe {
        libc::mount(
            c"tracefs".as_ptr(),
            c"/sys/kernel/tracing".as_ptr(),
            c"tracefs".as_ptr(),
            0,
            std::ptr::null(),
        )
    })
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
