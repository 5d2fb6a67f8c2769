//! HTTP clients that count for themselves: a request is written, and then an answer comes or does not.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::AsFd,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::{Patient, nginx, wait_for_end};

/// Something that requests go into and answers come out of.
pub(crate) struct Client<R, W> {
    from: Patient<R>,
    to: W,
    /// The last answer said that there will be no other on this connection.
    pub(crate) is_last: bool,
}

/// A client without TLS.
pub(crate) type Plain = Client<TcpStream, TcpStream>;

impl Plain {
    /// Connects to the server's plain port.
    pub(crate) fn connect() -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", nginx::PLAIN))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            from: Patient::new(stream.try_clone()?),
            to: stream,
            is_last: false,
        })
    }
}

impl<R: Read + AsFd, W: Write> Client<R, W> {
    /// Writes a request in one piece.
    pub(crate) fn ask(&mut self, path: &str) -> io::Result<()> {
        self.to.write_all(request(path).as_bytes())?;
        self.to.flush()
    }

    /// Reads one answer to its end; `false` when the connection ended before.
    #[track_caller]
    pub(crate) fn answered(&mut self) -> bool {
        let mut answer = Vec::new();
        let mut portion = [0; 4096];
        loop {
            if is_complete(&answer) {
                self.is_last = says_close(&answer);
                return true;
            }
            match self.from.read(&mut portion) {
                Ok(length) if length > 0 => answer.extend(&portion[..length]),
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    panic!("the server neither answers nor hangs up: {e}")
                }
                _ => return false,
            }
        }
    }

    /// Asks, and must be answered.
    #[track_caller]
    pub(crate) fn exchange(&mut self, path: &str) {
        self.ask(path).unwrap();
        assert!(self.answered(), "the server answers");
    }
}

/// A client with TLS: a process of `openssl s_client`, which says goodbye as TLS clients do.
pub(crate) struct Tls {
    process: Child,
    pub(crate) talk: Client<ChildStdout, ChildStdin>,
}

impl Tls {
    /// Connects to the server's TLS port with `version`, such as `-tls1_3`.
    pub(crate) fn connect(version: &str) -> Self {
        let mut process = Command::new("openssl")
            .args(["s_client", "-quiet", version, "-connect"])
            .arg(format!("127.0.0.1:{}", nginx::TLS))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts; Debian's package is openssl");
        let talk = Client {
            from: Patient::new(process.stdout.take().unwrap()),
            to: process.stdin.take().unwrap(),
            is_last: false,
        };
        Self { process, talk }
    }

    /// Waits until the client has seen the end of the connection.
    #[track_caller]
    pub(crate) fn wait(&mut self) {
        wait_for_end(&mut self.process, "the TLS client");
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A request as a client writes it.
pub(super) fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: finwatch-kernel-tests\r\n\r\n")
}

/// Whether that is a whole answer.
pub(super) fn is_complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = field(head, "content-length").and_then(|value| value.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

fn says_close(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let head = text.split_once("\r\n\r\n").map_or("", |(head, _)| head);
    field(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

fn field<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value)
}
