//! Ends of a service's processes, and who belongs to it: each end told once, with its status, before the sockets
//! close; strangers never.

use finwatch_common::{ExitRecord, KIND_EXIT, Kinship, Process};
use finwatch_engine::input::Record;

use crate::harness::{
    Manners, Netns, Order, Servant,
    servant::{entry_of, signal_process},
    shared, told_of, wait_until,
};

/// The record of the first process's end.
fn of_owner(servant: &Servant, like: &ExitRecord, status: u32) -> ExitRecord {
    let mut comm = [0; 16];
    comm[..7].copy_from_slice(b"servant");
    ExitRecord {
        header: like.header,
        instance: servant.instance,
        process: servant.instance,
        born_ns: servant.instance.start_ns,
        comm,
        status,
        kinship: Kinship::Owner as u8,
        pad: [0; 3],
    }
}

fn exits(records: &[Record]) -> Vec<ExitRecord> {
    let exit = |record: &Record| match record {
        Record::Exit(exit) => Some(*exit),
        _ => None,
    };
    records.iter().filter_map(exit).collect()
}

#[test]
fn an_exit_with_a_code() {
    shared();
    for code in [0, 3, 255] {
        Netns::run(|_| {
            let mut servant = Servant::start(Manners::default());
            servant.tell_last(0, Order::Exit, code);
            assert_eq!(servant.wait_status(), u32::from(code) << 8);
            let [exit] = exits(&told_of(servant.instance, 1))[..] else {
                panic!("one exit")
            };
            assert_eq!(exit, of_owner(&servant, &exit, u32::from(code) << 8));
            assert_eq!(exit.header.kind, KIND_EXIT);
            assert_eq!(entry_of(servant.pid()), None, "the dead are forgotten");
        });
    }
}

#[test]
fn a_threads_end_is_no_processs_end() {
    shared();
    Netns::run(|_| {
        let mut servant = Servant::start(Manners::default());
        servant.tell(Order::Thread, 0);
        servant.tell(Order::Thread, 0);
        let threads = || {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", servant.pid())).unwrap();
            tasks.count()
        };
        servant.tell_last(1, Order::Leave, 5);
        wait_until("the thread ends", || threads() == 2);
        told_of(servant.instance, 0);
        servant.tell_last(0, Order::Exit, 7);
        assert_eq!(servant.wait_status(), 7 << 8);
        let [exit] = exits(&told_of(servant.instance, 1))[..] else {
            panic!("one exit, whatever the number of threads")
        };
        assert_eq!(exit, of_owner(&servant, &exit, 7 << 8));
    });
}

/// The first thread leaves and the others go on serving; the last word is that of whoever ends the process.
#[test]
fn a_process_outlives_its_first_thread() {
    shared();
    Netns::run(|_| {
        let mut servant = Servant::start(Manners::default());
        servant.tell(Order::Thread, 0);
        servant.tell_last(0, Order::Leave, 0);
        wait_until("the first thread ends", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", servant.pid()));
            status.is_ok_and(|text| text.contains("State:\tZ"))
        });
        told_of(servant.instance, 0);
        assert!(entry_of(servant.pid()).is_some());
        servant.tell_last(1, Order::Exit, 9);
        assert_eq!(servant.wait_status(), 9 << 8);
        let [exit] = exits(&told_of(servant.instance, 1))[..] else {
            panic!("one exit")
        };
        assert_eq!(exit, of_owner(&servant, &exit, 9 << 8));
    });
}

#[test]
fn a_killed_worker_is_told_as_a_member() {
    shared();
    Netns::run(|_| {
        let servant = Servant::start(Manners::default());
        let worker = servant.tell(Order::Fork, 0).cast_unsigned();
        let entry = entry_of(worker).expect("the worker is known");
        signal_process(worker, libc::SIGKILL);
        let records = told_of(servant.instance, 2);
        let [exit] = exits(&records)[..] else {
            panic!("one exit: {records:#?}")
        };
        let process = Process {
            start_ns: entry.start_ns,
            tgid: worker,
            pad: 0,
        };
        let expected = ExitRecord {
            process,
            born_ns: entry.born_ns,
            kinship: Kinship::Member as u8,
            ..of_owner(&servant, &exit, 9)
        };
        assert_eq!(exit, expected);
        assert_eq!(entry_of(worker), None);
        assert!(entry_of(servant.pid()).is_some(), "the master goes on");
    });
}

#[test]
fn a_child_that_runs_another_program_leaves_the_family() {
    shared();
    Netns::run(|_| {
        let servant = Servant::start(Manners::default());
        let child = servant.tell(Order::Spawn, 0).cast_unsigned();
        wait_until("the child is another program", || entry_of(child).is_none());
        signal_process(child, libc::SIGTERM);
        wait_until("the child ends", || {
            std::fs::read_to_string(format!("/proc/{child}/stat"))
                .is_ok_and(|stat| stat.contains(") Z "))
        });
        told_of(servant.instance, 0);
    });
}

/// A worker that opens a listener of its own goes on to be a worker.
#[test]
fn what_a_worker_listens_on_is_the_familys() {
    shared();
    Netns::run(|ns| {
        let servant = Servant::start(Manners {
            handled: &[libc::SIGTERM],
            ..Manners::default()
        });
        let worker = servant.tell(Order::Fork, 0).cast_unsigned();
        let mut port = 0;
        let records = crate::harness::recorded(ns, 1, || {
            port = servant.tell_hand(1, Order::Listen, 0) as u16;
        });
        let [Record::Listener(listener)] = records[..] else {
            panic!("a listener: {records:#?}")
        };
        assert_eq!(listener.service.port, port);
        assert_eq!(listener.tgid, worker);
        let owner = (listener.owner_tgid, listener.start_ns);
        assert_eq!(owner, (servant.pid(), servant.instance.start_ns));
        let entry = entry_of(worker).expect("the worker is known");
        assert_eq!(entry.kinship, Kinship::Member as u8);
        assert_eq!(entry.instance, servant.instance);
    });
}

/// Every process whose end was seen is out of the table: it does not fill up.
#[test]
fn nobody_dead_stays_in_the_table() {
    shared();
    let mut gone = Vec::new();
    Netns::run(|_| {
        for _ in 0..20 {
            let mut servant = Servant::start(Manners::default());
            for _ in 0..2 {
                gone.push(servant.tell(Order::Fork, 0).cast_unsigned());
            }
            gone.push(servant.pid());
            servant.signal(libc::SIGKILL);
            servant.wait_status();
        }
    });
    wait_until("the dead leave the table", || {
        let processes = shared().with(|probe| probe.processes.table());
        processes.iter().all(|(pid, _)| !gone.contains(pid))
    });
}
