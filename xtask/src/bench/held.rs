//! What observers counted, held against what a load did and against the namespace's own counters.

use super::bpftrace::Counted;
use super::daemon::Scrape;
use super::outcome::{Ends, Outcome};
use super::tool::Lines;

/// One number that must be equal on both sides.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) what: &'static str,
    pub(super) done: u64,
    pub(super) counted: u64,
}

/// Everything that the load did and that the namespace's own counters say, against the daemon's.
pub(super) fn by_finwatch(outcome: &Outcome, scrape: &Scrape) -> Vec<Held> {
    let count = |name: &str, labels: &[(&str, &str)]| scrape.on_ports(&outcome.ports, name, labels);
    let opened = |role| count("finwatch_tcp_opened_total", &[("role", role)]);
    let mut all = vec![
        held(
            "accepted (PassiveOpens)",
            outcome.snmp.passive_opens,
            opened("server"),
        ),
        held(
            "TIME_WAITs (TW, TWKilled)",
            outcome.snmp.time_waits,
            count("finwatch_tcp_time_wait_created_total", &[]),
        ),
        held(
            "RSTs sent (OutRsts)",
            outcome.snmp.resets_sent,
            count("finwatch_tcp_resets_sent_total", &[]),
        ),
        held(
            "records lost in the ring",
            0,
            scrape.count("finwatch_records_lost_total", &[]),
        ),
        held(
            "rows that did not fit the map",
            0,
            scrape.count("finwatch_map_full_total", &[]),
        ),
    ];
    if let Some(ends) = outcome.ends {
        let connections = outcome.connections;
        all.push(held("opened, server", connections, opened("server")));
        all.push(held("opened, client", connections, opened("client")));
        all.extend(by_ends(ends, &count));
    }
    all
}

/// What bpftrace's script counted, where it is known how many sockets there were.
pub(super) fn by_bpftrace(outcome: &Outcome, counted: &Counted) -> Vec<Held> {
    if outcome.ends.is_none() {
        return Vec::new();
    }
    vec![
        held("opened", outcome.sockets(), counted.opened),
        held("ended", outcome.sockets(), counted.ended),
    ]
}

/// What a tool wrote, likewise, and where a line is an end.
pub(super) fn by_tool(outcome: &Outcome, lines: &Lines) -> Vec<Held> {
    if outcome.ends.is_none() || !lines.are_ends {
        return Vec::new();
    }
    vec![held("ended", outcome.sockets(), lines.count)]
}

// === impl Held ===

impl Held {
    pub(super) fn difference(&self) -> u64 {
        self.done.abs_diff(self.counted)
    }
}

fn by_ends(ends: Ends, count: &impl Fn(&str, &[(&str, &str)]) -> u64) -> [Held; 6] {
    let closes = |role, origin, outcome| {
        count(
            "finwatch_tcp_closes_total",
            &[("role", role), ("origin", origin), ("outcome", outcome)],
        )
    };
    let Ends {
        server_first,
        client_first,
        reset,
    } = ends;
    [
        held(
            "closed first by the server, server",
            server_first,
            closes("server", "local", "fin"),
        ),
        held(
            "closed first by the server, client",
            server_first,
            closes("client", "remote", "fin"),
        ),
        held(
            "closed first by the client, server",
            client_first,
            closes("server", "remote", "fin"),
        ),
        held(
            "closed first by the client, client",
            client_first,
            closes("client", "local", "fin"),
        ),
        held(
            "reset by the client, server",
            reset,
            closes("server", "none", "reset_received"),
        ),
        held(
            "reset by the client, client",
            reset,
            closes("client", "none", "reset_sent"),
        ),
    ]
}

fn held(what: &'static str, done: u64, counted: u64) -> Held {
    Held {
        what,
        done,
        counted,
    }
}
