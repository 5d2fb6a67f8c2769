//! `cargo xtask bench --sockets`: what very many open connections cost with finwatch, and without. Bounded in time, in memory and in
//! files; everything that it opens is gone with its own processes.

mod clients;
pub(crate) mod crowd;
mod drain;
mod hidden;
mod holders;
mod memory;
mod others;
mod page;
mod place;
mod report;
mod room;
mod server;
mod turn;
mod walk;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use self::hidden::Hidden;
use self::holders::{Holders, PORT};
use self::others::Latencies;
use self::place::Place;
use self::walk::{Iterators, Survey};
use super::daemon::{Daemon, Finwatch};
use super::held::{self, Held};
use super::outcome::{Ends, Outcome};
use super::snmp::Snmp;
use crate::paths::Paths;
use crate::shell::say;

pub(super) use self::page::{part_of, put_in};
pub(super) use self::report::write;

/// Everything that was measured.
pub(super) struct Sockets {
    connections: u64,
    /// With nothing attached, and with finwatch.
    alone: Opened,
    watched: Opened,
    surveys: Surveys,
    start: drain::Start,
    /// How many the drain says were open at its beginning, when all have ended.
    open_at_start: u64,
    end: drain::Cost,
    held: Vec<Held>,
    /// Ends of sockets that the kernel hid from all programs.
    hidden: u64,
}

/// How the connections were opened.
struct Opened {
    took: Duration,
    /// Kernel memory of a socket.
    each: memory::Each,
}

/// Surveys over all sockets, and what others noticed.
struct Surveys {
    made: Vec<Survey>,
    quiet: Latencies,
    meanwhile: Latencies,
}

/// Times that others are watched, without surveys and with them.
const ROUNDS: usize = 4;
/// For so long each time.
const ROUND: Duration = Duration::from_secs(2);
/// The kernel frees memory some time after it was let go of.
const SETTLED: Duration = Duration::from_secs(3);

pub(super) fn run(paths: &Paths, finwatch: &Finwatch) -> Result<Sockets> {
    let machine = room::Machine::read()?;
    let (connections, each) = (machine.connections()?, machine.connections_a_process());
    say(format!(
        "opening {connections} connections with nothing attached"
    ));
    let place = Place::new()?;
    let (holders, alone) = open(&place, connections, each)?;
    let connections = holders.connections;
    holders.reset()?;
    drop(place);
    thread::sleep(SETTLED);

    say(format!("opening {connections} connections with finwatch"));
    let daemon = Daemon::start(paths, finwatch, &[])?;
    let place = Place::new()?;
    let before = place.within(Snmp::read)?;
    thread::sleep(SETTLED);
    let (holders, watched) = open(&place, connections, each)?;

    say("surveying them, while others talk");
    let iterators = Iterators::of(daemon.pid())?;
    let surveys = place.within(|| survey(&iterators))?;
    drop(iterators);

    say("telling the server to stop");
    let start = drain::start(&daemon, &holders)?;
    say("ending all connections");
    let mut hidden = Hidden::watch(&daemon)?;
    let connections = holders.connections;
    let (open_at_start, end) = drain::end(&daemon, holders)?;
    let outcome = Outcome {
        ports: vec![PORT, others::PORT],
        connections: connections + surveys.connections(),
        ends: Some(Ends {
            server_first: connections + surveys.connections(),
            client_first: 0,
            reset: 0,
        }),
        elapsed: start.cost.time,
        cpu: Duration::ZERO,
        clocked: Duration::ZERO,
        snmp: place.within(Snmp::read)?.since(before),
    };
    let last = daemon.last_scrape()?;
    let held = held::by_finwatch(&outcome, &last);
    let hidden = hidden.so_far(&last)?;
    daemon.stop()?;
    Ok(Sockets {
        connections,
        alone,
        watched,
        surveys,
        start,
        open_at_start,
        end,
        held,
        hidden,
    })
}

// === impl Surveys ===

impl Surveys {
    /// Those of the others.
    fn connections(&self) -> u64 {
        (self.quiet.count() + self.meanwhile.count()) as u64
    }
}

/// Opens the connections, and sees how the kernel's memory grows.
fn open(place: &Place, connections: u64, each: u64) -> Result<(Holders, Opened)> {
    let before = memory::Kernel::read()?;
    let holders = Holders::open(place, connections, each)?;
    thread::sleep(SETTLED);
    let after = memory::Kernel::read()?;
    let opened = Opened {
        took: holders.took,
        each: after.since(before, 2 * holders.connections),
    };
    Ok((holders, opened))
}

/// Surveys the calling thread's network namespace again and again, in turns with doing nothing.
fn survey(iterators: &Iterators) -> Result<Surveys> {
    let mut surveys = Surveys {
        made: Vec::new(),
        quiet: Latencies::default(),
        meanwhile: Latencies::default(),
    };
    for _ in 0..ROUNDS {
        let ((), quiet) = others::meanwhile(|| {
            thread::sleep(ROUND);
            Ok(())
        })?;
        surveys.quiet.add(quiet);
        let (made, meanwhile) = others::meanwhile(|| {
            let begin = Instant::now();
            let mut made = Vec::new();
            while begin.elapsed() < ROUND {
                made.push(iterators.survey()?);
            }
            Ok(made)
        })?;
        surveys.made.extend(made);
        surveys.meanwhile.add(meanwhile);
    }
    Ok(surveys)
}
