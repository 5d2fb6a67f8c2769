//! FastCGI as a web server speaks it: one request on a connection, and an answer that comes whole or does not. It knows no other
//! records than it needs.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

use super::{lab::PLAIN, wait::Patient};

/// The protocol's version.
const VERSION: u8 = 1;
/// The only request of its connection.
const REQUEST: u8 = 1;
/// `FCGI_BEGIN_REQUEST`; the role of a responder that closes when it has answered.
const BEGIN: u8 = 1;
const RESPONDER: [u8; 8] = [0, 1, 0, 0, 0, 0, 0, 0];
/// `FCGI_END_REQUEST`, the last record of an answer.
const END: u8 = 3;
/// `FCGI_PARAMS`, `FCGI_STDIN`.
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
/// Bytes of a record's head.
const HEAD: usize = 8;

/// A connection.
pub(crate) struct FastCgi(TcpStream);

impl FastCgi {
    /// Connects to the server's plain port.
    pub(crate) fn connect() -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", PLAIN))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Writes a request for `path`, which the lab's script below `folder` answers, in one piece.
    pub(crate) fn ask(&mut self, folder: &Path, path: &str) -> io::Result<()> {
        let script = folder.join("index.php");
        let params = [
            ("SCRIPT_FILENAME", script.to_str().unwrap()),
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_URI", path),
        ];
        let params: Vec<u8> = params.into_iter().flat_map(pair).collect();
        let records = [
            (BEGIN, RESPONDER.as_slice()),
            (PARAMS, &params),
            (PARAMS, &[]),
            (STDIN, &[]),
        ];
        let request: Vec<u8> = records.into_iter().flat_map(record).collect();
        self.0.write_all(&request)
    }

    /// Reads to the end of the connection; whether a whole answer came before it.
    #[track_caller]
    pub(crate) fn is_answered(&self) -> bool {
        let mut answer = Vec::new();
        match Patient::new(&self.0).read_to_end(&mut answer) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                panic!("the server neither answers nor hangs up: {e}")
            }
            Err(_) => return false,
        }
        // Its body has eight bytes.
        let last = answer.len().checked_sub(2 * HEAD);
        last.is_some_and(|at| answer[at..].starts_with(&[VERSION, END, 0, REQUEST]))
    }
}

fn record((kind, body): (u8, &[u8])) -> Vec<u8> {
    let [high, low] = u16::try_from(body.len()).unwrap().to_be_bytes();
    let head = [VERSION, kind, 0, REQUEST, high, low, 0, 0];
    [&head, body].concat()
}

/// A name and its value, each shorter than 128 bytes.
fn pair((name, value): (&str, &str)) -> Vec<u8> {
    let lengths = [name, value].map(|text| u8::try_from(text.len()).unwrap());
    assert!(lengths.iter().all(|length| *length < 128));
    [&lengths, name.as_bytes(), value.as_bytes()].concat()
}
