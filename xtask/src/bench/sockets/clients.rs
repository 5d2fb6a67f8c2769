//! A process of clients: each connects, asks once and reads the answer, and stays.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::room;
use super::turn::{ANSWER_BYTES, QUESTION_BYTES};

/// The word at which it ends its connections by RSTs.
pub(super) const RESET: &str = "reset";
/// Clients connect to this many addresses of the loopback device in turn, so that their ports do not run out.
const ADDRESSES: u64 = 250;
/// Connections that are opened before their answers are read: fewer than a listener's backlog.
const BATCH: u64 = 64;
/// No process takes longer to open its connections.
const OPENED_WITHIN: Duration = Duration::from_secs(60);
/// No connect, read or write takes longer.
const STUCK: Duration = Duration::from_secs(10);

/// Opens so many connections, or fewer where memory is short; says how many, and holds them.
pub(super) fn run(port: u16, connections: u64) -> Result<()> {
    let start = Instant::now();
    let mut held: Vec<TcpStream> = Vec::new();
    let mut answer = [0; ANSWER_BYTES];
    while (held.len() as u64) < connections
        && start.elapsed() < OPENED_WITHIN
        && room::available_kib()? > room::LEFT_KIB
    {
        let first = held.len() as u64;
        for nth in first..connections.min(first + BATCH) {
            held.push(connect(port, nth)?);
        }
        for stream in held.iter_mut().skip(first as usize) {
            stream.read_exact(&mut answer).context("read an answer")?;
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", held.len()).context("tell the benchmark")?;
    let mut word = String::new();
    std::io::stdin()
        .read_line(&mut word)
        .context("wait for the benchmark")?;
    if word.trim() == RESET {
        for stream in &held {
            reset_at_close(stream)?;
        }
    }
    // The kernel closes them with the process.
    std::process::exit(0)
}

fn connect(port: u16, nth: u64) -> Result<TcpStream> {
    let offset = u32::try_from(nth % ADDRESSES)?;
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + offset);
    let peer = SocketAddr::from((address, port));
    let mut stream = TcpStream::connect_timeout(&peer, STUCK)
        .with_context(|| format!("connect to {peer} as number {nth}"))?;
    stream.set_read_timeout(Some(STUCK))?;
    stream
        .write_all(&[b'?'; QUESTION_BYTES])
        .context("send a question")?;
    Ok(stream)
}

/// Its close sends an RST: both ends are gone at once, and no mini-socket stays.
fn reset_at_close(stream: &TcpStream) -> Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // SAFETY: the value is an initialised `linger` of the size given, and is only read.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    ensure!(
        result == 0,
        "set SO_LINGER: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}
