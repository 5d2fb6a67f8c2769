//! Whatever comes, in whatever order, however often or not at all: the drains never panic, say the same for the same
//! input, keep their bounds, and never hide that records were lost.

use std::collections::BTreeSet;

use finwatch_common::{
    CloseRecord, ExitRecord, KIND_CLOSE, KIND_EXIT, KIND_LISTENER, KIND_RESET, KIND_SIGNAL,
    KIND_UNREAD, ListenerRecord, Process, ProcessEntry, ResetRecord, SignalRecord, UnreadRecord,
    reset_flags,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{
    Drains, LASTING_MAX,
    kernel::Kernel,
    scenario::{BEGIN_NS, MS, Played, Told, play, replay},
};
use crate::want::Want;
use crate::{
    input::Record,
    model::{Counts, Drain},
};

/// Two servers, reloaded, replaced, stopped, killed.
const BUSY: &str = "
    0 listen 100 nginx :80
    0 fork 100 101 102
    0 listen 300 node :3000
    5 open c1..c9 :80 by 101
    6 open d1..d9 :80 by 102
    7 open n1..n9 :3000 by 300
    8 open h1..h4 :80 by 101
    20 ask c1..c9
    21 answer c1..c9
    900 ask d1..d9
    910 ask n1..n4
    1000 signal HUP 100 from 7
    1005 fork 100 103 104
    1010 signal QUIT 101 from 100
    1010 signal QUIT 102 from 100
    1020 close c1..c5
    1020 close c6..c9 half
    1021 send h1..h2 300
    1022 shut h1..h4
    1023 let-go h1
    1024 let-go h3
    1025 exit 101 0
    1030 open e1..e5 :80 by 103
    1050 late c6
    1060 late c7..c8 24
    1400 let-go h2
    1500 signal KILL 104 from 7
    1501 exit 104 KILL
    2000 answer d1..d9
    2001 close d1..d9
    2002 exit 102 0
    2500 signal USR1 300 from 7 as unclear
    3000 signal TERM 300 from 7
    3001 unlisten 300 :3000
    3100 answer n1..n2
    3101 close n1..n2
    4000 signal TERM 100 from 7
    4001 exit 103 0
    4002 exit 100 0
    6000 signal KILL 300 from 7
    6001 exit 300 KILL
    6500 listen 400 node :3000
    6600 signal USR2 400 from 7 as unclear
    6700 fork 400 402
    7000 listen 401 node :3001
    7100 exit 401 3
    9000 settle c9
    20000 end
";

fn recorded() -> Vec<(u64, Told)> {
    let Played { inputs, .. } = play(BUSY);
    inputs
}

fn told(inputs: &[(u64, Told)]) -> (Vec<Drain>, Drains) {
    let mut drains = Drains::new(10_000 * MS);
    let ended = replay(inputs, &mut drains);
    (ended, drains)
}

/// What happens to one recorded input.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Comes,
    Lost,
    Twice,
    /// Comes so many places later.
    Late(usize),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Comes),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        1 => (1..200_usize).prop_map(Fate::Late),
    ]
}

/// Records, tables and surveys meet their fates; time does not.
fn fated(inputs: &[(u64, Told)], fates: &[Fate]) -> Vec<(u64, Told)> {
    let mut placed: Vec<(usize, u64, &Told)> = Vec::new();
    for (at, (now_ns, told)) in inputs.iter().enumerate() {
        match fates[at % fates.len()] {
            _ if matches!(told, Told::Tick | Told::Lost(_)) => placed.push((at, *now_ns, told)),
            Fate::Comes => placed.push((at, *now_ns, told)),
            Fate::Lost => {}
            Fate::Twice => placed.extend([(at, *now_ns, told), (at, *now_ns, told)]),
            Fate::Late(by) => {
                let to = (at + by).min(inputs.len() - 1);
                placed.push((to, inputs[to].0, told));
            }
        }
    }
    placed.sort_by_key(|(at, _, _)| *at);
    placed
        .into_iter()
        .map(|(_, now_ns, told)| (now_ns, told.clone()))
        .collect()
}

fn process() -> impl Strategy<Value = Process> {
    (1..8_u32, 0..3_u64).prop_map(|(tgid, start)| Process {
        start_ns: start * 500_000 * MS,
        tgid,
        pad: 0,
    })
}

/// Every kind of records, and their sizes. One that is new is missed by [`kind_of`].
const KINDS: [(u32, usize); 6] = [
    (KIND_CLOSE, size_of::<CloseRecord>()),
    (KIND_RESET, size_of::<ResetRecord>()),
    (KIND_LISTENER, size_of::<ListenerRecord>()),
    (KIND_SIGNAL, size_of::<SignalRecord>()),
    (KIND_EXIT, size_of::<ExitRecord>()),
    (KIND_UNREAD, size_of::<UnreadRecord>()),
];

/// No record is larger.
const RECORD_MAX: usize = 256;

fn kind_of(record: &Record) -> u32 {
    match record {
        Record::Close(_) => KIND_CLOSE,
        Record::Reset(_) => KIND_RESET,
        Record::Listener(_) => KIND_LISTENER,
        Record::Signal(_) => KIND_SIGNAL,
        Record::Exit(_) => KIND_EXIT,
        Record::Unread(_) => KIND_UNREAD,
    }
}

/// Inputs of no meaning at all: bytes that decoding accepts.
fn noise() -> impl Strategy<Value = Told> {
    let byte = prop_oneof![30 => Just(0_u8), 3 => Just(1_u8), 1 => Just(2_u8)];
    let bytes = prop::collection::vec(byte, RECORD_MAX);
    let record = (prop::sample::select(&KINDS), bytes);
    let record = record.prop_filter_map("not a record", |((kind, size), mut bytes)| {
        bytes.truncate(size);
        bytes[..4].copy_from_slice(&kind.to_ne_bytes());
        Record::from_bytes(&bytes).ok().map(Told::Record)
    });
    let entry = (process(), process(), 0..3_u8).prop_map(|(process, instance, kinship)| {
        let entry = ProcessEntry {
            instance,
            start_ns: process.start_ns,
            born_ns: process.start_ns,
            kinship,
            pad: [0; 7],
        };
        (process.tgid, entry)
    });
    prop_oneof![
        8 => record,
        1 => prop::collection::vec(entry, 0..12).prop_map(Told::Processes),
        1 => (0..3_u64).prop_map(Told::SurveyFailed),
        1 => any::<u64>().prop_map(Told::Lost),
        4 => Just(Told::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_fate_of_the_records_is_borne(fates in prop::collection::vec(fate(), 1..400)) {
        let inputs = fated(&recorded(), &fates);
        let (ended, drains) = told(&inputs);
        prop_assert_eq!(&ended, &told(&inputs).0, "the same input, another story");
        prop_assert!(drains.lasting.ids().len() <= LASTING_MAX);
        for drain in &ended {
            let counts = &drain.counts;
            prop_assert!(drain.examples.len() <= 5 && drain.further_signals.len() <= 16);
            prop_assert!(drain.processes_ended <= drain.processes, "{:?}", drain);
            prop_assert_eq!(
                counts.closes(),
                counts.fin + counts.reset_sent + counts.reset_received + counts.timeout
                    + counts.unknown_outcome
            );
        }
    }

    #[test]
    fn what_was_lost_while_a_drain_lasted_is_told(lost in prop::collection::vec(any::<bool>(), 1..200)) {
        let mut inputs = Vec::new();
        let mut total = 0;
        let mut closes = 0;
        let mut losses = Vec::new();
        for (now_ns, told) in recorded() {
            match told {
                Told::Record(record @ (Record::Close(_) | Record::Reset(_) | Record::Unread(_))) => {
                    closes += 1;
                    if lost[closes % lost.len()] {
                        total += 1;
                        losses.push(record);
                        continue;
                    }
                    inputs.push((now_ns, Told::Record(record)));
                }
                Told::Lost(_) => inputs.push((now_ns, Told::Lost(total))),
                other => inputs.push((now_ns, other)),
            }
        }
        let whole = told(&recorded()).0;
        let (ended, _) = told(&inputs);
        for drain in ended {
            let Some(truth) = whole.iter().find(|d| d.id == drain.id) else {
                continue;
            };
            if drain.counts != truth.counts {
                prop_assert!(drain.records_lost > 0, "{drain:?} hides what {truth:?} shows");
            }
        }
    }

    #[test]
    fn noise_is_borne(noise in prop::collection::vec((noise(), 0..2_000_u64), 0..100)) {
        let mut now_ns = BEGIN_NS;
        let inputs: Vec<(u64, Told)> = noise
            .into_iter()
            .map(|(told, ms)| {
                now_ns += ms * MS;
                (now_ns, told)
            })
            .collect();
        let (ended, mut drains) = told(&inputs);
        prop_assert_eq!(ended, told(&inputs).0);
        prop_assert!(drains.lasting.ids().len() <= LASTING_MAX);
        let surveys = drains.wants().into_iter().filter(|w| matches!(w, Want::Survey { .. }));
        prop_assert!(surveys.count() <= 300);
    }
}

/// Connections that ended, and requests that were lost, by the records themselves.
fn ended_and_cut(inputs: &[(u64, Told)]) -> (u64, u64) {
    let mut cuts = BTreeSet::new();
    let mut ends = 0;
    for (_, told) in inputs {
        match told {
            Told::Record(Record::Close(close)) => {
                ends += 1;
                cuts.extend(close.cut().map(|_| close.cookie));
            }
            Told::Record(Record::Reset(reset)) if reset.flags & reset_flags::CUT_LATE != 0 => {
                cuts.insert(reset.cookie);
            }
            Told::Record(Record::Unread(unread)) => {
                cuts.extend(unread.cut().map(|_| unread.cookie));
            }
            _ => {}
        }
    }
    (ends, cuts.len() as u64)
}

#[test]
fn every_end_is_accounted_for_whether_a_drain_takes_it_or_not() {
    // Somebody who is not told anything ends connections too, before, while and after the others drain.
    let script = BUSY.replace(
        "    9000 settle c9\n",
        "    8000 listen 500 api :9000
    8001 open i1..i9 :9000 by 500
    8002 ask i1..i9
    8003 answer i1..i3
    8004 close i1..i3
    8005 close i4..i6
    8006 close i7 half
    8007 late i7
    9000 settle c9\n",
    );
    let inputs = play(&script).inputs;
    let (ended, mut drains) = told(&inputs);
    let known = Kernel::new(BEGIN_NS);
    let sums = drains.accounts(|_| true, &known.known());
    let mut all = Counts::default();
    sums.iter().for_each(|sum| all.add(&sum.counts));
    let (ends, cut) = ended_and_cut(&inputs);
    assert_eq!((all.closes(), all.cut.total()), (ends, cut));
    let api = sums.iter().find(|sum| sum.key.port == 9_000).expect("api");
    assert_eq!((api.counts.closes(), api.counts.cut.total()), (7, 4));
    assert_eq!(api.examples.len(), 4, "no drain took them");
    for port in [80, 3_000] {
        let mut theirs = Counts::default();
        let of_port = ended.iter().filter(|drain| drain.service.port == port);
        of_port.for_each(|drain| theirs.add(&drain.counts));
        let sum = sums.iter().find(|sum| sum.key.port == port).expect("a sum");
        assert_eq!(
            theirs.less(&sum.counts).closes(),
            0,
            "a drain is a part of the sum"
        );
        assert_eq!(theirs.less(&sum.counts).cut.total(), 0);
    }
}

#[test]
fn noise_has_records_of_every_kind() {
    let mut runner = TestRunner::deterministic();
    let made: BTreeSet<u32> = (0..500)
        .filter_map(|_| match noise().new_tree(&mut runner).ok()?.current() {
            Told::Record(record) => Some(kind_of(&record)),
            _ => None,
        })
        .collect();
    assert_eq!(made, KINDS.map(|(kind, _)| kind).into());
}

#[test]
fn bounds_bite_and_are_counted() {
    let mut inputs: Vec<(u64, Told)> = Vec::new();
    let script: String = (1..=300)
        .map(|n| format!("{n} listen {} app :{}\n", 1_000 + n, 2_000 + n))
        .chain(
            (1..=300)
                .map(|n| format!("{} signal TERM {} from {n} ignored\n", 5_000 + n, 1_000 + n)),
        )
        .collect();
    inputs.extend(play(&script).inputs);
    let (_, drains) = told(&inputs);
    assert_eq!(drains.lasting.ids().len(), LASTING_MAX);
    assert_eq!(drains.bitten().drains, 300 - LASTING_MAX as u64);
}
