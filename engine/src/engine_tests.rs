//! The engine as a whole: what it wants, what it publishes, and what it does not do again.

use finwatch_common::{
    CELLS, Cell, CloseRecord, Cut, Disposition, Evidence, Intent, KIND_CLOSE, KIND_LISTENER,
    KIND_SIGNAL, ListenerRecord, Origin, Outcome, Phase, ProcessEntry, RecordHeader, Role,
    SignalRecord, TimeWait,
};

use super::*;
use crate::{
    model::{DeployStage, Skew, Source, Verdict, Workload, WorkloadKind, WorkloadRef},
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

/// Drains that are told of a service whose process is told to stop, when it was said whose it is.
fn drains_of_one_that(said: Input<'_>) -> usize {
    let mut engine = engine();
    engine.take(at(900), Input::Records(&[listens(900)]));
    engine.take(at(901), said);
    engine.take(at(1_000), Input::Records(&[told_to_stop(1_000)]));
    engine.take(at(1_100), Input::Tick);
    engine.snapshot().drains.len()
}

#[test]
fn nothing_is_told_of_a_drain_on_another_node() {
    let names = [(key(), unit().into())];
    assert_eq!(drains_of_one_that(Input::Names(&names)), 1);
    assert_eq!(drains_of_one_that(Input::Elsewhere(&[key()])), 0);
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
            | Want::Closes { .. }
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

/// A connection that this side ended at `at_ms`, its request read and, if `cut`, not answered.
fn ended(at_ms: u64, cookie: u64, cut: bool) -> Record {
    let bytes = vec![0; size_of::<CloseRecord>()];
    let Ok(mut close) = <CloseRecord as finwatch_common::Wire>::from_bytes(&bytes) else {
        unreachable!("zeros are a close's bytes");
    };
    close.header = RecordHeader {
        kind: KIND_CLOSE,
        size: size_of::<CloseRecord>() as u32,
        at_ns: at_ms * MS,
    };
    close.cookie = cookie;
    close.service = key();
    close.opened_at_ns = (at_ms - 5) * MS;
    close.owner_tgid = owner().tgid;
    close.owner_start_ns = owner().start_ns;
    close.origin = Origin::Local as u8;
    close.outcome = Outcome::Fin as u8;
    close.time_wait = TimeWait::TimeWait as u8;
    close.cut = if cut { Cut::Unanswered as u8 } else { 0xff };
    close.evidence = if cut { Evidence::Silent as u8 } else { 0xff };
    Record::Close(close)
}

fn deploy(stage: DeployStage, at_ms: u64) -> DeployEvent {
    let now = at(at_ms).wall();
    DeployEvent {
        id: "d1".to_owned(),
        source: Source::Cli,
        stage,
        workload: WorkloadRef {
            name: "web.service".to_owned(),
            ..WorkloadRef::default()
        },
        revision: None,
        links: Vec::new(),
        event_time: now,
        receive_time: now,
        skew: Skew::None,
    }
}

fn refused(at_ms: u64, count: u64) -> Reading {
    let mut reading = reading(at_ms, 0);
    reading.rows[0].1[Cell::REFUSED.index()] = count;
    reading
}

/// The rollouts that ended, as they were told last.
fn told_rollouts(engine: &mut Engine) -> Vec<Arc<Rollout>> {
    let changes = engine.changes().into_iter();
    let ended = changes.filter_map(|change| match change {
        Change::Rollout(rollout) if rollout.is_over() => Some(rollout),
        _ => None,
    });
    ended.collect()
}

#[test]
fn a_deploy_without_a_signal_accounts_for_all_that_its_service_counted() {
    let mut engine = engine();
    engine.take(at(900), Input::Records(&[listens(900)]));
    engine.take(at(900), Input::Names(&[(key(), unit().into())]));
    engine.take(at(950), Input::Counters(Counters::Live(&refused(950, 2))));
    // In its ordinary time one request is lost, which is none of the deploy's; nor are SYNs that were refused until then.
    engine.take(at(960), Input::Records(&[ended(960, 1, true)]));
    engine.take(at(1_500), Input::Tick);
    let started = deploy(DeployStage::Started, 2_000);
    engine.take(at(2_000), Input::Deploy(&started));
    let wants = engine.wants();
    assert!(wants.contains(&Want::Counters { service: key() }));
    engine.take(
        at(2_001),
        Input::Counters(Counters::Live(&refused(2_001, 3))),
    );
    for nth in 0..5 {
        engine.take(at(3_000), Input::Records(&[ended(3_000, 10 + nth, true)]));
    }
    engine.take(at(3_001), Input::Records(&[ended(3_001, 20, false)]));
    engine.take(
        at(3_500),
        Input::Counters(Counters::Live(&refused(3_500, 7))),
    );
    engine.take(at(4_000), Input::Tick);
    let finished = deploy(DeployStage::Finished, 4_500);
    engine.take(at(4_500), Input::Deploy(&finished));
    for second in 5..=11 {
        engine.take(at(second * 1_000), Input::Tick);
    }
    let told = told_rollouts(&mut engine);
    let [rollout] = told.as_slice() else {
        panic!("one rollout: {told:?}");
    };
    assert!(rollout.drains.is_empty());
    let counts = &rollout.counts;
    assert_eq!((counts.closes(), counts.cut.unanswered), (6, 5));
    assert_eq!((counts.time_wait, counts.local_first), (6, 6));
    assert_eq!(counts.refused, 4, "one was refused before it was announced");
    assert_eq!(rollout.outside, rollout.counts);
    assert_eq!(rollout.outside_examples.len(), 5);
    assert_eq!(rollout.verdict, Verdict::Fail);
    // After its end nothing is added to it.
    engine.take(at(12_000), Input::Records(&[ended(12_000, 30, true)]));
    engine.take(at(13_000), Input::Tick);
    assert!(told_rollouts(&mut engine).is_empty());
}

#[test]
fn a_rollout_of_a_stop_has_its_drain_and_what_others_lost() {
    let mut engine = draining();
    // One that was accepted before is cut by the drain; the new instance, which nobody stops, loses two.
    engine.take(at(1_100), Input::Records(&[ended(1_100, 1, true)]));
    let new_one = |cookie| {
        let Record::Close(mut close) = ended(1_200, cookie, true) else {
            unreachable!("it is a close");
        };
        (close.owner_tgid, close.owner_start_ns) = (200, 1_050 * MS);
        close.service.cgroup = 43;
        Record::Close(close)
    };
    let mut new_key = key();
    new_key.cgroup = 43;
    engine.take(at(1_200), Input::Records(&[new_one(2), new_one(3)]));
    engine.take(at(1_200), Input::Names(&[(new_key, unit().into())]));
    engine.take(at(1_400), Input::Tick);
    answer(&mut engine, 1_401);
    engine.take(at(1_500), Input::Tick);
    let snapshot = engine.snapshot();
    let rollout = &snapshot.rollouts[0];
    assert_eq!(rollout.drains.len(), 1);
    assert_eq!(rollout.drains[0].counts.cut.total(), 1);
    assert_eq!(rollout.outside.cut.total(), 2);
    let mut parts = rollout.outside.clone();
    parts.add(&rollout.drains[0].counts);
    assert_eq!(parts, rollout.counts);
}
