//! Whose drain it is: the instances, their processes of before T0 and the new ones, and which connections are theirs. It takes
//! the ends of processes and tables, and is told in what sense the processes are gone.

use std::collections::{BTreeMap, BTreeSet};

use finwatch_common::{CloseRecord, ExitRecord, Kinship, Process, close_flags};

use super::instances::{Instances, PROCESSES_MAX};
use crate::timing;

/// Most siblings in one drain.
const SIBLINGS_MAX: usize = 256;

/// Which connections belong to a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of the instance.
    Instance,
    /// Those of processes that are older than it.
    OldWorkers,
    /// Those that one process ended.
    Process(u32),
}

/// How a drain takes a connection that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// It is none of its own.
    No,
    /// As its own.
    Own,
    /// As a sign that new processes serve.
    ByNew,
}

/// When a drain began for one instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    /// On the clock of the records.
    pub(crate) mono_ns: u64,
    /// Since boot, and cut to a clock tick, as processes' start times are.
    pub(crate) boot_ns: u64,
}

/// In what sense the processes are gone, although some may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
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

/// The processes are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone {
    /// Since when, on the clock of the records.
    pub(crate) since_ns: u64,
    /// In what sense.
    pub(crate) over: Over,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Members {
    scope: Scope,
    /// Of a reload: the owner itself goes on, unless it serves alone.
    owner_stays: bool,
    /// The instance that it began with.
    first: Process,
    /// The process by which it is named from the beginning to the end.
    name: u32,
    since: BTreeMap<Process, Since>,
    /// Processes of before T0, by number, and when they ended.
    old: BTreeMap<u32, Option<u64>>,
    /// Processes that are none of its own although they are older: successors that an earlier signal started, and
    /// workers that an earlier reload waits for.
    excluded: BTreeSet<u32>,
    /// Connections established before this time are an earlier reload's.
    floor_ns: u64,
    new: BTreeSet<u32>,
    /// When the first of the new ones started, since boot.
    new_boot_ns: Option<u64>,
    /// The owner alone serves.
    single: bool,
    /// Instances of which a table was had.
    tabled: BTreeSet<Process>,
    table_ns: u64,
    /// The exit of the old process that ended last.
    exit: Option<ExitRecord>,
    last_end_ns: u64,
    gone: Option<Gone>,
}

// === impl Gone ===

impl Gone {
    /// Since then, in this sense.
    pub(crate) const fn since(since_ns: u64, over: Over) -> Self {
        Self { since_ns, over }
    }
}

// === impl Members ===

impl Members {
    /// Those of one instance, from `since` on. `owner_stays`: a reload replaces its workers only.
    pub(crate) fn new(scope: Scope, owner_stays: bool, first: Process, since: Since) -> Self {
        Self {
            scope,
            owner_stays,
            first,
            name: match scope {
                Scope::Process(tgid) => tgid,
                Scope::Instance | Scope::OldWorkers => first.tgid,
            },
            since: BTreeMap::from([(first, since)]),
            old: BTreeMap::new(),
            excluded: BTreeSet::new(),
            floor_ns: 0,
            new: BTreeSet::new(),
            new_boot_ns: None,
            single: false,
            tabled: BTreeSet::new(),
            table_ns: 0,
            exit: None,
            last_end_ns: 0,
            gone: None,
        }
    }

    /// Leaves out processes that are older and none of its own.
    pub(crate) fn exclude(&mut self, processes: BTreeSet<u32>) {
        self.excluded = processes;
    }

    /// Leaves connections that were established before this time to an earlier reload.
    pub(crate) fn leave_older_than(&mut self, floor_ns: u64) {
        self.floor_ns = floor_ns;
    }

    /// Which connections belong to it.
    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    /// It is about one process of the instance only.
    pub(crate) fn is_of_one(&self) -> bool {
        matches!(self.scope, Scope::Process(_))
    }

    /// It is about the instance itself, and its end is the instance's.
    pub(crate) fn is_stop(&self) -> bool {
        !self.owner_stays && !self.is_of_one()
    }

    /// The instance that it began with.
    pub(crate) fn first(&self) -> Process {
        self.first
    }

    /// The process by which it is named from the beginning to the end.
    pub(crate) fn name(&self) -> u32 {
        self.name
    }

    /// Whether an instance is among its own.
    pub(crate) fn has(&self, instance: &Process) -> bool {
        self.since.contains_key(instance)
    }

    /// Its instances.
    pub(crate) fn instances(&self) -> impl Iterator<Item = &Process> + Clone {
        self.since.keys()
    }

    /// T0: when it began for the first of its instances, on the clock of the records.
    pub(crate) fn t0_ns(&self) -> u64 {
        self.since
            .values()
            .map(|s| s.mono_ns)
            .min()
            .unwrap_or_default()
    }

    /// When it began for an instance, on the clock of the records; none: the instance is not its own.
    pub(crate) fn since_ns(&self, instance: &Process) -> Option<u64> {
        self.since.get(instance).map(|since| since.mono_ns)
    }

    /// When it began for each instance, on the clock of the records.
    pub(crate) fn since_mono(&self) -> BTreeMap<Process, u64> {
        self.since.iter().map(|(p, s)| (*p, s.mono_ns)).collect()
    }

    /// Takes a sibling in; false when there is no room.
    pub(crate) fn join(&mut self, sibling: Process, since: Since) -> bool {
        if self.since.len() >= SIBLINGS_MAX {
            return false;
        }
        let mono_ns = since.mono_ns.max(self.t0_ns());
        self.since
            .entry(sibling)
            .or_insert(Since { mono_ns, ..since });
        true
    }

    /// Takes in the members of another drain of its first instance, which began earlier if that did.
    pub(crate) fn absorb(&mut self, other: Self) {
        if let (Some(mine), Some(earlier)) = (
            self.since.get_mut(&self.first),
            other.since.get(&self.first),
        ) && earlier.mono_ns < mine.mono_ns
        {
            *mine = *earlier;
        }
        self.old.extend(other.old);
    }

    /// Only one process is meant, which ended then: the rest of the instance goes on.
    pub(crate) fn narrow(&mut self, tgid: u32, exit: Option<ExitRecord>) {
        let ended_ns = exit.map(|exit| exit.header.at_ns);
        self.scope = Scope::Process(tgid);
        self.old = BTreeMap::from([(tgid, ended_ns)]);
        self.new.clear();
        self.exit = exit;
        self.last_end_ns = ended_ns.unwrap_or(self.last_end_ns);
    }

    /// The processes are gone, and how; none: they may still change what it is.
    pub(crate) fn gone(&self) -> Option<Gone> {
        self.gone
    }

    /// In what sense the processes are gone.
    pub(crate) fn over(&self) -> Option<Over> {
        self.gone.map(|gone| gone.over)
    }

    /// The processes are gone, if they were not before.
    pub(crate) fn are_gone(&mut self, gone: Gone) {
        self.gone.get_or_insert(gone);
    }

    /// Whether its old processes may still change what it is.
    pub(crate) fn is_running(&self) -> bool {
        self.gone.is_none()
    }

    /// It lasts, or its processes ended and it only settles: the instance did not go on.
    pub(crate) fn is_not_over(&self) -> bool {
        matches!(self.over(), None | Some(Over::Ended))
    }

    /// Whether what an instance does at this time is a part of it.
    pub(crate) fn is_told_of(&self, instance: &Process, at_ns: u64) -> bool {
        let taken_over = self
            .gone
            .is_some_and(|gone| gone.over == Over::Superseded && at_ns >= gone.since_ns);
        self.has(instance) && !taken_over
    }

    /// Old processes that have not ended.
    pub(crate) fn living(&self) -> impl Iterator<Item = u32> + '_ {
        let alive = self.old.iter().filter(|(_, ended)| ended.is_none());
        alive.map(|(tgid, _)| *tgid)
    }

    /// Old processes, and how many of them ended.
    pub(crate) fn count_old(&self) -> (u64, u64) {
        let ended = self.old.values().filter(|at| at.is_some()).count();
        (self.old.len() as u64, ended as u64)
    }

    /// When the last of the old workers ended, if all of them did and their owner lives on with new ones.
    pub(crate) fn replaced_ns(&self) -> Option<u64> {
        let is_owner = |tgid: &u32| self.since.keys().any(|p| p.tgid == *tgid);
        let workers = || self.old.iter().filter(|(tgid, _)| !is_owner(tgid));
        let mut owners = self.old.iter().filter(|(tgid, _)| is_owner(tgid));
        let last_ns = workers().map(|(_, ended)| *ended).max()??;
        let replaced = workers().all(|(_, ended)| ended.is_some())
            && owners.any(|(_, ended)| ended.is_none())
            && !self.new.is_empty();
        replaced.then_some(last_ns)
    }

    /// No old process is known.
    pub(crate) fn knows_no_old(&self) -> bool {
        self.old.is_empty()
    }

    /// Old processes are known, and all of them ended.
    pub(crate) fn all_ended(&self) -> bool {
        !self.old.is_empty() && self.old.values().all(Option::is_some)
    }

    /// No old process ended that is known.
    pub(crate) fn nobody_ended(&self) -> bool {
        self.old.values().all(Option::is_none)
    }

    /// No other old process ended.
    pub(crate) fn only_ended(&self, tgid: u32) -> bool {
        let ended = |(old, at): (&u32, &Option<u64>)| at.is_none() || *old == tgid;
        self.old.iter().all(ended)
    }

    /// The exit of the old process that ended last.
    pub(crate) fn last_exit(&self) -> Option<ExitRecord> {
        self.exit
    }

    /// When the old process ended that ended last; 0: none did.
    pub(crate) fn last_end_ns(&self) -> u64 {
        self.last_end_ns
    }

    /// Processes that came after T0.
    pub(crate) fn new_ones(&self) -> &BTreeSet<u32> {
        &self.new
    }

    /// Whether the ends that are known are to be believed: a table told who there was, or has not come for long.
    pub(crate) fn ends_are_known(&self, now_ns: u64) -> bool {
        let late = self.last_end_ns.saturating_add(timing::TABLE_LATE_NS) <= now_ns;
        self.all_tabled() || late
    }

    /// When the first of them started, since boot.
    pub(crate) fn first_new_boot_ns(&self) -> Option<u64> {
        self.new_boot_ns
    }

    /// New processes are there. Helpers that ended, or run another program by now, serve nobody.
    pub(crate) fn has_successors(&self, instances: &Instances) -> bool {
        let is_new = |(tgid, _)| self.new.contains(&tgid);
        let one = |instance: &Process| instances.processes(instance).any(is_new);
        self.since.keys().any(one)
    }

    /// The owner alone serves.
    pub(crate) fn is_single(&self) -> bool {
        self.single
    }

    /// When the last table came; 0: none did.
    pub(crate) fn table_ns(&self) -> u64 {
        self.table_ns
    }

    /// Whether a table was had of each instance.
    pub(crate) fn all_tabled(&self) -> bool {
        self.since.keys().all(|p| self.tabled.contains(p))
    }

    /// No table since T0 knows a process of it, and so no record tells of an end: it was lost, or the process was dead
    /// before the first table.
    pub(crate) fn nobody_left(&self, instances: &Instances) -> bool {
        let nobody = |instance: &Process| instances.processes(instance).next().is_none();
        self.old.is_empty() && self.all_tabled() && self.since.keys().all(nobody)
    }

    /// Whether a connection that is open was established in an earlier reload's time.
    pub(crate) fn is_earlier(&self, opened_at_ns: u64) -> bool {
        opened_at_ns < self.floor_ns
    }

    /// Whether connections established after T0 are its own too, as long as they are open.
    pub(crate) fn takes_younger(&self) -> bool {
        self.scope == Scope::Instance && self.is_not_over()
    }

    /// Whether a connection that ended is its own.
    pub(crate) fn takes(&self, record: &CloseRecord, owner: &Process) -> Takes {
        let Some(since) = self.since.get(owner) else {
            return Takes::No;
        };
        let ended_ns = record.header.at_ns;
        let closer = record.closer_tgid;
        let by_old = self.old.contains_key(&closer);
        // Established when its processes were gone: others serve in their stead, but for what a dying one's listener still took.
        let at_death = by_old && record.flags & close_flags::BY_EXIT != 0;
        let is_late = self
            .gone
            .is_some_and(|gone| record.opened_at_ns > gone.since_ns);
        let of_successors = !at_death && is_late;
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
                let lived_on = self.over() == Some(Over::LivedOn);
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
            // No process of the instance: one that the owner handed it to before T0 (Node's cluster).
            Scope::OldWorkers if older && self.is_stranger(closer) => Takes::Own,
            Scope::OldWorkers => Takes::ByNew,
        }
    }

    /// Takes the end of a process; false when it is none of its own. `was_killed`: it crashed or was killed while nobody knows
    /// whether this is a reload, which replaces nobody so.
    pub(crate) fn exited(
        &mut self,
        exit: &ExitRecord,
        instance: &Process,
        was_killed: bool,
    ) -> bool {
        let Some(since) = self.since.get(instance).copied() else {
            return false;
        };
        let tgid = exit.process.tgid;
        let whole = self.scope == Scope::Instance;
        if !self.is_not_over() {
            return false;
        }
        if exit.kinship == Kinship::Controller as u8 {
            return whole;
        }
        if self.excluded.contains(&tgid) {
            return false;
        }
        if was_killed {
            self.old.remove(&tgid);
            return false;
        }
        let is_new = exit.born_ns >= since.boot_ns;
        match self.scope {
            Scope::Process(own) if own != tgid => return false,
            Scope::Process(_) => {}
            _ if self.old.contains_key(&tgid) => {}
            _ if is_new => {
                self.came(tgid, exit.born_ns);
                return whole;
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
    pub(crate) fn table(&mut self, instances: &Instances, now_ns: u64) {
        self.table_ns = now_ns;
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
            let owner_ended = self.old.get(&instance.tgid).is_some_and(Option::is_some);
            let mut workers = 0;
            for (tgid, kin) in instances.processes(&instance) {
                if kin.kinship == Kinship::Controller || self.excluded.contains(&tgid) {
                    continue;
                }
                if kin.start_ns >= since.boot_ns {
                    self.came(tgid, kin.start_ns);
                    continue;
                }
                if owner_ended && !first && !self.old.contains_key(&tgid) {
                    self.inherited(tgid);
                    continue;
                }
                alive.insert(tgid);
                workers += u64::from(kin.kinship == Kinship::Member);
                let counts = !self.owner_stays || kin.kinship == Kinship::Member;
                if counts && self.old.len() < PROCESSES_MAX {
                    self.old.entry(tgid).or_default();
                }
            }
            let serves_alone = workers == 0 && self.old.is_empty();
            if first && self.owner_stays && serves_alone {
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

    /// Nobody knew it while its owner lived: all it has of the instance is the listening socket.
    fn inherited(&mut self, tgid: u32) {
        if self.excluded.len() < PROCESSES_MAX {
            self.excluded.insert(tgid);
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

    /// Whether a process is none of its own although it is older than T0.
    pub(crate) fn excludes(&self, tgid: u32) -> bool {
        self.excluded.contains(&tgid)
    }

    /// Whether a process is none of the instances', as far as tables tell.
    fn is_stranger(&self, tgid: u32) -> bool {
        let owns = self.since.keys().any(|owner| owner.tgid == tgid);
        !(owns || self.new.contains(&tgid) || self.excluded.contains(&tgid))
    }
}
