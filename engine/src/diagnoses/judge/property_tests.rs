//! What must hold of every drain, however odd its facts: no panic, the same answer twice, and a verdict that neither
//! a loss of records nor anything else turns from a failure into a pass.

use proptest::prelude::*;

use super::{scenarios::*, *};
use crate::model::{Baseline, Counts, Cuts, Drain, DrainKind, Resets};

prop_compose! {
    fn cuts()(unanswered in small(), unread in small(), late in small()) -> Cuts {
        Cuts { unanswered, unread, late }
    }
}

prop_compose! {
    fn counts()(
        cut in cuts(),
        [opened, local_first, remote_first, both_first, no_fin, fin] in prop::array::uniform6(number()),
        [reset_sent, reset_received, timeout, time_wait, fin_wait2, abandoned] in prop::array::uniform6(number()),
        [unacked, unacked_bytes, by_exit, by_exit_while_sending, refused, accept_queue_dropped]
            in prop::array::uniform6(small()),
        (nothing, goodbye, data) in (small(), small(), small()),
    ) -> Counts {
        Counts {
            cut, opened, local_first, remote_first, both_first, no_fin, fin, reset_sent, reset_received, timeout,
            time_wait, fin_wait2, abandoned, unacked, unacked_bytes, by_exit, by_exit_while_sending, refused,
            accept_queue_dropped,
            resets_sent: vec![Resets { reason: "any".to_owned(), nothing, goodbye, goodbye_of_cut: 0, data }],
            ..Counts::default()
        }
    }
}

prop_compose! {
    pub(crate) fn drains()(
        program in prop::sample::select(vec!["nginx", "uwsgi", "java", "checkout", ""]),
        name in prop::sample::select(vec!["SIGTERM", "SIGQUIT", "SIGHUP", "SIGKILL"]),
        kind in prop::sample::select(DrainKind::ALL.to_vec()),
        (counts, ordinary) in (counts().boxed(), counts().boxed()),
        window_secs in prop::sample::select(vec![0.0, 10.0, 30.0, 600.0]),
        [open, asked, opened_after, still_open] in prop::array::uniform4(small()),
        awaiting in prop::option::of(small()),
        [exit, last_close, kill, listener] in prop::array::uniform4(prop::option::of(-1.0f64..4_000.0)),
        ended in any::<bool>(),
        (records_lost, signs) in (prop::sample::select(vec![0u64, 0, 1, u64::MAX]), prop::array::uniform4(small())),
        (interrupted, turns_not_judged) in (prop::bool::weighted(0.1), prop::bool::weighted(0.2)),
    ) -> Drain {
        let mut drain = drain(program, name);
        drain.kind = kind;
        drain.counts = counts;
        drain.baseline = Baseline { window_secs, counts: ordinary };
        (drain.open_at_start, drain.asked_after_start) = (open, asked);
        (drain.opened_after_start, drain.still_open) = (opened_after, still_open);
        drain.awaiting_at_start = awaiting;
        drain.last_close_at = last_close.map(at);
        drain.listening.closed_at = listener.map(at);
        drain.exit = exit.zip(drain.exit).map(|(secs, exit)| crate::model::Exit { at: at(secs), ..exit });
        drain.further_signals = kill.map(|secs| signal("SIGKILL", secs, program)).into_iter().collect();
        drain.ended_at = ended.then(|| at(100.0));
        drain.records_lost = records_lost;
        (drain.interrupted, drain.turns_not_judged) = (interrupted, turns_not_judged);
        let [new_workers, refused, truncated, likely] = signs;
        drain.new_processes = new_workers;
        drain.lived_on = new_workers > 10;
        drain.signs.refused_while_running = refused;
        drain.signs.truncated = truncated;
        drain.likely_cut = likely;
        drain
    }
}

/// Counts as they come: mostly none.
fn number() -> BoxedStrategy<u64> {
    prop_oneof![3 => Just(0u64), 2 => 1u64..50, 1 => 0u64..10_000_000].boxed()
}

fn small() -> BoxedStrategy<u64> {
    prop_oneof![2 => Just(0u64), 1 => 1u64..30].boxed()
}

proptest! {
    #[test]
    fn the_same_facts_give_the_same_answer(drain in drains()) {
        prop_assert_eq!(judged(drain.clone()), judged(drain));
    }

    #[test]
    fn nothing_cut_is_ever_passed(drain in drains()) {
        let verdict = judged(drain.clone()).verdict;
        if drain.counts.cut.total() > 0 && !drain.turns_not_judged {
            prop_assert!(matches!(verdict, Verdict::Fail | Verdict::Inconclusive), "{:?}", verdict);
            prop_assert_eq!(
                verdict == Verdict::Fail,
                drain.ended_at.is_some() && !drain.interrupted
            );
        }
    }

    #[test]
    fn a_loss_of_records_never_makes_it_better(drain in drains(), more in 1u64..1_000) {
        let before = judged(drain.clone()).verdict;
        let mut degraded = drain;
        degraded.records_lost = degraded.records_lost.saturating_add(more);
        let after = judged(degraded).verdict;
        prop_assert!(after >= before, "{:?} became {:?}", before, after);
        prop_assert!(after > Verdict::Warn, "{:?}", after);
    }

    #[test]
    fn what_still_lasts_has_no_verdict(drain in drains()) {
        if drain.ended_at.is_none() {
            prop_assert_eq!(judged(drain).verdict, Verdict::Inconclusive);
        }
    }

    #[test]
    fn findings_are_told_once_each_and_agree_with_the_verdict(drain in drains()) {
        let drain = judged(drain);
        let mut names: Vec<_> = drain.findings.iter().map(|f| &f.diagnosis).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), drain.findings.len());
        let failed = drain.findings.iter().any(|f| f.severity == Severity::Fail);
        if drain.ended_at.is_some() && !drain.interrupted {
            prop_assert_eq!(drain.verdict == Verdict::Fail, failed);
        }
        if drain.findings.iter().any(|f| f.diagnosis == "clean-drain") {
            prop_assert!(!failed);
        }
    }
}
