//! What others notice: a client and a server of their own that talk all the time, a connection after the other, of which the server
//! closes each first, and how long they took.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::turn::{ANSWER_BYTES, QUESTION_BYTES};
use crate::bench::stats::{median, quantile};
use crate::bench::sys;

/// Below the ephemeral ports.
pub(super) const PORT: u16 = 7_871;
/// Between two connections: others are not to fill the machine, but to notice.
const PAUSE: Duration = Duration::from_micros(500);
/// No connect, read or write takes longer.
const STUCK: Duration = Duration::from_secs(10);

/// How long connections took from connect() to the answer, in microseconds.
#[derive(Default)]
pub(super) struct Latencies(Vec<f64>);

// === impl Latencies ===

impl Latencies {
    pub(super) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn median(&self) -> f64 {
        median(&self.0)
    }

    pub(super) fn p99(&self) -> f64 {
        quantile(&self.0, 0.99)
    }

    pub(super) fn longest(&self) -> f64 {
        quantile(&self.0, 1.0)
    }
}

/// Runs `body` in the calling thread's network namespace while others talk there; how long their connections took meanwhile.
pub(super) fn meanwhile<R>(body: impl FnOnce() -> Result<R>) -> Result<(R, Latencies)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
        .with_context(|| format!("listen on port {PORT}"))?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(&listener));
        let client = scope.spawn(|| talk(&is_over));
        let result = body();
        is_over.store(true, Ordering::Relaxed);
        let latencies = joined(client);
        sys::stop_accepting(&listener)?;
        joined(server)?;
        Ok((result?, latencies?))
    })
}

fn talk(is_over: &AtomicBool) -> Result<Latencies> {
    let mut latencies = Vec::new();
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let mut answer = [0; ANSWER_BYTES];
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        let mut stream = TcpStream::connect_timeout(&peer, STUCK).context("connect")?;
        stream.set_read_timeout(Some(STUCK))?;
        stream
            .write_all(&[b'?'; QUESTION_BYTES])
            .context("send a question")?;
        stream.read_exact(&mut answer).context("read an answer")?;
        latencies.push(start.elapsed().as_secs_f64() * 1e6);
        let rest = stream.read(&mut answer).context("wait for the end")?;
        ensure!(rest == 0, "the server sent more than its answer");
        thread::sleep(PAUSE);
    }
    Ok(Latencies(latencies))
}

fn serve(listener: &TcpListener) -> Result<()> {
    let mut question = [0; QUESTION_BYTES];
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // What accept() says of a socket that no longer listens.
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(()),
            Err(error) => return Err(error).context("accept a connection"),
        };
        stream.set_read_timeout(Some(STUCK))?;
        stream
            .read_exact(&mut question)
            .context("read a question")?;
        stream
            .write_all(&[b'.'; ANSWER_BYTES])
            .context("send an answer")?;
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .map_err(|_| anyhow!("a thread of the others panicked"))?
}
