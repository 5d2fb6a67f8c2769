//! The records of one namespace, or of the processes of one instance, taken from the ring while a scenario runs.
//! The ring is everybody's: whoever empties it hands each record to the namespace that asked for it, and keeps
//! what is told of processes.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use finwatch_common::Process;
use finwatch_engine::input::Record;

use super::{Netns, StopAtEnd, shared, wait_until};

/// By namespace, of those whose records are wanted.
static WANTED: Mutex<Option<HashMap<u64, Vec<Record>>>> = Mutex::new(None);

/// What was told of processes, from the first look at the ring on.
static OF_PROCESSES: Mutex<Vec<Record>> = Mutex::new(Vec::new());

/// Waits until `count` signals and exits of the instance were told, and returns them in their order.
#[track_caller]
pub(crate) fn told_of(instance: Process, count: usize) -> Vec<Record> {
    let its = |record: &Record| match record {
        Record::Signal(signal) => signal.instance == instance,
        Record::Exit(exit) => exit.instance == instance,
        Record::Close(_) | Record::Reset(_) | Record::Listener(_) | Record::Unread(_) => false,
    };
    let told = || -> Vec<Record> {
        take();
        let all = OF_PROCESSES.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().copied().filter(its).collect()
    };
    wait_until("the signals and exits come", || told().len() >= count);
    let told = told();
    assert_eq!(told.len(), count, "records too many: {told:#?}");
    told
}

/// Runs `body` and returns the namespace's records, in order, when there are as many as `count`.
#[track_caller]
pub(crate) fn recorded(ns: &Netns, count: usize, body: impl FnOnce()) -> Vec<Record> {
    // What the ring still holds of the namespace is older than `body`.
    take();
    wanted(|wanted| wanted.insert(ns.cookie(), Vec::new()));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = StopAtEnd(&stop);
        // All the time: a test that floods the ring must not cost another one its records.
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                take();
                // Between two looks at the ring.
                thread::sleep(Duration::from_millis(2));
            }
        });
        body();
        wait_until("the records come", || {
            wanted(|wanted| wanted[&ns.cookie()].len() >= count)
        });
    });
    take();
    let records = wanted(|wanted| wanted.remove(&ns.cookie()).unwrap_or_default());
    assert_eq!(records.len(), count, "records too many: {records:#?}");
    records
}

/// Empties the ring.
fn take() {
    shared().with(|probe| {
        // Under the probe's lock, so that the records of one socket stay in their order.
        wanted(|wanted| {
            probe.ring.drain(usize::MAX, |record| {
                if matches!(record, Record::Signal(_) | Record::Exit(_)) {
                    let mut all = OF_PROCESSES.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(record);
                }
                if let Some(records) = wanted.get_mut(&netns(&record)) {
                    records.push(record);
                }
            })
        })
    });
}

fn wanted<R>(use_it: impl FnOnce(&mut HashMap<u64, Vec<Record>>) -> R) -> R {
    let mut wanted = WANTED.lock().unwrap_or_else(PoisonError::into_inner);
    use_it(wanted.get_or_insert_default())
}

/// 0 for a record that belongs to a process and not to a socket.
fn netns(record: &Record) -> u64 {
    match record {
        Record::Close(close) => close.service.netns,
        Record::Reset(reset) => reset.service.netns,
        Record::Unread(unread) => unread.service.netns,
        Record::Listener(listener) => listener.service.netns,
        Record::Signal(_) | Record::Exit(_) => 0,
    }
}
