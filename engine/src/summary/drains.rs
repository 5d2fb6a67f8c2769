//! The drains of a rollout, the worst first.

use std::cmp::Reverse;

use super::subject::Subject;
use crate::model::{Drain, Verdict};
use crate::render::{
    lists::{id, table_of_shown, took, verdict},
    tree::{Kind, Table},
    units::{after, service},
};

/// Most drains that are shown.
pub(super) const SHOWN_MAX: usize = 10;

/// The worst, one line each. What is the same for all of them, or nothing, is left out.
pub(super) fn worst(subject: &Subject<'_>) -> Table {
    let mut drains: Vec<&Drain> = subject.drains.iter().collect();
    drains.sort_by_key(|drain| {
        let counts = &drain.counts;
        Reverse((
            gravity(drain.verdict, subject.verdict),
            drain.lost().total(),
            counts.refused,
            Reverse(drain.started_at),
        ))
    });
    drains.truncate(SHOWN_MAX);
    let first = subject.drains.first().map(|drain| &drain.service);
    let several = subject
        .drains
        .iter()
        .any(|drain| Some(&drain.service) != first);
    let refused = drains.iter().any(|drain| drain.counts.refused > 0);
    let columns = [
        (true, "DRAIN", Kind::Text),
        (several, "SERVICE", Kind::Name),
        (true, "KIND", Kind::Text),
        (true, "BEGAN", Kind::Number),
        (true, "TOOK", Kind::Number),
        (true, "OPEN", Kind::Number),
        (true, "CUT", Kind::Number),
        (refused, "REFUSED", Kind::Number),
        (true, "VERDICT", Kind::Text),
    ];
    let rows = drains.into_iter().map(|drain| {
        [
            id(&drain.id),
            service(&drain.service).into(),
            drain.kind.as_str().to_owned().into(),
            after(drain.started_at, subject.started_at).into(),
            took(drain).into(),
            drain.open_at_start.to_string().into(),
            drain.lost().total().to_string().into(),
            drain.counts.refused.to_string().into(),
            verdict(drain.ended_at.is_some(), drain.verdict),
        ]
    });
    table_of_shown(columns, rows)
}

/// A drain of which too little was seen is of note where it leaves the whole in doubt, and else it was idle.
fn gravity(verdict: Verdict, of_all: Verdict) -> u8 {
    match verdict {
        Verdict::Fail => 4,
        Verdict::Inconclusive if of_all == Verdict::Inconclusive => 3,
        Verdict::Warn => 2,
        Verdict::Pass => 1,
        Verdict::Inconclusive => 0,
    }
}
