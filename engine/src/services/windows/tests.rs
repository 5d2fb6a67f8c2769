//! Windows: what is in them, what is left out of them, and what they cost.

use std::collections::BTreeMap;

use finwatch_common::{Lost, Origin, Outcome, PHASES, Role};
use proptest::prelude::*;

use super::{
    super::{Gauges, ResetSeries, settle},
    *,
};
use crate::model::{Workload, WorkloadKind};

const SEC: u64 = 1_000_000_000;

fn labels(port: u16) -> Arc<SeriesLabels> {
    Arc::new(SeriesLabels {
        workload: Workload::on_host(WorkloadKind::Unit, "nginx.service"),
        port,
        role: Role::Server,
    })
}

/// A service that has counted so much in phase `steady`, and elsewhere.
fn service(
    labels: &Arc<SeriesLabels>,
    steady: &[(Cell, u64)],
    draining: &[(Cell, u64)],
) -> SeriesView {
    let row = |cells: &[(Cell, u64)]| {
        let mut row = settle::EMPTY;
        for (cell, count) in cells {
            row[cell.index()] = *count;
        }
        settle::settle(&row)
    };
    let mut phases = [row(&[]); PHASES];
    phases[Phase::Steady as usize] = row(steady);
    phases[Phase::Draining as usize] = row(draining);
    SeriesView {
        labels: Arc::clone(labels),
        phases,
        resets: BTreeMap::new(),
        gauges: Gauges::default(),
        gap_ns: 0,
        gaps: 0,
    }
}

const LOCAL: Cell = Cell::closes(Origin::Local, Outcome::Fin);

/// Looks every five seconds until `until_secs`; the service has counted `rate` closes a second, with a TIME_WAIT each.
fn looked(windows: &mut Windows, labels: &Arc<SeriesLabels>, until_secs: u64, rate: u64) {
    for secs in (0..=until_secs).step_by(5) {
        let count = secs * rate;
        let view = service(labels, &[(LOCAL, count), (Cell::TIME_WAIT, count)], &[]);
        windows.look(secs * SEC, &[view]);
    }
}

#[test]
fn the_time_before_t0_is_counted_without_the_bucket_that_t0_is_in() {
    let (mut windows, labels) = (Windows::new(600 * SEC), labels(80));
    looked(&mut windows, &labels, 100, 3);
    let baseline = windows.baseline(&labels, 97 * SEC);
    assert_eq!(baseline.window_secs, 90.0);
    assert_eq!(baseline.counts.local_first, 270);
    assert_eq!(baseline.counts.fin, 270);
    assert_eq!(baseline.counts.time_wait, 270);
    assert_eq!(baseline.counts.closes(), 270);
    assert_eq!(windows.baseline(&labels, 100 * SEC).window_secs, 100.0);
    assert_eq!(windows.baseline(&labels, 9 * SEC), Baseline::default());
}

#[test]
fn no_more_than_the_window_is_kept() {
    let (mut windows, labels) = (Windows::new(60 * SEC), labels(80));
    looked(&mut windows, &labels, 1_000, 2);
    let baseline = windows.baseline(&labels, 1_000 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.local_first),
        (60.0, 120)
    );

    let mut windows = Windows::new(600 * SEC);
    looked(&mut windows, &labels, 5_000, 2);
    let baseline = windows.baseline(&labels, 5_003 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.local_first),
        (590.0, 1_180)
    );
    assert!(windows.ends.len() <= BUCKETS_MAX + 1);
}

#[test]
fn a_long_window_has_longer_buckets() {
    let (mut windows, labels) = (Windows::new(3_600 * SEC), labels(80));
    looked(&mut windows, &labels, 7_200, 1);
    let baseline = windows.baseline(&labels, 7_200 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.local_first),
        (3_600.0, 3_600)
    );
}

#[test]
fn what_was_counted_before_a_service_was_known_is_not_its_ordinary_time() {
    let (mut windows, labels) = (Windows::new(600 * SEC), labels(80));
    for secs in [0, 10, 20] {
        windows.look(secs * SEC, &[]);
    }
    windows.look(30 * SEC, &[service(&labels, &[(LOCAL, 5_000)], &[])]);
    windows.look(40 * SEC, &[service(&labels, &[(LOCAL, 5_007)], &[])]);
    let baseline = windows.baseline(&labels, 45 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.local_first),
        (10.0, 7)
    );
}

#[test]
fn buckets_with_another_phase_are_left_out() {
    let (mut windows, labels) = (Windows::new(600 * SEC), labels(80));
    for (secs, steady, draining) in [(0, 0, 0), (10, 10, 0), (20, 12, 40), (30, 22, 40)] {
        windows.look(
            secs * SEC,
            &[service(&labels, &[(LOCAL, steady)], &[(LOCAL, draining)])],
        );
    }
    let baseline = windows.baseline(&labels, 30 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.local_first),
        (20.0, 20)
    );
}

/// The same with somebody who listens, or nobody.
fn listening(view: SeriesView, listeners: u64) -> SeriesView {
    SeriesView {
        gauges: Gauges {
            listeners,
            ..Gauges::default()
        },
        ..view
    }
}

/// A unit under the same labels whatever its cgroup: twelve seconds up with a close a second, a minute down, up again.
/// Looks every two seconds, and what `told` says of the time between the two listeners.
fn down_for_a_minute(told: impl Fn(&mut Windows, &SeriesLabels, u64)) -> Windows {
    let (mut windows, labels) = (Windows::new(600 * SEC), labels(80));
    for secs in (0..=90_u64).step_by(2) {
        let up = !(12..72).contains(&secs);
        let count = secs.min(12) + secs.saturating_sub(72);
        let view = service(&labels, &[(LOCAL, count)], &[]);
        windows.look(secs * SEC, &[listening(view, up.into())]);
        told(&mut windows, &labels, secs);
    }
    windows
}

#[test]
fn time_in_which_nobody_listened_is_no_ordinary_time() {
    let windows = down_for_a_minute(|windows, labels, secs| {
        if secs == 74 {
            windows.pause(labels, 12 * SEC, 72 * SEC);
        }
    });
    let baseline = windows.baseline(&labels(80), 90 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.local_first),
        (12.0 + 18.0, 30)
    );
    let baseline = windows.baseline(&labels(80), 84 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.local_first),
        (12.0 + 8.0, 20),
        "the bucket of T0 is left out"
    );
}

#[test]
fn without_a_word_of_listeners_it_is_left_out_by_the_bucket() {
    let windows = down_for_a_minute(|_, _, _| {});
    let baseline = windows.baseline(&labels(80), 90 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.local_first),
        (40.0, 30),
        "two of the buckets are its own in part"
    );
    let before_it_is_back = windows.baseline(&labels(80), 65 * SEC);
    assert_eq!(
        (
            before_it_is_back.window_secs,
            before_it_is_back.counts.local_first
        ),
        (20.0, 12)
    );
}

#[test]
fn another_listener_of_the_same_name_fills_the_time_in_which_one_is_down() {
    let (mut windows, labels) = (Windows::new(600 * SEC), labels(80));
    for secs in (0..=60).step_by(10) {
        let view = service(&labels, &[(LOCAL, secs)], &[]);
        windows.look(secs * SEC, &[listening(view, 1)]);
        if secs == 50 {
            windows.pause(&labels, 12 * SEC, 52 * SEC);
        }
    }
    let baseline = windows.baseline(&labels, 60 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.local_first),
        (58.0, 60),
        "nothing is known of the two seconds after the last look"
    );
}

#[test]
fn a_bucket_without_a_listener_counts_where_connections_ended_in_it() {
    let (mut windows, labels) = (Windows::new(600 * SEC), labels(80));
    for (secs, closes, refused, listeners) in [
        (0, 0, 0, 1),
        (10, 5, 0, 0),
        (20, 8, 0, 0),
        (30, 8, 40, 0),
        (40, 9, 40, 1),
    ] {
        let cells = [(LOCAL, closes), (Cell::REFUSED, refused)];
        let view = service(&labels, &cells, &[]);
        windows.look(secs * SEC, &[listening(view, listeners)]);
    }
    let baseline = windows.baseline(&labels, 40 * SEC);
    assert_eq!(
        (
            baseline.window_secs,
            baseline.counts.local_first,
            baseline.counts.refused
        ),
        (30.0, 9, 0),
        "refused SYNs are no sign of a service"
    );
}

#[test]
fn who_was_never_seen_to_listen_is_there_for_as_long_as_it_is_known() {
    let (mut windows, labels) = (Windows::new(600 * SEC), labels(80));
    for secs in (0..=60).step_by(10) {
        let view = service(&labels, &[(LOCAL, 1)], &[]);
        windows.look(secs * SEC, &[view]);
    }
    assert_eq!(windows.baseline(&labels, 60 * SEC).window_secs, 60.0);
}

#[test]
fn resets_are_told_by_what_they_threw_away() {
    let (mut windows, labels) = (Windows::new(600 * SEC), labels(80));
    let mut view = service(&labels, &[], &[]);
    windows.look(0, &[view.clone()]);
    for (phase, reason, lost, count) in [
        (Phase::Steady, 8, Lost::Goodbye, 4),
        (Phase::Steady, 11, Lost::Goodbye, 2),
        (Phase::Steady, 11, Lost::Data, 1),
    ] {
        view.resets.insert(
            ResetSeries {
                phase,
                reason,
                lost,
            },
            count,
        );
    }
    windows.look(10 * SEC, &[view]);
    let counts = windows.baseline(&labels, 10 * SEC).counts;
    assert_eq!((counts.resets(), counts.resets_without_goodbyes()), (7, 1));
}

#[test]
fn a_service_that_went_and_came_begins_anew() {
    let (mut windows, labels) = (Windows::new(600 * SEC), labels(80));
    windows.look(0, &[service(&labels, &[(LOCAL, 900)], &[])]);
    windows.look(10 * SEC, &[]);
    windows.look(20 * SEC, &[service(&labels, &[(LOCAL, 3)], &[])]);
    windows.look(30 * SEC, &[service(&labels, &[(LOCAL, 4)], &[])]);
    let baseline = windows.baseline(&labels, 30 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.local_first),
        (10.0, 1)
    );
}

#[test]
fn a_counter_that_went_backwards_is_no_great_count() {
    let (mut windows, labels) = (Windows::new(600 * SEC), labels(80));
    for (secs, count) in [(0, 900), (10, 3), (20, 5)] {
        windows.look(secs * SEC, &[service(&labels, &[(LOCAL, count)], &[])]);
    }
    let baseline = windows.baseline(&labels, 20 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.local_first),
        (10.0, 2)
    );
}

#[test]
fn a_thousand_busy_services_cost_less_than_a_megabyte_and_a_half() {
    let all: Vec<_> = (0..1_000).map(|i| labels(10_000 + i)).collect();
    let mut windows = Windows::new(600 * SEC);
    for look in 0..200u64 {
        // Some hundred connections in ten seconds each: opened, closed by either side, with what belongs to it.
        let count = look * 137;
        let remote = Cell::closes(Origin::Remote, Outcome::Fin);
        let cells = [
            (Cell::OPENED, count * 2),
            (LOCAL, count),
            (remote, count),
            (Cell::TIME_WAIT, count),
            (Cell::FIN_WAIT2, look / 3),
            (Cell::ABANDONED, look / 2),
        ];
        let views: Vec<_> = all
            .iter()
            .map(|labels| service(labels, &cells, &[]))
            .collect();
        windows.look(look * 10 * SEC, &views);
    }
    let baseline = windows.baseline(&all[7], 2_000 * SEC);
    assert_eq!(
        (baseline.window_secs, baseline.counts.opened),
        (590.0, 59 * 274)
    );
    assert!(windows.bytes() < 1_500_000, "{}", windows.bytes());
}

#[test]
fn past_the_bound_a_service_has_no_window_and_is_counted() {
    let all: Vec<_> = (0..SERVICES_MAX as u16 + 3).map(labels).collect();
    let views: Vec<_> = all.iter().map(|labels| service(labels, &[], &[])).collect();
    let mut windows = Windows::new(600 * SEC);
    windows.look(0, &views);
    assert_eq!(
        (windows.services.len(), windows.left_out()),
        (SERVICES_MAX, 3)
    );
}

proptest! {
    /// Whatever was counted comes out again, of every cell, and never more than a stream may hold is kept.
    #[test]
    fn sums_are_those_of_a_plain_list(
        buckets in prop::collection::vec(prop::collection::vec((0usize..3, 0u64..3_000_000), 0..4), 1..150),
        t0_secs in 0u64..1_600,
    ) {
        let (mut windows, labels) = (Windows::new(600 * SEC), labels(80));
        let cells = [LOCAL, Cell::UNREAD_BYTES, Cell::OPENED];
        let mut totals = [0u64; 3];
        let mut plain = Vec::new();
        windows.look(0, &[service(&labels, &[], &[])]);
        for (i, bucket) in buckets.iter().enumerate() {
            let before = totals;
            for (cell, count) in bucket {
                totals[*cell] += count;
            }
            let end = (i as u64 + 1) * 10;
            plain.push((end, totals[0] - before[0], totals[1] - before[1], totals[2] - before[2]));
            let view: Vec<_> = cells.iter().copied().zip(totals).collect();
            windows.look(end * SEC, &[service(&labels, &view, &[])]);
        }
        let now = buckets.len() as u64 * 10;
        let t0 = t0_secs.min(now + 9);
        let oldest = now.saturating_sub(600);
        let within = |end: u64| end <= t0 && end - 10 >= t0.saturating_sub(600) && end > oldest;
        let expected: Vec<_> = plain.iter().filter(|(end, ..)| within(*end)).collect();
        let baseline = windows.baseline(&labels, t0 * SEC);
        prop_assert_eq!(baseline.window_secs, expected.len() as f64 * 10.0);
        prop_assert_eq!(baseline.counts.local_first, expected.iter().map(|b| b.1).sum::<u64>());
        prop_assert_eq!(baseline.counts.unread_bytes, expected.iter().map(|b| b.2).sum::<u64>());
        prop_assert_eq!(baseline.counts.opened, expected.iter().map(|b| b.3).sum::<u64>());
    }
}
