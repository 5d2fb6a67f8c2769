//! What a rollout finds of its own, its growth, and what all of it comes to.

use finwatch_common::Role;

use super::{scenarios::*, *};
use crate::{
    diagnoses::judge::{judge, scenarios::ordinary},
    model::{Baseline, Counts, Severity, Unanswered, Verdict},
};

/// An announced rollout of `web` with these drains, which has ended.
fn rolled_out(drains: Vec<Drain>, more: impl FnOnce(&mut Correlator)) -> Rollout {
    let mut story = Story::new();
    story.correlator.event(begins("web", "v2", 0.0));
    for drain in drains {
        story.correlator.drain(drain);
    }
    more(&mut story.correlator);
    story.correlator.event(finishes("web", "v2", 300.0));
    let mut ended = story.until(300, 310);
    assert_eq!(ended.len(), 1);
    ended.remove(0)
}

#[test]
fn the_worst_drain_decides() {
    let rollout = rolled_out(
        vec![
            drained("d1", "web", 80, 1.0, 2.0),
            cutting(drained("d2", "web", 80, 3.0, 4.0)),
        ],
        |_| {},
    );
    assert_eq!(rollout.verdict, Verdict::Fail);
    assert_eq!(rollout.counts.cut.total(), 1);
}

#[test]
fn a_port_without_clients_hides_nothing_beside_one_that_has_some() {
    let nobody = || {
        let mut drain = drained("d2", "web", 81, 1.0, 2.0);
        (drain.open_at_start, drain.counts) = (0, Counts::default());
        judge(&mut drain, &JudgeOptions::default());
        drain
    };
    let beside = rolled_out(vec![drained("d1", "web", 80, 1.0, 2.0), nobody()], |_| {});
    assert_eq!(beside.verdict, Verdict::Pass);
    let alone = rolled_out(vec![nobody()], |_| {});
    assert_eq!(alone.verdict, Verdict::Inconclusive);
    assert!(
        find(&alone, "too-little-seen")
            .is_some_and(|f| f.evidence[0].contains("None of its drains had a client"))
    );
}

#[test]
fn lost_records_and_interruptions_take_a_pass_away() {
    let degrade = |change: fn(&mut Drain)| {
        let mut drain = drained("d2", "web", 81, 1.0, 2.0);
        change(&mut drain);
        judge(&mut drain, &JudgeOptions::default());
        rolled_out(vec![drained("d1", "web", 80, 1.0, 2.0), drain], |_| {})
    };
    assert_eq!(
        degrade(|drain| drain.records_lost = 1).verdict,
        Verdict::Inconclusive
    );
    assert_eq!(
        degrade(|drain| drain.interrupted = true).verdict,
        Verdict::Inconclusive
    );
}

#[test]
fn a_gap_in_which_clients_were_refused_fails() {
    let with_gap = |refused| {
        rolled_out(vec![drained("d1", "web", 80, 1.0, 2.0)], |correlator| {
            correlator.gap(gap("web", 80, 2.0, 5.5, refused));
            correlator.start(start("web", 80, 5.5));
        })
    };
    let rollout = with_gap(7);
    assert_eq!(rollout.verdict, Verdict::Fail);
    let finding = find(&rollout, "listener-gap").expect("told");
    assert_eq!(
        finding.evidence,
        ["Nobody listened on unit/web.service:80 for 3.5 s: 7 SYNs refused."]
    );
    let rollout = with_gap(0);
    assert_eq!(rollout.verdict, Verdict::Warn, "nobody was hit");
    assert_eq!(
        find(&rollout, "listener-gap").map(|f| f.severity),
        Some(Severity::Warn)
    );
}

#[test]
fn a_gap_that_is_told_twice_is_one() {
    let rollout = rolled_out(vec![drained("d1", "web", 80, 1.0, 2.0)], |correlator| {
        let mut open = gap("web", 80, 2.0, 5.0, 1);
        open.until = None;
        correlator.gap(open);
        correlator.gap(gap("web", 80, 2.0, 5.0, 4));
    });
    assert_eq!((rollout.gaps.len(), rollout.gaps[0].refused), (1, 4));
}

#[test]
fn a_service_that_does_not_come_back_is_a_gap_of_a_deploy_and_not_of_a_plain_stop() {
    let open_gap = || {
        let mut gap = gap("web", 80, 2.0, 5.0, 3);
        gap.until = None;
        gap
    };
    let deploy = rolled_out(vec![drained("d1", "web", 80, 1.0, 2.0)], |correlator| {
        correlator.gap(open_gap());
    });
    assert!(
        find(&deploy, "listener-gap")
            .is_some_and(|f| f.evidence[0].starts_with("Nobody has listened"))
    );
    let mut story = Story::new();
    story.correlator.drain(drained("d1", "web", 80, 1.0, 2.0));
    story.correlator.gap(open_gap());
    let stop = story.until(2, 10);
    assert!(find(&stop[0], "listener-gap").is_none());
}

#[test]
fn a_gap_heard_of_after_the_end_is_told_again_with_the_rollout() {
    let mut story = Story::new();
    story.correlator.drain(drained("d1", "web", 80, 1.0, 2.0));
    let ended = story.until(2, 30);
    assert_eq!(ended[0].verdict, Verdict::Pass);
    story.correlator.gap(gap("web", 80, 2.0, 31.0, 5));
    story.correlator.start(start("web", 80, 31.0));
    let again = story.until(31, 32);
    assert_eq!(
        (ids(&again), again[0].verdict),
        (ids(&ended), Verdict::Fail)
    );
}

#[test]
fn refused_before_anybody_listened_is_traffic_before_ready() {
    let rollout = rolled_out(Vec::new(), |correlator| {
        correlator.gap(gap("web", 80, 10.0, 14.0, 6));
        correlator.start(start("web", 80, 14.0));
    });
    assert_eq!(rollout.verdict, Verdict::Fail);
    let finding = find(&rollout, "traffic-before-ready").expect("told");
    assert_eq!(
        finding.evidence,
        ["6 SYNs were refused on unit/web.service:80 in the 4.0 s before its new owner listened."]
    );
    assert!(find(&rollout, "listener-gap").is_none());
    let quiet = rolled_out(Vec::new(), |correlator| {
        correlator.start(start("web", 80, 14.0));
    });
    assert_eq!(quiet.verdict, Verdict::Pass);
}

#[test]
fn growth_is_tested_over_the_sum_with_the_ordinary_time_once() {
    let drains =
        [("d1", 1.0, 3.0), ("d2", 2.0, 5.0), ("d3", 10.0, 12.0)].map(|(id, from, until)| {
            let mut drain = drained(id, "web", 80, from, until);
            let counts = Counts {
                time_wait: 60,
                ..Counts::default()
            };
            ordinary(&mut drain, counts);
            drain
        });
    let rollout = rolled_out(drains.into(), |_| {});
    let growth = &rollout.growth.time_wait;
    assert_eq!(
        (growth.count, growth.secs),
        (30, 6.0),
        "4 s of two that overlap, and 2 s"
    );
    assert_eq!((growth.baseline_count, growth.baseline_secs), (60, 600.0));
    assert_eq!(growth.ratio, Some(50.0));
    assert!(growth.p_value.is_some_and(|p| p < 1e-20));
    let finding = find(&rollout, "time-wait-burst").expect("told");
    assert!(
        finding.evidence[0]
            .starts_with("Over 3 drains: 30 TIME_WAITs created in 6.0 s, 60 in the 10 min before")
    );
}

#[test]
fn resets_are_judged_without_goodbyes_and_shown_with_them() {
    let mut drain = drained("d1", "web", 80, 1.0, 2.0);
    crate::diagnoses::judge::scenarios::resets(&mut drain, "tcp_abort_on_data", 1, 20, 2);
    ordinary(&mut drain, Counts::default());
    let growth = rolled_out(vec![drain], |_| {}).growth;
    assert_eq!(
        (growth.resets.count, growth.resets_with_goodbyes.count),
        (3, 23)
    );
    assert_eq!(growth.resets.ratio, None);
    assert!(growth.resets.p_value.is_some());
}

#[test]
fn without_ordinary_time_growth_is_shown_and_not_judged() {
    let rollout = rolled_out(vec![drained("d1", "web", 80, 1.0, 2.0)], |_| {});
    assert_eq!(rollout.growth.time_wait.count, 10);
    assert_eq!(rollout.growth.time_wait.p_value, None);
}

/// Looks at a service every five seconds for two minutes.
fn looks(correlator: &mut Correlator, role: Role, at_each: impl Fn(u32, &mut Look)) {
    for i in 0..24 {
        let mut look = Look {
            service: service("web", 80),
            role,
            at: at(f64::from(i) * 5.0),
            secs: 5.0,
            abandoned: 0,
            unanswered: 0,
            close_wait: 0,
            ordinary: Baseline {
                window_secs: 600.0,
                counts: Counts {
                    opened: 100,
                    abandoned: 5,
                    unanswered: Unanswered {
                        silent: 1,
                        ..Unanswered::default()
                    },
                    ..Counts::default()
                },
            },
        };
        at_each(i, &mut look);
        correlator.look(&look);
    }
}

#[test]
fn clients_that_gave_up_are_set_beside_the_ordinary_rate() {
    let gave_up = |each| {
        rolled_out(Vec::new(), |correlator| {
            correlator.start(start("web", 80, 1.0));
            looks(correlator, Role::Server, |i, look| {
                look.abandoned = u64::from(i == 3) * each;
            });
        })
    };
    let rollout = gave_up(30);
    assert_eq!(rollout.verdict, Verdict::Warn);
    assert!(
        find(&rollout, "clients-gave-up").is_some_and(
            |f| f.evidence[0].contains("30 clients left without their answer in 120 s")
        )
    );
    assert!(find(&gave_up(2), "clients-gave-up").is_none());
}

#[test]
fn an_upstream_that_closed_early_fails_the_one_who_asked() {
    let rollout = rolled_out(Vec::new(), |correlator| {
        correlator.start(start("web", 80, 1.0));
        looks(correlator, Role::Client, |i, look| {
            look.service.port = 9_000;
            look.unanswered = u64::from(i == 3) * 10;
        });
    });
    assert_eq!(rollout.verdict, Verdict::Fail);
    assert!(
        find(&rollout, "upstream-closed-early")
            .is_some_and(|f| f.evidence[0].starts_with("To port 9000 of others: 10 connections"))
    );
}

#[test]
fn sockets_that_stay_in_close_wait_leak() {
    let leak = |grows: fn(u32) -> u64| {
        let rollout = rolled_out(Vec::new(), |correlator| {
            correlator.start(start("web", 80, 1.0));
            looks(correlator, Role::Server, |i, look| {
                look.close_wait = grows(i);
            });
        });
        find(&rollout, "close-wait-leak").cloned()
    };
    assert!(leak(|i| 3 + u64::from(i)).is_some_and(|f| {
        f.evidence[0].contains("26 sockets in CLOSE_WAIT, 3 at the rollout's start")
    }));
    assert_eq!(leak(|i| 3 + u64::from(i % 20)), None, "they get fewer");
    assert_eq!(leak(|_| 40), None, "they were there before");
}

#[test]
fn an_idle_timeout_shows_in_the_same_idle_time() {
    let apart = |apart_secs: f64, idle: [Option<f64>; 4]| {
        let rollout = rolled_out(Vec::new(), |correlator| {
            correlator.start(start("web", 80, 1.0));
            for (number, idle_secs) in (0u8..).zip(idle) {
                correlator.late_close(&LateClose {
                    service: service("web", 80),
                    at: at(5.0 + f64::from(number) * apart_secs),
                    idle_secs,
                });
            }
        });
        find(&rollout, "idle-timeout-race").cloned()
    };
    let race = |idle| apart(0.5, idle);
    let same = race([Some(60.1), Some(60.0), Some(60.2), Some(12.0)]).expect("told");
    assert!(same.evidence[1].contains("idle for 60 s"), "{same:?}");
    assert_eq!(race([Some(5.0), Some(60.0), Some(33.0), Some(12.0)]), None);
    assert!(race([None; 4]).is_some_and(|f| f.evidence[1].contains("not known")));
    assert_eq!(apart(0.01, [Some(60.0); 4]), None, "closed in one moment");
}

#[test]
fn looks_are_wanted_only_while_a_rollout_of_the_workload_runs() {
    let mut story = Story::new();
    assert!(!story.correlator.wants(&service("web", 80)));
    story.correlator.event(begins("web", "v2", 0.0));
    assert!(story.correlator.wants(&service("web", 9_999)));
    assert!(!story.correlator.wants(&service("db", 80)));
}
