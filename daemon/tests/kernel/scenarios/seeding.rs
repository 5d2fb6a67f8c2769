//! Sockets that are older than the programs: a second probe, loaded while they are there, finds them and
//! counts each once, whatever the first one did.

use std::net::Shutdown;

use finwatch::probe::{Probe, Rows};

use super::{ANSWER, REQUEST};
use crate::harness::{
    Cell, Evidence, Expect, Netns, OPTIONS, Observed, Origin, Outcome, Side, check_identities,
    child::Child,
    shared,
    sock::{deliver, listen, pair, read, read_eof, wait_state},
    state, wait_until,
};

/// A connection that was there before.
fn seeded() -> Side {
    Side::default().plus(Cell::SEEDED, 1)
}

/// One that was there before and has ended.
fn seeded_and_closed(origin: Origin, outcome: Outcome) -> Side {
    seeded()
        .plus(Cell::LEFT, 1)
        .plus(Cell::closes(origin, outcome), 1)
}

#[test]
fn sockets_older_than_the_programs() {
    shared();
    Netns::run(|ns| {
        let listener = listen();
        let (idle_client, idle_server) = pair(&listener);
        deliver(&idle_client, &idle_server, REQUEST);
        read(&idle_server, REQUEST.len());
        deliver(&idle_server, &idle_client, ANSWER);
        read(&idle_client, ANSWER.len());
        let (half_client, half_server) = pair(&listener);
        half_client.shutdown(Shutdown::Write).unwrap();
        wait_state(&half_server, state::CLOSE_WAIT);
        wait_state(&half_client, state::FIN_WAIT2);
        // The namespace must be some process's own to be found: threads are not looked through.
        let anchor = Child::holding(&[]);

        let probe = Probe::load(&OPTIONS).expect("a second probe loads beside the first");
        let counters = &probe.rows;
        // Both ends of the idle connection and the server's end of the half-closed one are established
        // or in CLOSE_WAIT; the client's end has closed already.
        expect(
            ns,
            counters,
            &Expect::both(
                seeded() * 2 + Side::default().plus(Cell::CLOSE_WAIT_IN, 1),
                seeded(),
            ),
        );
        let observed = Observed::read(counters, ns.cookie());
        assert_eq!(
            observed.server.get(Cell::LISTEN_UP),
            1,
            "the listener is seeded; lost: {:?}",
            probe.losses.read()
        );

        // New ones are counted as everywhere, and the old ones end.
        let (client, server) = pair(&listener);
        drop(client);
        read_eof(&server);
        drop(server);
        drop(idle_server);
        read_eof(&idle_client);
        drop(idle_client);
        drop(half_server);
        read_eof(&half_client);
        drop(half_client);
        drop(listener);
        expect(
            ns,
            counters,
            &Expect::both(
                Side::passively_closed()
                    + seeded_and_closed(Origin::Local, Outcome::Fin).mini_socket()
                    + seeded_and_closed(Origin::Remote, Outcome::Fin).close_wait(),
                Side::closed(Origin::Local, Outcome::Fin).mini_socket()
                    + seeded_and_closed(Origin::Remote, Outcome::Fin).close_wait()
                    + Side::default()
                        .plus(Cell::closes(Origin::Local, Outcome::Fin), 1)
                        .time_wait(),
            ),
        );
        drop(probe);
        // The first probe saw all of it from the start.
        let first = || Observed::read(shared().counters(), ns.cookie());
        wait_until("the first probe has counted the ends", || {
            first().sum(Cell::LEFT) == 6
        });
        check_identities(ns, &first());
        drop(anchor);
    });
}

#[test]
fn a_request_read_before_the_programs_is_not_called_unanswered() {
    shared();
    Netns::run(|ns| {
        let listener = listen();
        let (client, server) = pair(&listener);
        deliver(&client, &server, REQUEST);
        read(&server, REQUEST.len());
        let anchor = Child::holding(&[]);
        let probe = Probe::load(&OPTIONS).expect("a second probe loads beside the first");
        let counters = &probe.rows;
        // Nobody saw the read, so nobody can say what was asked; the next request is judged again.
        deliver(&server, &client, ANSWER);
        read(&client, ANSWER.len());
        deliver(&client, &server, REQUEST);
        read(&server, REQUEST.len());
        drop(server);
        read_eof(&client);
        drop(client);
        expect(
            ns,
            counters,
            &Expect::both(
                seeded_and_closed(Origin::Local, Outcome::Fin)
                    .mini_socket()
                    .unanswered(Evidence::Silent)
                    .cut(crate::harness::Cut::Unanswered),
                seeded_and_closed(Origin::Remote, Outcome::Fin)
                    .close_wait()
                    .unanswered(Evidence::Silent),
            ),
        );
        drop((probe, anchor, listener));
    });
}

#[track_caller]
fn expect(ns: &Netns, counters: &Rows, expect: &Expect) {
    let differences = || Observed::read(counters, ns.cookie()).differences(expect);
    wait_until("the second probe counts", || differences().is_empty());
}
