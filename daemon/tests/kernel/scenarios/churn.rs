//! Two hundred thousand connections from several threads on every CPU, opened and ended in four ways:
//! every count is equal to what was done, and to the kernel's own.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

use super::REQUEST;
use crate::harness::{
    Cell, Cut, Evidence, Expect, Lost, Netns, Observed, Origin, Outcome, Reason, Side, Snmp,
    check_identities, settle, shared,
    sock::{linger_zero, read_eof},
    spread_loopback, state, within_settle,
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
        thread::scope(|scope| {
            for pair in 0..PAIRS {
                let address = Ipv4Addr::new(127, 0, 1, pair as u8 + 1);
                let listener = TcpListener::bind((address, 0)).unwrap();
                let to = listener.local_addr().unwrap();
                scope.spawn(move || (0..total / PAIRS).for_each(|_| serve(&listener)));
                scope.spawn(move || (0..total / PAIRS).for_each(|turn| call(to, turn)));
            }
        });
        report(total, start.elapsed());
        let observed = || Observed::read(probe.counters(), ns.cookie());
        // When it does not come true, the comparison below says what is missing.
        within_settle(&mut || {
            let now = observed();
            now.server.closes() == total && now.client.closes() == total
        });
        let mut expect = expected(each, &Overtaken::of(&observed()));
        expect.server = expect.server + by_timing(&observed(), each);
        expect.client = expect.client + asked_late(&observed(), each);
        settle(ns, &expect);
        check_identities(ns, &Observed::read(probe.counters(), ns.cookie()));
        let snmp = Snmp::read();
        assert_eq!(snmp.get("PassiveOpens"), total);
        assert_eq!(snmp.get("ActiveOpens"), total);
        assert_eq!(snmp.get("TW") + snmp.get("TWKilled"), 2 * each);
        assert_eq!(snmp.get("TCPTimeWaitOverflow"), 0);
    });
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

/// Connections whose last FIN met no socket, as the peer's was just leaving its mini-socket, and was answered by an RST.
struct Overtaken {
    server: u64,
    client: u64,
}

impl Overtaken {
    fn of(observed: &Observed) -> Self {
        let last_ack = Cell::resets_received(state::LAST_ACK).unwrap();
        let overtaken = Self {
            server: observed.server.get(last_ack),
            client: observed.client.get(last_ack),
        };
        let sent: u64 = [Reason::NoSocket, Reason::Flags]
            .into_iter()
            .filter_map(|reason| {
                observed
                    .server
                    .resets
                    .get(&(reason as u8, Lost::Nothing as u8))
            })
            .sum();
        assert!(
            overtaken.server + overtaken.client <= sent,
            "an RST that nobody sent was received"
        );
        overtaken
    }
}

fn expected(each: u64, overtaken: &Overtaken) -> Expect {
    let passively_closed = |overtaken: u64| {
        let reset = Side::closed(Origin::Remote, Outcome::ResetReceived).close_wait();
        Side::passively_closed() * (each - overtaken)
            + reset.reset_received(state::LAST_ACK) * overtaken
    };
    let closed = Side::closed(Origin::Local, Outcome::Fin).mini_socket();
    let reset = Side::broken(Outcome::ResetReceived).reset_received(state::ESTABLISHED);
    Expect::both(
        closed.clone() * each
            + passively_closed(overtaken.server)
            + reset.clone() * each
            + Side::broken(Outcome::ResetSent)
                .unread(REQUEST.len() as u64)
                .unanswered(Evidence::Silent)
                .cut(Cut::Unread)
                .reset_sent(Reason::AbortOnClose, Lost::Data)
                * each,
        passively_closed(overtaken.client)
            + closed * each
            + Side::broken(Outcome::ResetSent).reset_sent(Reason::State, Lost::Nothing) * each
            + reset.unanswered(Evidence::Silent) * each,
    )
}

/// What a slow machine adds, which no test can foretell: an answer whose acknowledgement was still to come
/// when the client reset, and RSTs to segments that overtook each other on their way through two CPUs.
/// Both are bounded here; the RSTs are in `OutRsts` as well, with which the identities compare them.
fn by_timing(observed: &Observed, each: u64) -> Side {
    let unacked = observed.server.get(Cell::UNACKED);
    assert!(
        unacked <= each,
        "only clients that reset leave an answer unacknowledged"
    );
    let mut side = Side::default()
        .plus(Cell::UNACKED, unacked)
        .plus(Cell::UNACKED_BYTES, unacked * ANSWER.len() as u64);
    for reason in [Reason::NoSocket, Reason::Flags] {
        let key = (reason as u8, Lost::Nothing as u8);
        for _ in 0..observed.server.resets.get(&key).copied().unwrap_or(0) {
            side = side.reset_sent(reason, Lost::Nothing);
        }
    }
    side
}

/// The same of a client whose request was reset before its acknowledgement came.
fn asked_late(observed: &Observed, each: u64) -> Side {
    let unacked = observed.client.get(Cell::UNACKED);
    assert!(
        unacked <= each,
        "only servers that reset leave a request unacknowledged"
    );
    Side::default()
        .plus(Cell::UNACKED, unacked)
        .plus(Cell::UNACKED_BYTES, unacked * (REQUEST.len() as u64 + 1))
}

fn serve(listener: &TcpListener) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut end = [0];
    stream.read_exact(&mut end).unwrap();
    let mut rest = [0; REQUEST.len()];
    match ENDS[usize::from(end[0])] {
        End::ServerResets => (),
        End::ServerCloses => {
            stream.read_exact(&mut rest).unwrap();
            stream.write_all(ANSWER).unwrap();
        }
        End::ClientCloses => {
            stream.read_exact(&mut rest).unwrap();
            stream.write_all(ANSWER).unwrap();
            read_eof(&stream);
        }
        End::ClientResets => {
            stream.read_exact(&mut rest).unwrap();
            stream.write_all(ANSWER).unwrap();
            assert!(stream.read(&mut rest).is_err());
        }
    }
}

fn call(to: SocketAddr, turn: u64) {
    let mut stream = TcpStream::connect(to).unwrap();
    let end = (turn % ENDS.len() as u64) as u8;
    let mut request = [0; REQUEST.len() + 1];
    request[0] = end;
    request[1..].copy_from_slice(REQUEST);
    stream.write_all(&request).unwrap();
    let mut answer = [0; ANSWER.len()];
    match ENDS[usize::from(end)] {
        End::ServerResets => assert!(stream.read(&mut answer).is_err()),
        End::ServerCloses => {
            stream.read_exact(&mut answer).unwrap();
            read_eof(&stream);
        }
        End::ClientCloses => stream.read_exact(&mut answer).unwrap(),
        End::ClientResets => {
            stream.read_exact(&mut answer).unwrap();
            linger_zero(&stream);
        }
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
