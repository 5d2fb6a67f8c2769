//! What is read at a glance: to the letter in `tests/expected/summary`, written anew with `FINWATCH_WRITE_EXPECTED=1`; and
//! no more lines than an eye takes in, whatever happened.

use std::{env, fs, path::PathBuf};

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::rollout_with;
use crate::{
    diagnoses::{
        self,
        judge::{property_tests, scenarios::*},
    },
    model::{
        Counts, Cuts, Drain, DrainKind, EndedConnection, Finding, Gap, Growth, Rollout,
        RolloutState, Severity, Source, Verdict, WorkloadRef,
    },
    render::{COLUMNS, columns::width, markdown, text::Writer, units::Times},
};

const PLAIN: Writer = Writer {
    width: COLUMNS,
    paint: |_, text| text.to_owned(),
};

fn times() -> Times {
    Times::new(TimeZone::UTC)
}

fn shown(rollout: &Rollout) -> String {
    PLAIN.indented([&super::rollout(rollout, &times())])
}

/// A rollout of these drains that somebody announced, with what they come to.
fn rollout(drains: Vec<Drain>) -> Rollout {
    let mut counts = Counts::default();
    for drain in &drains {
        counts.add(&drain.counts);
    }
    let of_drains = drains.iter().flat_map(|drain| &drain.findings);
    let doubtful = drains
        .iter()
        .all(|drain| drain.verdict == Verdict::Inconclusive);
    let severity = of_drains.map(|finding| finding.severity).max();
    let verdict = match severity {
        Some(Severity::Fail) => Verdict::Fail,
        _ if doubtful => Verdict::Inconclusive,
        Some(Severity::Warn) => Verdict::Warn,
        _ => Verdict::Pass,
    };
    Rollout {
        id: "checkout.service-20260102T030402Z".to_owned(),
        source: Source::Cli,
        workload: WorkloadRef {
            namespace: None,
            kind: None,
            name: "checkout.service".to_owned(),
            port: None,
        },
        revision: Some("v42".to_owned()),
        links: Vec::new(),
        events: Vec::new(),
        started_at: at(-3.0),
        ended_at: Some(at(64.0)),
        state: RolloutState::Ended,
        drains,
        starts: Vec::new(),
        gaps: Vec::new(),
        counts,
        outside: Counts::default(),
        outside_unjudged: 0,
        outside_examples: Vec::new(),
        growth: Growth::default(),
        interrupted: false,
        verdict,
        findings: Vec::new(),
    }
}

fn example(number: u64, cut: &str, secs: f64) -> EndedConnection {
    EndedConnection {
        peer: format!("10.0.0.{number}:4{number:04}"),
        opened_at: None,
        ended_at: at(secs),
        closed_by_pid: 700,
        cut: cut.to_owned(),
        asked_bytes: 107,
        unread_bytes: 0,
        origin: "local".to_owned(),
        outcome: "reset_sent".to_owned(),
    }
}

/// So many requests that came just after nginx had closed the connection.
fn raced(number: u64) -> Drain {
    let mut drain = quiet("nginx", "SIGQUIT");
    late(&mut drain, number);
    drain.examples = (0..number.min(5))
        .map(|of| example(of, "late", 0.1))
        .collect();
    drain.id = format!("1a2042bfc62-{}-443", 1_200 + number);
    drain
}

/// A shell in front of the server does not pass the signal on; four requests are in flight when SIGKILL comes.
fn deaf() -> Drain {
    let mut drain = drain("checkout", "SIGTERM");
    if let Some(signal) = &mut drain.signal {
        signal.disposition = "default".to_owned();
        signal.target_program = "sh".to_owned();
    }
    let cut = Cuts {
        unanswered: 4,
        ..Cuts::default()
    };
    killed(&mut drain, 30.0, 20, cut);
    drain.listening.closed_at = Some(at(30.0));
    drain.examples = (0..4).map(|of| example(of, "unanswered", 30.0)).collect();
    drain
}

fn one_in_a_race() -> Rollout {
    rollout(vec![judged(raced(3))])
}

/// As a daemon set of a large cluster, seen on a node with many pods.
fn fifty_two() -> Rollout {
    let drains = (0..52).map(|number| match number % 4 {
        0 => raced(number / 4 + 1),
        1 => quiet("nginx", "SIGQUIT"),
        2 => drain("nginx", "SIGQUIT"),
        _ => but(quiet("nginx", "SIGQUIT"), |drain| {
            drain.opened_after_start = number;
        }),
    });
    let drains = drains.enumerate().map(|(number, mut drain)| {
        drain.id = format!("1a2042bfc62-{}-443", 1_200 + number);
        drain.started_at = at(number as f64);
        drain.ended_at = Some(at(number as f64 + 5.0));
        drain.last_close_at = Some(at(number as f64 + 1.5));
        judged(drain)
    });
    rollout(drains.collect())
}

/// Nobody listened for a while, and six clients were refused.
fn refused() -> Rollout {
    let mut rollout = rollout(vec![judged(quiet("nginx", "SIGQUIT"))]);
    rollout.gaps.push(Gap {
        service: service("nginx", 8080),
        from: at(1.0),
        until: Some(at(2.5)),
        refused: 6,
        netns: 0,
        netns_cookie: 0,
    });
    let evidence = "Nobody listened on unit/nginx.service:8080 for 1.5 s: 6 SYNs refused.";
    let gap = diagnoses::LISTENER_GAP.found(vec![evidence.to_owned()]);
    rollout.findings.push(gap);
    rollout.verdict = Verdict::Fail;
    rollout
}

fn hold(name: &str, told: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/expected/summary");
    let path = folder.join(name);
    if env::var_os("FINWATCH_WRITE_EXPECTED").is_some() {
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(&path, told).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(
        expected == told,
        "{name} differs; expected:\n{expected}\ntold:\n{told}"
    );
}

#[test]
fn what_is_read_at_a_glance_is_as_expected() {
    let clean = || judged(quiet("gunicorn", "SIGTERM"));
    let warned = but(quiet("checkout", "SIGTERM"), |drain| {
        drain.opened_after_start = 7;
        drain.last_opened_at = Some(at(0.5));
    });
    for (name, rollout) in [
        ("raced", one_in_a_race()),
        ("deaf", rollout(vec![judged(deaf())])),
        ("clean", rollout(vec![clean(), clean()])),
        ("warned", rollout(vec![judged(warned)])),
        ("idle", rollout(vec![judged(drain("nginx", "SIGQUIT"))])),
        ("refused", refused()),
        ("fifty-two", fifty_two()),
        ("nothing-happened", rollout(Vec::new())),
    ] {
        hold(&format!("{name}.txt"), &shown(&rollout));
    }
    let deaf = super::drain(&judged(deaf()), &times());
    hold("drain.txt", &PLAIN.indented([&deaf]));
    let many = super::rollout(&fifty_two(), &times());
    hold("fifty-two.md", &markdown::section(&many));
}

#[test]
fn the_first_line_says_what_was_lost_and_why() {
    let first = |rollout: &Rollout| shown(rollout).lines().next().unwrap_or_default().to_owned();
    assert_eq!(
        first(&one_in_a_race()),
        "FAIL  checkout.service v42: 3 requests lost: sent just after the server had closed"
    );
    assert_eq!(
        first(&rollout(vec![judged(deaf())])),
        "FAIL  checkout.service v42: 4 requests lost: nobody took the stop signal until SIGKILL"
    );
    let mut mixed = quiet("checkout", "SIGTERM");
    in_flight_cut(&mut mixed, 1_204);
    late(&mut mixed, 2);
    assert_eq!(
        first(&rollout(vec![judged(mixed)])),
        "FAIL  checkout.service v42: 1,206 requests lost (1,204 never answered, 2 sent just after the close)"
    );
    assert_eq!(
        first(&refused()),
        "FAIL  checkout.service v42: 6 connections refused: nobody listened between old and new"
    );
    let clean = but(quiet("gunicorn", "SIGTERM"), |drain| drain.counts.fin += 1);
    let clean = but(clean, |drain| drain.counts.remote_first = 592);
    assert_eq!(
        first(&rollout(vec![judged(clean.clone()), judged(clean)])),
        "PASS  checkout.service v42: nothing lost in 2 stops, 1,204 connections ended"
    );
}

#[test]
fn a_cause_of_few_is_not_the_reason_for_all() {
    let mut drains: Vec<_> = (0..5).map(|_| judged(raced(3))).collect();
    drains.push(judged(deaf()));
    let told = shown(&rollout(drains));
    let first = told.lines().next().unwrap_or_default();
    assert!(first.contains("19 requests lost"), "{first}");
    assert!(!first.contains("nobody took"), "{first}");
    let names = [
        "signal-ignored",
        "drain-timed-out",
        "keepalive-race",
        "requests-cut",
    ];
    let at: Vec<_> = names.iter().map(|name| told.find(name)).collect();
    assert!(
        at.is_sorted() && at[0].is_some(),
        "the cause stands first: {told}"
    );
}

#[test]
fn what_most_lost_stands_before_what_explains_a_few_of_them() {
    let mut mixed = quiet("nginx", "SIGHUP");
    in_flight_cut(&mut mixed, 19);
    late(&mut mixed, 1);
    let told = shown(&rollout(vec![judged(mixed)]));
    let [cut, race] = [
        "fail  requests-cut  20 connections",
        "keepalive-race (1 connection)",
    ]
    .map(|name| told.find(name));
    assert!(cut.is_some() && cut < race, "{told}");
}

#[test]
fn the_remedy_is_the_one_that_was_found() {
    let crossed = but(quiet("nginx", "SIGHUP"), |drain| {
        drain.counts.cut.unread = 6;
    });
    let told = shown(&rollout(vec![judged(crossed)]));
    assert!(told.contains("remedy for nginx: It closes idle"), "{told}");
    assert!(!told.contains("Stop it with SIGQUIT"), "{told}");
}

#[test]
fn each_diagnosis_is_told_once_and_so_is_its_remedy() {
    let told = shown(&fifty_two());
    for once in [
        "keepalive-race",
        "accepts-after-signal",
        "remedy for nginx: It closes",
    ] {
        assert_eq!(told.matches(once).count(), 1, "{once}: {told}");
    }
    assert!(told.contains("91 connections in 13 of 52 drains"), "{told}");
    assert!(told.contains("and 42 more drains: "), "{told}");
    let worst = told
        .lines()
        .find(|line| line.contains(" stop  "))
        .unwrap_or_default();
    assert!(worst.ends_with("  13  fail"), "{worst}");
}

#[test]
fn what_a_stream_cuts_is_no_request() {
    let mut stream = quiet("rsyslog", "SIGTERM");
    in_flight_cut(&mut stream, 5);
    stream.turns_not_judged = true;
    let told = shown(&rollout(vec![judged(stream)]));
    assert!(told.contains(": nothing lost in 1 stop, "), "{told}");
}

#[test]
fn every_fact_is_one_command_away() {
    for (rollout, more) in [
        (
            one_in_a_race(),
            "  more: finwatch rollouts show checkout.service-20260102T030402Z --verbose\n",
        ),
        (
            fifty_two(),
            "  and 42 more drains: finwatch rollouts show checkout.service-20260102T030402Z --verbose\n",
        ),
    ] {
        let told = shown(&rollout);
        assert!(told.ends_with(more), "{told}");
    }
}

prop_compose! {
    fn findings()(
        known in prop::sample::select(diagnoses::DIAGNOSES.to_vec()),
        is_known in prop::bool::weighted(0.9),
        severity in prop::sample::select(vec![Severity::Pass, Severity::Info, Severity::Warn, Severity::Fail]),
        evidence in prop::collection::vec("([a-z]{1,12} ){1,40}|[a-z]{150}|T0: x", 0..4),
    ) -> Finding {
        let mut finding = known.found(evidence);
        finding.severity = severity;
        if !is_known {
            finding.diagnosis = "a-name-that-nobody-knows-yet".to_owned();
        }
        finding
    }
}

prop_compose! {
    fn rollouts()(
        some in prop::collection::vec(property_tests::drains(), 1..8),
        more in prop::collection::vec(prop::collection::vec(findings(), 0..6), 1..8),
        own in prop::collection::vec(findings(), 0..6),
        count in prop_oneof![3 => 1usize..2, 1 => 2usize..12, 1 => 12usize..=500],
        (name, revision, id) in ("[a-z.-]{1,120}", prop::option::of("[ -~]{0,80}"), "[a-z.-]{1,90}"),
        verdict in prop::sample::select(Verdict::ALL.to_vec()),
        (running, interrupted) in (prop::bool::weighted(0.1), prop::bool::weighted(0.1)),
        peer in "\\[[0-9a-f:]{39}\\]:65535",
    ) -> Rollout {
        let drains = (0..count).map(|at| {
            let mut drain = judged(some[at % some.len()].clone());
            drain.id = format!("1a2042bfc62-{}-65535", 4_000_000 + at);
            drain.findings.extend(more[at % more.len()].iter().cloned());
            drain.examples = ["late", "unread", "unanswered"].map(|cut| example(1, cut, 0.1)).into();
            for example in &mut drain.examples {
                example.peer.clone_from(&peer);
            }
            if at % 3 == 0 {
                drain.service.workload.clone_from(&name);
                drain.kind = DrainKind::Reload;
            }
            drain
        });
        let mut rollout = rollout(drains.collect());
        rollout.findings = own;
        rollout.workload.name = name;
        (rollout.revision, rollout.id) = (revision, id);
        (rollout.verdict, rollout.interrupted) = (verdict, interrupted);
        if running {
            rollout.state = RolloutState::Running;
        }
        rollout
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn an_eye_takes_it_in(rollout in rollouts()) {
        let noted = rollout_with(&rollout, &times(), "a warning passes");
        let drain = super::drain(&rollout.drains[0], &times());
        let most = if rollout.drains.len() > 1 { 29 } else { 10 };
        for (section, most) in [(super::rollout(&rollout, &times()), most), (noted, most), (drain, 10)] {
            let told = PLAIN.indented([&section]);
            prop_assert!(told.lines().count() <= most, "{} lines:\n{told}", told.lines().count());
            for line in told.lines() {
                prop_assert!(width(line) <= COLUMNS, "{line}");
                prop_assert_eq!(line, line.trim_end());
            }
        }
    }
}
