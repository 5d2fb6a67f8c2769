//! What is asked of the books about one service is what they show of all.

use std::path::PathBuf;

use finwatch_common::{CELLS, CounterRow, Phase};

use super::*;
use crate::attribution::AttributionOptions;
use finwatch_engine::services::Filter;

/// Holds what a test puts into it.
#[derive(Default)]
struct Held {
    rows: Mutex<BTreeMap<ServiceKey, CounterRow>>,
    broken: bool,
}

impl Held {
    fn refuse(&self, key: ServiceKey, count: u64) {
        let mut rows = self.rows.lock().expect("no panic");
        rows.entry(key).or_insert([0; CELLS])[Cell::REFUSED.index()] += count;
    }
}

impl Kernel for Held {
    fn live(&self) -> anyhow::Result<Reading> {
        let rows = self.rows.lock().expect("no panic");
        Ok(Reading {
            rows: rows.iter().map(|(key, row)| (*key, *row)).collect(),
            resets: Vec::new(),
        })
    }

    fn row(&self, key: &ServiceKey) -> anyhow::Result<CounterRow> {
        anyhow::ensure!(!self.broken, "a broken kernel");
        let rows = self.rows.lock().expect("no panic");
        Ok(rows.get(key).copied().unwrap_or([0; CELLS]))
    }

    fn rotate(&self) -> anyhow::Result<Reading> {
        let live = self.live()?;
        self.rows.lock().expect("no panic").clear();
        Ok(live)
    }

    fn losses(&self) -> Losses {
        Losses::default()
    }

    fn figures(&self) -> ProbeFigures {
        ProbeFigures::default()
    }

    fn reset_reason(&self, reason: u8) -> String {
        reason.to_string()
    }
}

/// Books in which every service is called by its program, and one service at most is shown.
fn accounts(kernel: Held) -> Accounts<Held> {
    let limits = Limits {
        servers: 1,
        clients: 1,
        retention_ns: u64::MAX,
        retired: 1,
        filter: Filter::default(),
    };
    let attribution = Attribution::new(&AttributionOptions {
        cgroup_root: Some(PathBuf::from("/nonexistent")),
        ..AttributionOptions::default()
    });
    Accounts::new(kernel, limits, attribution)
}

fn web(netns: u64, port: u16) -> ServiceKey {
    let mut key = ServiceKey::other(Role::Server, Phase::Steady);
    (key.cgroup, key.netns, key.port) = (4_711, netns, port);
    key.comm[..3].copy_from_slice(b"web");
    key
}

fn shown(accounts: &Accounts<Held>, key: &ServiceKey) -> [u64; PHASES] {
    let labels = accounts.labels(key);
    let view = accounts.view();
    let series = view.series.iter().find(|series| *series.labels == labels);
    series.map_or([0; PHASES], |series| {
        series.phases.map(|row| row.get(Cell::REFUSED))
    })
}

#[test]
fn refused_syns_of_one_service_are_those_that_are_shown() {
    let accounts = accounts(Held::default());
    // The same service in two network namespaces is one series; the other port is past the limit.
    let (one, two, unlisted) = (web(1, 80), web(2, 80), web(1, 81));
    accounts.kernel.refuse(one, 1);
    assert_eq!(accounts.refused(&one), [1, 0, 0], "before it was observed");
    assert_eq!(shown(&accounts, &one), [1, 0, 0]);
    accounts.rotate().expect("rows");
    accounts.kernel.refuse(one, 20);
    accounts.kernel.refuse(one.in_phase(Phase::Draining), 300);
    accounts
        .kernel
        .refuse(two.in_phase(Phase::Reloading), 4_000);
    accounts.kernel.refuse(unlisted, 50_000);
    for key in [one, two, one.in_phase(Phase::Draining), unlisted] {
        let shown = shown(&accounts, &key);
        assert_eq!(accounts.refused(&key), shown, "{key:?}");
    }
    assert_eq!(accounts.refused(&two), [21, 300, 4_000]);
    assert_eq!(accounts.refused(&unlisted), [0; PHASES]);
}

#[test]
fn a_reading_that_fails_is_counted_and_tells_nothing() {
    let accounts = accounts(Held {
        broken: true,
        ..Held::default()
    });
    assert_eq!(accounts.refused(&web(1, 80)), [0; PHASES]);
    assert_eq!(accounts.snapshot().failed_readings, 1);
}
