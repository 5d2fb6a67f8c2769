//! The load: clients that connect, ask, get an answer and part, and servers that answer, all threads of this
//! process in a network namespace of its own. Bounded in time and in the number of threads. It does not know
//! who watches.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::{snmp::Snmp, sys};

/// The one port of the load; below the kernel's ephemeral ports.
pub(super) const PORT: u16 = 7_900;

const CLIENTS: u32 = 8;
const SERVERS: u32 = 8;
/// Each client goes through this many addresses, so that ports in TIME_WAIT never run out.
const ADDRESSES: u32 = 200;
/// One connection in so many ends with an RST.
const RESET_EVERY: u64 = 32;
const REQUEST_BYTES: usize = 120;
const ANSWER_BYTES: usize = 600;
/// No read or write takes longer; a stuck benchmark ends with an error.
const STUCK: Duration = Duration::from_secs(10);

/// What one run of the load did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) ends: Ends,
    pub(super) elapsed: Duration,
    /// CPU time of the clients and servers, with all that the kernel did for them.
    pub(super) cpu: Duration,
    /// The namespace's own counters over the run.
    pub(super) snmp: Snmp,
}

/// Connections by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) server_first: u64,
    pub(super) client_first: u64,
    /// The client closed with the answer unread.
    pub(super) reset: u64,
}

/// Runs the load for about `time`, in a new network namespace.
pub(super) fn run(time: Duration) -> Result<Outcome> {
    sys::in_new_netns(|| {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))
            .with_context(|| format!("listen on port {PORT}"))?;
        let snmp_before = Snmp::read()?;
        let cpu_before = sys::own_cpu()?;
        let start = Instant::now();
        let mut ends = Ends::default();
        thread::scope(|scope| -> Result<()> {
            let servers: Vec<_> = (0..SERVERS)
                .map(|_| scope.spawn(|| serve(&listener)))
                .collect();
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| scope.spawn(move || ask(client, start + time)))
                .collect();
            let asked: Vec<Result<Ends>> = clients.into_iter().map(joined).collect();
            // The servers wait in accept(), also when a client failed.
            sys::stop_accepting(&listener)?;
            servers.into_iter().try_for_each(joined)?;
            for part in asked {
                ends.add(part?);
            }
            Ok(())
        })?;
        Ok(Outcome {
            ends,
            elapsed: start.elapsed(),
            cpu: sys::own_cpu()?.saturating_sub(cpu_before),
            snmp: Snmp::read()?.since(snmp_before),
        })
    })
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn connections(&self) -> u64 {
        let Ends {
            server_first,
            client_first,
            reset,
        } = self.ends;
        server_first + client_first + reset
    }

    /// Every connection has two ends on this host.
    pub(super) fn sockets(&self) -> u64 {
        2 * self.connections()
    }

    pub(super) fn per_second(&self) -> f64 {
        self.connections() as f64 / self.elapsed.as_secs_f64()
    }
}

// === impl Ends ===

impl Ends {
    fn add(&mut self, other: Self) {
        let Self {
            server_first,
            client_first,
            reset,
        } = other;
        self.server_first += server_first;
        self.client_first += client_first;
        self.reset += reset;
    }
}

/// How a connection is to end; the first byte of the request tells the server.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Manner {
    ServerFirst = b's',
    ClientFirst = b'c',
    Reset = b'r',
}

fn ask(client: u32, until: Instant) -> Result<Ends> {
    let mut ends = Ends::default();
    let mut nth = 0_u64;
    while Instant::now() < until {
        nth += 1;
        let address = client * ADDRESSES + u32::try_from(nth % u64::from(ADDRESSES))?;
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + 1 + address);
        let (manner, count) = if nth.is_multiple_of(RESET_EVERY) {
            (Manner::Reset, &mut ends.reset)
        } else if nth.is_multiple_of(2) {
            (Manner::ServerFirst, &mut ends.server_first)
        } else {
            (Manner::ClientFirst, &mut ends.client_first)
        };
        converse(address, manner)?;
        *count += 1;
    }
    Ok(ends)
}

/// One connection from the client's side.
fn converse(address: Ipv4Addr, manner: Manner) -> Result<()> {
    let peer = SocketAddrV4::new(address, PORT);
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

/// One server thread: a connection at a time.
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
