//! A packet capture of the loopback device, by `tcpdump`: what really passed between clients and a server, connection by
//! connection. It knows that all requests are alike and all answers are alike, as `wrk` makes them.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::lab::PLAIN;

/// A running capture.
pub(crate) struct Capture {
    tcpdump: Child,
    folder: TempDir,
}

/// One connection as it was on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Captured {
    /// A FIN or an RST passed.
    pub(crate) ended: bool,
    /// The first of them came from the server.
    pub(crate) by_server: bool,
    /// The first of them was an RST.
    pub(crate) by_reset: bool,
    /// Bytes that the client wrote.
    pub(crate) asked_bytes: u32,
    /// Bytes that the server wrote.
    pub(crate) answered_bytes: u32,
    /// Size of the first request, and so of each.
    pub(crate) request_bytes: u32,
    /// Size of the first answer, and so of each.
    pub(crate) answer_bytes: u32,
}

impl Capture {
    /// Starts and waits until packets are taken.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("finwatch-capture-")
            .tempdir()
            .unwrap();
        let mut tcpdump = Command::new("tcpdump")
            // Headers are enough. The buffer takes seconds of a busy loopback device.
            .args([
                "-i", "lo", "-n", "-s", "96", "-B", "131072", "-Z", "root", "-w",
            ])
            .arg(folder.path().join("packets"))
            .args(["tcp", "port", &PLAIN.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump starts; Debian's package is tcpdump");
        let mut said = String::new();
        let mut lines = BufReader::new(tcpdump.stderr.as_mut().unwrap());
        while !said.contains("listening on") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "tcpdump: {said}");
        }
        Self { tcpdump, folder }
    }

    /// Ends it: every connection of the port, none of whose packets may have been missed.
    pub(crate) fn end(mut self) -> Vec<Captured> {
        // SAFETY: no memory is involved; the child is ours and not yet reaped.
        unsafe { libc::kill(self.tcpdump.id().cast_signed(), libc::SIGINT) };
        let mut said = String::new();
        let mut stderr = self.tcpdump.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        self.tcpdump.wait().unwrap();
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");
        connections(&fs::read(self.folder.path().join("packets")).unwrap())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _already_gone = self.tcpdump.kill();
        let _reaped = self.tcpdump.wait();
    }
}

/// Reads a file of pcap-savefile(5), in this machine's byte order, of Ethernet frames with IPv4.
fn connections(file: &[u8]) -> Vec<Captured> {
    const FILE_HEADER: usize = 24;
    const PACKET_HEADER: usize = 16;
    const ETHERNET: usize = 14;
    let mut by_client = BTreeMap::new();
    let mut done = Vec::new();
    let mut rest = &file[FILE_HEADER..];
    while rest.len() >= PACKET_HEADER {
        let word = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().unwrap());
        let length = word(8) as usize;
        let frame = &rest[PACKET_HEADER..PACKET_HEADER + length];
        take(&frame[ETHERNET..], &mut by_client, &mut done);
        rest = &rest[PACKET_HEADER + length..];
    }
    done.extend(by_client.into_values());
    done
}

fn take(ip: &[u8], by_client: &mut BTreeMap<u16, Captured>, done: &mut Vec<Captured>) {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    let half = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let ip_header = usize::from(ip[0] & 15) * 4;
    let tcp = &ip[ip_header..];
    let headers = ip_header + usize::from(tcp[12] >> 4) * 4;
    let payload = u32::from(half(ip, 2)) - u32::try_from(headers).unwrap();
    let (from, to, flags) = (half(tcp, 0), half(tcp, 2), tcp[13]);
    let from_server = from == PLAIN;
    let client = if from_server { to } else { from };
    if flags & SYN != 0 && !from_server {
        // The port may have been used before.
        done.extend(by_client.remove(&client));
    }
    let connection = by_client.entry(client).or_default();
    // The loopback device loses nothing, so nothing is sent twice.
    let (sum, first) = if from_server {
        (&mut connection.answered_bytes, &mut connection.answer_bytes)
    } else {
        (&mut connection.asked_bytes, &mut connection.request_bytes)
    };
    *sum += payload;
    if *first == 0 {
        *first = payload;
    }
    if flags & (FIN | RST) != 0 && !connection.ended {
        connection.ended = true;
        connection.by_server = from_server;
        connection.by_reset = flags & RST != 0;
    }
}
