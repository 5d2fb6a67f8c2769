//! What HTTP/2 servers refuse: streams behind the last that they take on a connection, and uploads. Neither ends the connection in the
//! midst of a question, so that TCP shows nothing of it; clients count what they got.

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
};

use crate::harness::{
    Cut, Evidence, Expect, Netns, Observed, Origin, Outcome, Patient, Side, check_identities,
    nginx::Nginx, settle_to_none, shared, wait_until_quiet,
};

const PORT: u16 = 8445;
/// Streams that the server takes on a connection.
const TAKEN: usize = 10;
/// Streams that a client begins.
const BEGUN: usize = 14;
const CLIENTS: usize = 4;
/// More than the server takes.
const UPLOAD: usize = 20_000;

/// Types and flags of frames (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// HTTP/2 without TLS.
fn server() -> Nginx {
    Nginx::start_with(&format!(
        "server {{ listen 127.0.0.1:{PORT} http2; keepalive_requests {TAKEN}; client_max_body_size 1k; \
         location / {{ return 200 \"{}\"; }} }}",
        "x".repeat(150)
    ))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A client that says no more than it is told to, and counts what it got.
struct Client {
    stream: TcpStream,
    next: u32,
    came: Vec<u8>,
    /// Streams whose answer is complete.
    answered: BTreeSet<u32>,
    /// The last stream that the server takes, once it has said so.
    last: Option<u32>,
}

impl Client {
    fn connect() -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", PORT)).unwrap();
        stream.set_nodelay(true).unwrap();
        let beginning = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        stream
            .write_all(&[&beginning[..], &frame(SETTINGS, 0, 0, b"")].concat())
            .unwrap();
        Self {
            stream,
            next: 1,
            came: Vec::new(),
            answered: BTreeSet::new(),
            last: None,
        }
    }

    /// The head of a request, in HPACK: fields of the static table, and names of it with values of our own.
    fn head(&mut self, upload: bool) -> Vec<u8> {
        let (method, end) = if upload {
            (0x83, 0)
        } else {
            (0x82, END_STREAM)
        };
        let mut fields = vec![method, 0x86, 0x84, 0x01, 9];
        fields.extend(b"localhost");
        if upload {
            let length = UPLOAD.to_string();
            fields.extend([0x0f, 0x0d, u8::try_from(length.len()).unwrap()]);
            fields.extend(length.bytes());
        }
        let stream = self.next;
        self.next += 2;
        frame(HEADERS, END_HEADERS | end, stream, &fields)
    }

    fn say(&mut self, frames: &[u8]) {
        self.stream.write_all(frames).unwrap();
    }

    /// An upload whose body comes when its head has been answered.
    fn upload(&mut self) {
        let stream = self.next;
        let head = self.head(true);
        self.say(&head);
        self.hear(|client| client.answered.contains(&stream));
        let (most, rest) = ([b'x'; UPLOAD / 2], [b'x'; UPLOAD / 2]);
        self.say(&frame(DATA, 0, stream, &most));
        self.say(&frame(DATA, END_STREAM, stream, &rest));
    }

    /// Reads until it `has` what it waits for, or the server hangs up.
    #[track_caller]
    fn hear(&mut self, has: impl Fn(&Self) -> bool) {
        let mut portion = [0; 4096];
        while !has(self) {
            match Patient::new(&self.stream).read(&mut portion) {
                Ok(0) => return,
                Ok(length) => self.came.extend(&portion[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("{error}"),
            }
            while let Some(length) = self.whole() {
                let frame: Vec<u8> = self.came.drain(..length).collect();
                self.take(&frame);
            }
        }
    }

    /// Reads what is there, which drew an RST else, and closes.
    fn leave(mut self) {
        self.stream.set_nonblocking(true).unwrap();
        while self
            .stream
            .read(&mut [0; 4096])
            .is_ok_and(|length| length > 0)
        {}
    }

    /// The length of the first frame, if it is there.
    fn whole(&self) -> Option<usize> {
        let [a, b, c] = *self.came.first_chunk()?;
        let length = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
        (self.came.len() >= length).then_some(length)
    }

    fn take(&mut self, frame: &[u8]) {
        let number = |at: usize| u32::from_be_bytes(*frame[at..].first_chunk().unwrap());
        match (frame[3], frame[4] & END_STREAM != 0) {
            (DATA | HEADERS, true) => drop(self.answered.insert(number(5))),
            (GOAWAY, _) => self.last = Some(number(9)),
            _ => {}
        }
    }
}

/// Compares what was counted of the server, cell by cell: of its clients that depends on what lay unread when they left.
#[track_caller]
fn expect(ns: &Netns, server: Side) {
    let expect = Expect::server(server);
    settle_to_none(|| {
        let mut observed = Observed::read_port(shared().counters(), ns.cookie(), PORT);
        observed.client = Observed::default().client;
        observed.differences(&expect)
    });
    check_identities(ns, &Observed::read(shared().counters(), ns.cookie()));
}

/// A limit of what TCP can tell: the server reads them, answers others, and closes.
#[test]
fn streams_behind_the_last_that_a_connection_may_have() {
    shared();
    Netns::run(|ns| {
        let _server = server();
        let mut lost = 0;
        for _ in 0..CLIENTS {
            let mut client = Client::connect();
            let heads: Vec<_> = (0..BEGUN).flat_map(|_| client.head(false)).collect();
            client.say(&heads);
            client.hear(|_| false);
            assert_eq!(client.answered.len(), TAKEN);
            assert_eq!(client.last, client.answered.last().copied());
            lost += BEGUN - client.answered.len();
        }
        assert_eq!(lost, CLIENTS * (BEGUN - TAKEN), "by the clients' count");
        let closed = Side::closed(Origin::Local, Outcome::Fin).time_wait();
        expect(ns, closed * CLIENTS as u64);
    });
}

#[test]
fn an_upload_on_a_connection_that_is_used_again() {
    shared();
    Netns::run(|ns| {
        let _server = server();
        for _ in 0..CLIENTS {
            let mut client = Client::connect();
            client.upload();
            let head = client.head(false);
            client.say(&head);
            client.hear(|client| client.answered.len() == 2);
            assert_eq!(client.answered.len(), 2, "by the client's count");
        }
        expect(ns, Side::passively_closed() * CLIENTS as u64);
    });
}

/// A limit of what TCP can tell: a body that came when its head had been answered, and that nothing followed, looks like a question. Who
/// leaves then seems to have given up, and whoever is there when the server dies, to have lost a request.
#[test]
fn an_upload_on_a_connection_that_is_not_used_again() {
    shared();
    Netns::run(|ns| {
        let mut server = server();
        let mut clients: Vec<_> = (0..CLIENTS + 1).map(|_| Client::connect()).collect();
        for client in &mut clients {
            client.upload();
            assert_eq!(client.answered.len(), 1, "by the client's count");
        }
        // All is read.
        wait_until_quiet();
        clients.pop().unwrap().leave();
        wait_until_quiet();
        server.signal(libc::SIGTERM);
        server.wait();
        for client in &mut clients {
            client.hear(|_| false);
        }
        drop(clients);
        let died = Side::closed(Origin::Local, Outcome::Fin)
            .mini_socket()
            .by_exit();
        let died = died.unanswered(Evidence::Silent).cut(Cut::Unanswered);
        expect(
            ns,
            Side::passively_closed().abandoned() + died * CLIENTS as u64,
        );
    });
}
