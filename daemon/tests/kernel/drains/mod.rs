//! Real servers of the lab, stopped, reloaded and killed while clients are connected. What the running daemon tells
//! of each is held against what the clients saw, what the test did, and the namespace's SNMP counters.
//!
//! A test starts the daemon and a server, gathers a crowd of clients, sends the signal, and asks for the rollout as a user
//! would. It says only what it did and what the clients lost; what follows from that is in `told.rs`.

use std::{thread, time::Duration};

mod announced;
mod crashes;
mod flight;
mod grpc;
mod idle;
mod incidents;
mod kills;
mod late;
mod lives_on;
mod load;
mod one_way;
mod pgbouncer;
mod phases;
mod php_fpm;
mod proxies;
mod puma;
mod recorded;
mod recorder;
mod restart;
mod small;
mod spring;
mod stage;
mod told;
mod unclear;
mod unicorn;
mod uploads;
mod waiting;

/// Idle keep-alive connections of a crowd.
const IDLE: usize = 20;
/// Connections of a crowd with a request in flight.
const BUSY: usize = 10;

/// How long a request in flight takes after the signal. It is what is tried: a server that did not wait for it would have ended by then,
/// and nothing is to be seen of one that waits.
const IN_FLIGHT: Duration = Duration::from_millis(700);
/// How old an answer is when its process dies: one that is younger than a second may be cut in its middle.
const ANSWERED_LONG_AGO: Duration = Duration::from_millis(1100);

/// Waits for as long as the daemon takes to find who belongs to a server: it looks when a listener comes, and two seconds later for who
/// had not yet started it, and tells nobody what it found.
fn let_families_be_found() {
    thread::sleep(Duration::from_secs(3));
}
