//! Waiting: for conditions, for bytes, for the end of a process, and each of it with an end. Nothing in the tier waits for time
//! alone.

use std::{
    io::{self, Read, Write as _},
    os::fd::{AsFd, AsRawFd as _},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// How long a condition may take. Generous: an emulated machine is thirty times slower.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long finwatch's counts may take to show what has already happened. All of it is counted at once,
/// but for delayed acknowledgements and timers that a scenario left under way.
pub(crate) const SETTLE: Duration = Duration::from_secs(8);

/// How long a command may be silent that waits for something itself.
const COMMAND: Duration = PATIENCE.saturating_mul(2);

/// How long a test may take, whatever it waits for.
const TEST: Duration = Duration::from_secs(600);

/// Waits until `holds` says so and panics with `what` when it never does.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    assert!(
        within(PATIENCE, &mut holds),
        "waited {PATIENCE:?} in vain: {what}"
    );
}

/// Whether `holds` came true within `patience`.
pub(crate) fn within(patience: Duration, holds: &mut dyn FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_micros(200);
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Reads as `R` does, and fails with [`io::ErrorKind::TimedOut`] where nothing comes for so long.
#[derive(Debug)]
pub(crate) struct Patient<R> {
    from: R,
    patience: Duration,
}

impl<R: Read + AsFd> Patient<R> {
    /// With [`PATIENCE`].
    pub(crate) fn new(from: R) -> Self {
        let patience = PATIENCE;
        Self { from, patience }
    }

    /// Whether something comes within `patience`, or the end.
    pub(crate) fn comes_within(&self, patience: Duration) -> bool {
        is_readable(&self.from, patience)
    }
}

impl<R: Read + AsFd> Read for Patient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.comes_within(self.patience) {
            let error = format!("nothing came for {:?}", self.patience);
            return Err(io::Error::new(io::ErrorKind::TimedOut, error));
        }
        self.from.read(buffer)
    }
}

/// Whether bytes, an end, an error or a connection came within `patience`.
pub(crate) fn is_readable(of: &impl AsFd, patience: Duration) -> bool {
    let mut poll = libc::pollfd {
        fd: of.as_fd().as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: there is one entry.
        match unsafe { libc::poll(&raw mut poll, 1, millis) } {
            0 => return false,
            // Of an error the read tells; a signal interrupts nothing but the waiting.
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return true,
        }
    }
}

/// Waits for the end of `child`. One that does not end is killed, and the test fails.
#[track_caller]
pub(crate) fn wait_for_end(child: &mut Child, what: &str) -> ExitStatus {
    let mut status = None;
    let ended = within(PATIENCE, &mut || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    if !ended {
        let _already_gone = child.kill();
        let _reaped = child.wait();
    }
    status.unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain: {what} ends"))
}

/// Runs a command to its end: what it wrote. It may be silent for twice [`PATIENCE`], as some wait for that long themselves.
#[track_caller]
pub(crate) fn output_of(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn();
    finish(child.unwrap_or_else(|e| panic!("start {command:?}: {e}")))
}

/// Waits for the end of a child whose streams were piped, as [`Child::wait_with_output`] does. One that does not end is killed, and
/// the test fails.
#[track_caller]
pub(crate) fn finish(mut child: Child) -> Output {
    fn all(from: Option<impl Read + AsFd>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(from) = from {
            let patience = COMMAND;
            Patient { from, patience }.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = thread::scope(|scope| {
        let complaint = scope.spawn(|| all(stderr));
        (all(stdout), complaint.join().unwrap())
    });
    let read = stdout.and_then(|stdout| Ok((stdout, stderr?)));
    if read.is_err() {
        let _already_gone = child.kill();
    }
    let status = wait_for_end(&mut child, "the command");
    let (stdout, stderr) = read.unwrap_or_else(|e| panic!("a command does not end: {e}"));
    Output {
        status,
        stdout,
        stderr,
    }
}

/// Tells threads to stop when it is dropped: they end also when the test panics, which would else wait for them.
pub(crate) struct StopAtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Runs a test, or ends the test program: whatever a test waits for, and however it does so, the run has an end.
pub(crate) fn with_an_end<R>(test: impl FnOnce() -> R) -> R {
    thread::scope(|scope| {
        let (running, end) = mpsc::channel::<()>();
        scope.spawn(move || {
            if end.recv_timeout(TEST) == Err(mpsc::RecvTimeoutError::Timeout) {
                // What the macros print is kept until the test has ended.
                let said = format!("this test has not ended after {TEST:?}\n");
                let _nobody_reads = io::stderr().write_all(said.as_bytes());
                std::process::abort();
            }
        });
        // Dropped at the end, also when the test panics.
        let _running = running;
        test()
    })
}
