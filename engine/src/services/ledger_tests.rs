//! The ledger against a plain model: whatever comes and goes, nothing shown goes backwards and nothing is lost.

use std::collections::BTreeMap;

use finwatch_common::{CELLS, Origin, Outcome};
use proptest::prelude::*;

use super::*;
use crate::{
    model::Workload,
    services::{Filter, Surveyed},
};

const HOUR_NS: u64 = 3_600_000_000_000;

fn limits() -> Limits {
    Limits {
        servers: 1_000,
        clients: 200,
        retention_ns: HOUR_NS,
        retired: 10,
        filter: Filter::default(),
    }
}

fn key(cgroup: u64, port: u16) -> ServiceKey {
    let mut key = ServiceKey::other(Role::Server, Phase::Steady);
    key.cgroup = cgroup;
    key.netns = 1;
    key.port = port;
    key
}

fn row(cells: &[(Cell, u64)]) -> CounterRow {
    let mut row = [0; CELLS];
    for (cell, count) in cells {
        row[cell.index()] += count;
    }
    row
}

fn reading(rows: &[(ServiceKey, CounterRow)]) -> Reading {
    Reading {
        read_ns: 0,
        rows: rows.to_vec(),
        resets: Vec::new(),
    }
}

fn by_cgroup(key: &ServiceKey) -> Workload {
    Workload::on_host(WorkloadKind::Container, format!("c{}", key.cgroup))
}

/// A ledger whose services get their names as soon as they are asked for.
struct Named {
    ledger: Ledger,
    names: Names,
    name: fn(&ServiceKey) -> Workload,
}

impl Named {
    fn new(limits: Limits) -> Self {
        Self {
            ledger: Ledger::new(limits),
            names: Names::default(),
            name: by_cgroup,
        }
    }

    fn by(limits: Limits, name: fn(&ServiceKey) -> Workload) -> Self {
        Self {
            name,
            ..Self::new(limits)
        }
    }

    fn absorb(&mut self, rotated: &Reading, now_ns: u64) {
        self.ledger.observe(rotated, now_ns, &mut self.names);
        self.answer();
        self.ledger.absorb(rotated, now_ns, &mut self.names);
    }

    fn view(&mut self, live: &Reading, now_ns: u64) -> View {
        self.ledger.observe(live, now_ns, &mut self.names);
        self.answer();
        self.ledger.view(live, [], now_ns, &mut self.names)
    }

    fn retire(&mut self, now_ns: u64) {
        self.ledger.retire(now_ns);
        let ledger = &self.ledger;
        self.names.retain(|key| ledger.knows(key));
    }

    fn answer(&mut self) {
        for key in self.names.take_unasked() {
            self.rename(&key, (self.name)(&key));
        }
    }

    fn rename(&mut self, key: &ServiceKey, workload: Workload) {
        if self.names.take(key, workload) {
            self.ledger.named(key, &self.names);
        }
    }
}

fn view(ledger: &mut Named, live: &Reading) -> View {
    ledger.view(live, 0)
}

fn opened(view: &View, name: &str) -> Option<u64> {
    let mut series = view.series.iter();
    let series = series.find(|series| series.labels.workload.name == name)?;
    Some(series.phases[0].get(Cell::OPENED))
}

#[test]
fn totals_and_the_live_rows_are_shown_together() {
    let mut ledger = Named::new(limits());
    let web = row(&[(Cell::OPENED, 5), (Cell::LEFT, 2), (Cell::LISTEN_UP, 1)]);
    ledger.absorb(&reading(&[(key(1, 80), web)]), 0);
    let more = row(&[(Cell::OPENED, 1), (Cell::CLOSE_WAIT_IN, 1)]);
    let shown = view(&mut ledger, &reading(&[(key(1, 80), more)]));
    assert_eq!(opened(&shown, "c1"), Some(6));
    let gauges = shown.series[0].gauges;
    assert_eq!(
        (gauges.open, gauges.close_wait, gauges.listeners),
        (4, 1, 1)
    );
}

#[test]
fn two_services_of_one_name_share_a_series() {
    let unit = |_: &ServiceKey| Workload::on_host(WorkloadKind::Unit, "nginx.service");
    let mut ledger = Named::by(limits(), unit);
    let one = row(&[(Cell::OPENED, 1)]);
    let live = reading(&[(key(1, 80), one), (key(2, 80), one)]);
    let shown = view(&mut ledger, &live);
    assert_eq!(shown.series.len(), 1);
    assert_eq!(opened(&shown, "nginx.service"), Some(2));
}

#[test]
fn a_service_is_shown_when_its_name_comes_with_all_that_was_counted() {
    let mut ledger = Ledger::new(limits());
    let mut names = Names::default();
    let web = row(&[(Cell::OPENED, 2)]);
    ledger.absorb(&reading(&[(key(1, 80), web)]), 0, &mut names);
    let live = reading(&[(key(1, 80), row(&[(Cell::OPENED, 3)]))]);
    let shown = ledger.view(&live, [], 0, &mut names);
    assert!(shown.series.is_empty(), "nobody knows its name");
    assert!(names.take(&key(1, 80), by_cgroup(&key(1, 80))));
    ledger.named(&key(1, 80), &names);
    let shown = ledger.view(&live, [], 0, &mut names);
    assert_eq!(opened(&shown, "c1"), Some(5));
}

#[test]
fn a_better_name_takes_effect_from_the_next_reading_on() {
    let mut ledger = Named::new(limits());
    let live = |opened| reading(&[(key(1, 80), row(&[(Cell::OPENED, opened)]))]);
    ledger.absorb(&live(10), 0);
    view(&mut ledger, &live(1));
    let unit = Workload::on_host(WorkloadKind::Unit, "late.service");
    ledger.rename(&key(1, 80), unit.clone());
    let shown = view(&mut ledger, &live(3));
    assert_eq!(opened(&shown, "c1"), Some(13), "read before the change");
    assert_eq!(opened(&shown, "late.service"), Some(0));
    ledger.rename(&key(1, 80), unit);
    let shown = view(&mut ledger, &live(8));
    assert_eq!(
        (opened(&shown, "c1"), opened(&shown, "late.service")),
        (Some(13), Some(5))
    );
    ledger.absorb(&live(9), 0);
    let shown = view(&mut ledger, &live(1));
    assert_eq!(
        (opened(&shown, "c1"), opened(&shown, "late.service")),
        (Some(13), Some(7))
    );
    ledger.retire(HOUR_NS);
    let shown = view(&mut ledger, &live(1));
    assert_eq!(opened(&shown, "c1"), None, "idle, and retired");
}

#[test]
fn past_the_limit_services_share_other_and_are_counted() {
    let mut ledger = Named::new(Limits {
        servers: 2,
        ..limits()
    });
    let one = row(&[(Cell::OPENED, 1)]);
    let live = reading(&[
        (key(1, 80), one),
        (key(2, 80), one),
        (key(3, 80), one),
        (key(4, 80), one),
    ]);
    let shown = view(&mut ledger, &live);
    assert_eq!(shown.series.len(), 3);
    assert_eq!(opened(&shown, "other"), Some(2));
    assert_eq!(shown.limited, 2);
    assert_eq!(view(&mut ledger, &live).limited, 2, "each service once");
}

#[test]
fn what_the_lists_leave_out_is_counted_in_other() {
    let filter = Filter {
        deny_ports: vec![22],
        ..Filter::default()
    };
    let mut ledger = Named::new(Limits { filter, ..limits() });
    let one = row(&[(Cell::OPENED, 1)]);
    let shown = view(
        &mut ledger,
        &reading(&[(key(1, 80), one), (key(1, 22), one)]),
    );
    assert_eq!(opened(&shown, "other"), Some(1));
    assert_eq!(shown.limited, 0);
}

#[test]
fn the_row_of_a_full_map_is_other() {
    let mut ledger = Named::new(limits());
    let other = ServiceKey::other(Role::Client, Phase::Steady);
    let live = reading(&[(other, row(&[(Cell::OPENED, 3)]))]);
    ledger.name = |_| unreachable!("nobody owns it");
    let shown = view(&mut ledger, &live);
    assert_eq!(*shown.series[0].labels, SeriesLabels::other(Role::Client));
    assert_eq!(
        (opened(&shown, "other"), shown.limited, shown.unknown),
        (Some(3), 0, 0)
    );
}

#[test]
fn a_service_that_returns_goes_on_where_it_was() {
    let mut ledger = Named::new(limits());
    let web = row(&[(Cell::OPENED, 5), (Cell::LEFT, 5)]);
    ledger.absorb(&reading(&[(key(1, 80), web)]), 0);
    ledger.retire(HOUR_NS - 1);
    assert_eq!(view(&mut ledger, &reading(&[])).series.len(), 1, "not yet");
    ledger.retire(HOUR_NS);
    let shown = view(&mut ledger, &reading(&[]));
    assert_eq!((shown.series.len(), shown.keys, shown.retired), (0, 0, 1));
    let live = reading(&[(key(1, 80), row(&[(Cell::OPENED, 1)]))]);
    assert_eq!(opened(&view(&mut ledger, &live), "c1"), Some(6));
}

#[test]
fn a_service_with_anything_open_is_never_retired() {
    let mut ledger = Named::new(limits());
    let holders = [
        Cell::OPENED,
        Cell::SEEDED,
        Cell::LISTEN_UP,
        Cell::CLOSE_WAIT_IN,
    ];
    let rows: Vec<_> = (1..)
        .zip(holders)
        .map(|(cgroup, cell)| (key(cgroup, 80), row(&[(cell, 1)])))
        .collect();
    ledger.absorb(&reading(&rows), 0);
    ledger.retire(u64::MAX);
    assert_eq!(view(&mut ledger, &reading(&[])).series.len(), holders.len());
}

#[test]
fn ten_thousand_short_containers_stay_bounded_and_none_is_lost() {
    let mut ledger = Named::new(limits());
    let closed = Cell::closes(Origin::Local, Outcome::Fin);
    for cgroup in 0..10_000 {
        let now_ns = cgroup * HOUR_NS / 400;
        let web = row(&[(Cell::OPENED, 2), (Cell::LEFT, 2), (closed, 2)]);
        ledger.absorb(&reading(&[(key(cgroup, 80), web)]), now_ns);
        ledger.retire(now_ns);
        if cgroup % 97 != 0 {
            continue;
        }
        let shown = view(&mut ledger, &reading(&[]));
        assert!(shown.keys <= 401 && shown.series.len() <= 401 && shown.retired <= 10);
        let visible: u64 = shown.series.iter().map(|s| s.phases[0].closes()).sum();
        let kept = 2 * shown.retired as u64;
        assert_eq!(visible + kept + shown.folded.closes, 2 * (cgroup + 1));
        assert_eq!(shown.folded.opened, shown.folded.closes);
    }
}

#[test]
fn no_more_owe_an_answer_than_are_open_when_the_survey_is_older_than_the_rows() {
    let (old, new) = (key(1, 80), key(2, 80));
    let mut ledger = Named::by(limits(), |_| {
        Workload::on_host(WorkloadKind::Unit, "web.service".to_owned())
    });
    // The survey saw three of four waiting; these have ended since, and the unit has begun anew in another cgroup.
    let live = reading(&[
        (old, row(&[(Cell::OPENED, 4), (Cell::LEFT, 4)])),
        (new, row(&[(Cell::OPENED, 7), (Cell::LEFT, 2)])),
    ]);
    let surveyed = |key, awaiting| {
        let gauges = Gauges {
            surveyed: Surveyed {
                awaiting,
                ..Surveyed::default()
            },
            ..Gauges::default()
        };
        (key, gauges)
    };
    ledger.view(&live, 0);
    let view = ledger.ledger.view(
        &live,
        [surveyed(old, 3), surveyed(new, 1)],
        0,
        &mut ledger.names,
    );
    let gauges = &view.series[0].gauges;
    assert_eq!(view.series.len(), 1);
    assert_eq!((gauges.open, gauges.surveyed.awaiting), (5, 1));
}

#[test]
fn gaps_count_for_who_had_listened_before() {
    let mut ledger = Named::new(limits());
    view(&mut ledger, &reading(&[(key(1, 80), row(&[]))]));
    ledger.ledger.gap(&key(1, 80), 50);
    let shown = view(&mut ledger, &reading(&[]));
    assert_eq!((shown.series[0].gap_ns, shown.series[0].gaps), (50, 1));
    ledger.ledger.gap(&key(2, 80), 50);
    let shown = view(&mut ledger, &reading(&[]));
    assert_eq!(shown.series.len(), 1, "nobody knows it");
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Count {
        cgroup: u64,
        phase: u8,
        cell: usize,
        count: u64,
    },
    Reset {
        cgroup: u64,
        reason: u8,
        count: u64,
    },
    Rotate,
    Rename {
        cgroup: u64,
        name: u64,
    },
    Pass {
        hours: u64,
    },
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..30_u64, 0..3_u8, 0..CELLS, 1..5_u64)
            .prop_map(|(cgroup, phase, cell, count)| Step::Count { cgroup, phase, cell, count }),
        1 => (0..30_u64, 0..4_u8, 1..3_u64)
            .prop_map(|(cgroup, reason, count)| Step::Reset { cgroup, reason, count }),
        2 => Just(Step::Rotate),
        2 => (0..30_u64, 0..5_u64).prop_map(|(cgroup, name)| Step::Rename { cgroup, name }),
        1 => (0..3_u64).prop_map(|hours| Step::Pass { hours }),
        3 => Just(Step::Look),
    ]
}

/// What the kernel's maps would hold, and what was counted in all.
#[derive(Default)]
struct Kernel {
    rows: BTreeMap<ServiceKey, CounterRow>,
    resets: BTreeMap<ResetKey, u64>,
    opened: u64,
    sent: u64,
}

impl Kernel {
    fn reading(&self) -> Reading {
        Reading {
            read_ns: 0,
            rows: self.rows.iter().map(|(key, row)| (*key, *row)).collect(),
            resets: self
                .resets
                .iter()
                .map(|(key, count)| (*key, *count))
                .collect(),
        }
    }

    fn count(&mut self, key: ServiceKey, cell: usize, count: u64) {
        self.rows.entry(key).or_insert([0; CELLS])[cell] += count;
        if cell == Cell::OPENED.index() {
            self.opened += count;
        }
    }

    fn reset(&mut self, service: ServiceKey, reason: u8, count: u64) {
        let key = ResetKey {
            service,
            reason,
            lost: 0,
            pad: [0; 6],
        };
        *self.resets.entry(key).or_default() += count;
        self.sent += count;
    }

    fn rotate(&mut self) -> Reading {
        let reading = self.reading();
        self.rows.clear();
        self.resets.clear();
        reading
    }
}

type Shown = BTreeMap<(SeriesLabels, usize, usize), u64>;

/// Every counter that is exported of the rows: whatever a cell holds after settling.
fn shown(view: &View) -> Shown {
    let raw = [
        Cell::AMBIGUOUS_FW1,
        Cell::AMBIGUOUS_FW1_SENT,
        Cell::AMBIGUOUS_FW2,
        Cell::AMBIGUOUS_FW2_SENT,
        Cell::NO_MINI_SOCKET_SENT,
    ]
    .map(Cell::index);
    let mut out = Shown::new();
    for series in &view.series {
        for (phase, row) in series.phases.iter().enumerate() {
            for cell in (0..CELLS).filter(|cell| !raw.contains(cell)) {
                out.insert(((*series.labels).clone(), phase, cell), row.raw(cell));
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A series may vanish and come back; while it is remembered it never comes back with less. Opens and
    /// RSTs are conserved over series and folded sums.
    #[test]
    fn nothing_shown_goes_backwards(steps in prop::collection::vec(step(), 1..120), servers in 1..40_usize) {
        // Everything retired is kept, so every sum can be checked against the model.
        let mut ledger = Named::new(Limits { servers, retired: 1_000, ..limits() });
        let (mut kernel, mut now_ns, mut most) = (Kernel::default(), 0, Shown::new());
        for step in steps {
            match step {
                Step::Count { cgroup, phase, cell, count } => {
                    let phase = Phase::from_u8(phase).expect("a phase");
                    kernel.count(key(cgroup, 80).in_phase(phase), cell, count);
                }
                Step::Reset { cgroup, reason, count } => kernel.reset(key(cgroup, 80), reason, count),
                Step::Rename { cgroup, name } => {
                    ledger.rename(&key(cgroup, 80), by_cgroup(&key(1_000 + name, 80)));
                }
                Step::Rotate => {
                    ledger.absorb(&kernel.rotate(), now_ns);
                    ledger.retire(now_ns);
                }
                Step::Pass { hours } => now_ns += hours * HOUR_NS,
                Step::Look => {
                    let view = ledger.view(&kernel.reading(), now_ns);
                    for (series, value) in shown(&view) {
                        let before = most.insert(series.clone(), value).unwrap_or(0);
                        prop_assert!(value >= before, "{series:?} went from {before} to {value}");
                    }
                    let opened: u64 = view.series.iter().flat_map(|s| &s.phases).map(|row| row.get(Cell::OPENED)).sum();
                    let sent: u64 = view.series.iter().flat_map(|s| s.resets.values()).sum();
                    prop_assert!(opened <= kernel.opened && sent <= kernel.sent);
                    if view.retired == 0 {
                        prop_assert_eq!((opened, sent), (kernel.opened, kernel.sent));
                    }
                }
            }
        }
    }

    /// With no memory for what is retired, every open and close is still in a series or in the folded sums.
    #[test]
    fn sums_are_conserved(steps in prop::collection::vec(step(), 1..120)) {
        let mut ledger = Named::new(Limits { retired: 0, ..limits() });
        let (mut kernel, mut now_ns) = (Kernel::default(), 0);
        for step in steps {
            match step {
                Step::Count { cgroup, phase, cell, count } => {
                    let phase = Phase::from_u8(phase).expect("a phase");
                    kernel.count(key(cgroup, 80).in_phase(phase), cell, count);
                }
                Step::Reset { .. } | Step::Look => {}
                Step::Rename { cgroup, name } => {
                    ledger.rename(&key(cgroup, 80), by_cgroup(&key(1_000 + name, 80)));
                }
                Step::Rotate => {
                    ledger.absorb(&kernel.rotate(), now_ns);
                    ledger.retire(now_ns);
                }
                Step::Pass { hours } => now_ns += hours * HOUR_NS,
            }
            let view = ledger.view(&kernel.reading(), now_ns);
            let opened: u64 = view.series.iter().flat_map(|s| &s.phases).map(|row| row.get(Cell::OPENED)).sum();
            prop_assert_eq!(opened + view.folded.opened, kernel.opened);
        }
    }
}
