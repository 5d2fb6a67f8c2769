//! The identities of the metrics contract: what finwatch counted in a namespace equals what the kernel
//! counted there. Both ends of a loopback connection are sockets of the namespace.

use finwatch_common::{Cell, Origin, Outcome};

use super::{Netns, Observed, Snmp, kernel, sockets, state};

/// Holds `observed` against the kernel's counters and socket table of the calling thread's namespace.
#[track_caller]
pub(crate) fn check_identities(_ns: &Netns, observed: &Observed) {
    let snmp = Snmp::read();
    let table = sockets();
    let live = |state: u8| table.iter().filter(|entry| entry.state == state).count() as u64;
    let server = &observed.server;
    let client = &observed.client;
    let mut checks = vec![
        (
            "PassiveOpens = opened + failed embryos of servers",
            snmp.get("PassiveOpens"),
            server.get(Cell::OPENED) + server.get(Cell::EMBRYONIC_FAILED),
        ),
        (
            "ActiveOpens = opened + failed + still connecting, of clients",
            snmp.get("ActiveOpens"),
            client.get(Cell::OPENED) + client.get(Cell::CONNECT_FAILED) + live(state::SYN_SENT),
        ),
        (
            "EstabResets = estab_resets",
            snmp.get("EstabResets"),
            observed.sum(Cell::ESTAB_RESETS),
        ),
        (
            "CurrEstab = opened + seeded - left",
            snmp.get("CurrEstab"),
            observed.sum(Cell::OPENED) + observed.sum(Cell::SEEDED) - observed.sum(Cell::LEFT),
        ),
        (
            "sockets in CLOSE_WAIT = close_wait_in - close_wait_out",
            live(state::CLOSE_WAIT),
            observed.sum(Cell::CLOSE_WAIT_IN) - observed.sum(Cell::CLOSE_WAIT_OUT),
        ),
        (
            "sockets in LISTEN = listen_up - listen_down",
            live(state::LISTEN),
            server.get(Cell::LISTEN_UP) - server.get(Cell::LISTEN_DOWN),
        ),
        (
            "TCPTimeWaitOverflow = no_mini_socket, of any origin, less those reset instead",
            snmp.get("TCPTimeWaitOverflow"),
            observed.sum(Cell::NO_MINI_SOCKET),
        ),
    ];
    if kernel::counts_time_wait_at_creation() {
        checks.push((
            "TW + TWKilled = time_wait + fin_wait2",
            snmp.get("TW") + snmp.get("TWKilled"),
            observed.sum(Cell::TIME_WAIT) + observed.sum(Cell::FIN_WAIT2),
        ));
    }
    if kernel::traces_every_reset() {
        checks.push((
            "OutRsts = resets sent",
            snmp.get("OutRsts"),
            observed.resets_sent(),
        ));
    }
    let wrong: Vec<String> = checks
        .into_iter()
        .filter(|(_, kernel, finwatch)| kernel != finwatch)
        .map(|(what, kernel, finwatch)| format!("{what}: kernel {kernel}, finwatch {finwatch}"))
        .chain(consistency(observed))
        .collect();
    assert!(
        wrong.is_empty(),
        "identities that do not hold:\n  {}",
        wrong.join("\n  ")
    );
}

/// What must hold among finwatch's own cells, whatever the kernel says.
fn consistency(observed: &Observed) -> Vec<String> {
    let mut wrong = Vec::new();
    for (role, counted) in [("server", &observed.server), ("client", &observed.client)] {
        let known = counted.get(Cell::OPENED) + counted.get(Cell::SEEDED);
        if counted.closes() > known || counted.get(Cell::LEFT) > known {
            wrong.push(format!(
                "{role}: {} closes and {} left of {known} connections",
                counted.closes(),
                counted.get(Cell::LEFT)
            ));
        }
        let unknown: u64 = Origin::ALL
            .map(|origin| counted.get(Cell::closes(origin, Outcome::Unknown)))
            .iter()
            .sum();
        if unknown > 0 {
            wrong.push(format!("{role}: {unknown} closes of unknown outcome"));
        }
    }
    wrong
}
