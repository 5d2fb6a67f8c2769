//! A server that ends by itself as a whole, and is started anew.

use super::*;

/// A server of one process that ends itself, as uvicorn does by `--limit-max-requests`, and is started anew a moment later.
#[test]
fn who_is_refused_until_a_server_is_started_anew_is_told_with_what_it_lost() {
    const NEXT: u32 = 200;
    let mut host = Host::new();
    for worker in [WORKER, SIBLING] {
        host.exit(worker, 0);
    }
    host.wait(10 * SECOND_MS);
    for _ in 0..4 {
        host.close(MASTER, Some(Cut::Late), 0);
    }
    host.listen(0);
    host.wait(100);
    host.exit(MASTER, 0);
    host.refuse(9);
    host.wait(300);
    host.living.insert(NEXT, Kinship::Owner);
    host.listen_by(NEXT, 1);
    host.wait(10 * SECOND_MS);
    let incident = host.incident();
    assert_eq!((incident.cut.late, incident.refused), (4, 9));
    assert_eq!(incident.cause, IncidentCause::WorkerRecycled);
    assert_eq!(
        found(incident),
        ["worker-recycled", "listener-gap", "requests-cut"]
    );
    let evidence = &incident.findings[0].evidence[0];
    let told = "and 9 SYNs were refused until others listened.";
    assert!(evidence.ends_with(told), "{evidence}");
}
