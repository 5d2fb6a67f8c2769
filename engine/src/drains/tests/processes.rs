//! What the scenarios do to processes: forks, signals, ends.

use finwatch_common::{
    Disposition, ExitRecord, Intent, KIND_EXIT, KIND_SIGNAL, Kinship, Phase, Process, SignalRecord,
    TimeWait, close_flags,
    signal::{self, FAULTS, HUP, INT, KILL, QUIT, TERM, USR1, USR2, WINCH},
};

use super::{
    kernel::{End, Kernel, Proc, State, comm, header, started_ns},
    verbs::{FIN, aborted},
};
use crate::input::Record;

// === impl Kernel ===

impl Kernel {
    pub(super) fn fork(&mut self, now_ns: u64, parent: u32, child: u32) {
        let mut process = self.processes.get(&parent).expect("a parent").clone();
        process.start_ns = started_ns(now_ns);
        process.parent = parent;
        process.kin = process.kin.map(|(instance, _)| (instance, Kinship::Member));
        self.processes.insert(child, process);
        let held = self.listeners.values_mut();
        held.filter(|l| l.holders.contains(&parent)).for_each(|l| {
            l.holders.insert(child);
        });
    }

    /// It runs another program now, and holds what it held.
    pub(super) fn exec(&mut self, pid: u32) {
        self.processes.get_mut(&pid).expect("a process").kin = None;
    }

    pub(super) fn heir(&mut self, pid: u32, of: u32) {
        let mut owners = self.listeners.values().map(|listener| listener.owner);
        let instance = owners.find(|owner| owner.tgid == of).expect("an owner");
        let process = self.processes.get_mut(&pid).expect("a process");
        process.kin = Some((instance, Kinship::Member));
    }

    pub(super) fn controller(&mut self, now_ns: u64, pid: u32, name: &str, of: u32, holds: bool) {
        let instance = self
            .processes
            .get(&of)
            .and_then(|p| p.kin)
            .expect("an instance")
            .0;
        let process = Proc {
            comm: comm(name),
            start_ns: started_ns(now_ns),
            parent: 0,
            kin: Some((instance, Kinship::Controller)),
        };
        self.processes.insert(pid, process);
        if holds {
            let own = self.listeners.values_mut().filter(|l| l.owner == instance);
            own.for_each(|l| {
                l.holders.insert(pid);
            });
        }
    }

    pub(super) fn signal(&mut self, now_ns: u64, words: &[&str]) {
        let signal = signal_number(words[1]);
        let pid: u32 = words[2].parse().expect("a process");
        let after = |word| {
            words
                .iter()
                .position(|w| *w == word)
                .map(|at| words[at + 1])
        };
        let sender: u32 = after("from").map_or(0, |pid| pid.parse().expect("a process"));
        let process = self.processes.get(&pid).expect("a process").clone();
        let Some((instance, kinship)) = process.kin else {
            return;
        };
        let family = |pid: u32| self.processes.get(&pid).is_some_and(|p| p.kin.is_some());
        let mere_worker = kinship == Kinship::Member && family(process.parent);
        let intent = match signal {
            _ if mere_worker || after("as") == Some("steady") => Intent::Nothing,
            _ if after("as") == Some("unclear") => Intent::Unclear,
            INT | QUIT | KILL | TERM => Intent::Stop,
            fault if FAULTS.contains(&fault) && words.last() == Some(&"default") => Intent::Stop,
            HUP | USR1 | USR2 | WINCH => Intent::Reload,
            _ => Intent::Nothing,
        };
        let phase = intent.phase();
        if phase != Phase::Steady {
            let known = self.phases.entry(instance).or_insert(phase);
            if phase == Phase::Draining {
                *known = phase;
            }
        }
        let disposition = match words.last() {
            Some(&"ignored") => Disposition::Ignored,
            Some(&"default") => Disposition::Default,
            Some(&"blocked") => Disposition::Blocked,
            _ => Disposition::Handled,
        };
        let sender_comm = self.processes.get(&sender).map_or(comm("bash"), |p| p.comm);
        let record = SignalRecord {
            header: header(KIND_SIGNAL, size_of::<SignalRecord>(), now_ns),
            instance,
            target: self.name(pid),
            target_comm: process.comm,
            sender_comm,
            sender_tgid: sender,
            signal,
            disposition: disposition as u8,
            kinship: kinship as u8,
            intent: intent as u8,
        };
        self.record(Record::Signal(record));
    }

    pub(super) fn exit(&mut self, now_ns: u64, pid: u32, how: &str, half: bool) {
        let process = self.name(pid);
        let dead = self.processes.remove(&pid).expect("a process");
        if let Some((instance, kinship)) = dead.kin {
            let status = match how.parse::<u32>() {
                Ok(code) => code << 8,
                Err(_) => u32::from(signal_number(how)),
            };
            self.told_exit(now_ns, instance, process, &dead, status, kinship);
        }
        self.unlisten(now_ns, pid, None, 1);
        let held: Vec<String> = self
            .connections
            .iter()
            .filter(|(_, c)| c.worker == pid && c.state == State::Open)
            .map(|(name, _)| name.clone())
            .collect();
        for name in held {
            let c = self.connections.get_mut(&name).expect("a connection");
            c.closer = pid;
            let flags = close_flags::BY_EXIT;
            let mut end = if c.unread > 0 {
                aborted(flags)
            } else {
                End { flags, ..FIN }
            };
            if half {
                end.time_wait = TimeWait::FinWait2;
            }
            self.ends(&name, now_ns, &end);
        }
    }

    fn told_exit(
        &mut self,
        now_ns: u64,
        instance: Process,
        process: Process,
        dead: &Proc,
        status: u32,
        kinship: Kinship,
    ) {
        let record = ExitRecord {
            header: header(KIND_EXIT, size_of::<ExitRecord>(), now_ns),
            instance,
            process,
            born_ns: process.start_ns,
            comm: dead.comm,
            status,
            kinship: kinship as u8,
            pad: [0; 3],
        };
        self.record(Record::Exit(record));
    }
}

fn signal_number(name: &str) -> u8 {
    let named =
        |number: &u8| signal::name(*number).is_some_and(|full| full == format!("SIG{name}"));
    (1..32).find(named).expect("a signal")
}
