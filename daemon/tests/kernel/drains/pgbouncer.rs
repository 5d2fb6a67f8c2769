//! PgBouncer: queries that hang while it waits for those who are connected, and queries that it takes with it.

use std::thread;

use finwatch_engine::model::{DrainKind, Verdict};

use super::{IN_FLIGHT, let_families_be_found, stage::Stage};
use crate::harness::{lab::PLAIN, postgres::Postgres};

const QUERY: &str = "select balance from account where id = 12345";
const SLOW: &str = "select slow from account where id = 12345";
/// Clients whose queries nobody takes up.
const GIVE_UP: usize = 4;
/// Clients with a query in flight.
const BUSY: usize = 3;

/// Clients whose queries wait at the gate.
fn hold(stage: &mut Stage, count: usize) -> Vec<Postgres> {
    stage.attend(PLAIN);
    let_families_be_found();
    let mut clients: Vec<_> = (0..count).map(|_| Postgres::connect()).collect();
    for client in &mut clients {
        client.ask(QUERY).unwrap();
        assert!(client.is_answered());
        client.ask(SLOW).unwrap();
    }
    stage.gate.hold(count);
    clients
}

#[test]
fn clients_that_give_up_while_it_waits_for_a_session() {
    Stage::set("pgbouncer", &[], |stage| {
        let session = hold(stage, 1);
        stage.server.signal(libc::SIGINT);
        thread::sleep(IN_FLIGHT);
        let mut others: Vec<_> = (0..GIVE_UP).map(|_| Postgres::connect()).collect();
        for client in &mut others {
            client.ask(QUERY).unwrap();
        }
        // Nobody answers, for as long as a client has patience.
        thread::sleep(IN_FLIGHT);
        drop(others);
        stage.gate.release();
        assert!(session.iter().all(Postgres::is_answered));
        drop(session);
        stage.server.wait_for_main();
        let drain = stage.drain(DrainKind::Stop);
        assert_eq!(drain.counts.abandoned, GIVE_UP as u64, "{drain:#?}");
        assert_eq!(drain.counts.cut.total(), 0, "{drain:#?}");
        assert_eq!(drain.verdict, Verdict::Warn);
        let find = |name: &str| drain.findings.iter().find(|f| f.diagnosis == name);
        let remedy = &find("clients-gave-up").expect("they did").remedy;
        assert!(remedy.starts_with("PgBouncer: While it waits"), "{remedy}");
        assert!(find("clean-drain").is_none(), "{drain:#?}");
    });
}

#[test]
fn term_with_queries_in_flight() {
    Stage::set("pgbouncer", &[], |stage| {
        let clients = hold(stage, BUSY);
        stage.server.signal(libc::SIGTERM);
        let lost = clients
            .iter()
            .filter(|client| !client.is_answered())
            .count();
        assert_eq!(lost, BUSY, "by the clients' count");
        stage.server.wait_for_main();
        let drain = stage.drain(DrainKind::Stop);
        let cut = drain.counts.cut;
        assert_eq!((cut.unanswered, cut.unread, cut.late), (BUSY as u64, 0, 0));
        assert_eq!(drain.verdict, Verdict::Fail);
    });
}
