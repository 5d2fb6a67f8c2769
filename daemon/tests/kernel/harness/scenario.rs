//! One scenario: do something to sockets in a namespace of its own, then compare every cell and check
//! the identities.

use std::{thread, time::Duration};

use finwatch::probe::Rows;
use finwatch_common::Phase;

use super::{Expect, Netns, Observed, check_identities, hidden::unless_hidden, shared, wait};

/// Runs `body` in a new namespace and holds what finwatch counted there against what `body` says.
#[track_caller]
pub(crate) fn scenario(mut body: impl FnMut(&Netns) -> Expect + Send) {
    let probe = shared();
    unless_hidden(|| {
        Netns::run(|ns| {
            let expect = body(ns);
            settle(ns, &expect);
            check_identities(ns, &Observed::read(probe.counters(), ns.cookie()));
        });
    });
}

/// Waits until all that `expect` says was counted, and nothing else.
#[track_caller]
pub(crate) fn settle(ns: &Netns, expect: &Expect) {
    let counters = shared().counters();
    settle_to_none(|| Observed::read(counters, ns.cookie()).differences(expect));
}

/// Waits until there is no difference between what was counted and what must be, and none a moment later either: counts that only
/// pass through the right values are wrong. What comes late is waited for, what is too much or never comes is an error that names
/// every cell.
#[track_caller]
pub(crate) fn settle_to_none(mut differences: impl FnMut() -> Vec<String>) {
    let (mut last, mut was_right) = (Vec::new(), false);
    let settled = within_settle(&mut || {
        last = differences();
        if last.is_empty() {
            was_right = true;
            thread::sleep(MOMENT);
            last = differences();
        }
        last.is_empty()
    });
    let passed_by = if was_right {
        ", after all of it had been right"
    } else if shared().with(|probe| probe.losses.read()).rows_full > 0 {
        ", and its table of rows is full"
    } else {
        ""
    };
    assert!(
        settled,
        "finwatch counted otherwise{passed_by}:\n  {}",
        last.join("\n  ")
    );
}

/// Between two readings that must be the same.
const MOMENT: Duration = Duration::from_millis(20);

/// What each phase must have counted; a phase that is not named, nothing.
pub(crate) type ByPhase = [(Phase, Expect)];

/// As [`settle`], each phase's rows by themselves.
#[track_caller]
pub(crate) fn settle_phases(counters: &Rows, ns: &Netns, expect: &ByPhase) {
    settle_to_none(|| phase_differences(counters, ns, expect));
}

fn phase_differences(counters: &Rows, ns: &Netns, expect: &ByPhase) -> Vec<String> {
    let nothing = Expect::default();
    [Phase::Steady, Phase::Draining, Phase::Reloading]
        .into_iter()
        .flat_map(|phase| {
            let said = expect.iter().find(|(said, _)| *said == phase);
            let expect = said.map_or(&nothing, |(_, expect)| expect);
            let observed = Observed::read_phase(counters, ns.cookie(), phase);
            let differences = observed.differences(expect).into_iter();
            differences.map(move |line| format!("{phase:?}: {line}"))
        })
        .collect()
}

/// Whether `holds` came true in the time that counts may take to show.
pub(crate) fn within_settle(holds: &mut dyn FnMut() -> bool) -> bool {
    wait::within(wait::SETTLE, holds)
}
