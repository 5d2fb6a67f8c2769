//! What is told of a connection because its service drains: the rows of the look, whether an answer was on its way
//! at a death, and when the program last read.

use std::{fs::File, os::fd::AsFd, thread, time::Duration};

use finwatch::clock;
use finwatch_common::{CloseRecord, Role, SurveyRow, close_flags, survey_kind};
use finwatch_engine::input::Record;

use super::{ANSWER, REQUEST};
use crate::harness::{
    Manners, Netns, Order, Servant, recorded, shared,
    sock::{read, read_eof_of_closed, wait_port_state},
    state,
};

/// The rows of the servant's connections, listeners left out.
fn look(servant: &Servant) -> Vec<SurveyRow> {
    let netns = File::open("/proc/thread-self/ns/net").unwrap();
    let rows = shared()
        .with(|probe| probe.survey.sockets(netns.as_fd()))
        .unwrap();
    let its = |row: &SurveyRow| {
        row.owner == servant.instance
            && row.service.role == Role::Server as u8
            && row.kind != survey_kind::LISTENER
    };
    rows.into_iter().filter(its).collect()
}

fn closes(records: &[Record]) -> Vec<CloseRecord> {
    let close = |record: &Record| match record {
        Record::Close(close) if close.service.role == Role::Server as u8 => Some(*close),
        _ => None,
    };
    records.iter().filter_map(close).collect()
}

#[test]
fn open_and_closing_connections_are_rows_while_it_drains() {
    let probe = shared();
    Netns::run(|_| {
        let servant = Servant::start(Manners {
            handled: &[libc::SIGTERM],
            ..Manners::default()
        });
        let from = clock::monotonic_ns();
        let (idle, _) = servant.connect();
        let (answered, index) = servant.connect();
        std::io::Write::write_all(&mut &answered, REQUEST).unwrap();
        servant.tell(Order::Read, index);
        let until = clock::monotonic_ns();
        let kinds = || {
            let mut kinds: Vec<_> = look(&servant).iter().map(|row| row.kind).collect();
            kinds.sort_unstable();
            kinds
        };
        assert_eq!(kinds(), [survey_kind::AWAITING], "who owes is a row always");
        servant.tell(Order::Answer, index);
        read(&answered, ANSWER.len());
        let (closing, index) = servant.connect();
        servant.tell(Order::HalfClose, index);
        wait_port_state(servant.address.port(), state::FIN_WAIT2);
        assert!(kinds().is_empty(), "while it is steady nobody else is");

        servant.signal(libc::SIGTERM);
        assert_eq!(
            kinds(),
            [survey_kind::OPEN, survey_kind::OPEN, survey_kind::CLOSING]
        );
        let rows = look(&servant);
        for row in rows.iter().filter(|row| row.kind == survey_kind::OPEN) {
            assert!((from..=until).contains(&row.opened_at_ns), "{row:?}");
            assert_eq!(row.service.port, servant.address.port());
            assert_eq!(
                row.service.phase, 0,
                "a row is the service's, whatever it does"
            );
        }
        let asked: Vec<_> = rows
            .iter()
            .filter(|row| row.kind == survey_kind::OPEN && row.a > 0)
            .map(|row| (row.a as usize, row.b as usize))
            .collect();
        assert_eq!(asked, [(REQUEST.len(), ANSWER.len())]);
        let closing_row = rows.iter().find(|row| row.kind == survey_kind::CLOSING);
        let closing_row = closing_row.expect("one is closing");
        assert_eq!(closing_row.a, u32::from(state::FIN_WAIT2));
        assert!(closing_row.opened_at_ns > until);

        probe.with(|probe| probe.phases.end(servant.instance, clock::monotonic_ns()));
        assert!(kinds().is_empty(), "it is steady again");
        drop((idle, answered, closing));
    });
}

/// By so much the one answer is older than the death, and the other is not.
const LONG_BEFORE: Duration = Duration::from_millis(1_500);

/// A death within a second of an answer may have cut it in its middle; a death long after has not.
#[test]
fn an_answer_on_its_way_at_the_death() {
    shared();
    Netns::run(|ns| {
        let records = recorded(ns, 6, || {
            let mut servant = Servant::start(Manners::default());
            let ask = || {
                let (client, index) = servant.connect();
                std::io::Write::write_all(&mut &client, REQUEST).unwrap();
                servant.tell(Order::Read, index);
                servant.tell(Order::Answer, index);
                read(&client, ANSWER.len());
                client
            };
            let early = ask();
            thread::sleep(LONG_BEFORE);
            let late = ask();
            servant.signal(libc::SIGKILL);
            servant.wait_status();
            read_eof_of_closed(&early);
            read_eof_of_closed(&late);
            drop((early, late));
            wait_port_state(servant.address.port(), state::TIME_WAIT);
        });
        let mut closes = closes(&records);
        closes.sort_by_key(|close| close.opened_at_ns);
        let both = close_flags::BY_EXIT | close_flags::SENDING;
        // The clock is too coarse to tell whether the late answer went out before the signal.
        let flags: Vec<_> = closes
            .iter()
            .map(|close| close.flags & !close_flags::SENT_IN_PHASE)
            .collect();
        assert_eq!(flags, [close_flags::BY_EXIT, both]);
    });
}

/// The time of the last read is kept only while something drains: it costs a clock.
#[test]
fn the_last_read_is_known_while_something_drains() {
    shared();
    Netns::run(|ns| {
        let mut times = (0, 0);
        let records = recorded(ns, 6, || {
            let servant = Servant::start(Manners {
                handled: &[libc::SIGTERM],
                ..Manners::default()
            });
            let ask = |client: &std::net::TcpStream, index| {
                std::io::Write::write_all(&mut &*client, REQUEST).unwrap();
                servant.tell(Order::Read, index);
            };
            let (steady, steady_index) = servant.connect();
            ask(&steady, steady_index);
            let (draining, index) = servant.connect();
            ask(&draining, index);
            servant.signal(libc::SIGTERM);
            times.0 = clock::monotonic_ns();
            ask(&draining, index);
            times.1 = clock::monotonic_ns();
            for (client, index) in [(steady, steady_index), (draining, index)] {
                servant.tell(Order::Answer, index);
                read(&client, ANSWER.len());
                servant.tell(Order::Close, index);
                read_eof_of_closed(&client);
            }
            servant.tell(Order::StopListening, 0);
        });
        let mut closes = closes(&records);
        closes.sort_by_key(|close| close.opened_at_ns);
        let [steady, draining] = closes[..] else {
            panic!("two closes: {closes:#?}")
        };
        let (from, until) = times;
        // 0, unless something else on this host drained just then.
        assert!(steady.last_read_ns < from, "{steady:?}");
        assert!(
            (from..=until).contains(&draining.last_read_ns),
            "{draining:?}"
        );
        for close in [steady, draining] {
            assert_eq!(close.service.phase, finwatch_common::Phase::Draining as u8);
            assert_eq!(close.closer_tgid, close.owner_tgid);
        }
    });
}
