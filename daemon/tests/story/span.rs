//! `finwatch verdict` over a time without a rollout: its incidents judge it.

use serde_json::Value;

use super::{
    commands::assert_expected,
    gate::verdict,
    server::{Server, Told},
};

/// No rollout of nginx reaches into the time from then on, but an incident does.
const AFTER: &str = "2026-11-22T17:20:05Z";
/// Nothing does.
const LONG_AFTER: &str = "2026-11-22T17:30:00Z";

#[test]
fn a_time_without_a_rollout_is_judged_by_its_incidents() {
    let server = Server::start(Told::sample());
    let failed = verdict(&server, &["-w", "nginx", "--since", AFTER]);
    assert_eq!(
        (failed.code, failed.err.as_str()),
        (1, ""),
        "{}",
        failed.out
    );
    assert_expected("verdict-incident.txt", &failed.out);
    let passed = verdict(&server, &["-w", "nginx", "--since", LONG_AFTER]);
    assert_eq!(
        (passed.code, passed.err.as_str()),
        (0, ""),
        "{}",
        passed.out
    );
    assert_expected("verdict-no-incident.txt", &passed.out);
    let json = verdict(&server, &["-w", "nginx", "--since", AFTER, "-o", "json"]);
    let said: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(said["rollout"], Value::Null);
    assert_eq!(
        said["incidents"][0]["id"],
        "nginx.service-443-20261122T172000Z"
    );
}

#[test]
fn a_time_that_was_not_watched_whole_or_of_which_a_rollout_tells_is_not_judged_so() {
    let unclear = |told: Told, args: &[&str]| {
        let ran = verdict(&Server::start(told), args);
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (3, ""),
            "{args:?} {}",
            ran.out
        );
        ran.out
    };
    let since = ["-w", "nginx", "--since", LONG_AFTER];
    let mut restarted = Told::sample();
    restarted.watched_since = "2026-11-22T18:00:00Z".parse().expect("a time");
    let out = unclear(restarted, &since);
    let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(out.contains("watches only since"), "{out}");
    // The reload goes on into it.
    let reload = ["-w", "nginx", "--since", "2026-11-22T17:10:01Z"];
    unclear(Told::sample(), &reload);
    let mut idle = Told::sample();
    for state in &mut idle.services {
        (state.totals.opened, state.open) = (0, 0);
    }
    unclear(idle, &since);
    // Who waits, waits for a rollout.
    unclear(Told::sample(), &[&since[..], &["--wait", "1s"]].concat());
}
