//! Full churn: clients that connect, ask, get an answer and part, and servers that answer, all threads of this
//! process in a network namespace of its own. Bounded in time and in the number of threads.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::outcome::{Clock, Ends, Outcome};
use super::{snmp::Snmp, sys};

/// Pairs of a client and a server on each core. A pair stays on its core, as flows do on a server whose card
/// spreads them over its cores; left to the scheduler, the same load differs by half from run to run.
const PAIRS_PER_CORE: usize = 4;
const CORES_MAX: usize = 16;
/// Each pair has a port of its own, from here on; below the kernel's ephemeral ports.
const FIRST_PORT: u16 = 7_900;
/// Each client goes through this many addresses, so that ports in TIME_WAIT never run out.
const ADDRESSES: u32 = 200;
/// One connection in so many ends with an RST.
const RESET_EVERY: u64 = 32;
const REQUEST_BYTES: usize = 120;
const ANSWER_BYTES: usize = 600;
/// No read or write takes longer; a stuck benchmark ends with an error.
const STUCK: Duration = Duration::from_secs(10);

/// Every port that the load may use.
fn ports() -> impl Iterator<Item = u16> {
    (FIRST_PORT..).take(CORES_MAX * PAIRS_PER_CORE)
}

/// Runs the load for about `time`, in a new network namespace.
pub(super) fn run(clock: Clock<'_>, time: Duration) -> Result<Outcome> {
    sys::in_new_netns(|| {
        let snmp_before = Snmp::read()?;
        let cpu_before = sys::own_cpu()?;
        let clock_before = clock()?;
        let start = Instant::now();
        let mut ends = Ends::default();
        thread::scope(|scope| -> Result<()> {
            let pairs: Vec<_> = pairs()
                .map(|pair| scope.spawn(move || converse_all(pair, start + time)))
                .collect();
            for pair in pairs {
                ends.add(joined(pair)?);
            }
            Ok(())
        })?;
        Ok(Outcome {
            ports: ports().collect(),
            connections: ends.connections(),
            ends: Some(ends),
            elapsed: start.elapsed(),
            clocked: clock()?.saturating_sub(clock_before),
            cpu: sys::own_cpu()?.saturating_sub(cpu_before),
            snmp: Snmp::read()?.since(snmp_before),
        })
    })
}

/// How a connection is to end; the first byte of the request tells the server.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Manner {
    ServerFirst = b's',
    ClientFirst = b'c',
    Reset = b'r',
}

#[derive(Clone, Copy)]
struct Pair {
    core: usize,
    port: u16,
}

fn pairs() -> impl Iterator<Item = Pair> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let cores = cores.min(CORES_MAX);
    ports()
        .enumerate()
        .take(cores * PAIRS_PER_CORE)
        .map(move |(nth, port)| Pair {
            core: nth % cores,
            port,
        })
}

/// This thread is the client; the server is a thread that it starts, on the same core.
fn converse_all(pair: Pair, until: Instant) -> Result<Ends> {
    sys::stay_on_core(pair.core)?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, pair.port))
        .with_context(|| format!("listen on port {}", pair.port))?;
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(&listener));
        let asked = ask(pair.port, until);
        // The server waits in accept(), also when the client failed.
        sys::stop_accepting(&listener)?;
        joined(server)?;
        asked
    })
}

fn ask(port: u16, until: Instant) -> Result<Ends> {
    let mut ends = Ends::default();
    let mut nth = 0_u64;
    while Instant::now() < until {
        nth += 1;
        let offset = u32::try_from(nth % u64::from(ADDRESSES))?;
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + offset);
        let peer = SocketAddrV4::new(address, port);
        let (manner, count) = if nth.is_multiple_of(RESET_EVERY) {
            (Manner::Reset, &mut ends.reset)
        } else if nth.is_multiple_of(2) {
            (Manner::ServerFirst, &mut ends.server_first)
        } else {
            (Manner::ClientFirst, &mut ends.client_first)
        };
        converse(peer, manner)?;
        *count += 1;
    }
    Ok(ends)
}

/// One connection from the client's side.
fn converse(peer: SocketAddrV4, manner: Manner) -> Result<()> {
    let mut stream = TcpStream::connect(peer).with_context(|| format!("connect to {peer}"))?;
    stream.set_read_timeout(Some(STUCK))?;
    let mut request = [b' '; REQUEST_BYTES];
    request[0] = manner as u8;
    stream.write_all(&request).context("send a request")?;
    let mut answer = [0; ANSWER_BYTES];
    match manner {
        Manner::Reset => {
            // What has arrived and is not read turns the close into an RST.
            stream.peek(&mut answer).context("wait for an answer")?;
        }
        Manner::ClientFirst => stream.read_exact(&mut answer).context("read an answer")?,
        Manner::ServerFirst => {
            stream.read_exact(&mut answer).context("read an answer")?;
            let rest = stream.read(&mut answer).context("wait for the end")?;
            anyhow::ensure!(rest == 0, "the server sent more than its answer");
        }
    }
    Ok(())
}

/// The server: a connection at a time, until nobody may come any more.
fn serve(listener: &TcpListener) -> Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // What accept() says of a socket that no longer listens.
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(()),
            Err(error) => return Err(error).context("accept a connection"),
        };
        stream.set_read_timeout(Some(STUCK))?;
        let mut request = [0; REQUEST_BYTES];
        stream.read_exact(&mut request).context("read a request")?;
        stream
            .write_all(&[b'.'; ANSWER_BYTES])
            .context("send an answer")?;
        if request[0] != Manner::ServerFirst as u8 {
            // The end of the stream, or the error that an RST leaves: both are the end that was asked for.
            let _end = stream.read(&mut request);
        }
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .map_err(|_| anyhow!("a thread of the load panicked"))?
}
