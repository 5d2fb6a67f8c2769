//! A packet capture of the loopback device, by `tcpdump`: what really passed between clients and a server, connection by
//! connection. It knows that all requests are alike and all answers are alike, as `wrk` makes them.

mod records;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use self::records::Records;
use super::{
    Patient,
    lab::{PLAIN, TLS},
    wait_for_end,
};

/// A running capture.
pub(crate) struct Capture {
    tcpdump: Child,
    folder: TempDir,
    port: u16,
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
    /// The first came from the client, and the server ended the connection by an RST all the same: the two crossed, and which of them
    /// the server's kernel saw first is not on the wire.
    pub(crate) crossed: bool,
    /// Whole requests that the client wrote.
    pub(crate) asked: usize,
    /// Whole answers that the server wrote.
    pub(crate) answered: usize,
}

impl Capture {
    /// Starts and waits until packets of the lab's `port` are taken, which must be one of HTTP/1.1.
    pub(crate) fn start(port: u16) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("finwatch-capture-")
            .tempdir()
            .unwrap();
        // Of TCP the headers are enough, of TLS those of all records are needed.
        let length = if port == TLS { "0" } else { "96" };
        let mut tcpdump = Command::new("tcpdump")
            // The buffer takes seconds of a busy loopback device.
            .args([
                "-i", "lo", "-n", "-s", length, "-B", "131072", "-Z", "root", "-w",
            ])
            .arg(folder.path().join("packets"))
            .args(["tcp", "port", &port.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump starts; Debian's package is tcpdump");
        let mut said = String::new();
        let mut lines = BufReader::new(Patient::new(tcpdump.stderr.as_mut().unwrap()));
        while !said.contains("listening on") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "tcpdump: {said}");
        }
        Self {
            tcpdump,
            folder,
            port,
        }
    }

    /// Ends it: every connection of the port, none of whose packets may have been missed.
    pub(crate) fn end(mut self) -> Vec<Captured> {
        // SAFETY: no memory is involved; the child is ours and not yet reaped.
        unsafe { libc::kill(self.tcpdump.id().cast_signed(), libc::SIGINT) };
        let mut said = String::new();
        let stderr = self.tcpdump.stderr.take().unwrap();
        Patient::new(stderr).read_to_string(&mut said).unwrap();
        wait_for_end(&mut self.tcpdump, "tcpdump");
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");
        let file = fs::read(self.folder.path().join("packets")).unwrap();
        let talks = talks(&file, self.port);
        if self.port == PLAIN {
            talks.iter().map(Talk::by_bytes).collect()
        } else {
            by_records(&talks)
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _already_gone = self.tcpdump.kill();
        let _reaped = self.tcpdump.wait();
    }
}

/// A connection under way.
#[derive(Default)]
struct Talk {
    client: Stream,
    server: Stream,
    end: Option<End>,
    server_closed: bool,
    server_reset: bool,
}

struct End {
    by_server: bool,
    by_reset: bool,
}

/// One direction of a connection.
#[derive(Default)]
struct Stream {
    /// Sequence number of the next new byte.
    next: Option<u32>,
    bytes: usize,
    /// Size of what was sent first, in one segment.
    first: usize,
    records: Records,
}

impl Talk {
    fn by_bytes(&self) -> Captured {
        // The first is as large as each.
        let whole = |stream: &Stream| stream.bytes.checked_div(stream.first).unwrap_or(0);
        let rest = self.server.bytes - whole(&self.server) * self.server.first;
        let last = rest > 0 && rest + SHORTER == self.server.first;
        let answered = whole(&self.server) + usize::from(last);
        self.captured(whole(&self.client), answered)
    }

    fn captured(&self, asked: usize, answered: usize) -> Captured {
        let end = self.end.as_ref();
        Captured {
            ended: end.is_some(),
            by_server: end.is_some_and(|end| end.by_server),
            by_reset: end.is_some_and(|end| end.by_reset),
            crossed: self.server_reset && end.is_some_and(|end| !end.by_server),
            asked,
            answered,
        }
    }
}

/// By so much the last answer is shorter, when it says `close` for `keep-alive`.
const SHORTER: usize = "keep-alive".len() - "close".len();

/// Requests and answers are the data records of the size that is by far the most frequent: those of the handshake and alerts, which TLS
/// 1.3 makes look like data, pass a few times a connection.
fn by_records(talks: &[Talk]) -> Vec<Captured> {
    let usual = |of: fn(&Talk) -> &Stream| {
        let mut times = BTreeMap::new();
        let sizes = talks.iter().flat_map(|talk| of(talk).records.sizes());
        sizes.for_each(|size| *times.entry(*size).or_insert(0_usize) += 1);
        let (size, most) = times.into_iter().max_by_key(|(_, times)| *times).unwrap();
        assert!(most > 50 * talks.len(), "too few to tell: {most}");
        size
    };
    let (request, answer) = (usual(|talk| &talk.client), usual(|talk| &talk.server));
    let captured = |talk: &Talk| {
        let server = &talk.server.records;
        let answered = server.count(answer) + server.count(answer - SHORTER);
        talk.captured(talk.client.records.count(request), answered)
    };
    talks.iter().map(captured).collect()
}

impl Stream {
    /// A segment with so much payload, of which `captured` is in the file.
    fn take(&mut self, sequence: u32, payload: usize, captured: &[u8]) {
        // On a busy host a segment may be sent twice.
        let next = *self.next.get_or_insert(sequence);
        let known = usize::try_from(next.wrapping_sub(sequence).cast_signed()).unwrap();
        if known >= payload {
            return;
        }
        let new = payload - known;
        self.next = Some(next.wrapping_add(u32::try_from(new).unwrap()));
        if self.bytes == 0 {
            self.first = new;
        }
        self.bytes += new;
        self.records.take(captured.get(known..).unwrap_or(&[]));
    }
}

/// Reads a file of pcap-savefile(5), in this machine's byte order, of Ethernet frames with IPv4.
fn talks(file: &[u8], port: u16) -> Vec<Talk> {
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
        take(&frame[ETHERNET..], port, &mut by_client, &mut done);
        rest = &rest[PACKET_HEADER + length..];
    }
    done.extend(by_client.into_values());
    done
}

fn take(ip: &[u8], port: u16, by_client: &mut BTreeMap<u16, Talk>, done: &mut Vec<Talk>) {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    let half = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let ip_header = usize::from(ip[0] & 15) * 4;
    let tcp = &ip[ip_header..];
    let tcp_header = usize::from(tcp[12] >> 4) * 4;
    let payload = usize::from(half(ip, 2)) - ip_header - tcp_header;
    let sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
    let (from, to, flags) = (half(tcp, 0), half(tcp, 2), tcp[13]);
    let from_server = from == port;
    let client = if from_server { to } else { from };
    if flags & SYN != 0 && !from_server {
        // The port may have been used before.
        done.extend(by_client.remove(&client));
    }
    let talk = by_client.entry(client).or_default();
    let stream = if from_server {
        &mut talk.server
    } else {
        &mut talk.client
    };
    if flags & SYN != 0 {
        stream.next = Some(sequence.wrapping_add(1));
    } else if payload > 0 {
        let captured = &tcp[tcp_header..];
        stream.take(sequence, payload, &captured[..payload.min(captured.len())]);
    }
    if from_server {
        talk.server_reset |= flags & RST != 0 && !talk.server_closed;
        talk.server_closed |= flags & FIN != 0;
    }
    if flags & (FIN | RST) != 0 && talk.end.is_none() {
        talk.end = Some(End {
            by_server: from_server,
            by_reset: flags & RST != 0,
        });
    }
}
