//! Records what the drains of one network namespace are told, with a probe of its own, while it tells them: as the
//! daemon's tasks do, but of one namespace alone, and every input is kept.

use std::{
    collections::HashSet,
    env,
    fs::{self, File},
    os::fd::AsFd as _,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime},
};

use finwatch::{clock, families, probe::Probe};
use finwatch_common::{Process, ProcessEntry, survey_kind};
use finwatch_engine::{
    Want,
    input::{Reading, Record},
    timing,
};

use crate::{
    harness::{OPTIONS, PATIENCE},
    recording::{Head, Input, Recording, What},
    teller::{Story, Teller},
};

/// Between two rounds of work while something drains, and else: as the engine's ticks.
const BUSY: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Recorder {
    probe: Probe,
    netns: u64,
    teller: Teller,
    inputs: Vec<Input>,
    /// Instances that listen in the namespace.
    instances: HashSet<Process>,
    sockets: families::Sockets,
    /// When all rows were read last.
    read: Option<Instant>,
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
            counted: true,
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
            sockets: families::Sockets::default(),
            read: None,
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
                assert!(since.elapsed() < PATIENCE, "{}", self.endless());
                // What ended at the last moment is in the ring by now, and worked on.
                if !self.teller.is_busy() && since.elapsed() > 2 * IDLE {
                    break self.take_last_look();
                }
            }
            // Between two looks at the ring, as the daemon's reader.
            thread::sleep(Duration::from_millis(5));
        }
        let head = self.teller.head.clone();
        let inputs = self.inputs;
        (Recording { head, inputs }, self.teller.end())
    }

    /// What is known of a drain that does not end; the recording so far is kept for whoever asks why.
    fn endless(&mut self) -> String {
        let kept = env::temp_dir().join(format!("finwatch-endless-{}.txt", std::process::id()));
        let recording = Recording {
            head: self.teller.head.clone(),
            inputs: self.inputs.clone(),
        };
        let written = fs::write(&kept, recording.to_string());
        format!(
            "a drain does not end; the recording: {} ({written:?}); as it is told: {}",
            kept.display(),
            self.teller.as_it_stands()
        )
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
                    urgent |= listener.up == 1;
                }
                Record::Signal(_) | Record::Exit(_) => urgent = true,
                Record::Unread(_) => {}
                Record::Close(close) => self.name(close.reason),
                Record::Reset(reset) => self.name(reset.reason),
            }
            self.tell(What::Record(record));
        }
        urgent
    }

    /// One round, as the daemon's tasks work.
    fn work(&mut self) {
        if self.read.is_none_or(|at| at.elapsed() >= timing::ROWS_READ) {
            self.read = Some(Instant::now());
            let live = self.live();
            self.tell(What::Live(live));
        }
        let lost = self.probe.losses.read().records();
        if lost != self.lost {
            self.lost = lost;
            self.tell(What::Lost { total: lost });
        }
        self.tell(What::Tick);
    }

    /// Whatever is told, what is wanted then is answered: it is not wanted a second time before.
    fn tell(&mut self, what: What) {
        let wants = self.take(what);
        self.answer(wants);
    }

    fn answer(&mut self, wants: Vec<Want>) {
        for want in wants {
            let what = match want {
                Want::Survey { netns } => {
                    assert_eq!(netns, self.netns, "only this run's sockets drain");
                    self.look()
                }
                Want::Processes => What::Processes(self.processes()),
                Want::Counters { service } => What::Counted {
                    service,
                    reading: self.probe.rows.some(&[service]),
                },
                Want::EndPhase { instance, heard_ns } => {
                    self.probe.phases.end(instance, heard_ns);
                    continue;
                }
                Want::Relatives { instance } => {
                    for (tgid, entry) in families::scan(&[instance], &mut self.sockets).unwrap() {
                        self.probe.processes.adopt(tgid, entry);
                    }
                    continue;
                }
                // Nobody tells how many mini-sockets there are, and the teller knows names.
                Want::Closes { .. } | Want::MiniSockets { .. } | Want::Name { .. } => continue,
            };
            self.tell(what);
        }
    }

    /// The live rows of the namespace.
    fn live(&self) -> Reading {
        let mut live = self.probe.rows.live().unwrap();
        live.rows.retain(|(key, _)| key.netns == self.netns);
        live.resets
            .retain(|(key, _)| key.service.netns == self.netns);
        live
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
