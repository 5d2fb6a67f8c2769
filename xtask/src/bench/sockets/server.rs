//! A server that forks workers before it accepts, as some real ones do: the master listens, each worker accepts as many
//! connections as it may hold, answers one question on each, and keeps it. At SIGTERM they accept nobody any more, and go on
//! holding what they have; the end of the master's standard input is the end of all.

use std::io::{self, PipeReader, Read as _, Write as _};
use std::mem;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::room;
use super::turn::{ANSWER_BYTES, QUESTION_BYTES};

/// What the master says when it listens.
const READY: &str = "ready";
/// No read takes longer.
const STUCK: Duration = Duration::from_secs(10);
/// Between two looks of the master whether it was told to stop.
const LOOK_EVERY_MS: i32 = 50;

/// The listener, for the handler of SIGTERM.
static LISTENER: AtomicI32 = AtomicI32::new(-1);
/// SIGTERM came.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

/// Listens, and holds what is accepted, of which there are so many at most.
pub(super) fn run(port: u16, connections: u64) -> Result<()> {
    let each = room::connections_a_process(room::allow_files()?);
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .with_context(|| format!("listen on port {port}"))?;
    LISTENER.store(listener.as_raw_fd(), Ordering::SeqCst);
    handle_stop()?;
    let (is_over, over) = io::pipe().context("make a pipe")?;
    let mut workers = Vec::new();
    for _ in 0..connections.div_ceil(each.max(1)) {
        // SAFETY: this process has a single thread.
        let worker = unsafe { libc::fork() };
        ensure!(worker >= 0, "fork a worker: {}", io::Error::last_os_error());
        if worker == 0 {
            drop(over);
            return work(listener, each, is_over);
        }
        workers.push(worker);
    }
    // The handler closes it.
    mem::forget(listener);
    let mut out = io::stdout().lock();
    writeln!(out, "{READY}").context("tell the benchmark")?;
    wait(&workers)?;
    tell(&workers);
    drop(over);
    for worker in workers {
        // SAFETY: a null pointer means that the status is not wanted.
        let _ended = unsafe { libc::waitpid(worker, ptr::null_mut(), 0) };
    }
    Ok(())
}

/// A worker: accepts until it has enough or is told to stop, and holds until its master lets go of the pipe.
fn work(listener: TcpListener, most: u64, mut is_over: PipeReader) -> Result<()> {
    // SAFETY: no memory is involved: with its master it ends too.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let mut held = Vec::new();
    while (held.len() as u64) < most {
        match listener.accept() {
            Ok((stream, _)) => held.push(answer(stream)?),
            Err(_) if IS_TOLD.load(Ordering::SeqCst) => break,
            Err(error) => return Err(error).context("accept a connection"),
        }
    }
    // The handler closes it.
    mem::forget(listener);
    let mut nothing = Vec::new();
    is_over
        .read_to_end(&mut nothing)
        .context("wait for the master")?;
    // The kernel closes what it holds.
    std::process::exit(0)
}

fn answer(mut stream: TcpStream) -> Result<TcpStream> {
    let mut question = [0; QUESTION_BYTES];
    stream.set_read_timeout(Some(STUCK))?;
    stream
        .read_exact(&mut question)
        .context("read a question")?;
    stream
        .write_all(&[b'.'; ANSWER_BYTES])
        .context("send an answer")?;
    Ok(stream)
}

/// Until the benchmark closes the standard input; passes SIGTERM on to the workers.
fn wait(workers: &[libc::pid_t]) -> Result<()> {
    let mut passed_on = false;
    loop {
        let mut stdin = libc::pollfd {
            fd: io::stdin().as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: `stdin` is one initialised `pollfd`.
        let ready = unsafe { libc::poll(&raw mut stdin, 1, LOOK_EVERY_MS) };
        if IS_TOLD.load(Ordering::SeqCst) && !passed_on {
            tell(workers);
            passed_on = true;
        }
        if ready > 0 {
            return Ok(());
        }
    }
}

fn tell(workers: &[libc::pid_t]) {
    for worker in workers {
        // SAFETY: no memory is involved; a child that was not waited for keeps its number.
        let _told = unsafe { libc::kill(*worker, libc::SIGTERM) };
    }
}

/// A graceful stop. It interrupts accept(), as it does not restart what it interrupts.
fn handle_stop() -> Result<()> {
    extern "C" fn stop(_: libc::c_int) {
        IS_TOLD.store(true, Ordering::SeqCst);
        // SAFETY: close() may be called in a handler; nobody opens anything meanwhile that could get the number.
        let _closed = unsafe { libc::close(LISTENER.swap(-1, Ordering::SeqCst)) };
    }
    // SAFETY: `sigaction` is plain data for which zeros are a value.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = stop as *const () as libc::sighandler_t;
    // SAFETY: the action is initialised, and its handler does nothing but what a handler may do.
    let result = unsafe { libc::sigaction(libc::SIGTERM, &raw const action, ptr::null_mut()) };
    ensure!(
        result == 0,
        "handle SIGTERM: {}",
        io::Error::last_os_error()
    );
    Ok(())
}
