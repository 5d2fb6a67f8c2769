//! Containers that come and go by the hundred, as pods of one workload do; and those of another node on the same kernel.

use std::time::Duration;

use finwatch_common::{CELLS, Cell, Phase, Role, ServiceKey};

use crate::{
    Clocks, Engine, Moment, Options, Reasons, Remembered, Want,
    diagnoses::JudgeOptions,
    input::{Counters, Input, Reading},
    model::{Named, Pod, Workload, WorkloadKind},
    rollouts::CorrelatorOptions,
    services::{Filter, Limits, View},
};

const SECOND: u64 = 1_000_000_000;
/// As many containers as 30 pods that churn were seen to have in five minutes.
const CONTAINERS: u64 = 506;

fn engine() -> Engine {
    let options = Options {
        limits: Limits {
            servers: 100,
            clients: 100,
            retention_ns: 3_600 * SECOND,
            retired: 10,
            filter: Filter::default(),
        },
        settle_limit: Duration::from_secs(61),
        stream_ports: Vec::new(),
        baseline_window: Duration::from_secs(600),
        rollouts: CorrelatorOptions::default(),
        judge: JudgeOptions::default(),
        reasons: Reasons::default(),
        own_tgid: 0,
    };
    Engine::new(options, &Remembered::default())
}

fn at(ns: u64) -> Moment {
    Moment {
        kernel_ns: ns,
        clocks: Clocks::default(),
    }
}

/// Each container has a cgroup, a network namespace and so a service of its own.
fn key(container: u64, role: Role) -> ServiceKey {
    let mut key = ServiceKey::other(role, Phase::Steady);
    key.cgroup = 100 + container;
    key.netns = 1_000 + container;
    key.port = 8080;
    key.comm[..3].copy_from_slice(b"web");
    key
}

fn named(container: u64) -> Named {
    Named {
        workload: Workload {
            namespace: "shop".to_owned(),
            kind: WorkloadKind::Deployment,
            name: "web".to_owned(),
        },
        pod: Pod {
            name: Some(format!("web-7d4b9c5f6-{container}")),
            ..Pod::default()
        },
    }
}

/// Rows of containers that were opened so often and have so many listeners.
fn reading(ns: u64, rows: &[(u64, u64, u64)]) -> Reading {
    let rows = rows.iter().map(|(container, opened, down)| {
        let mut row = [0; CELLS];
        row[Cell::OPENED.index()] = *opened;
        row[Cell::LEFT.index()] = *opened;
        row[Cell::LISTEN_UP.index()] = 1;
        row[Cell::LISTEN_DOWN.index()] = *down;
        (key(*container, Role::Server), row)
    });
    Reading {
        read_ns: ns,
        rows: rows.collect(),
        resets: Vec::new(),
    }
}

/// Services whose names are wanted.
fn asked(engine: &mut Engine) -> Vec<ServiceKey> {
    let wants = engine.wants().into_iter();
    let names = wants.filter_map(|want| match want {
        Want::Name { service } => Some(service),
        _ => None,
    });
    names.collect()
}

/// Answers as who looks names up does; every container is one of `web`.
fn answer(engine: &mut Engine, ns: u64) {
    for service in asked(engine) {
        let named = named(service.cgroup - 100);
        engine.take(at(ns), Input::Names(&[(service, named)]));
    }
}

fn shown(view: &View) -> Vec<(String, u64)> {
    let series = view.series.iter().map(|series| {
        let opened = series.phases.iter().map(|row| row.get(Cell::OPENED)).sum();
        (series.labels.workload.name.clone(), opened)
    });
    series.collect()
}

#[test]
fn one_series_a_workload_outlives_its_containers_and_never_resets() {
    let mut engine = engine();
    let (mut sum, mut last) = (0, 0);
    for container in 0..CONTAINERS {
        let ns = container * 600_000_000 + SECOND;
        let live = reading(ns, &[(container, 3, 0)]);
        engine.take(at(ns), Input::Counters(Counters::Live(&live)));
        answer(&mut engine, ns);
        let view = engine.take(at(ns), Input::Counters(Counters::Live(&live)));
        let view = view.expect("it was read");
        assert_eq!(shown(&view), [("web".to_owned(), sum + 3)]);
        assert!(sum + 3 > last);
        last = sum + 3;
        // The container goes, and its row with it.
        let emptied = reading(ns, &[(container, 7, 1)]);
        engine.take(at(ns), Input::Counters(Counters::Emptied(&emptied)));
        sum += 7;
    }
    // Long after: the containers are forgotten, the series stays for as long as one of them counts into it.
    let survivor = CONTAINERS;
    let first = reading(400 * SECOND, &[(survivor, 1, 0)]);
    engine.take(at(400 * SECOND), Input::Counters(Counters::Live(&first)));
    answer(&mut engine, 400 * SECOND);
    engine.take(
        at(4_000 * SECOND),
        Input::Counters(Counters::Emptied(&first)),
    );
    let none = reading(4_001 * SECOND, &[]);
    let view = engine.take(at(4_001 * SECOND), Input::Counters(Counters::Live(&none)));
    let view = view.expect("it was read");
    assert_eq!(shown(&view), [("web".to_owned(), sum + 1)]);
    assert_eq!((view.keys, view.retired, view.folded.series), (1, 0, 0));
    assert_eq!((view.limited, view.unknown), (0, 0));
}

#[test]
fn what_is_another_nodes_is_neither_counted_nor_asked_for_again() {
    let mut engine = engine();
    let live = reading(SECOND, &[(1, 3, 0), (2, 5, 0)]);
    engine.take(at(SECOND), Input::Counters(Counters::Live(&live)));
    let ours = key(1, Role::Server);
    let theirs = key(2, Role::Server);
    assert_eq!(asked(&mut engine), [ours, theirs]);
    engine.take(at(SECOND), Input::Names(&[(ours, named(1))]));
    engine.take(
        at(SECOND),
        Input::Elsewhere(&[theirs.in_phase(Phase::Draining)]),
    );
    assert_eq!(engine.figures().names_pending, 0);
    for ns in [2 * SECOND, 3 * SECOND] {
        engine.take(at(ns), Input::Counters(Counters::Emptied(&live)));
        let view = engine.take(at(ns), Input::Counters(Counters::Live(&live)));
        assert_eq!(shown(&view.expect("it was read")).len(), 1);
        assert_eq!(asked(&mut engine), []);
    }
    // Its row is gone: if it ever comes again, it is asked for again.
    let ours_alone = reading(4 * SECOND, &[(1, 3, 0)]);
    engine.take(
        at(4 * SECOND),
        Input::Counters(Counters::Emptied(&ours_alone)),
    );
    engine.take(at(5 * SECOND), Input::Counters(Counters::Live(&live)));
    assert_eq!(asked(&mut engine), [theirs]);
}
