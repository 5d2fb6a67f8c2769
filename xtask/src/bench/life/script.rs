//! The lives that are measured: this thread plays both ends of every connection, a crowd at a time and one step after
//! the other, so that each step runs known transitions only. It does not know who watches.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::step::Step;

/// The servers' port, below the ephemeral ones.
pub(super) const PORT: u16 = 7_890;
/// Where listeners come and go.
const OTHER_PORT: u16 = PORT + 1;
/// Connections that go through a step before any of them goes through the next: what is kept of one has to leave the
/// processor's nearest cache meanwhile, as on a server.
pub(super) const CROWD: usize = 64;
const CROWDS: usize = 24;
/// Crowds whose connections live for long.
const LONG_LIVED: usize = 4;
const TURNS: usize = 100;
/// From this turn on they are late ones; they are alike, and the mean of some scatters less.
const LATE_TURNS: usize = 91;
/// Pieces of a long question and of a long answer, each read before the next is sent.
const PIECES: usize = 10;
const REQUEST: [u8; 120] = [b'?'; 120];
const ANSWER: [u8; 600] = [b'.'; 600];
/// No step waits for anything; should one all the same, it ends with an error.
const STUCK: Duration = Duration::from_secs(5);

/// Who watches the steps.
pub(super) trait Watch {
    /// Runs `body`, which is this step of so many connections.
    fn step(
        &mut self,
        step: Step,
        connections: usize,
        body: impl FnOnce() -> Result<()>,
    ) -> Result<()>;
}

/// All lives, in this thread's network namespace.
pub(super) fn run(watch: &mut impl Watch) -> Result<()> {
    for _ in 0..CROWDS {
        watch.step(Step::Refused, CROWD, || (0..CROWD).try_for_each(refused))?;
        watch.step(Step::Listen, CROWD, || {
            (0..CROWD).try_for_each(|_| listen(OTHER_PORT).map(drop))
        })?;
    }
    let listener = listen(PORT)?;
    for _ in 0..CROWDS {
        server_closes_first(&listener, watch)?;
        client_closes_first(&listener, watch)?;
        half_closes(&listener, watch)?;
        resets(&listener, watch)?;
    }
    for _ in 0..LONG_LIVED {
        lives_long(&listener, watch)?;
    }
    Ok(())
}

fn server_closes_first(listener: &TcpListener, watch: &mut impl Watch) -> Result<()> {
    let Crowd {
        mut clients,
        mut servers,
    } = Crowd::open(listener, watch)?;
    watch.step(Step::FirstTurn, CROWD, || turn(&mut clients, &mut servers))?;
    watch.step(Step::ServerClosesFirst, CROWD, || close(servers))?;
    each(&mut clients, end)?;
    watch.step(Step::ClientFollows, CROWD, || close(clients))
}

fn client_closes_first(listener: &TcpListener, watch: &mut impl Watch) -> Result<()> {
    let Crowd {
        mut clients,
        mut servers,
    } = Crowd::open(listener, watch)?;
    watch.step(Step::FirstTurn, CROWD, || turn(&mut clients, &mut servers))?;
    watch.step(Step::ClientClosesFirst, CROWD, || close(clients))?;
    each(&mut servers, end)?;
    watch.step(Step::ServerFollows, CROWD, || close(servers))
}

/// The client says behind its question that it was the last.
fn half_closes(listener: &TcpListener, watch: &mut impl Watch) -> Result<()> {
    let Crowd {
        mut clients,
        mut servers,
    } = Crowd::open(listener, watch)?;
    each(&mut clients, ask)?;
    watch.step(Step::ClientHalfCloses, CROWD, || {
        each(&mut clients, |client| {
            client.shutdown(Shutdown::Write).context("shut down")
        })
    })?;
    each(&mut servers, hear)?;
    each(&mut servers, answer)?;
    watch.step(Step::ServerAnswersAndCloses, CROWD, || close(servers))?;
    each(&mut clients, learn)?;
    watch.step(Step::ClientLetsGo, CROWD, || close(clients))
}

fn resets(listener: &TcpListener, watch: &mut impl Watch) -> Result<()> {
    let Crowd {
        mut clients,
        mut servers,
    } = Crowd::open(listener, watch)?;
    each(&mut clients, ask)?;
    each(&mut servers, hear)?;
    each(&mut servers, answer)?;
    watch.step(Step::ClientResets, CROWD, || close(clients))?;
    watch.step(Step::ServerAfterReset, CROWD, || close(servers))
}

fn lives_long(listener: &TcpListener, watch: &mut impl Watch) -> Result<()> {
    let Crowd {
        mut clients,
        mut servers,
    } = Crowd::open(listener, watch)?;
    for nth in 1..=TURNS {
        let mut turn = || turn(&mut clients, &mut servers);
        match nth {
            2 => watch.step(Step::SecondTurn, CROWD, turn)?,
            LATE_TURNS.. => watch.step(Step::LateTurn, CROWD, turn)?,
            _ => turn()?,
        }
    }
    each(&mut clients, ask)?;
    each(&mut servers, hear)?;
    for _ in 1..PIECES {
        watch.step(Step::LongQuestion, CROWD, || {
            each(&mut clients, ask)?;
            each(&mut servers, hear)
        })?;
    }
    each(&mut servers, answer)?;
    each(&mut clients, learn)?;
    for _ in 1..PIECES {
        watch.step(Step::LongAnswer, CROWD, || {
            each(&mut servers, answer)?;
            each(&mut clients, learn)
        })?;
    }
    close(servers)?;
    close(clients)
}

/// Both ends of a crowd of connections.
struct Crowd {
    clients: Vec<TcpStream>,
    servers: Vec<TcpStream>,
}

impl Crowd {
    fn open(listener: &TcpListener, watch: &mut impl Watch) -> Result<Self> {
        let (mut clients, mut servers) = (Vec::with_capacity(CROWD), Vec::with_capacity(CROWD));
        watch.step(Step::Open, CROWD, || {
            for nth in 0..CROWD {
                clients.push(TcpStream::connect(address(nth)).context("connect")?);
                servers.push(listener.accept().context("accept a connection")?.0);
            }
            Ok(())
        })?;
        for stream in clients.iter().chain(&servers) {
            stream.set_read_timeout(Some(STUCK))?;
        }
        Ok(Self { clients, servers })
    }
}

fn turn(clients: &mut [TcpStream], servers: &mut [TcpStream]) -> Result<()> {
    each(clients, ask)?;
    each(servers, hear)?;
    each(servers, answer)?;
    each(clients, learn)
}

fn ask(client: &mut TcpStream) -> Result<()> {
    client.write_all(&REQUEST).context("send a request")
}

fn hear(server: &mut TcpStream) -> Result<()> {
    let mut request = REQUEST;
    server.read_exact(&mut request).context("read a request")
}

fn answer(server: &mut TcpStream) -> Result<()> {
    server.write_all(&ANSWER).context("send an answer")
}

fn learn(client: &mut TcpStream) -> Result<()> {
    let mut answer = ANSWER;
    client.read_exact(&mut answer).context("read an answer")
}

fn end(stream: &mut TcpStream) -> Result<()> {
    let rest = stream.read(&mut [0]).context("wait for the end")?;
    ensure!(rest == 0, "the other end sent more than was asked for");
    Ok(())
}

fn close(streams: Vec<TcpStream>) -> Result<()> {
    drop(streams);
    Ok(())
}

fn refused(nth: usize) -> Result<()> {
    let error = TcpStream::connect(address(nth)).err();
    ensure!(
        error.is_some(),
        "somebody listens on port {PORT} of a new network namespace"
    );
    Ok(())
}

/// Whoever reads `/proc/<pid>/fd` in the instant in which a listener is closed holds its file a moment longer, and the port with it.
fn listen(port: u16) -> Result<TcpListener> {
    let until = Instant::now() + STUCK;
    loop {
        match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => {}
            bound => return bound.with_context(|| format!("listen on port {port}")),
        }
    }
}

fn each(streams: &mut [TcpStream], act: impl Fn(&mut TcpStream) -> Result<()>) -> Result<()> {
    streams.iter_mut().try_for_each(act)
}

/// The server's, another for each of a crowd, so that no pair of ports is in TIME_WAIT when it is wanted.
fn address(nth: usize) -> SocketAddrV4 {
    let address = u32::from(Ipv4Addr::LOCALHOST) + nth as u32;
    SocketAddrV4::new(Ipv4Addr::from(address), PORT)
}
