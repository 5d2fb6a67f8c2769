//! Signals to the processes of a service: who sent which to whom, what the target does with it, and the phase that it
//! asks for, in the record and in the counters.

use finwatch::{clock, netns::owners};
use finwatch_common::{
    Disposition, Intent, KIND_SIGNAL, Kinship, Phase, Process, ProcessEntry, RecordHeader,
    SignalRecord,
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
    intent: Intent,
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
        intent: intent as u8,
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
type Row = (i32, Disposition, Option<Intent>);

#[test]
fn every_signal_taken_in_every_way() {
    use Disposition::{Blocked, Default, Handled, Ignored};
    use Intent::{Nothing, Reload, Stop, Unclear};
    const ROWS: [Row; 29] = [
        (SIGTERM, Handled, Some(Stop)),
        (SIGTERM, Default, Some(Stop)),
        // It was asked to stop all the same, and does not listen.
        (SIGTERM, Ignored, Some(Stop)),
        (SIGTERM, Blocked, Some(Stop)),
        (SIGINT, Handled, Some(Stop)),
        (SIGINT, Default, Some(Stop)),
        (SIGINT, Ignored, Some(Stop)),
        (SIGINT, Blocked, Some(Stop)),
        (SIGQUIT, Handled, Some(Stop)),
        (SIGQUIT, Default, Some(Stop)),
        (SIGQUIT, Ignored, Some(Stop)),
        (SIGQUIT, Blocked, Some(Stop)),
        (SIGHUP, Handled, Some(Reload)),
        // What nobody handles ends the process.
        (SIGHUP, Default, Some(Stop)),
        // As under nohup(1).
        (SIGHUP, Ignored, Some(Nothing)),
        (SIGHUP, Blocked, Some(Reload)),
        // Nobody knows what it makes of it.
        (SIGUSR1, Handled, Some(Unclear)),
        (SIGUSR1, Default, Some(Stop)),
        (SIGUSR1, Ignored, None),
        (SIGUSR1, Blocked, Some(Unclear)),
        (SIGUSR2, Handled, Some(Unclear)),
        (SIGUSR2, Default, Some(Stop)),
        (SIGUSR2, Ignored, None),
        (SIGUSR2, Blocked, Some(Unclear)),
        // A terminal's size changed.
        (SIGWINCH, Handled, None),
        (SIGWINCH, Default, None),
        (SIGWINCH, Ignored, None),
        (SIGWINCH, Blocked, None),
        (SIGKILL, Default, Some(Stop)),
    ];
    shared();
    for row in ROWS {
        Netns::run(|ns| one_signal(ns, row));
    }
}

fn one_signal(ns: &Netns, (signal, disposition, intent): Row) {
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
    let phase = intent.unwrap_or(Intent::Nothing).phase();
    let what = format!("signal {signal}, {disposition:?}");
    let dies = disposition == Disposition::Default && signal != SIGWINCH;
    if !dies {
        servant.tell(Order::StopListening, 0);
        assert_eq!(phase_of_listener(ns), Some(phase), "{what}");
        servant.signal(SIGKILL);
    }
    let status = servant.wait_status();
    if dies {
        assert_eq!(phase_of_listener(ns), Some(phase), "{what}");
        assert_eq!(status, signal as u32, "{what}");
    }
    let killed = usize::from(!dies);
    let records = told_of(servant.instance, usize::from(intent.is_some()) + killed + 1);
    let mut signals = signals(&records).into_iter();
    if let Some(intent) = intent {
        let record = signals.next().unwrap();
        assert!((from..=until).contains(&record.header.at_ns), "{what}");
        assert_eq!(record.header.kind, KIND_SIGNAL);
        assert_eq!(
            record,
            by_us(&servant, record.header, signal, disposition, intent),
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
                Intent::Stop
            ),
            "{what}"
        );
    }
    let Some(Record::Exit(exit)) = records.last() else {
        panic!("{what}: the exit is the last: {records:#?}")
    };
    assert_eq!(exit.status, status, "{what}");
}

/// What a program's own table says, by its whole name or by how it begins; `None`: there is no record.
#[test]
fn signals_that_mean_something_else_to_a_program() {
    use Intent::{Nothing, Reload, Stop, Unclear};
    shared();
    for (name, signal, intent) in [
        ("haproxy", SIGUSR1, Some(Stop)),
        ("haproxy", SIGUSR2, Some(Reload)),
        ("haproxy", SIGHUP, Some(Reload)),
        ("haproxy_exporte", SIGUSR1, Some(Unclear)),
        ("nginx", SIGUSR1, None),
        ("nginx", SIGHUP, Some(Reload)),
        ("nginx", SIGQUIT, Some(Stop)),
        ("nginx", SIGWINCH, Some(Reload)),
        ("nginx-ingress-c", SIGUSR1, Some(Unclear)),
        ("angie", SIGUSR1, None),
        ("freenginx", SIGUSR2, None),
        // What setproctitle makes of a master and a worker, cut to what the kernel keeps.
        ("gunicorn", SIGUSR1, None),
        ("gunicorn: maste", SIGUSR1, None),
        ("gunicorn: worke", SIGUSR1, None),
        ("gunicorn: maste", SIGHUP, Some(Reload)),
        ("gunicorn: maste", SIGWINCH, Some(Unclear)),
        ("gunicor", SIGUSR1, Some(Unclear)),
        ("php-fpm", SIGUSR1, None),
        ("php-fpm8.9", SIGUSR1, None),
        ("php-fpm8.9", SIGUSR2, Some(Reload)),
        ("unicorn worker[", SIGUSR1, None),
        ("apache2", SIGWINCH, Some(Stop)),
        ("java", SIGQUIT, Some(Nothing)),
        ("caddy", SIGHUP, Some(Nothing)),
    ] {
        Netns::run(|ns| {
            let servant = Servant::start(Manners {
                handled: &[signal],
                name,
                ..Manners::default()
            });
            servant.signal(signal);
            servant.tell(Order::StopListening, 0);
            let phase = intent.unwrap_or(Nothing).phase();
            assert_eq!(phase_of_listener(ns), Some(phase), "{name} {signal}");
            // A signal that is always told comes last, so that one before it was told or never will be.
            servant.signal(SIGKILL);
            let told = usize::from(intent.is_some()) + 2;
            let records = signals(&told_of(servant.instance, told));
            let intents: Vec<_> = records.iter().map(|record| record.intent()).collect();
            let expected: Vec<_> = intent.into_iter().chain([Stop]).collect();
            assert_eq!(intents, expected, "{name} {signal}");
            assert_eq!(records[0].target_comm, comm(name));
        });
    }
}

/// A signal that its like handles ends a process that does not, whatever it is called.
#[test]
fn a_known_program_without_a_handler_dies() {
    shared();
    for (name, signal) in [("nginx", SIGUSR1), ("nginx", SIGHUP), ("haproxy", SIGUSR2)] {
        Netns::run(|_| {
            let mut servant = Servant::start(Manners {
                name,
                ..Manners::default()
            });
            servant.signal(signal);
            assert_eq!(servant.wait_status(), signal as u32);
            let records = signals(&told_of(servant.instance, 2));
            assert_eq!(records[0].intent(), Intent::Stop, "{name} {signal}");
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
                Intent::Nothing,
            )
        };
        assert_eq!(record, expected);
    });
}

/// What user space would add of a process that it saw.
fn controller_entry(pid: u32, instance: Process) -> ProcessEntry {
    let stats = owners::processes().unwrap();
    let stat = stats.iter().find(|stat| stat.pid == pid).unwrap();
    ProcessEntry {
        instance,
        start_ns: stat.start_ns,
        born_ns: stat.start_ns,
        kinship: Kinship::Controller as u8,
        pad: [0; 7],
    }
}

/// Between a look and the entry that it leads to, a process may end: nobody would ever take such an entry out, and a drain
/// would wait for that process.
#[test]
fn a_process_that_ended_since_it_was_seen_belongs_to_nobody() {
    let probe = shared();
    Netns::run(|_| {
        let servant = Servant::start(Manners::default());
        let mut seen = std::process::Command::new("sleep")
            .arg("600")
            .spawn()
            .unwrap();
        let pid = seen.id();
        wait_until("it is another program, and so a stranger", || {
            entry_of(pid).is_none()
        });
        let entry = controller_entry(pid, servant.instance);
        seen.kill().unwrap();
        seen.wait().unwrap();
        probe.with(|probe| probe.processes.adopt(pid, entry));
        assert_eq!(entry_of(pid), None);
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
        let entry = controller_entry(pid, servant.instance);
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
        assert_eq!(signal.intent(), Intent::Stop);
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
