//! Records what the drains of one network namespace are told, with a probe of its own, while it tells them: as the
//! daemon's reader and engine do, but of one namespace alone, and every input is kept.

use std::{
    collections::{HashSet, VecDeque},
    fs::File,
    os::fd::AsFd as _,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime},
};

use finwatch::{clock, families, probe::Probe};
use finwatch_common::{Process, ProcessEntry, survey_kind};
use finwatch_engine::{Want, input::Record};

use crate::{
    harness::{OPTIONS, PATIENCE},
    recording::{Head, Input, Recording, What},
    teller::{Story, Teller},
};

/// Between two rounds of work while something drains, and else: as the daemon's.
const BUSY: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(1);
/// When the family of a new listener is looked at: at once, and when a launcher has left.
const FAMILY_LOOKS: [Duration; 2] = [Duration::ZERO, Duration::from_secs(2)];

/// See the module.
pub(super) struct Recorder {
    probe: Probe,
    netns: u64,
    teller: Teller,
    inputs: Vec<Input>,
    /// Instances that listen in the namespace.
    instances: HashSet<Process>,
    families: VecDeque<(Instant, Process)>,
    sockets: families::Sockets,
    lost: u64,
}

impl Recorder {
    /// Of the namespace of this cookie. Blocking: it loads the programs.
    pub(super) fn new(netns: u64, server: &str) -> Self {
        let zero = clock::wall_of(0).duration_since(SystemTime::UNIX_EPOCH);
        let head = Head {
            server: server.to_owned(),
            wall_zero_ns: u64::try_from(zero.unwrap().as_nanos()).unwrap(),
            asleep_ns: clock::boot_ns_of(0),
            ..Head::default()
        };
        let probe = Probe::load(&OPTIONS).expect("the programs load");
        let teller = Teller::with(head, probe.reasons.clone());
        Self {
            probe,
            netns,
            teller,
            inputs: Vec::new(),
            instances: HashSet::new(),
            families: VecDeque::new(),
            sockets: families::Sockets::default(),
            lost: 0,
        }
    }

    /// Records until it is told to finish and nothing drains any more. The calling thread lives in the namespace.
    pub(super) fn run(mut self, finish: &AtomicBool) -> (Recording, Story) {
        let mut worked: Option<Instant> = None;
        let mut finished: Option<Instant> = None;
        loop {
            let urgent = self.read();
            let pause = if self.teller.is_busy() { BUSY } else { IDLE };
            let due = worked.is_none_or(|at| at.elapsed() >= pause);
            if urgent || due {
                self.work();
                worked = Some(Instant::now());
            }
            if finish.load(Relaxed) {
                let since = *finished.get_or_insert_with(Instant::now);
                assert!(since.elapsed() < PATIENCE, "a drain does not end");
                // What ended at the last moment is in the ring by now, and worked on.
                if !self.teller.is_busy() && since.elapsed() > 2 * IDLE {
                    break self.take_last_look();
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        let head = self.teller.head.clone();
        let inputs = self.inputs;
        (Recording { head, inputs }, self.teller.end())
    }

    /// Takes the ring's records; returns whether one is worth a look at once.
    fn read(&mut self) -> bool {
        let mut records = Vec::new();
        self.probe
            .ring
            .drain(usize::MAX, |record| records.push(record));
        let mut urgent = false;
        for record in records {
            if !self.is_of_this_run(&record) {
                continue;
            }
            match &record {
                Record::Listener(listener) => {
                    let instance = Process {
                        start_ns: listener.start_ns,
                        tgid: listener.owner_tgid,
                        pad: 0,
                    };
                    self.instances.insert(instance);
                    if listener.up == 1 {
                        let now = Instant::now();
                        let looks = FAMILY_LOOKS.map(|later| (now + later, instance));
                        self.families.extend(looks);
                        urgent = true;
                    }
                }
                Record::Signal(_) | Record::Exit(_) => urgent = true,
                Record::Unread(_) => {}
                Record::Close(close) => self.name(close.reason),
                Record::Reset(reset) => self.name(reset.reason),
            }
            self.take(What::Record(record));
        }
        urgent
    }

    /// One round, as the daemon works.
    fn work(&mut self) {
        self.find_families();
        let losses = self.probe.losses.read();
        let lost = losses.ring_full.iter().sum::<u64>() + losses.malformed + losses.processes_full;
        if lost != self.lost {
            self.lost = lost;
            self.take(What::Lost { total: lost });
        }
        for want in self.take(What::Tick) {
            match want {
                Want::Survey { netns } => {
                    assert_eq!(netns, self.netns, "only this run's sockets drain");
                    let look = self.look();
                    self.take(look);
                }
                Want::Processes => {
                    let processes = self.processes();
                    self.take(What::Processes(processes));
                }
                Want::EndPhase { instance } => self.probe.phases.end(instance),
                // The recorder looks for these itself, and nobody asks it for the others.
                Want::Relatives { .. }
                | Want::MiniSockets { .. }
                | Want::Counters { .. }
                | Want::Name { .. } => {}
            }
        }
        self.take(What::Conclude);
    }

    /// How everything was left: who replays it with a record less may have to ask later than was asked here.
    fn take_last_look(&mut self) {
        let look = self.look();
        self.take(look);
        let processes = self.processes();
        self.take(What::Processes(processes));
    }

    fn take(&mut self, what: What) -> Vec<Want> {
        let at_ns = clock::monotonic_ns();
        let input = Input { at_ns, what };
        let wants = self.teller.take(&input);
        self.inputs.push(input);
        wants
    }

    fn look(&mut self) -> What {
        let here = File::open("/proc/thread-self/ns/net").unwrap();
        let began_ns = clock::monotonic_ns();
        let rows = self.probe.survey.sockets(here.as_fd()).unwrap();
        let mut minis = self.probe.survey.mini_sockets(here.as_fd()).unwrap();
        // The others wait for nobody's request.
        minis.retain(|mini| mini.kind == survey_kind::FIN_WAIT2);
        What::Look {
            netns: self.netns,
            began_ns,
            rows,
            minis,
        }
    }

    fn processes(&self) -> Vec<(u32, ProcessEntry)> {
        let mut processes = self.probe.processes.table();
        processes.retain(|(_, entry)| self.instances.contains(&entry.instance));
        processes
    }

    fn find_families(&mut self) {
        let now = Instant::now();
        let (due, later) = self.families.drain(..).partition(|(at, _)| *at <= now);
        self.families = later;
        let due: VecDeque<(Instant, Process)> = due;
        let instances: Vec<Process> = due.into_iter().map(|(_, instance)| instance).collect();
        if !instances.is_empty() {
            for (tgid, entry) in families::scan(&instances, &mut self.sockets).unwrap() {
                self.probe.processes.adopt(tgid, entry);
            }
        }
    }

    /// The ring is the whole host's.
    fn is_of_this_run(&self, record: &Record) -> bool {
        match record {
            Record::Close(close) => close.service.netns == self.netns,
            Record::Reset(reset) => reset.service.netns == self.netns,
            Record::Unread(unread) => unread.service.netns == self.netns,
            Record::Listener(listener) => listener.service.netns == self.netns,
            Record::Signal(signal) => self.instances.contains(&signal.instance),
            Record::Exit(exit) => self.instances.contains(&exit.instance),
        }
    }

    fn name(&mut self, reason: u8) {
        let name = self.probe.reasons.name(reason);
        self.teller.head.reasons.insert(reason, name);
    }
}
