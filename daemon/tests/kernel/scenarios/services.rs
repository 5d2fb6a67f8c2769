//! Rows by service: every port has its own, as many as come at once, and none loses a count to another.

use std::{collections::BTreeMap, io::Write as _, net::TcpListener};

use finwatch_common::Role;

use crate::harness::{
    Cell, Expect, Netns, Observed, Origin, Outcome, Side, check_identities, settle, settle_to_none,
    shared,
    sock::{listen, pair, read_eof},
};

const SERVICES: usize = 400;

#[test]
fn many_ports_at_once_each_have_their_row() {
    let probe = shared();
    let full = || probe.with(|probe| probe.losses.read()).rows_full;
    let before = full();
    Netns::run(|ns| {
        let listeners: Vec<_> = (0..SERVICES).map(|_| listen()).collect();
        for listener in &listeners {
            let (client, server) = pair(listener);
            drop(client);
            read_eof(&server);
        }
        assert_eq!(full(), before, "no row was refused");
        let each = Expect::both(
            Side::passively_closed(),
            Side::closed(Origin::Local, Outcome::Fin).mini_socket(),
        );
        let count = SERVICES as u64;
        settle(ns, &Expect::both(each.server * count, each.client * count));
        let mut rows = BTreeMap::new();
        for (key, row) in probe.counters().live().unwrap().rows {
            if key.netns == ns.cookie() {
                let known = rows.insert((key.port, key.role), row);
                assert!(
                    known.is_none(),
                    "port {} has two rows in one role",
                    key.port
                );
            }
        }
        for listener in &listeners {
            let port = listener.local_addr().unwrap().port();
            for role in [Role::Server, Role::Client] {
                let row = rows
                    .remove(&(port, role as u8))
                    .expect("the port has a row");
                assert_eq!(row[Cell::OPENED.index()], 1);
                assert_eq!(row[Cell::LEFT.index()], 1);
            }
        }
        assert!(rows.is_empty(), "rows of ports that nobody used: {rows:?}");
        check_identities(ns, &Observed::read(probe.counters(), ns.cookie()));
    });
}

/// They are read many at once, and still each by its service.
#[test]
fn resets_of_many_ports_are_counted_each_by_its_own() {
    let probe = shared();
    Netns::run(|ns| {
        let listeners: Vec<_> = (0..SERVICES).map(|_| listen()).collect();
        for listener in &listeners {
            let (mut client, server) = pair(listener);
            client.write_all(b"is thrown away").unwrap();
            drop(server);
        }
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let want: BTreeMap<u16, u64> = listeners.iter().map(|l| (port(l), 1)).collect();
        settle_to_none(|| {
            let mut sent = BTreeMap::new();
            for (key, count) in probe.counters().live().unwrap().resets {
                if key.service.netns == ns.cookie() {
                    *sent.entry(key.service.port).or_default() += count;
                }
            }
            let wrong = listeners
                .iter()
                .map(port)
                .filter(|port| sent.get(port) != want.get(port));
            let wrong = wrong.map(|port| format!("port {port}: {:?} RSTs, not 1", sent.get(&port)));
            wrong
                .chain((sent.len() > want.len()).then(|| "RSTs of other ports".to_owned()))
                .collect()
        });
    });
}
