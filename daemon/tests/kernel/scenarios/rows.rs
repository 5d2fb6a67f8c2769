//! A row is another service's when nobody needs it any more, and no count moves with it.

use std::{
    collections::BTreeMap,
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use finwatch::probe::{Probe, ProbeOptions};
use finwatch_common::{CELLS, Phase, Role, ServiceKey};
use finwatch_engine::input::Reading;

use super::phases::split;
use crate::harness::{
    Cell, Netns, OPTIONS, shared,
    sock::{listen, pair, read_eof},
    wait_until,
};

/// Services that come and go; each has a row in either role.
const SERVICES: usize = 2_000;
/// Far fewer rows.
const ROWS: u32 = 512;
/// Of these services, each that comes so many later has a connection that stays until all others have gone.
const STAYS: usize = 50;
/// So many come while rows are taken back once.
const AT_ONCE: usize = 60;

/// Sums what rotations bring, in all phases.
#[derive(Default)]
struct Taken(BTreeMap<(u16, u8), [u64; CELLS]>);

impl Taken {
    fn add(&mut self, reading: &Reading, netns: u64) {
        let ours = |key: &ServiceKey| key.netns == netns;
        for (key, row) in reading.rows.iter().filter(|(key, _)| ours(key)) {
            let sums = self.0.entry((key.port, key.role)).or_insert([0; CELLS]);
            sums.iter_mut()
                .zip(row)
                .for_each(|(sum, cell)| *sum += cell);
        }
    }
}

#[test]
fn are_given_to_others_and_no_count_moves() {
    let Probe {
        mut rows,
        survey,
        losses,
        ..
    } = Probe::load(&ProbeOptions {
        max_rows: Some(ROWS),
        ..OPTIONS
    })
    .expect("a second probe loads beside the first");
    Netns::run(|ns| {
        let over = AtomicBool::new(false);
        let rotations = AtomicUsize::new(0);
        let mut taken = Taken::default();
        let services = thread::scope(|scope| {
            let services = scope.spawn(|| {
                let services = come_and_go(&rotations);
                over.store(true, Ordering::Release);
                services
            });
            // As often as it can be: rows are taken back while they are asked for.
            while !over.load(Ordering::Acquire) {
                taken.add(&rows.rotate().unwrap(), ns.cookie());
                rotations.fetch_add(1, Ordering::Release);
            }
            services.join().unwrap()
        });
        // What had been counted in the rows of others would be found there.
        for _ in 0..2 {
            taken.add(&rows.rotate().unwrap(), ns.cookie());
        }
        assert_eq!(losses.read().rows_full, 0, "there was a row for everybody");
        assert_eq!(taken.lives(), lives(&services), "by port and role");
    });
    drop(survey);
}

/// What a service did: came and went as a listener, opened, left and half-closed connections.
type Life = [u64; 5];

impl Taken {
    fn lives(self) -> BTreeMap<(u16, u8), Life> {
        let cells = [
            Cell::LISTEN_UP,
            Cell::LISTEN_DOWN,
            Cell::OPENED,
            Cell::LEFT,
            Cell::CLOSE_WAIT_IN,
        ];
        let used = self.0.into_iter().filter(|(_, row)| *row != [0; CELLS]);
        used.map(|(service, row)| (service, cells.map(|cell| row[cell.index()])))
            .collect()
    }
}

/// Of services whose ports were chosen so often.
fn lives(services: &BTreeMap<u16, u64>) -> BTreeMap<(u16, u8), Life> {
    let of = |(port, count): (&u16, &u64)| {
        [
            ((*port, Role::Server as u8), [*count; 5]),
            ((*port, Role::Client as u8), [0, 0, *count, *count, 0]),
        ]
    };
    services.iter().flat_map(of).collect()
}

/// A row is held as long as it may be counted in, by whoever may, in whatever phase he came: a server that listens, stops and reloads, and
/// connections that outlive that, or fail before they begin.
#[test]
fn are_held_by_nobody_when_all_have_gone() {
    // It knows what the servers are.
    shared();
    let Probe { rows, survey, .. } = Probe::load(&OPTIONS).expect("a second probe loads");
    let mut cookies = Vec::new();
    for (signal, phase) in [
        (libc::SIGTERM, Phase::Draining),
        (libc::SIGHUP, Phase::Reloading),
    ] {
        Netns::run(|ns| {
            cookies.push(ns.cookie());
            split(ns, &rows, signal, phase);
            // A listener that stops, begins again, and has sockets when it stops for good; and nobody who listens.
            let listener = listen();
            let (client, server) = pair(&listener);
            let address = listener.local_addr().unwrap();
            let waits = TcpStream::connect(address).unwrap();
            drop(listener);
            TcpStream::connect(address).unwrap_err();
            drop((client, server, waits));
        });
    }
    let ours = |held: u64| {
        let rows = rows.holders();
        let rows = rows.iter().filter(|(key, _)| cookies.contains(&key.netns));
        rows.filter(|(_, sockets)| *sockets == held || held == u64::MAX)
            .count()
    };
    wait_until("nobody holds a row", || ours(0) == ours(u64::MAX));
    // Server and client, the service that came last and the port that nobody listened on; the first in two phases.
    assert!(ours(0) >= 2 * 5, "of both namespaces: {:?}", rows.holders());
    drop(survey);
}

/// Makes services one after another, each on the port that the kernel chooses, with a connection that its client closes first. Returns
/// how often each port was chosen.
fn come_and_go(rotations: &AtomicUsize) -> BTreeMap<u16, u64> {
    let mut services: BTreeMap<u16, u64> = BTreeMap::new();
    let mut stay = Vec::new();
    for number in 0..SERVICES {
        if number.is_multiple_of(AT_ONCE) {
            let before = rotations.load(Ordering::Acquire);
            wait_until("rows are taken back", || {
                rotations.load(Ordering::Acquire) > before
            });
        }
        let listener = listen();
        let port = listener.local_addr().unwrap().port();
        *services.entry(port).or_default() += 1;
        let (client, server) = pair(&listener);
        if number.is_multiple_of(STAYS) {
            stay.push((client, server));
        } else {
            drop(client);
            read_eof(&server);
        }
    }
    for (client, server) in stay {
        drop(client);
        read_eof(&server);
    }
    services
}
