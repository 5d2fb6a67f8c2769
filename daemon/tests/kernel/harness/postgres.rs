//! A client of PostgreSQL's protocol: it says who it is, asks in words, and an answer comes or does not.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
};

use super::{lab::PLAIN, wait::Patient};

/// Version 3.0 of the protocol.
const VERSION: u32 = 3 << 16;
/// `ReadyForQuery`, with which every answer ends.
const READY: u8 = b'Z';

/// A session.
pub(crate) struct Postgres(TcpStream);

impl Postgres {
    /// Connects to the server's plain port, and is let in.
    #[track_caller]
    pub(crate) fn connect() -> Self {
        let stream = TcpStream::connect(("127.0.0.1", PLAIN)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut session = Self(stream);
        let who = b"user\0lab\0database\0lab\0\0";
        let hello = [&VERSION.to_be_bytes(), who.as_slice()].concat();
        session.0.write_all(&with_length(&hello)).unwrap();
        assert!(session.is_answered(), "it is let in");
        session
    }

    /// Writes a query in one piece.
    pub(crate) fn ask(&mut self, query: &str) -> io::Result<()> {
        let text = [query.as_bytes(), b"\0"].concat();
        self.0.write_all(&[b"Q", &*with_length(&text)].concat())
    }

    /// Reads one answer to its end; `false` when the connection ended before.
    #[track_caller]
    pub(crate) fn is_answered(&self) -> bool {
        loop {
            match self.message() {
                Ok(READY) => return true,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    panic!("the server neither answers nor hangs up: {e}")
                }
                Err(_) => return false,
            }
        }
    }

    /// Reads a message; its kind.
    fn message(&self) -> io::Result<u8> {
        let mut from = Patient::new(&self.0);
        let mut head = [0; 5];
        from.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - length.len()];
        from.read_exact(&mut body)?;
        Ok(kind)
    }
}

/// The length counts itself.
fn with_length(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + size_of::<u32>()).unwrap();
    [&length.to_be_bytes(), body].concat()
}
