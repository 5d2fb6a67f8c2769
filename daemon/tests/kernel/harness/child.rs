//! Processes that hold sockets and die. A child is forked without exec, so its body may only make system
//! calls: other threads of the test process may hold any lock.

use std::{
    io::{self, PipeReader, PipeWriter, Read},
    os::fd::{AsRawFd, RawFd},
};

use super::{Patient, dispositions, wait_until};

/// A child process; it is killed and reaped when dropped.
pub(crate) struct Child {
    pid: libc::pid_t,
}

impl Child {
    /// Forks a child that holds `keep` and no other descriptor, and runs `body` there. The value of
    /// `body` is the exit code.
    ///
    /// `body` must only make system calls: it runs in a copy of a process with many threads.
    pub(crate) fn fork(keep: &[RawFd], body: impl FnOnce() -> i32) -> Self {
        let mut keep = keep.to_vec();
        let (ready, ready_in_child) = gate();
        let report = ready_in_child.as_raw_fd();
        keep.push(report);
        keep.sort_unstable();
        // SAFETY: the child makes system calls only, up to `_exit`.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", io::Error::last_os_error()),
            0 => {
                // The other descriptors belong to tests that run at the same time: a copy of them here
                // would keep their connections open, and end them with this child.
                let mut next = 3;
                for fd in &keep {
                    close_range(next, fd.cast_unsigned() - 1);
                    next = fd.cast_unsigned() + 1;
                }
                close_range(next, u32::MAX);
                dispositions::take_defaults();
                // SAFETY: one byte is written from a constant.
                unsafe { libc::write(report, c"r".as_ptr().cast(), 1) };
                let code = body();
                // SAFETY: ends the child at once, without running what the parent registered.
                unsafe { libc::_exit(code) }
            }
            pid => {
                let child = Self { pid };
                drop(ready_in_child);
                let started = Patient::new(ready).read_exact(&mut [0]);
                started.expect("the child starts");
                child
            }
        }
    }

    /// Forks a child that holds `keep` and waits for its death.
    pub(crate) fn holding(keep: &[RawFd]) -> Self {
        Self::fork(keep, || {
            loop {
                // SAFETY: no memory is involved.
                unsafe { libc::pause() };
            }
        })
    }

    /// Sends SIGKILL and waits for the end.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.cast_unsigned()
    }

    /// Waits until it ends by itself and returns its exit code.
    #[track_caller]
    pub(crate) fn wait(self) -> i32 {
        libc::WEXITSTATUS(self.wait_status())
    }

    /// Waits until it ends and returns what `waitpid` says of it. One that does not end is killed, and the test fails.
    #[track_caller]
    pub(crate) fn wait_status(self) -> i32 {
        let mut status = 0;
        wait_until("the child ends", || {
            // SAFETY: the kernel writes one int.
            let result = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG) };
            assert!(result >= 0, "wait: {}", io::Error::last_os_error());
            result == self.pid
        });
        std::mem::forget(self);
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: the child is ours and not yet reaped, so the id is still its own.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// A pipe on which a parent tells a child to go on: the child's end, the parent's end.
pub(crate) fn gate() -> (PipeReader, PipeWriter) {
    io::pipe().unwrap()
}

/// In a child: waits until the parent drops its end of the gate.
pub(crate) fn wait_gate(gate: RawFd) {
    let mut byte = 0u8;
    // SAFETY: the kernel writes at most one byte.
    unsafe { libc::read(gate, (&raw mut byte).cast(), 1) };
}

/// Raw descriptors of anything that has them.
pub(crate) fn fds<T: AsRawFd>(of: &[T]) -> Vec<RawFd> {
    of.iter().map(AsRawFd::as_raw_fd).collect()
}

fn close_range(first: u32, last: u32) {
    if first <= last {
        // SAFETY: no memory is involved. The libc crate's wrapper is missing on some targets.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    }
}
