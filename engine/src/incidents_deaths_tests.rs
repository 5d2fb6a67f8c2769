//! What a process's end explains of an incident, and what it does not.

use super::*;

/// Late requests meet a mini-socket, of which nobody knows who closed it: a process that ended about then did, one that ended long
/// before did not.
#[test]
fn only_a_process_that_ended_about_then_took_requests_with_it() {
    for (since_ms, by_ended) in [(200, 4), (10 * SECOND_MS, 0)] {
        let mut host = Host::new();
        host.exit(WORKER, 0);
        host.wait(since_ms);
        for _ in 0..4 {
            host.late(0);
        }
        host.wait(2 * SECOND_MS);
        let incident = host.incident();
        assert_eq!(incident.by_ended_processes, by_ended, "{incident:#?}");
        let first = if by_ended > 0 {
            "worker-recycled"
        } else {
            "keepalive-race"
        };
        assert_eq!(found(incident), [first, "requests-cut"]);
    }
}

/// Who only controls the processes that serve has no connections.
#[test]
fn the_end_of_a_controller_explains_nothing() {
    const CONTROLLER: u32 = 300;
    let mut host = Host::new();
    host.living.insert(CONTROLLER, Kinship::Controller);
    host.exit(CONTROLLER, 0);
    for _ in 0..4 {
        host.late(0);
    }
    host.wait(2 * SECOND_MS);
    assert_eq!(host.incident().by_ended_processes, 0);
}

#[test]
fn what_an_idle_timeout_explains_needs_nobodys_end() {
    let mut host = Host::new();
    host.exit(WORKER, 0);
    for _ in 0..4 {
        host.late(50);
    }
    host.wait(2 * SECOND_MS);
    let incident = host.incident();
    assert_eq!(incident.by_ended_processes, 0);
    assert_eq!(incident.cause, IncidentCause::IdleTimeoutRace);
    assert_eq!(found(incident), ["idle-timeout-race", "requests-cut"]);
}

#[test]
fn two_that_were_idle_alike_are_chance() {
    let mut host = Host::new();
    for _ in 0..2 {
        host.late(50);
        host.close(SIBLING, Some(Cut::Unanswered), 0);
    }
    host.wait(2 * SECOND_MS);
    assert_eq!(
        found(host.incident()),
        ["keepalive-race", "dropped-by-server", "requests-cut"]
    );
}

#[test]
fn what_explains_half_of_it_is_the_cause() {
    let mut host = Host::new();
    for _ in 0..2 {
        host.close(WORKER, Some(Cut::Unanswered), close_flags::BY_EXIT);
        host.late(3);
    }
    host.wait(2 * SECOND_MS);
    assert_eq!(host.incident().cause, IncidentCause::WorkerRecycled);
}

/// A drain that has ended is told what its connections still held.
#[test]
fn what_was_never_read_in_a_phase_is_no_incident() {
    for (phase, incidents) in [(Phase::Draining, 0), (Phase::Steady, 1)] {
        let mut host = Host::new();
        for cookie in 1..=4 {
            let mut unread = zeroed::<UnreadRecord>();
            unread.header = host.header::<UnreadRecord>(KIND_UNREAD);
            unread.cookie = cookie;
            unread.service = key().in_phase(phase);
            unread.unread = 40;
            unread.cut = Cut::Late as u8;
            host.tell(Record::Unread(unread));
        }
        host.wait(2 * SECOND_MS);
        assert_eq!(host.incidents.len(), incidents, "{phase:?}");
    }
}
