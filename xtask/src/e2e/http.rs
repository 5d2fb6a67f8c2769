//! GET, and nothing else of HTTP: pods are asked at their own addresses, which the first node reaches.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Longer than the clients wait for their last answers.
const PATIENCE: Duration = Duration::from_secs(60);

const CONNECTED_WITHIN: Duration = Duration::from_secs(3);

/// The body of the answer.
pub(super) fn get(address: SocketAddr, path: &str) -> Result<String> {
    let what = format!("read http://{address}{path}");
    let mut stream =
        TcpStream::connect_timeout(&address, CONNECTED_WITHIN).context(what.clone())?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .context(what.clone())?;
    // Of version 1.0, so that the answer ends with the connection and comes in one piece.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).context(what.clone())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context(what.clone())?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        bail!("{what}: the answer has no head");
    };
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("{what}: the answer is {status}");
    }
    Ok(body.to_owned())
}
