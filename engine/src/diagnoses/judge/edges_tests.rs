//! What a diagnosis is not told of, though its numbers are there.

use super::scenarios::*;
use crate::model::Drain;

fn names(drain: &Drain) -> Vec<&str> {
    let findings = drain.findings.iter();
    findings.map(|found| found.diagnosis.as_str()).collect()
}

#[test]
fn a_worker_that_was_signalled_is_no_recycled_one() {
    let recycled = |signals: Vec<_>| {
        let mut drain = quiet("gunicorn", "SIGTERM");
        drain.signal = None;
        drain.worker_pid = Some(701);
        drain.further_signals = signals;
        names(&judged(drain)).contains(&"worker-recycled")
    };
    assert!(recycled(Vec::new()));
    assert!(!recycled(vec![signal("SIGTERM", 0.5, "gunicorn")]));
}

#[test]
fn messages_that_came_late_are_no_keepalive_race() {
    let of = |turns_not_judged: bool| {
        let mut drain = quiet("rsyslogd", "SIGTERM");
        late(&mut drain, 2);
        drain.turns_not_judged = turns_not_judged;
        judged(drain)
    };
    assert!(names(&of(false)).contains(&"keepalive-race"));
    assert!(!names(&of(true)).contains(&"keepalive-race"));
    assert!(names(&of(true)).contains(&"requests-cut"));
}

#[test]
fn whom_the_next_listener_refuses_the_drain_does_not() {
    let is_clean = |taken_over: bool| {
        let mut drain = quiet("nginx", "SIGQUIT");
        drain.counts.refused = 3;
        drain.listening.taken_over = taken_over;
        names(&judged(drain)).contains(&"clean-drain")
    };
    assert!(is_clean(true));
    assert!(!is_clean(false));
}

/// Small ones count as requests only where answers are waited for: they are no part of what is told then.
#[test]
fn small_messages_are_not_told_of_where_nobody_waits_for_answers() {
    let of = |turns_not_judged: bool| {
        let mut drain = quiet("collectd", "SIGTERM");
        drain.counts.small.left = 3;
        drain.small_before.answered = 40;
        drain.counts.cut.unread = 1;
        drain.turns_not_judged = turns_not_judged;
        told(drain, "requests-cut").expect("one was never read")
    };
    assert!(of(false).contains("under 18 bytes"));
    assert!(!of(true).contains("under 18 bytes"), "{}", of(true));
}
