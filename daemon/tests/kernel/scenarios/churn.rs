//! Two hundred thousand connections from several threads on every CPU, opened and ended in four ways:
//! every count is equal to what was done, and to the kernel's own.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    iter::Sum,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread::{self, ScopedJoinHandle},
    time::Instant,
};

use super::REQUEST;
use crate::harness::{
    Cut, Evidence, Expect, Lost, Netns, Observed, Origin, Outcome, Patient, Reason, Side, Snmp,
    check_identities, kernel, settle_to_none, shared,
    sock::{accept, bytes_acked, linger_zero, read, read_eof, read_reset, wait_state},
    spread_loopback, state,
};

/// Pairs of a server thread and a client thread, each with an address of its own, so that neither
/// ports nor mini-sockets get in the way.
const PAIRS: u64 = 4;

/// How a connection ends. The client says it with its first byte.
#[derive(Clone, Copy)]
enum End {
    ServerCloses,
    ClientCloses,
    ClientResets,
    /// The server leaves the rest of the request unread.
    ServerResets,
}

const ENDS: [End; 4] = [
    End::ServerCloses,
    End::ClientCloses,
    End::ClientResets,
    End::ServerResets,
];

const ANSWER: &[u8] = b"answer";

#[test]
fn every_one_of_many_connections_is_counted() {
    churn(total(), |_| ());
}

/// Segments are handed to the other CPU, whose programs they interrupt: what the recursion guard then
/// skips must be made good.
#[test]
#[ignore = "needs a kernel that traces in every interrupt; the run in a virtual machine includes it"]
fn every_one_is_counted_though_programs_are_interrupted() {
    let skipped = || -> u64 {
        let programs = shared().program_stats();
        programs
            .iter()
            .map(|program| program.recursion_misses)
            .sum()
    };
    let before = skipped();
    churn(total() / 4, |_| spread_loopback());
    assert!(
        skipped() > before,
        "nothing was interrupted, so nothing was tried"
    );
}

fn churn(total: u64, prepare: impl FnOnce(&Netns) + Send) {
    let each = total / ENDS.len() as u64;
    let probe = shared();
    Netns::run(|ns| {
        ns.sysctl("ipv4/ip_local_port_range", "1024 65535");
        ns.sysctl("ipv4/tcp_max_tw_buckets", 2 * total);
        prepare(ns);
        let start = Instant::now();
        let (server, client) = thread::scope(|scope| {
            let pairs: Vec<_> = (0..PAIRS)
                .map(|pair| {
                    let address = Ipv4Addr::new(127, 0, 1, pair as u8 + 1);
                    let listener = TcpListener::bind((address, 0)).unwrap();
                    let to = listener.local_addr().unwrap();
                    let turns = 0..total / PAIRS;
                    let calls = turns.clone();
                    (
                        scope.spawn(move || turns.map(|_| serve(&listener)).sum::<Seen>()),
                        scope.spawn(move || calls.map(|turn| call(to, turn)).sum::<Seen>()),
                    )
                })
                .collect();
            let (servers, clients): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let seen = |threads: Vec<ScopedJoinHandle<'_, Seen>>| -> Seen {
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .sum()
            };
            (seen(servers), seen(clients))
        });
        report(total, start.elapsed());
        eprintln!("  servers: {server:?}; clients: {client:?}");
        let expect = expected(each, server, client);
        let mut strays = 0;
        settle_to_none(|| {
            let mut observed = Observed::read(probe.counters(), ns.cookie());
            strays = take_strays(&mut observed);
            observed.differences(&expect)
        });
        check_identities(ns, &Observed::read(probe.counters(), ns.cookie()));
        let snmp = Snmp::read();
        assert_eq!(snmp.get("PassiveOpens"), total);
        assert_eq!(snmp.get("ActiveOpens"), total);
        // Both ends of those that either of them resets.
        assert_eq!(snmp.get("EstabResets"), 4 * each);
        if kernel::counts_time_wait_at_creation() {
            assert_eq!(snmp.get("TW") + snmp.get("TWKilled"), 2 * each);
        }
        assert_eq!(snmp.get("TCPTimeWaitOverflow"), 0);
        let others = snmp.get("OutRsts") - 2 * each;
        assert!(
            server.overtaken + client.overtaken <= others,
            "{others} RSTs are too few: {server:?}, {client:?}"
        );
        if kernel::traces_every_reset() {
            assert_eq!(strays, others, "RSTs to segments that met no connection");
        } else {
            assert!(strays <= others, "{strays} of {others} RSTs");
        }
    });
}

/// Takes out the RSTs that answered a segment out of place, and threw nothing away: how many. Segments overtake each other, or come behind
/// the end; and a SYN may meet what is left of an older connection from the same port, whose acknowledgement the client refuses.
fn take_strays(observed: &mut Observed) -> u64 {
    let nothing = |lost: u8| lost == Lost::Nothing as u8;
    let strays = |resets: &mut BTreeMap<(u8, u8), u64>, is_stray: &dyn Fn(u8, u8) -> bool| {
        let all: u64 = resets.values().sum();
        resets.retain(|(reason, lost), _| !is_stray(*reason, *lost));
        all - resets.values().sum::<u64>()
    };
    // The clients' own RSTs throw nothing away either; only their reason tells them apart.
    let own = Reason::State as u8;
    strays(&mut observed.server.resets, &|_, lost| nothing(lost))
        + strays(&mut observed.client.resets, &|reason, lost| {
            kernel::tells_reset_reasons() && nothing(lost) && reason != own
        })
}

/// How many connections, both roles of each.
fn total() -> u64 {
    // An emulated machine needs thirty times as long: its run asks for fewer, and says so.
    let asked = std::env::var("FINWATCH_CHURN").ok();
    let total: u64 = asked.map_or(200_000, |text| {
        text.parse()
            .expect("FINWATCH_CHURN is a number of connections")
    });
    let step = 4 * PAIRS * ENDS.len() as u64;
    assert!(
        total > 0 && total.is_multiple_of(step),
        "FINWATCH_CHURN is a multiple of {step}"
    );
    total
}

/// What one end saw of its connections by its own sockets, and no test can foretell.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Their last FIN met no socket, as the peer's was just leaving its mini-socket, and was answered by an RST.
    overtaken: u64,
    /// They were reset before what this end had written was acknowledged.
    unacked: u64,
}

impl Sum for Seen {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            overtaken: sum.overtaken + one.overtaken,
            unacked: sum.unacked + one.unacked,
        })
    }
}

fn expected(each: u64, server: Seen, client: Seen) -> Expect {
    let passively_closed = |overtaken: u64| {
        let reset = Side::closed(Origin::Remote, Outcome::ResetReceived).close_wait();
        Side::passively_closed() * (each - overtaken)
            + reset.reset_received(state::LAST_ACK) * overtaken
    };
    let closed = Side::closed(Origin::Local, Outcome::Fin).mini_socket();
    let reset = Side::broken(Outcome::ResetReceived).reset_received(state::ESTABLISHED);
    let unacked = |times: u64, bytes: usize| Side::default().unacked(bytes as u64) * times;
    Expect::both(
        closed.clone() * each
            + passively_closed(server.overtaken)
            + reset.clone() * each
            + Side::broken(Outcome::ResetSent)
                .unread(REQUEST.len() as u64)
                .unanswered(Evidence::Silent)
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data)
                * each
            + unacked(server.unacked, ANSWER.len()),
        passively_closed(client.overtaken)
            + closed * each
            + Side::broken(Outcome::ResetSent).reset_sent(Reason::State, Lost::Nothing) * each
            + reset.unanswered(Evidence::Silent) * each
            + unacked(client.unacked, REQUEST.len() + 1),
    )
}

fn serve(listener: &TcpListener) -> Seen {
    let stream = accept(listener);
    let mut end = [0];
    Patient::new(&stream).read_exact(&mut end).unwrap();
    let answer = || {
        read(&stream, REQUEST.len());
        (&stream).write_all(ANSWER).unwrap();
    };
    match ENDS[usize::from(end[0])] {
        End::ServerResets => Seen::default(),
        End::ServerCloses => {
            answer();
            Seen::default()
        }
        End::ClientCloses => {
            answer();
            read_eof(&stream);
            last_to_close(stream)
        }
        End::ClientResets => {
            answer();
            read_reset(&stream);
            reset(&stream, ANSWER.len() as u64)
        }
    }
}

fn call(to: SocketAddr, turn: u64) -> Seen {
    let stream = TcpStream::connect(to).unwrap();
    let end = (turn % ENDS.len() as u64) as u8;
    let mut request = [0; REQUEST.len() + 1];
    request[0] = end;
    request[1..].copy_from_slice(REQUEST);
    (&stream).write_all(&request).unwrap();
    match ENDS[usize::from(end)] {
        End::ServerResets => {
            read_reset(&stream);
            // The SYN is acknowledged as a byte is.
            reset(&stream, 1 + request.len() as u64)
        }
        End::ServerCloses => {
            read(&stream, ANSWER.len());
            read_eof(&stream);
            last_to_close(stream)
        }
        End::ClientCloses => {
            read(&stream, ANSWER.len());
            Seen::default()
        }
        End::ClientResets => {
            read(&stream, ANSWER.len());
            linger_zero(&stream);
            Seen::default()
        }
    }
}

/// Closes a socket whose peer has closed: whether its FIN was acknowledged or answered by an RST is on the socket.
fn last_to_close(stream: TcpStream) -> Seen {
    stream.shutdown(Shutdown::Write).unwrap();
    wait_state(&stream, state::CLOSE);
    Seen {
        overtaken: u64::from(stream.take_error().unwrap().is_some()),
        unacked: 0,
    }
}

/// What was not acknowledged when the socket was reset, of so much.
fn reset(stream: &TcpStream, written: u64) -> Seen {
    Seen {
        overtaken: 0,
        unacked: u64::from(bytes_acked(stream) < written),
    }
}

/// What the recursion guard skipped, and was made good.
fn report(total: u64, took: std::time::Duration) {
    eprintln!("{total} connections in {:.1} s", took.as_secs_f64());
    eprintln!("  {:?}", shared().with(|probe| probe.losses.read()));
    for program in shared().program_stats() {
        eprintln!(
            "  {}: {} runs skipped by the recursion guard",
            program.name, program.recursion_misses
        );
    }
}
