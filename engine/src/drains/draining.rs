//! One drain: a stop, a reload or a death of one instance (or of siblings that are stopped together), over all of its
//! ports. It takes signals, ends of processes, tables and surveys; `progress.rs` says when it is over.

use std::collections::{BTreeMap, BTreeSet};

use finwatch_common::{
    CloseRecord, ExitRecord, Kinship, Process, ServiceKey, SignalRecord, close_flags,
    signal::{KILL, STOPS},
};

use super::{
    membership::instances::{Instances, PORTS_MAX, PROCESSES_MAX},
    port::Port,
};
use crate::{model::DrainKind, timing};

/// Most further signals kept of one drain; SIGKILL finds a place even then.
pub(super) const SIGNALS_MAX: usize = 16;
/// Most siblings in one drain.
pub(super) const SIBLINGS_MAX: usize = 256;

/// Which connections belong to a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of the instance.
    Instance,
    /// Those of processes that are older than it.
    OldWorkers,
    /// Those that one process ended.
    Process(u32),
}

/// How a drain takes a connection that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// It is none of its own.
    No,
    /// As its own.
    Own,
    /// As a sign that new processes serve.
    ByNew,
}

/// When a drain began for one instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    /// On the clock of the records.
    pub(super) mono_ns: u64,
    /// Since boot, and cut to a clock tick, as processes' start times are.
    pub(super) boot_ns: u64,
}

/// Why the processes count as gone although some live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// They ended.
    Ended,
    /// The old workers ended, or only the one who was told did; others listen on.
    LivedOn,
    /// Nothing was replaced, or nothing happened at all.
    Nothing,
    /// They live, and neither listen nor hold a connection.
    Quiet,
    /// Another drain of the instance took over.
    Superseded,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) kind: DrainKind,
    pub(super) scope: Scope,
    /// Whether it concerns the whole instance is not certain yet; of a reload, whether it is one.
    pub(super) doubtful: bool,
    /// Somebody opened a listening socket on one of its ports.
    pub(super) listener_came: bool,
    /// The first instance.
    pub(super) instance: Process,
    /// The process by which it is named from the beginning to the end.
    pub(super) name: u32,
    pub(super) since: BTreeMap<Process, Since>,
    pub(super) ports: BTreeMap<ServiceKey, Port>,
    pub(super) signal: Option<SignalRecord>,
    pub(super) further: Vec<SignalRecord>,
    /// The process that was signalled, or died.
    pub(super) target: Process,
    pub(super) target_exit: Option<ExitRecord>,
    /// Processes of before T0, by number, and when they ended.
    pub(super) old: BTreeMap<u32, Option<u64>>,
    /// Processes that are none of its own although they are older: successors that an earlier signal started, and
    /// workers that an earlier reload waits for.
    pub(super) excluded: BTreeSet<u32>,
    /// Connections established before this time are an earlier reload's.
    pub(super) floor_ns: u64,
    pub(super) new: BTreeSet<u32>,
    /// When the first of the new ones started, since boot.
    pub(super) new_boot_ns: Option<u64>,
    /// The owner alone serves.
    pub(super) single: bool,
    /// The owner served a connection that came long after the signal.
    pub(super) owner_serves: bool,
    /// When the last connection was established that its processes accepted, answered and closed.
    pub(super) served_ns: u64,
    /// Another process than the target was signalled too.
    pub(super) others_told: bool,
    /// Instances of which a table was had.
    pub(super) tabled: BTreeSet<Process>,
    pub(super) table_ns: u64,
    /// The exit of the old process that ended last.
    pub(super) exit: Option<ExitRecord>,
    pub(super) last_end_ns: u64,
    /// The processes are gone: since when, and in what sense.
    pub(super) gone: Option<(u64, Over)>,
    /// Surveys since the target ended that found the port still listened on.
    pub(super) surveys_listening: u32,
    /// Surveys that failed since the processes are gone.
    pub(super) surveys_failed: u32,
    /// Since when surveys find neither a listener nor a connection.
    pub(super) quiet_ns: Option<u64>,
    pub(super) lost_before: u64,
    /// Since when nothing is waited for but answers.
    pub(super) over_ns: Option<u64>,
    /// When it was told last as it stands, and how many records were lost by then; none: something changed since.
    told: Option<(u64, u64)>,
}

// === impl Draining ===

impl Draining {
    /// One that begins.
    pub(super) fn new(
        kind: DrainKind,
        scope: Scope,
        instance: Process,
        since: Since,
        target: Process,
    ) -> Self {
        Self {
            kind,
            scope,
            doubtful: false,
            listener_came: false,
            instance,
            name: match scope {
                Scope::Process(tgid) => tgid,
                Scope::Instance | Scope::OldWorkers => instance.tgid,
            },
            since: BTreeMap::from([(instance, since)]),
            ports: BTreeMap::new(),
            signal: None,
            further: Vec::new(),
            target,
            target_exit: None,
            old: BTreeMap::new(),
            excluded: BTreeSet::new(),
            floor_ns: 0,
            new: BTreeSet::new(),
            new_boot_ns: None,
            single: false,
            owner_serves: false,
            served_ns: 0,
            others_told: false,
            tabled: BTreeSet::new(),
            table_ns: 0,
            exit: None,
            last_end_ns: 0,
            gone: None,
            surveys_listening: 0,
            surveys_failed: 0,
            quiet_ns: None,
            lost_before: 0,
            over_ns: None,
            told: None,
        }
    }

    /// Something of it changed.
    pub(super) const fn touch(&mut self) {
        self.told = None;
    }

    /// It was told as it stands.
    pub(super) const fn told(&mut self, now_ns: u64, lost: u64) {
        self.told = Some((now_ns, lost));
    }

    /// Whether it is to be told again.
    pub(super) fn is_due(&self, now_ns: u64, lost: u64) -> bool {
        self.told.is_none_or(|(told_ns, told_lost)| {
            told_lost != lost || now_ns >= told_ns.saturating_add(timing::JUDGED_AGAIN_NS)
        })
    }

    /// T0.
    pub(super) fn t0_ns(&self) -> u64 {
        self.since
            .values()
            .map(|s| s.mono_ns)
            .min()
            .unwrap_or_default()
    }

    /// When it began for each instance, on the clock of the records.
    pub(super) fn since_mono(&self) -> BTreeMap<Process, u64> {
        self.since.iter().map(|(p, s)| (*p, s.mono_ns)).collect()
    }

    /// It is about the instance itself, and its end is the instance's.
    pub(super) fn is_stop(&self) -> bool {
        self.kind != DrainKind::Reload && !matches!(self.scope, Scope::Process(_))
    }

    /// A signal asked for it of which nobody knows what it means to the program.
    pub(super) fn is_doubtful_reload(&self) -> bool {
        self.doubtful && self.kind == DrainKind::Reload
    }

    /// Whether what an instance does at this time is a part of it.
    pub(super) fn is_told_of(&self, instance: &Process, at_ns: u64) -> bool {
        let taken_over = matches!(self.gone, Some((gone_ns, Over::Superseded)) if at_ns >= gone_ns);
        self.since.contains_key(instance) && !taken_over
    }

    /// Whether its old processes may still change what it is.
    pub(super) fn is_running(&self) -> bool {
        self.gone.is_none()
    }

    /// Old processes that have not ended.
    pub(super) fn living(&self) -> impl Iterator<Item = u32> + '_ {
        let alive = self.old.iter().filter(|(_, ended)| ended.is_none());
        alive.map(|(tgid, _)| *tgid)
    }

    /// Keeps a signal that came after T0.
    pub(super) fn also(&mut self, signal: &SignalRecord) {
        self.touch();
        self.others_told |= signal.target.tgid != self.target.tgid;
        if self.further.len() < SIGNALS_MAX {
            self.further.push(*signal);
        } else if signal.signal == KILL
            && let Some(place) = self.further.iter_mut().rfind(|s| s.signal != KILL)
        {
            *place = *signal;
        }
    }

    /// Takes a sibling in.
    pub(super) fn join(&mut self, instance: Process, since: Since) -> bool {
        if self.since.len() >= SIBLINGS_MAX {
            return false;
        }
        self.touch();
        let mono_ns = since.mono_ns.max(self.t0_ns());
        self.since
            .entry(instance)
            .or_insert(Since { mono_ns, ..since });
        true
    }

    /// Another drain took over at this time.
    pub(super) fn supersede(&mut self, at_ns: u64) {
        self.touch();
        self.gone.get_or_insert((at_ns, Over::Superseded));
    }

    /// Room for a port that was not known at T0.
    pub(super) fn may_have_port(&self, key: &ServiceKey) -> bool {
        self.ports.contains_key(key) || self.ports.len() < PORTS_MAX
    }

    /// Whether a connection that ended is its own.
    pub(super) fn takes(&self, record: &CloseRecord, owner: &Process) -> Takes {
        let Some(since) = self.since.get(owner) else {
            return Takes::No;
        };
        let ended_ns = record.header.at_ns;
        let closer = record.closer_tgid;
        let by_old = self.old.contains_key(&closer);
        // Established when its processes were gone: others serve in their stead, but for what a dying one's listener still took.
        let at_death = by_old && record.flags & close_flags::BY_EXIT != 0;
        let of_successors =
            !at_death && matches!(self.gone, Some((gone_ns, _)) if record.opened_at_ns > gone_ns);
        if ended_ns < since.mono_ns || of_successors || !self.is_told_of(owner, ended_ns) {
            return Takes::No;
        }
        let older = record.opened_at_ns <= since.mono_ns && record.opened_at_ns >= self.floor_ns;
        let known = self.tabled.contains(owner);
        match self.scope {
            Scope::Process(tgid) if closer == tgid => Takes::Own,
            Scope::Process(_) => Takes::No,
            _ if by_old => Takes::Own,
            Scope::Instance => {
                let queued = record.flags & close_flags::NEVER_ACCEPTED != 0;
                let lived_on = matches!(self.gone, Some((_, Over::LivedOn)));
                if older || queued && !lived_on || closer == 0 && !lived_on {
                    Takes::Own
                } else if closer == 0 {
                    Takes::No
                } else if known {
                    Takes::ByNew
                } else {
                    Takes::Own
                }
            }
            Scope::OldWorkers if closer == 0 || !known => {
                if older {
                    Takes::Own
                } else {
                    Takes::No
                }
            }
            // No process of the family: one that the owner handed it to before T0 (Node's cluster).
            Scope::OldWorkers if older && self.is_stranger(closer) => Takes::Own,
            Scope::OldWorkers => Takes::ByNew,
        }
    }

    /// Takes the end of a process; false when it is none of its own.
    pub(super) fn exited(&mut self, exit: &ExitRecord, instance: &Process) -> bool {
        let Some(since) = self.since.get(instance).copied() else {
            return false;
        };
        self.touch();
        let tgid = exit.process.tgid;
        if tgid == self.target.tgid {
            self.target_exit.get_or_insert(*exit);
        }
        let is_stop = self.scope == Scope::Instance;
        if matches!(self.gone, Some((_, over)) if over != Over::Ended) {
            return false;
        }
        if exit.kinship == Kinship::Controller as u8 {
            return is_stop;
        }
        if self.excluded.contains(&tgid) {
            return false;
        }
        // Who crashes, or is killed, is replaced by no reload.
        if self.is_doubtful_reload() && kind_of_exit(exit.status) != DrainKind::Stop {
            self.old.remove(&tgid);
            return false;
        }
        let start_ns = exit.born_ns;
        let is_new = start_ns >= since.boot_ns;
        match self.scope {
            Scope::Process(own) if own != tgid => return false,
            Scope::Process(_) => {}
            _ if self.old.contains_key(&tgid) => {}
            _ if is_new => {
                self.came(tgid, start_ns);
                return is_stop;
            }
            Scope::OldWorkers if !self.is_stop() && exit.kinship == Kinship::Owner as u8 => {
                // With workers of its own the owner serves nobody; its end is another story.
                if !self.old.is_empty() || self.tabled.contains(instance) {
                    return false;
                }
                self.single = true;
            }
            // The table was read when its workers had ended, before their ends were: it does not serve alone.
            Scope::OldWorkers if self.single && exit.kinship == Kinship::Member as u8 => {
                self.single = false;
                self.old.remove(&instance.tgid);
            }
            Scope::OldWorkers | Scope::Instance => {}
        }
        let at_ns = exit.header.at_ns;
        if self.old.len() >= PROCESSES_MAX && !self.old.contains_key(&tgid) {
            return true;
        }
        self.old.entry(tgid).or_default().get_or_insert(at_ns);
        if self.exit.is_none_or(|known| known.header.at_ns <= at_ns) {
            self.exit = Some(*exit);
        }
        self.last_end_ns = self.last_end_ns.max(at_ns);
        true
    }

    /// Takes the instances' processes out of a new table.
    pub(super) fn table(&mut self, instances: &Instances, now_ns: u64) {
        self.table_ns = now_ns;
        self.touch();
        if let Scope::Process(tgid) = self.scope {
            let lives = instances.of_process(tgid).is_some();
            if !lives && let Some(ended) = self.old.get_mut(&tgid) {
                ended.get_or_insert(now_ns);
            }
            return;
        }
        let mut alive = BTreeSet::new();
        for (instance, since) in self.since.clone() {
            let first = self.tabled.insert(instance);
            let mut workers = 0;
            for (tgid, kin) in instances.processes(&instance) {
                if kin.kinship == Kinship::Controller || self.excluded.contains(&tgid) {
                    continue;
                }
                if kin.start_ns >= since.boot_ns {
                    self.came(tgid, kin.start_ns);
                    continue;
                }
                alive.insert(tgid);
                workers += u64::from(kin.kinship == Kinship::Member);
                let counts = self.is_stop() || kin.kinship == Kinship::Member;
                if counts && self.old.len() < PROCESSES_MAX {
                    self.old.entry(tgid).or_default();
                }
            }
            let serves_alone = workers == 0 && self.old.is_empty();
            if first && self.kind == DrainKind::Reload && serves_alone {
                self.single = true;
                self.old.insert(instance.tgid, None);
                alive.insert(instance.tgid);
            }
        }
        for (tgid, ended) in &mut self.old {
            if ended.is_none() && !alive.contains(tgid) {
                *ended = Some(now_ns);
                self.last_end_ns = self.last_end_ns.max(now_ns);
            }
        }
    }

    fn came(&mut self, tgid: u32, start_ns: u64) {
        if self.new.len() < PROCESSES_MAX {
            self.new.insert(tgid);
        }
        let first_ns = self
            .new_boot_ns
            .map_or(start_ns, |known| known.min(start_ns));
        self.new_boot_ns = Some(first_ns);
    }
}

/// How a process ended, by its wait status.
pub(super) fn kind_of_exit(status: u32) -> DrainKind {
    // The low seven bits are the signal that ended it, if one did.
    match (status, (status & 0x7f) as u8) {
        (0, _) => DrainKind::Stop,
        (_, KILL) => DrainKind::Kill,
        (_, killed_by) if STOPS.contains(&killed_by) => DrainKind::Stop,
        _ => DrainKind::Crash,
    }
}
