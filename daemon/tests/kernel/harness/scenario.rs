//! One scenario: do something to sockets in a namespace of its own, then compare every cell and check
//! the identities.

use finwatch::probe::Rows;
use finwatch_common::Phase;

use super::{Expect, Netns, Observed, check_identities, shared, wait};

/// Runs `body` in a new namespace and holds what finwatch counted there against what `body` says.
#[track_caller]
pub(crate) fn scenario(body: impl FnOnce(&Netns) -> Expect + Send) {
    let probe = shared();
    Netns::run(|ns| {
        let expect = body(ns);
        settle(ns, &expect);
        check_identities(ns, &Observed::read(probe.counters(), ns.cookie()));
    });
}

/// Waits until all that `expect` says was counted. What comes late is waited for, what is too much or
/// never comes is an error that names every cell.
#[track_caller]
pub(crate) fn settle(ns: &Netns, expect: &Expect) {
    let counters = shared().counters();
    let mut observed = Observed::default();
    let settled = within_settle(&mut || {
        observed = Observed::read(counters, ns.cookie());
        observed.differences(expect).is_empty()
    });
    assert!(
        settled,
        "finwatch counted otherwise:\n  {}",
        observed.differences(expect).join("\n  ")
    );
}

/// What each phase must have counted; a phase that is not named, nothing.
pub(crate) type ByPhase = [(Phase, Expect)];

/// As [`settle`], each phase's rows by themselves.
#[track_caller]
pub(crate) fn settle_phases(counters: &Rows, ns: &Netns, expect: &ByPhase) {
    let mut differences = Vec::new();
    let settled = within_settle(&mut || {
        differences = phase_differences(counters, ns, expect);
        differences.is_empty()
    });
    assert!(
        settled,
        "finwatch counted otherwise:\n  {}",
        differences.join("\n  ")
    );
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
