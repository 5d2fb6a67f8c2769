//! The engine as a whole: what it wants, what it publishes, and what it does not do again.

use finwatch_common::{
    CELLS, Cell, Disposition, Intent, KIND_LISTENER, KIND_SIGNAL, ListenerRecord, Phase,
    ProcessEntry, RecordHeader, Role, SignalRecord,
};

use super::*;
use crate::{
    model::{Workload, WorkloadKind},
    services::Filter,
    timing,
};

const MS: u64 = 1_000_000;

fn engine() -> Engine {
    let options = Options {
        limits: Limits {
            servers: 100,
            clients: 100,
            retention_ns: 3_600_000 * MS,
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

fn at(ms: u64) -> Moment {
    Moment {
        kernel_ns: ms * MS,
        clocks: Clocks::default(),
    }
}

fn key() -> ServiceKey {
    let mut key = ServiceKey::other(Role::Server, Phase::Steady);
    key.cgroup = 42;
    key.netns = 7;
    key.port = 80;
    key.comm[..3].copy_from_slice(b"web");
    key
}

fn owner() -> Process {
    Process {
        start_ns: 10 * MS,
        tgid: 100,
        pad: 0,
    }
}

fn reading(at_ms: u64, opened: u64) -> Reading {
    let mut row = [0; CELLS];
    row[Cell::OPENED.index()] = opened;
    Reading {
        read_ns: at_ms * MS,
        rows: vec![(key(), row)],
        resets: Vec::new(),
    }
}

fn listens(at_ms: u64) -> Record {
    Record::Listener(ListenerRecord {
        header: RecordHeader {
            kind: KIND_LISTENER,
            size: size_of::<ListenerRecord>() as u32,
            at_ns: at_ms * MS,
        },
        cookie: 1,
        service: key(),
        start_ns: owner().start_ns,
        local_addr: [0; 16],
        tgid: owner().tgid,
        owner_tgid: owner().tgid,
        netns_inum: 4_026_531_840,
        backlog: 0,
        backlog_limit: 511,
        up: 1,
        by_exit: 0,
        pad: [0; 2],
    })
}

fn told_to_stop(at_ms: u64) -> Record {
    let bytes = vec![0; size_of::<SignalRecord>()];
    let Ok(mut signal) = <SignalRecord as finwatch_common::Wire>::from_bytes(&bytes) else {
        unreachable!("zeros are a signal's bytes");
    };
    signal.header = RecordHeader {
        kind: KIND_SIGNAL,
        size: size_of::<SignalRecord>() as u32,
        at_ns: at_ms * MS,
    };
    signal.instance = owner();
    signal.target = owner();
    signal.signal = finwatch_common::signal::TERM;
    signal.intent = Intent::Stop as u8;
    signal.disposition = Disposition::Handled as u8;
    Record::Signal(signal)
}

fn unit() -> Workload {
    Workload::on_host(WorkloadKind::Unit, "web.service")
}

fn opened(view: &View, workload: &str) -> Option<u64> {
    let mut series = view.series.iter();
    let series = series.find(|series| series.labels.workload.name == workload)?;
    Some(series.phases[0].get(Cell::OPENED))
}

#[test]
fn a_service_is_asked_for_once_counted_while_pending_and_shown_with_its_name() {
    let mut engine = engine();
    let live = reading(1, 3);
    let view = engine.take(at(1), Input::Counters(Counters::Live(&live)));
    assert!(view.unwrap().series.is_empty(), "nobody knows its name");
    let asks = |engine: &mut Engine| {
        let wants = engine.wants();
        wants.contains(&Want::Name { service: key() })
    };
    assert!(asks(&mut engine));
    engine.take(at(2), Input::Counters(Counters::Emptied(&live)));
    assert!(!asks(&mut engine), "it was asked for");
    engine.take(at(3), Input::Names(&[(key(), unit().into())]));
    let view = engine.take(at(4), Input::Counters(Counters::Live(&reading(4, 2))));
    assert_eq!(opened(&view.unwrap(), "web.service"), Some(5));
}

#[test]
fn what_nobody_names_in_time_goes_by_its_program_until_a_better_name_comes() {
    let mut engine = engine();
    engine.take(at(0), Input::Counters(Counters::Live(&reading(0, 3))));
    let late_ms = timing::NAME_PENDING_NS / MS;
    engine.take(at(late_ms), Input::Tick);
    let live = reading(late_ms, 4);
    let view = engine.take(at(late_ms), Input::Counters(Counters::Live(&live)));
    assert_eq!(opened(&view.unwrap(), "web"), Some(4));
    engine.take(at(late_ms), Input::Names(&[(key(), unit().into())]));
    let live = reading(late_ms + 1, 6);
    let view = engine.take(at(late_ms + 1), Input::Counters(Counters::Live(&live)));
    let view = view.unwrap();
    assert_eq!(
        (opened(&view, "web"), opened(&view, "web.service")),
        (Some(6), Some(0))
    );
    let live = reading(late_ms + 2, 9);
    let view = engine.take(at(late_ms + 2), Input::Counters(Counters::Live(&live)));
    let view = view.unwrap();
    assert_eq!(
        (opened(&view, "web"), opened(&view, "web.service")),
        (Some(6), Some(3)),
        "a shown series keeps its labels, and nothing is lost or counted twice"
    );
}

/// A service that listens, has a name, and is told to stop at 1,000 ms; everything that is wanted is answered.
fn draining() -> Engine {
    let mut engine = engine();
    engine.take(at(900), Input::Records(&[listens(900)]));
    engine.take(at(900), Input::Names(&[(key(), unit().into())]));
    engine.take(at(1_000), Input::Records(&[told_to_stop(1_000)]));
    engine.take(at(1_000), Input::Tick);
    answer(&mut engine, 1_001);
    engine
}

fn answer(engine: &mut Engine, at_ms: u64) {
    for want in engine.wants() {
        let moment = at(at_ms);
        match want {
            Want::Survey { netns } => {
                let survey = Survey {
                    netns,
                    began_ns: at_ms * MS,
                    rows: &[],
                    minis: Some(&[]),
                    mini_sockets: None,
                };
                engine.take(moment, Input::Survey(survey));
            }
            Want::Processes => {
                let entry = ProcessEntry {
                    instance: owner(),
                    start_ns: owner().start_ns,
                    born_ns: owner().start_ns,
                    kinship: Kinship::Owner as u8,
                    pad: [0; 7],
                };
                engine.take(moment, Input::Processes(&[(owner().tgid, entry)]));
            }
            Want::Counters { service } => {
                let counters = Counters::Some {
                    services: &[service],
                    reading: &Reading {
                        read_ns: at_ms * MS,
                        ..Reading::default()
                    },
                };
                engine.take(moment, Input::Counters(counters));
            }
            Want::EndPhase { .. }
            | Want::MiniSockets { .. }
            | Want::Relatives { .. }
            | Want::Name { .. } => {}
        }
    }
}

#[test]
fn a_drain_of_which_nothing_changes_is_not_judged_and_not_kept_again() {
    let mut engine = draining();
    engine.take(at(1_002), Input::Tick);
    let told = engine.snapshot();
    assert_eq!(told.drains.len(), 1);
    assert!(told.busy);
    let (judged, changes) = (engine.figures().judged, engine.changes().len());
    assert!(judged > 0 && changes > 0);
    // Nobody answers: nothing is known to change.
    for tick in 0..40 {
        engine.take(at(1_010 + tick * 100), Input::Tick);
    }
    assert_eq!(engine.figures().judged, judged);
    assert_eq!(engine.changes().len(), 0);
    assert!(
        Arc::ptr_eq(&told, &engine.snapshot()),
        "nothing is published"
    );
    let later_ms = 1_010 + timing::JUDGED_AGAIN_NS / MS;
    engine.take(at(later_ms), Input::Tick);
    assert_eq!(
        engine.figures().judged,
        judged + 1,
        "some findings only need time"
    );
}

#[test]
fn the_same_inputs_give_the_same_snapshot() {
    let told = || {
        let mut engine = draining();
        engine.take(at(2_000), Input::Tick);
        answer(&mut engine, 2_001);
        engine.take(at(3_000), Input::Tick);
        format!("{:?} {:?}", engine.snapshot(), engine.changes())
    };
    assert_eq!(told(), told());
}
