//! A crowd of clients that count for themselves: requests written, requests answered, and how each connection ended.
//! No client hangs up before the server has.

use std::{
    io::{self, Read as _, Write as _},
    mem,
    net::TcpStream,
    process::{Child, Command},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use super::{
    Entry,
    gate::Gate,
    http::{Tls, is_complete, request},
    lab::PLAIN,
    sockets, state,
    wait::{PATIENCE, wait_for_end, wait_until},
};

/// What the connections are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// TCP.
    Plain,
    /// `openssl s_client` with this option, such as `-tls1_3`.
    Tls(&'static str),
    /// HTTP/2 with TLS on this port, by `curl`: a request that is answered, then one that waits at the gate.
    Http2(u16),
}

/// Idle keep-alive connections, and connections with a request that waits at the gate.
pub(crate) struct Crowd {
    idle: Vec<Visitor>,
    busy: Vec<Visitor>,
}

/// What became of a crowd.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Connections that were established.
    pub(crate) connections: u64,
    /// Requests written.
    pub(crate) asked: u64,
    /// Requests answered completely.
    pub(crate) answered: u64,
    /// Connections whose end began with the server's FIN, and on which no RST came; with TLS that is not to be seen,
    /// and every end counts here.
    pub(crate) fins: u64,
    /// Connections on which an RST came.
    pub(crate) resets: u64,
    /// Of these, connections on which the server's FIN had come before it.
    pub(crate) fins_then_resets: u64,
    /// Some clients had TLS: they answer the server's goodbye with their own and a FIN, which may come before the server's.
    pub(crate) with_tls: bool,
    /// Connections of others, whom the drain has nothing to do with.
    pub(crate) beside: u64,
}

struct Visitor {
    line: Line,
    asked: u64,
    answered: u64,
    end: Option<End>,
}

enum Line {
    Plain(TcpStream),
    Tls(Tls),
    Curl(Child),
}

#[derive(Debug, Clone, Copy)]
enum End {
    Fin,
    Reset,
    FinThenReset,
}

impl Crowd {
    /// Every client connects and is answered once; the busy ones' next requests are then held at the gate.
    #[track_caller]
    pub(crate) fn gather(transport: Transport, idle: usize, busy: usize, gate: &mut Gate) -> Self {
        let mut everybody: Vec<Visitor> = (0..idle + busy)
            .map(|_| Visitor::arrive(transport))
            .collect();
        for visitor in &mut everybody {
            visitor.ask("/");
            assert!(visitor.is_answered(), "the server answers");
        }
        let busy = everybody.split_off(idle);
        let mut crowd = Self {
            idle: everybody,
            busy,
        };
        crowd.busy.iter_mut().for_each(|busy| busy.ask("/slow"));
        gate.hold(crowd.busy.len());
        crowd
    }

    /// Clients without keep-alive: each connects and writes one request, which is then held.
    #[track_caller]
    pub(crate) fn ask_once(transport: Transport, busy: usize, gate: &mut Gate) -> Self {
        let mut crowd = Self {
            idle: Vec::new(),
            busy: (0..busy).map(|_| Visitor::arrive(transport)).collect(),
        };
        crowd.busy.iter_mut().for_each(|busy| busy.ask("/slow"));
        gate.hold(busy);
        crowd
    }

    /// Whether nobody with a request in flight has had an answer, or the end.
    pub(crate) fn is_held(&self) -> bool {
        self.busy.iter().all(|busy| match &busy.line {
            Line::Plain(stream) => {
                stream.set_nonblocking(true).unwrap();
                let nothing = stream.peek(&mut [0]).is_err();
                stream.set_nonblocking(false).unwrap();
                nothing
            }
            // What comes is another program's to read.
            Line::Tls(_) | Line::Curl(_) => true,
        })
    }

    /// More clients connect and write a request; whether anybody accepts and answers is not waited for.
    pub(crate) fn push_in(&mut self, count: usize) {
        for _ in 0..count {
            let mut visitor = Visitor::arrive(Transport::Plain);
            visitor.ask("/");
            self.idle.push(visitor);
        }
    }

    /// The idle ones write their next request when the server has closed all of their connections. They do not know that it has.
    #[track_caller]
    pub(crate) fn ask_again_when_closed(&mut self) {
        let ports: Vec<u16> = self.idle.iter().map(Visitor::port).collect();
        wait_until("the server closes the idle connections", || {
            let table = sockets();
            // What is left of each is a mini-socket: before that a segment may find neither it nor the socket.
            let is_left = |port: &u16| {
                let its = |entry: &Entry| {
                    entry.remote_port == *port
                        && entry.inode == 0
                        && matches!(entry.state, state::FIN_WAIT2 | state::TIME_WAIT)
                };
                table.iter().any(its)
            };
            ports.iter().all(is_left)
        });
        self.idle.iter_mut().for_each(|idle| idle.ask("/"));
    }

    /// The idle ones write their next request, all at once, and wait for the end of their connection; each then stays for as long as
    /// `stay` says of its place in the row, and leaves. `meanwhile` is done when all have asked.
    pub(crate) fn ask_again_and_leave(
        &mut self,
        stay: impl Fn(usize) -> Duration,
        meanwhile: impl FnOnce(),
    ) -> Tally {
        let idle = mem::take(&mut self.idle);
        let (count, asked) = (idle.len(), AtomicUsize::new(0));
        thread::scope(|scope| {
            let asked = &asked;
            let leaving: Vec<_> = idle
                .into_iter()
                .enumerate()
                .map(|(place, mut visitor)| {
                    let stay = stay(place);
                    scope.spawn(move || {
                        visitor.ask("/");
                        asked.fetch_add(1, Relaxed);
                        visitor.wait_for_the_end();
                        // A client that knows of the end and does not leave is what is tried.
                        thread::sleep(stay);
                        Tally::default().and_of(&mut visitor)
                    })
                })
                .collect();
            wait_until("all have asked", || asked.load(Relaxed) == count);
            meanwhile();
            let tallies = leaving.into_iter().map(|visitor| visitor.join().unwrap());
            tallies.fold(Tally::default(), Tally::and)
        })
    }

    /// So many of the busy ones write a further request, although the first has no answer yet.
    pub(crate) fn busy_push(&mut self, count: usize) {
        for busy in &mut self.busy[..count] {
            let Line::Plain(stream) = &mut busy.line else {
                panic!("pipelining is for clients without TLS");
            };
            stream.write_all(request("/").as_bytes()).unwrap();
        }
    }

    /// The busy ones' requests must be answered.
    #[track_caller]
    pub(crate) fn busy_are_answered(&mut self) {
        let answered = self
            .busy
            .iter_mut()
            .filter_map(|b| b.is_answered().then_some(()));
        assert_eq!(answered.count(), self.busy.len(), "answers in flight");
    }

    /// Everybody waits for the server to end the connection, and leaves.
    pub(crate) fn leave(self) -> Tally {
        // All of them stay until the last has seen its end: nobody's FIN comes early.
        let mut everybody: Vec<Visitor> = self.idle.into_iter().chain(self.busy).collect();
        everybody.iter_mut().fold(Tally::default(), Tally::and_of)
    }
}

impl Tally {
    /// Requests without an answer, and so connections: no client has more than one, or counts those that it pushed after it.
    pub(crate) fn lost(&self) -> u64 {
        self.asked - self.answered
    }

    /// Both of them.
    pub(crate) fn and(self, other: Self) -> Self {
        let Self {
            connections,
            asked,
            answered,
            fins,
            resets,
            fins_then_resets,
            with_tls,
            beside,
        } = other;
        Self {
            connections: self.connections + connections,
            asked: self.asked + asked,
            answered: self.answered + answered,
            fins: self.fins + fins,
            resets: self.resets + resets,
            fins_then_resets: self.fins_then_resets + fins_then_resets,
            with_tls: self.with_tls || with_tls,
            beside: self.beside + beside,
        }
    }

    /// It, and one visitor more, whose end is waited for.
    fn and_of(self, visitor: &mut Visitor) -> Self {
        let end = visitor.wait_for_the_end();
        let reset = matches!(end, End::Reset | End::FinThenReset);
        self.and(Self {
            connections: 1,
            asked: visitor.asked,
            answered: visitor.answered,
            fins: u64::from(!reset),
            resets: u64::from(reset),
            fins_then_resets: u64::from(matches!(end, End::FinThenReset)),
            with_tls: !matches!(visitor.line, Line::Plain(_)),
            beside: 0,
        })
    }
}

impl Visitor {
    fn arrive(transport: Transport) -> Self {
        let line = match transport {
            Transport::Plain => Line::Plain(connect().unwrap()),
            Transport::Tls(version) => Line::Tls(Tls::connect(version)),
            Transport::Http2(port) => Line::Curl(curl(port)),
        };
        Self {
            line,
            asked: 0,
            answered: 0,
            end: None,
        }
    }

    /// Its own, of a connection without TLS.
    fn port(&self) -> u16 {
        match &self.line {
            Line::Plain(stream) => stream.local_addr().unwrap().port(),
            Line::Tls(_) | Line::Curl(_) => panic!("it is another program's"),
        }
    }

    fn ask(&mut self, path: &str) {
        let written = match &mut self.line {
            Line::Plain(stream) => stream.write_all(request(path).as_bytes()),
            Line::Tls(tls) => tls.talk.ask(path),
            // It does so by itself.
            Line::Curl(_) => Ok(()),
        };
        // The first write after the server's FIN succeeds: the client is none the wiser.
        written.expect("the request is written");
        self.asked += 1;
    }

    /// Reads one answer; `false` when the connection ended before.
    fn is_answered(&mut self) -> bool {
        let answered = match &mut self.line {
            Line::Plain(stream) => {
                let mut answer = Vec::new();
                while !is_complete(&answer) && self.end.is_none() {
                    self.end = read_some(stream, &mut answer);
                }
                is_complete(&answer)
            }
            Line::Tls(tls) => tls.talk.answered(),
            Line::Curl(curl) => wait_for_end(curl, "curl").success(),
        };
        self.answered += u64::from(answered);
        answered
    }

    fn wait_for_the_end(&mut self) -> End {
        while self.answered < self.asked && self.is_answered() {}
        match &mut self.line {
            Line::Plain(stream) => loop {
                if let Some(end) = self.end {
                    let end = end.and_after(stream);
                    self.end = Some(end);
                    break end;
                }
                self.end = read_some(stream, &mut Vec::new());
            },
            Line::Tls(tls) => {
                tls.wait();
                End::Fin
            }
            Line::Curl(curl) => {
                wait_for_end(curl, "curl");
                End::Fin
            }
        }
    }
}

impl End {
    /// An RST that came after the FIN is no error of `read()`: it is left on the socket.
    fn and_after(self, stream: &TcpStream) -> Self {
        match (self, stream.take_error().unwrap()) {
            (Self::Fin, Some(_)) => Self::FinThenReset,
            (end, _) => end,
        }
    }
}

/// Asks twice on one connection, and fails when the second answer is not whole. It does not try again.
fn curl(port: u16) -> Child {
    let command = Command::new("curl")
        .args(["--silent", "--insecure", "--http2", "--retry", "0"])
        .args(["--output", "/dev/null", "--output", "/dev/null"])
        .args(["/", "/slow"].map(|path| format!("https://127.0.0.1:{port}{path}")))
        .spawn();
    command.expect("curl starts; Debian's package is curl")
}

fn connect() -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", PLAIN))?;
    stream.set_nodelay(true)?;
    // Whoever waits longer than that for an end has found a server that does not end.
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn read_some(stream: &mut TcpStream, to: &mut Vec<u8>) -> Option<End> {
    let mut portion = [0; 4096];
    match stream.read(&mut portion) {
        Ok(0) => Some(End::Fin),
        Ok(length) => {
            to.extend(&portion[..length]);
            None
        }
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => panic!("the connection does not end"),
        Err(_) => Some(End::Reset),
    }
}
