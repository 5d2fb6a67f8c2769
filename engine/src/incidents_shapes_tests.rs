//! Where nobody waits for an answer none is missed.

use super::*;

#[test]
fn a_stream_need_not_answer() {
    let mut host = Host::with(vec![PORT], WorkloadKind::Unit);
    for _ in 0..5 {
        host.close(SIBLING, Some(Cut::Unanswered), 0);
    }
    host.wait(SECOND_MS);
    assert!(host.incidents.is_empty());
    for _ in 0..5 {
        host.close(SIBLING, Some(Cut::Unread), 0);
    }
    host.wait(SECOND_MS);
    assert_eq!(
        (host.incident().cut.unread, host.incident().cut.unanswered),
        (5, 0)
    );
}

#[test]
fn a_service_that_never_answers_misses_no_answer() {
    let mut host = Host::new();
    let closes = Cell::closes(Origin::Remote, Outcome::Fin);
    host.row[closes.index()] += 20;
    host.row[Cell::NEVER_ANSWERED.index()] += 20;
    host.row[Cell::ABANDONED.index()] += 20;
    host.wait(60 * SECOND_MS);
    for _ in 0..5 {
        host.close(SIBLING, Some(Cut::Unanswered), 0);
    }
    host.wait(SECOND_MS);
    assert!(host.incidents.is_empty());
}
