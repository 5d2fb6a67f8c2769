//! The estimate against what a namespace would say, second by second.

use super::{super::settle::EMPTY, *};

const SECOND: u64 = 1_000_000_000;
const T0: u64 = 1_000 * SECOND;

fn key(role: Role, port: u16) -> ServiceKey {
    let mut key = ServiceKey::other(role, Phase::Steady);
    key.netns = 7;
    key.cgroup = 1;
    key.port = port;
    key
}

fn reading(counts: &[(ServiceKey, u64)]) -> Reading {
    let rows = counts.iter().map(|(key, count)| {
        let mut row = EMPTY;
        row[Cell::TIME_WAIT.index()] = *count;
        (*key, row)
    });
    Reading {
        read_ns: 0,
        rows: rows.collect(),
        resets: Vec::new(),
    }
}

fn mini(local: u32, remote: u32, kind: u8) -> SurveyRow {
    let mut service = ServiceKey::other(Role::Server, Phase::Steady);
    service.netns = 7;
    SurveyRow {
        service,
        owner: finwatch_common::Process::default(),
        opened_at_ns: 0,
        cookie: 1,
        a: local,
        b: remote,
        kind,
        quiet: 0,
        queued: 0,
        pad: 0,
        waits_ms: 0,
    }
}

fn shown(model: &TimeWaits, now_ns: u64) -> Vec<(u16, u64, u64)> {
    model
        .iter(now_ns)
        .map(|(key, mini)| (key.port, mini.time_wait, mini.fin_wait2))
        .collect()
}

#[test]
fn creations_live_for_sixty_seconds_across_a_rotation() {
    let (mut model, web) = (TimeWaits::default(), key(Role::Server, 80));
    model.observe(&reading(&[(web, 10)]), T0);
    model.observe(&reading(&[(web, 15)]), T0 + 5 * SECOND);
    model.rotated(&reading(&[(web, 16)]), T0 + 6 * SECOND);
    model.observe(&reading(&[(web, 2)]), T0 + 7 * SECOND);
    assert_eq!(shown(&model, T0 + 8 * SECOND), [(80, 18, 0)]);
    assert_eq!(shown(&model, T0 + 60 * SECOND), [(80, 8, 0)]);
    assert_eq!(shown(&model, T0 + 67 * SECOND), []);
}

#[test]
fn early_ends_are_taken_from_all_alike() {
    let mut model = TimeWaits::default();
    let (web, api) = (key(Role::Server, 80), key(Role::Server, 81));
    model.actual(7, 0);
    model.observe(&reading(&[(web, 300), (api, 100)]), T0);
    assert_eq!(shown(&model, T0), [(80, 300, 0), (81, 100, 0)]);
    model.actual(7, 200);
    assert_eq!(shown(&model, T0), [(80, 150, 0), (81, 50, 0)]);
    model.observe(&reading(&[(web, 340), (api, 100)]), T0 + SECOND);
    let total: u64 = shown(&model, T0 + SECOND).iter().map(|s| s.1).sum();
    assert_eq!(total, 240, "what was created since the reading is alive");
}

#[test]
fn a_survey_settles_owners_and_substates() {
    let mut model = TimeWaits::default();
    let (web, db) = (key(Role::Server, 80), key(Role::Client, 5_432));
    model.observe(&reading(&[(web, 1), (db, 1)]), T0);
    model.actual(7, 5);
    assert!(model.wants_survey(7, T0), "never surveyed");
    let rows = [
        mini(80, 40_001, survey_kind::TIME_WAIT),
        mini(80, 40_002, survey_kind::FIN_WAIT2),
        mini(40_003, 5_432, survey_kind::TIME_WAIT),
        mini(40_004, 5_432, survey_kind::TIME_WAIT),
        mini(9, 9, survey_kind::TIME_WAIT),
    ];
    model.surveyed(7, &rows, T0);
    assert_eq!(shown(&model, T0), [(80, 1, 1), (5_432, 2, 0)]);
    assert!(!model.wants_survey(7, T0 + 59 * SECOND));
}

#[test]
fn a_survey_leaves_known_ages_alone() {
    let (mut model, web) = (TimeWaits::default(), key(Role::Server, 80));
    model.observe(&reading(&[(web, 6)]), T0);
    model.observe(&reading(&[(web, 10)]), T0 + 10 * SECOND);
    let found = |count: usize| vec![mini(80, 1, survey_kind::TIME_WAIT); count];
    model.surveyed(7, &found(10), T0 + 20 * SECOND);
    assert_eq!(shown(&model, T0 + 59 * SECOND), [(80, 10, 0)]);
    model.surveyed(7, &found(5), T0 + 30 * SECOND);
    assert_eq!(shown(&model, T0 + 59 * SECOND), [(80, 5, 0)]);
    assert_eq!(shown(&model, T0 + 60 * SECOND), [(80, 2, 0)]);
    model.surveyed(7, &found(8), T0 + 60 * SECOND);
    assert_eq!(shown(&model, T0 + 60 * SECOND), [(80, 8, 0)]);
    assert_eq!(
        shown(&model, T0 + 90 * SECOND),
        [(80, 3, 0)],
        "six of unknown age are half gone, two are gone"
    );
}

#[test]
fn only_drift_or_age_asks_for_another_survey() {
    let (mut model, web) = (TimeWaits::default(), key(Role::Server, 80));
    model.observe(&reading(&[(web, 1_000)]), T0);
    model.actual(7, 0);
    assert!(!model.wants_survey(7, T0), "nothing is there to survey");
    model.actual(7, 1_000);
    model.surveyed(7, &[], T0);
    assert!(
        !model.wants_survey(7, T0 + 59 * SECOND),
        "at most once a minute"
    );
    assert!(model.wants_survey(7, T0 + 60 * SECOND), "1000 against 0");
    model.actual(7, 10);
    assert!(
        !model.wants_survey(7, T0 + 60 * SECOND),
        "too little to matter"
    );
    assert!(model.wants_survey(7, T0 + 300 * SECOND));
}

#[test]
fn a_service_long_unseen_is_forgotten() {
    let (mut model, web) = (TimeWaits::default(), key(Role::Server, 80));
    model.observe(&reading(&[(web, 1)]), T0);
    model.rotated(&reading(&[]), T0 + timing::MINI_SOCKETS_FORGET_NS - SECOND);
    assert_eq!(model.services, 1);
    model.rotated(&reading(&[]), T0 + timing::MINI_SOCKETS_FORGET_NS);
    assert_eq!(model.services, 0);
    assert!(model.netns.is_empty());
}
