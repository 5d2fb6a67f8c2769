//! Services whose clients ask in fewer than 18 bytes, stopped with such a question in flight, or with one that comes just after: what
//! that is, their ordinary time tells. What was lost is by the clients' own count.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use finwatch_engine::model::{Counts, Cuts, Drain, DrainKind, Severity, Verdict};

use super::let_families_be_found;
use crate::harness::{
    Manners, Netns, Order, Patient, Servant,
    daemon::{Daemon, netns_inode},
    kernel, shared,
    sock::{read_eof_of_closed, tcp_state},
    state, wait_until,
};

const LINE: &[u8] = b"get x\r\n";
/// Ordinary connections: so many show what small questions are.
const ORDINARY: usize = 6;
/// Clients with a question in flight at the stop.
const IN_FLIGHT: usize = 4;
/// Clients whose question nobody reads.
const UNREAD: usize = 2;
/// Both.
const LEFT: usize = IN_FLIGHT + UNREAD;
/// Clients that ask when the server has just closed.
const LATE: usize = 2;

/// What ordinary connections end with.
#[derive(Clone, Copy)]
enum Ordinary {
    Answers,
    /// The server hangs up, and the client waits for that.
    Goodbyes,
}

/// An answer, or none, as the client sees it.
fn is_answered(client: &TcpStream) -> bool {
    matches!(Patient::new(client).read(&mut [0; 200]), Ok(1..))
}

/// A client that says so, and is read.
fn say(servant: &Servant, line: &[u8]) -> (TcpStream, u8) {
    let (mut client, index) = servant.connect();
    client.write_all(line).unwrap();
    assert_eq!(servant.tell(Order::Read, index), line.len() as i32);
    (client, index)
}

fn an_ordinary_one(servant: &Servant, ordinary: Ordinary) {
    match ordinary {
        Ordinary::Answers => {
            let (client, index) = say(servant, LINE);
            servant.tell(Order::Answer, index);
            assert!(is_answered(&client));
            drop(client);
            assert_eq!(servant.tell(Order::Read, index), 0);
            servant.tell(Order::Close, index);
        }
        Ordinary::Goodbyes => {
            let (client, index) = say(servant, b"quit\r\n");
            servant.tell(Order::Close, index);
            assert!(!is_answered(&client));
        }
    }
}

/// What is told of the stop of a server with such ordinary connections, and how many clients had no answer to their question.
fn stop(name: &str, ordinary: &[Ordinary]) -> (Drain, u64) {
    shared();
    let daemon = Daemon::start();
    Netns::run(|_| {
        let mut servant = Servant::start(Manners {
            name,
            ..Manners::default()
        });
        let_families_be_found();
        for _ in 0..ORDINARY {
            for one in ordinary {
                an_ordinary_one(&servant, *one);
            }
        }
        let in_flight: Vec<_> = (0..IN_FLIGHT).map(|_| say(&servant, LINE).0).collect();
        let unread: Vec<_> = (0..UNREAD).map(|_| servant.connect().0).collect();
        for mut client in &unread {
            client.write_all(LINE).unwrap();
        }
        let idle: Vec<_> = (0..LATE).map(|_| servant.connect().0).collect();
        servant.signal(libc::SIGTERM);
        assert_eq!(servant.wait_status(), libc::SIGTERM.unsigned_abs());
        for client in &idle {
            read_eof_of_closed(client);
            let mut client = client;
            client.write_all(LINE).unwrap();
            wait_until("it is reset", || tcp_state(client) == state::CLOSE);
        }
        let asked = in_flight.iter().chain(&unread).chain(&idle);
        let lost = asked.filter(|client| !is_answered(client)).count() as u64;
        drop((in_flight, unread, idle));
        (told(&daemon), lost)
    })
}

fn told(daemon: &Daemon) -> Drain {
    let netns = netns_inode();
    let mut found = None;
    wait_until("the stop is told", || {
        let drains: Vec<Drain> = daemon.list("drains");
        let ours = |drain: &Drain| drain.instance.netns == netns && drain.kind == DrainKind::Stop;
        found = drains
            .into_iter()
            .find(|drain| ours(drain) && drain.ended_at.is_some());
        found.is_some()
    });
    found.expect("it was found")
}

/// Before 6.10 a mini-socket's RST has no tracepoint, and what comes late is not seen.
fn late_seen() -> u64 {
    match kernel::traces_every_reset() {
        true => LATE as u64,
        false => 0,
    }
}

#[track_caller]
fn check_uncounted(drain: &Drain) {
    let Counts { cut, small, .. } = &drain.counts;
    assert_eq!(*cut, Cuts::default(), "the connections tell of none");
    assert_eq!(
        (small.left, small.late),
        (LEFT as u64, late_seen()),
        "{drain:#?}"
    );
}

fn finds(drain: &Drain, name: &str) -> Option<Severity> {
    let finding = drain.findings.iter().find(|f| f.diagnosis == name);
    finding.map(|finding| finding.severity)
}

#[test]
fn where_small_questions_get_answers_they_are_lost() {
    let (drain, lost) = stop("cached", &[Ordinary::Answers]);
    check_uncounted(&drain);
    assert_eq!(drain.small_before.answered, ORDINARY as u64);
    let seen = Cuts {
        unanswered: LEFT as u64,
        unread: 0,
        late: late_seen(),
    };
    assert_eq!(drain.lost(), seen, "{drain:#?}");
    assert_eq!(lost, (LEFT + LATE) as u64, "by the clients' count");
    assert_eq!(drain.verdict, Verdict::Fail, "{drain:#?}");
    assert_eq!(finds(&drain, "requests-cut"), Some(Severity::Fail));
    let race = (late_seen() > 0).then_some(Severity::Fail);
    assert_eq!(finds(&drain, "keepalive-race"), race);
    assert_eq!(finds(&drain, "tls-goodbye-resets"), None);
}

#[test]
fn where_nothing_is_known_of_them_nobody_can_say() {
    let (drain, lost) = stop("unheard", &[]);
    check_uncounted(&drain);
    assert_eq!(lost, (LEFT + LATE) as u64);
    assert_eq!(drain.lost(), Cuts::default());
    assert_eq!(drain.verdict, Verdict::Inconclusive, "{drain:#?}");
    assert_eq!(finds(&drain, "too-little-seen"), Some(Severity::Info));
    assert_eq!(finds(&drain, "clean-drain"), None);
}

#[test]
fn where_they_are_goodbyes_nothing_is_lost() {
    let (drain, _) = stop("farewells", &[Ordinary::Goodbyes]);
    check_uncounted(&drain);
    assert_eq!(drain.small_before.left, ORDINARY as u64);
    assert_eq!(drain.lost(), Cuts::default());
    assert_eq!(finds(&drain, "requests-cut"), None);
    assert_eq!(drain.verdict, Verdict::Pass, "{drain:#?}");
}

#[test]
fn where_they_are_both_nobody_can_say() {
    let (drain, _) = stop("both-ways", &[Ordinary::Answers, Ordinary::Goodbyes]);
    check_uncounted(&drain);
    let small = drain.small_before;
    assert_eq!(
        (small.answered, small.left),
        (ORDINARY as u64, ORDINARY as u64)
    );
    assert_eq!(drain.verdict, Verdict::Inconclusive, "{drain:#?}");
}

/// As PostgreSQL's clients leave while it waits for them: a word, and the end.
#[test]
fn who_hangs_up_behind_a_word_had_all_it_asked_for() {
    shared();
    let daemon = Daemon::start();
    Netns::run(|_| {
        let mut servant = Servant::start(Manners {
            handled: &[libc::SIGTERM],
            name: "waits-for-all",
            ..Manners::default()
        });
        let_families_be_found();
        let clients: Vec<_> = (0..IN_FLIGHT)
            .map(|_| {
                let (client, index) = say(&servant, LINE);
                servant.tell(Order::Answer, index);
                assert!(is_answered(&client));
                (client, index)
            })
            .collect();
        servant.signal(libc::SIGTERM);
        for (mut client, index) in clients {
            client.write_all(b"leave\r\n").unwrap();
            drop(client);
            assert_eq!(servant.tell(Order::Read, index), 7);
            servant.tell(Order::Close, index);
        }
        servant.tell_last(0, Order::Exit, 0);
        assert_eq!(servant.wait_status(), 0);
        let drain = told(&daemon);
        assert_eq!(drain.counts.closes(), IN_FLIGHT as u64, "{drain:#?}");
        assert_eq!(drain.counts.small.answered, IN_FLIGHT as u64);
        assert_eq!(drain.counts.small.open(), 0);
        assert_eq!(drain.lost(), Cuts::default());
        assert_eq!(drain.verdict, Verdict::Pass, "{drain:#?}");
    });
}
