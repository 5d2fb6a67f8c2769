//! One request over HTTP to a port of the calling thread's network namespace.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

/// Status and body of `GET path`.
pub(crate) fn get(port: u16, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, answer.clone());
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let status = head.get(9..12).and_then(|code| code.parse().ok());
    Ok((status.ok_or_else(invalid)?, body.to_owned()))
}

/// What a JSON API answers, and must.
#[track_caller]
pub(crate) fn json(port: u16, path: &str) -> Value {
    let (status, body) = get(port, path).unwrap();
    let value: Value = serde_json::from_str(&body).unwrap_or_default();
    assert_eq!(status, 200, "{path}: {body}");
    value
}

/// A text as a value in a query.
pub(crate) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
