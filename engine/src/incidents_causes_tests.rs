//! What incidents come of where it is easily taken for something else.

use super::*;

/// As with PM2: who listens hands each connection to a process that it has started and that is none of its instance.
#[test]
fn who_serves_and_is_no_process_of_the_instance_is_told_by_its_end() {
    let mut host = Host::new();
    for closer in [301, 302, 302] {
        host.close(closer, Some(Cut::Unanswered), close_flags::BY_EXIT);
    }
    host.wait(2 * SECOND_MS);
    let incident = host.incident();
    assert_eq!(incident.cause, IncidentCause::WorkerRecycled);
    assert!(incident.ended_processes.is_empty(), "{incident:#?}");
    let recycled = &incident.findings[0];
    assert_eq!(
        recycled.evidence,
        [
            "3 requests were lost on connections that ended with the processes that had them in hand, and others went on listening."
        ]
    );
    assert!(recycled.remedy.starts_with("gunicorn: "), "{recycled:#?}");
}

/// Clients that pause alike are no sign of an idle timeout: a worker that is told to end closes what is at rest.
#[test]
fn pauses_of_clients_are_no_idle_timeout() {
    let mut host = Host::new();
    for _ in 0..6 {
        host.late(1);
    }
    host.wait(2 * SECOND_MS);
    let incident = host.incident();
    assert_eq!(incident.cause, IncidentCause::Unknown, "{incident:#?}");
    assert_eq!(found(incident), ["keepalive-race", "requests-cut"]);
}
