//! Signals to the processes of a service: who sent which to whom, what the target does with it, and the phase that it
//! asks for, in the record and in the counters.

use finwatch::clock;
use finwatch_common::{
    Disposition, KIND_SIGNAL, Kinship, Phase, Process, ProcessEntry, RecordHeader, SignalRecord,
};
use finwatch_engine::input::Record;
use libc::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

use crate::harness::{
    Cell, Manners, Netns, Observed, Order, Servant,
    servant::{entry_of, signal_process},
    shared, told_of, wait_until, within_settle,
};

/// The record of a signal that this process sent to the servant itself.
pub(super) fn by_us(
    servant: &Servant,
    header: RecordHeader,
    signal: i32,
    disposition: Disposition,
    phase: Phase,
) -> SignalRecord {
    SignalRecord {
        header,
        instance: servant.instance,
        target: servant.instance,
        target_comm: comm("servant"),
        sender_comm: comm(std::fs::read_to_string("/proc/self/comm").unwrap().trim()),
        sender_tgid: std::process::id(),
        signal: signal as u8,
        disposition: disposition as u8,
        kinship: Kinship::Owner as u8,
        phase: phase as u8,
    }
}

pub(super) fn comm(name: &str) -> [u8; 16] {
    let mut comm = [0; 16];
    comm[..name.len()].copy_from_slice(name.as_bytes());
    comm
}

pub(super) fn signals(records: &[Record]) -> Vec<SignalRecord> {
    let signal = |record: &Record| match record {
        Record::Signal(signal) => Some(*signal),
        _ => None,
    };
    records.iter().filter_map(signal).collect()
}

/// In which phase the service's listener went down.
pub(super) fn phase_of_listener(ns: &Netns) -> Option<Phase> {
    let mut found = None;
    within_settle(&mut || {
        found = [Phase::Steady, Phase::Draining, Phase::Reloading]
            .into_iter()
            .find(|phase| {
                let observed = Observed::read_phase(shared().counters(), ns.cookie(), *phase);
                observed.server.get(Cell::LISTEN_DOWN) == 1
            });
        found.is_some()
    });
    found
}

/// Signal, how it is taken, and what it asks for; `None`: there is no record at all.
type Row = (i32, Disposition, Option<Phase>);

#[test]
fn every_signal_taken_in_every_way() {
    use Disposition::{Blocked, Default, Handled, Ignored};
    use Phase::{Draining, Reloading, Steady};
    const ROWS: [Row; 29] = [
        (SIGTERM, Handled, Some(Draining)),
        (SIGTERM, Default, Some(Draining)),
        // It was asked to stop all the same, and does not listen.
        (SIGTERM, Ignored, Some(Draining)),
        (SIGTERM, Blocked, Some(Draining)),
        (SIGINT, Handled, Some(Draining)),
        (SIGINT, Default, Some(Draining)),
        (SIGINT, Ignored, Some(Draining)),
        (SIGINT, Blocked, Some(Draining)),
        (SIGQUIT, Handled, Some(Draining)),
        (SIGQUIT, Default, Some(Draining)),
        (SIGQUIT, Ignored, Some(Draining)),
        (SIGQUIT, Blocked, Some(Draining)),
        (SIGHUP, Handled, Some(Reloading)),
        // What nobody handles ends the process.
        (SIGHUP, Default, Some(Draining)),
        // As under nohup(1).
        (SIGHUP, Ignored, Some(Steady)),
        (SIGHUP, Blocked, Some(Reloading)),
        (SIGUSR1, Handled, Some(Reloading)),
        (SIGUSR1, Default, Some(Draining)),
        (SIGUSR1, Ignored, None),
        (SIGUSR1, Blocked, Some(Reloading)),
        (SIGUSR2, Handled, Some(Reloading)),
        (SIGUSR2, Default, Some(Draining)),
        (SIGUSR2, Ignored, None),
        (SIGUSR2, Blocked, Some(Reloading)),
        (SIGWINCH, Handled, Some(Reloading)),
        // A terminal's size changed.
        (SIGWINCH, Default, None),
        (SIGWINCH, Ignored, None),
        (SIGWINCH, Blocked, Some(Reloading)),
        (SIGKILL, Default, Some(Draining)),
    ];
    shared();
    for row in ROWS {
        Netns::run(|ns| one_signal(ns, row));
    }
}

fn one_signal(ns: &Netns, (signal, disposition, phase): Row) {
    let one = [signal];
    let only = |wanted: Disposition| if disposition == wanted { &one[..] } else { &[] };
    let mut servant = Servant::start(Manners {
        handled: only(Disposition::Handled),
        ignored: only(Disposition::Ignored),
        blocked: only(Disposition::Blocked),
        ..Manners::default()
    });
    let from = clock::monotonic_ns();
    servant.signal(signal);
    let until = clock::monotonic_ns();
    let what = format!("signal {signal}, {disposition:?}");
    let dies = disposition == Disposition::Default && signal != SIGWINCH;
    if !dies {
        servant.tell(Order::StopListening, 0);
        assert_eq!(
            phase_of_listener(ns),
            Some(phase.unwrap_or(Phase::Steady)),
            "{what}"
        );
        servant.signal(SIGKILL);
    }
    let status = servant.wait_status();
    if dies {
        assert_eq!(phase_of_listener(ns), phase, "{what}");
        assert_eq!(status, signal as u32, "{what}");
    }
    let killed = usize::from(!dies);
    let records = told_of(servant.instance, usize::from(phase.is_some()) + killed + 1);
    let mut signals = signals(&records).into_iter();
    if let Some(phase) = phase {
        let record = signals.next().unwrap();
        assert!((from..=until).contains(&record.header.at_ns), "{what}");
        assert_eq!(record.header.kind, KIND_SIGNAL);
        assert_eq!(
            record,
            by_us(&servant, record.header, signal, disposition, phase),
            "{what}"
        );
    }
    if !dies {
        let kill = signals.next().unwrap();
        assert_eq!(
            kill,
            by_us(
                &servant,
                kill.header,
                SIGKILL,
                Disposition::Default,
                Phase::Draining
            ),
            "{what}"
        );
    }
    let Some(Record::Exit(exit)) = records.last() else {
        panic!("{what}: the exit is the last: {records:#?}")
    };
    assert_eq!(exit.status, status, "{what}");
}

/// haproxy's USR1 is its soft stop; nginx's opens its log files anew; haproxy's HUP reloads.
#[test]
fn signals_that_mean_something_else_to_a_program() {
    shared();
    for (name, signal, phase) in [
        ("haproxy", SIGUSR1, Some(Phase::Draining)),
        ("haproxy", SIGUSR2, Some(Phase::Reloading)),
        ("haproxy", SIGHUP, Some(Phase::Reloading)),
        ("nginx", SIGUSR1, None),
        ("nginx", SIGHUP, Some(Phase::Reloading)),
        ("nginx", SIGQUIT, Some(Phase::Draining)),
        ("apache2", SIGWINCH, Some(Phase::Draining)),
        ("java", SIGQUIT, Some(Phase::Steady)),
    ] {
        Netns::run(|ns| {
            let servant = Servant::start(Manners {
                handled: &[signal],
                name,
                ..Manners::default()
            });
            servant.signal(signal);
            servant.tell(Order::StopListening, 0);
            let seen = phase_of_listener(ns);
            assert_eq!(
                seen,
                Some(phase.unwrap_or(Phase::Steady)),
                "{name} {signal}"
            );
            let records = told_of(servant.instance, usize::from(phase.is_some()));
            for record in signals(&records) {
                assert_eq!(Some(record.phase), phase.map(|phase| phase as u8), "{name}");
                assert_eq!(record.target_comm, comm(name));
            }
        });
    }
}

/// Of a worker there is a record, and no phase.
#[test]
fn a_workers_signal_names_it_and_the_instance() {
    shared();
    Netns::run(|ns| {
        let servant = Servant::start(Manners {
            handled: &[SIGTERM],
            ..Manners::default()
        });
        let worker = servant.tell(Order::Fork, 0).cast_unsigned();
        let entry = entry_of(worker).expect("the worker is known");
        signal_process(worker, SIGTERM);
        servant.tell(Order::StopListening, 0);
        servant.tell_hand(1, Order::StopListening, 0);
        assert_eq!(phase_of_listener(ns), Some(Phase::Steady));
        let [record] = signals(&told_of(servant.instance, 1))[..] else {
            panic!("one record")
        };
        let target = Process {
            start_ns: entry.start_ns,
            tgid: worker,
            pad: 0,
        };
        let expected = SignalRecord {
            target,
            kinship: Kinship::Member as u8,
            ..by_us(
                &servant,
                record.header,
                SIGTERM,
                Disposition::Handled,
                Phase::Steady,
            )
        };
        assert_eq!(record, expected);
    });
}

/// A process that is no relative is made the instance's controller, as a container's process 1 is.
#[test]
fn a_controllers_stop_is_the_services() {
    let probe = shared();
    Netns::run(|ns| {
        let servant = Servant::start(Manners::default());
        let mut controller = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let pid = controller.id();
        wait_until("it is another program, and so a stranger", || {
            entry_of(pid).is_none()
        });
        let entry = ProcessEntry {
            instance: servant.instance,
            start_ns: 0,
            born_ns: 0,
            kinship: Kinship::Controller as u8,
            pad: [0; 7],
        };
        probe.with(|probe| probe.processes.adopt(pid, entry));
        assert_eq!(entry_of(pid), Some(entry));
        // What is known already stays as it is.
        probe.with(|probe| probe.processes.adopt(servant.pid(), entry));
        assert_eq!(
            entry_of(servant.pid()).unwrap().kinship,
            Kinship::Owner as u8
        );
        signal_process(pid, SIGTERM);
        controller.wait().unwrap();
        servant.tell(Order::StopListening, 0);
        assert_eq!(phase_of_listener(ns), Some(Phase::Draining));
        let records = told_of(servant.instance, 2);
        let [Record::Signal(signal), Record::Exit(exit)] = records[..] else {
            panic!("a signal and an exit: {records:#?}")
        };
        assert_eq!(signal.kinship, Kinship::Controller as u8);
        assert_eq!(signal.phase, Phase::Draining as u8);
        assert_eq!((signal.target.tgid, exit.process.tgid), (pid, pid));
        assert_eq!(exit.kinship, Kinship::Controller as u8);
        assert_eq!(exit.status, SIGTERM as u32);
    });
}

/// Signals to other processes, and threads' signals to themselves, are nobody's business.
#[test]
fn strangers_and_threads_among_themselves_make_no_record() {
    shared();
    Netns::run(|ns| {
        let servant = Servant::start(Manners {
            handled: &[SIGUSR1, SIGUSR2],
            ..Manners::default()
        });
        let mut stranger = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        wait_until("it is another program", || {
            entry_of(stranger.id()).is_none()
        });
        signal_process(stranger.id(), SIGTERM);
        stranger.wait().unwrap();
        servant.tell(Order::Thread, 0);
        for hand in [0, 1] {
            servant.tell_hand(hand, Order::Raise, SIGUSR1 as u8);
            servant.tell_hand(hand, Order::Raise, SIGUSR2 as u8);
        }
        servant.tell(Order::StopListening, 0);
        assert_eq!(phase_of_listener(ns), Some(Phase::Steady));
        // The same from outside counts, so the silence was not deafness.
        servant.signal(SIGUSR2);
        let [record] = signals(&told_of(servant.instance, 1))[..] else {
            panic!("one record")
        };
        assert_eq!(record.sender_tgid, std::process::id());
    });
}
