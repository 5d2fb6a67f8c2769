//! Growth over a rollout: what its drains counted, beside their services' ordinary minutes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    diagnoses::{
        growth::{self, BASELINE_MIN_SECS, ordinary_secs},
        judge::seen_until,
    },
    model::{Baseline, Counts, Drain, Growth, GrowthTest, Service},
    render::units::secs,
};

/// What all drains counted.
pub(super) fn sum(drains: &[Drain]) -> Counts {
    let mut counts = Counts::default();
    for drain in drains {
        counts.add(&drain.counts);
    }
    counts
}

/// Growth of TIME_WAITs and of resets.
pub(super) fn growth(drains: &[Drain]) -> Growth {
    Growth {
        time_wait: test(drains, |counts| counts.time_wait + counts.fin_wait2),
        resets: test(drains, Counts::resets_without_goodbyes),
        resets_with_goodbyes: test(drains, Counts::resets),
    }
}

/// One service's share: the times its drains took, and its ordinary time.
struct Share<'a> {
    counted: u64,
    spans: Vec<(Timestamp, Timestamp)>,
    ordinary: &'a Baseline,
}

/// Drains of one service that overlap share their seconds, and its ordinary time counts once. Over several services
/// seconds are added up: those of a service beside those of its own ordinary time.
fn test(drains: &[Drain], of: impl Fn(&Counts) -> u64) -> GrowthTest {
    let mut shares: BTreeMap<&Service, Share<'_>> = BTreeMap::new();
    for drain in drains {
        let share = shares.entry(&drain.service).or_insert_with(|| Share {
            counted: 0,
            spans: Vec::new(),
            ordinary: &drain.baseline,
        });
        share.counted += of(&drain.counts);
        share
            .spans
            .push((drain.started_at, seen_until(drain, None)));
        // The longest ordinary time: that of the first drain, or of one that came with more known.
        if ordinary_secs(&drain.baseline) > ordinary_secs(share.ordinary) {
            share.ordinary = &drain.baseline;
        }
    }
    // A service without ordinary time would make the others' look shorter.
    let is_known = |share: &Share<'_>| ordinary_secs(share.ordinary) >= BASELINE_MIN_SECS;
    if shares.values().any(is_known) {
        shares.retain(|_, share| is_known(share));
    }
    let (mut count, mut count_secs, mut before, mut before_secs) = (0, 0.0, 0, 0.0);
    for share in shares.into_values() {
        count += share.counted;
        count_secs += together(share.spans).max(1.0);
        before += of(&share.ordinary.counts);
        before_secs += ordinary_secs(share.ordinary);
    }
    growth::test(count, count_secs, before, before_secs)
}

/// Seconds in which at least one of the spans lasted.
fn together(mut spans: Vec<(Timestamp, Timestamp)>) -> f64 {
    spans.sort_unstable();
    let mut total = 0.0;
    let mut reached: Option<Timestamp> = None;
    for (from, until) in spans {
        let from = reached.map_or(from, |reached| reached.max(from));
        if until > from {
            total += secs(from, until);
            reached = Some(until);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnoses::judge::scenarios::at;

    #[test]
    fn spans_that_overlap_count_once() {
        assert_eq!(
            together(vec![
                (at(0.0), at(2.0)),
                (at(1.0), at(3.0)),
                (at(1.5), at(2.5))
            ]),
            3.0
        );
        assert_eq!(together(vec![(at(5.0), at(6.0)), (at(0.0), at(2.0))]), 3.0);
        assert_eq!(together(Vec::new()), 0.0);
    }
}
