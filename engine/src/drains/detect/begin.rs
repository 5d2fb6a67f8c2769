//! How drains begin: signals that mean something, and deaths without one.

use std::collections::BTreeSet;

use finwatch_common::{
    Disposition, ExitRecord, Intent, Kinship, Process, SignalRecord,
    signal::{FAULTS, KILL, USR2},
};

use crate::drains::{
    DRAININGS_MAX, Drains,
    draining::{Draining, Over, Scope, Since, kind_of_exit},
    port::Port,
};
use crate::known::Known;
use crate::want::Want;
use crate::{model::DrainKind, timing};

/// Most reloads of one instance whose old workers live at once; the oldest is told as it stands.
pub(crate) const RELOADS_MAX: usize = 8;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// A reload may be doubtful: see [`Intent::Unclear`].
    Begin(DrainKind),
    /// It only counts as a further one.
    Further,
    Nothing,
}

// === impl Drains ===

impl Drains {
    pub(crate) fn on_signal(&mut self, record: &SignalRecord, known: &Known<'_>) {
        let signal = SignalRecord {
            instance: self.instances.resolve(record.instance),
            ..*record
        };
        let instance = signal.instance;
        // The kernel kills who dies already once more, and keeps a kill from a process 1: nobody is ended by either.
        if signal.signal == KILL && signal.disposition == Disposition::Ignored as u8 {
            return;
        }
        match meaning(&signal) {
            Meaning::Nothing => {
                for draining in self.drainings.values_mut() {
                    let of_it = draining.since.contains_key(&instance);
                    draining.others_told |= of_it && signal.target.tgid != draining.target.tgid;
                }
                self.deaths.signal(signal);
            }
            Meaning::Further => {
                self.deaths.signal(signal);
                let running = self.drainings.values_mut().rev();
                if let Some(draining) = running
                    .filter(|e| e.since.contains_key(&instance) && e.is_running())
                    .find(|e| !matches!(e.scope, Scope::Process(_)))
                {
                    draining.also(&signal);
                }
            }
            Meaning::Begin(DrainKind::Reload) => self.begin_reload(&signal, known),
            Meaning::Begin(kind) => self.begin_stop(kind, &signal, known),
        }
    }

    pub(crate) fn on_exit(&mut self, exit: &ExitRecord, now_ns: u64, known: &Known<'_>) {
        let instance = self.instances.resolve(exit.instance);
        self.instances.exited(&instance, exit.process.tgid);
        let mut inside = false;
        for draining in self.drainings.values_mut() {
            if !draining.exited(exit, &instance) {
                continue;
            }
            inside = true;
            if draining.living().next().is_none() {
                for port in draining.ports.values_mut() {
                    port.processes_ended(now_ns);
                }
            }
        }
        let controller = exit.kinship == Kinship::Controller as u8;
        if inside || controller {
            return;
        }
        let owner = exit.kinship == Kinship::Owner as u8;
        let others = self
            .instances
            .processes(&instance)
            .any(|(_, kin)| kin.kinship != Kinship::Controller);
        if !owner && (others || !self.instances.owner_gone(&instance)) {
            if exit.status != 0 {
                self.deaths.exit(ExitRecord { instance, ..*exit });
            }
            return;
        }
        let mut draining = Draining::new(
            kind_of_exit(exit.status),
            Scope::Instance,
            instance,
            since(exit.header.at_ns, known),
            exit.process,
        );
        draining.doubtful = true;
        draining.exited(exit, &instance);
        self.supersede(&instance, exit.header.at_ns);
        self.open(draining, known);
    }

    /// A connection ended by the hand of a process that had died: its death is a drain of its own.
    pub(crate) fn begin_death(&mut self, closer: u32, at_ns: u64, known: &Known<'_>) {
        let Some((exit, signal)) = self.deaths.take(closer, at_ns) else {
            return;
        };
        let t0_ns = signal.map_or(exit.header.at_ns, |s| s.header.at_ns);
        let mut draining = Draining::new(
            kind_of_exit(exit.status),
            Scope::Process(closer),
            exit.instance,
            since(t0_ns, known),
            exit.process,
        );
        draining.signal = signal;
        draining.exited(&exit, &exit.instance);
        self.open(draining, known);
    }

    /// Whether a dead worker's connections may still come.
    pub(crate) fn expects_deaths(&self) -> bool {
        !self.deaths.is_empty()
    }

    fn begin_stop(&mut self, kind: DrainKind, signal: &SignalRecord, known: &Known<'_>) {
        let at_ns = signal.header.at_ns;
        let goes_on = |e: &Draining| {
            e.is_stop() && is_not_over(e) || e.is_running() && e.is_of_reload(signal)
        };
        let lasting = self
            .drainings
            .values_mut()
            .find(|e| e.since.contains_key(&signal.instance) && goes_on(e));
        if let Some(draining) = lasting {
            return draining.also(signal);
        }
        if self.join_siblings(kind, signal, known) {
            return;
        }
        let successors = self.successors(signal);
        let scope = match successors {
            Some(_) => Scope::OldWorkers,
            None => Scope::Instance,
        };
        let mut draining = Draining::new(
            kind,
            scope,
            signal.instance,
            since(at_ns, known),
            signal.target,
        );
        draining.excluded = successors.unwrap_or_default();
        draining.doubtful = kind != DrainKind::Stop && scope == Scope::Instance;
        draining.signal = Some(*signal);
        self.supersede(&signal.instance, at_ns);
        self.open(draining, known);
    }

    fn begin_reload(&mut self, signal: &SignalRecord, known: &Known<'_>) {
        let at_ns = signal.header.at_ns;
        let doubtful = signal.intent() == Intent::Unclear;
        if self.goes_on_with_doubtful(signal) {
            return;
        }
        let of_instance =
            |e: &&mut Draining| e.since.contains_key(&signal.instance) && is_not_over(e);
        let mut lasting = self.drainings.values_mut().filter(of_instance);
        if let Some(stop) = lasting.find(|e| e.is_stop()) {
            return stop.also(signal);
        }
        let reloads = self.drainings.values_mut().filter(of_instance);
        let mut reloads: Vec<&mut Draining> =
            reloads.filter(|e| e.kind == DrainKind::Reload).collect();
        if let Some(last) = reloads.last_mut() {
            let soon = at_ns.saturating_sub(last.t0_ns()) < timing::ONE_HAND_NS;
            let same = last.signal.is_some_and(|s| s.signal == signal.signal);
            // Another signal goes on with what the first began: USR2, WINCH, QUIT replace a running nginx.
            if soon || !same {
                return last.also(signal);
            }
            if last.single && !doubtful {
                last.supersede(at_ns);
            }
        }
        if reloads.len() >= RELOADS_MAX
            && let Some(oldest) = reloads.first_mut()
        {
            oldest.supersede(at_ns);
        }
        let earlier = reloads.iter().filter(|e| e.is_running());
        let excluded: BTreeSet<u32> = earlier.clone().flat_map(|e| e.living()).collect();
        let floor_ns = earlier.map(|e| e.t0_ns()).max().unwrap_or(0);
        if self.join_siblings(DrainKind::Reload, signal, known) {
            return;
        }
        let mut draining = Draining::new(
            DrainKind::Reload,
            Scope::OldWorkers,
            signal.instance,
            since(at_ns, known),
            signal.target,
        );
        draining.doubtful = doubtful;
        draining.signal = Some(*signal);
        draining.excluded = excluded;
        draining.floor_ns = floor_ns;
        self.open(draining, known);
    }

    /// Takes a signal into the doubtful reload that it goes on with, and says so; one that it has no part in gives way to it, unless
    /// it is certain by now.
    fn goes_on_with_doubtful(&mut self, signal: &SignalRecord) -> bool {
        let of_instance =
            |e: &Draining| e.is_doubtful_reload() && e.since.contains_key(&signal.instance);
        let earlier = self.drainings.iter_mut().find(|(_, e)| of_instance(e));
        let Some((&id, draining)) = earlier else {
            return false;
        };
        if draining.is_shown_to_reload(&self.instances) {
            draining.doubtful = false;
            return false;
        }
        let soon = signal.header.at_ns.saturating_sub(draining.t0_ns()) < timing::ONE_HAND_NS;
        let same = draining.signal.is_some_and(|s| s.signal == signal.signal);
        if signal.intent() == Intent::Unclear && (soon || same) {
            draining.also(signal);
            return true;
        }
        self.forget_draining(id);
        false
    }

    /// Siblings that serve one port and are signalled by one hand within a second are one drain.
    fn join_siblings(&mut self, kind: DrainKind, signal: &SignalRecord, known: &Known<'_>) -> bool {
        let at_ns = signal.header.at_ns;
        let ports = self.instances.ports(&signal.instance);
        let instances = &self.instances;
        let sibling = |e: &Draining| {
            let shares = ports.iter().any(|key| e.ports.contains_key(key));
            let soon = at_ns.saturating_sub(e.t0_ns()) <= timing::ONE_HAND_NS;
            let one_hand = e.signal.is_some_and(|first| {
                let of_family = |tgid: u32| {
                    instances
                        .of_process(tgid)
                        .is_some_and(|i| e.since.contains_key(&i))
                };
                first.sender_tgid == signal.sender_tgid
                    || first.target.tgid == signal.sender_tgid
                    || of_family(signal.sender_tgid)
            });
            let as_certain = !e.is_doubtful_reload() || signal.intent() == Intent::Unclear;
            let joinable = as_certain && !is_of_one(e) && e.is_running();
            e.kind == kind && shares && soon && one_hand && joinable
        };
        let found = self
            .drainings
            .iter()
            .find(|(_, e)| sibling(e))
            .map(|(id, _)| *id);
        let Some(draining) = found.and_then(|id| self.drainings.get_mut(&id)) else {
            return false;
        };
        if !draining.join(signal.instance, since(at_ns, known)) {
            return false;
        }
        for key in &ports {
            if let Some(port) = draining.ports.get_mut(key) {
                port.listened |= instances.listening(&signal.instance, key) > 0;
            } else if draining.may_have_port(key) {
                let phased = draining.is_phased();
                let port = Port::new(key, &signal.instance, at_ns, phased, instances, known);
                draining.ports.insert(*key, port);
            }
        }
        self.wanted.remove(&Want::EndPhase {
            instance: signal.instance,
        });
        true
    }

    /// Processes that an earlier SIGUSR2 started to take over, when those before them are told to stop.
    fn successors(&self, signal: &SignalRecord) -> Option<BTreeSet<u32>> {
        let upgrade = self.drainings.values().rev().find(|e| {
            e.kind == DrainKind::Reload
                && e.since.contains_key(&signal.instance)
                && e.is_running()
                && e.signal.is_some_and(|s| s.signal == USR2)
        })?;
        let successors = &upgrade.new;
        (!successors.is_empty() && !successors.contains(&signal.target.tgid))
            .then(|| successors.clone())
    }

    /// A stop ends every reload of the instance; what might have been one was none.
    fn supersede(&mut self, instance: &Process, at_ns: u64) {
        let no_reload = |e: &Draining| {
            let doubtful = e.is_doubtful_reload() && !e.is_shown_to_reload(&self.instances);
            doubtful && e.since.contains_key(instance)
        };
        let ids = self.drainings.iter().filter(|(_, e)| no_reload(e));
        for id in ids.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.forget_draining(id);
        }
        for draining in self.drainings.values_mut() {
            let reload = draining.kind == DrainKind::Reload && !is_of_one(draining);
            if reload && draining.since.contains_key(instance) {
                draining.doubtful = false;
                draining.supersede(at_ns);
            }
        }
    }

    fn open(&mut self, mut draining: Draining, known: &Known<'_>) {
        if self.drainings.len() >= DRAININGS_MAX {
            self.drains_bitten += 1;
            return;
        }
        draining.lost_before = self.lost();
        let instance = draining.instance;
        let (t0_ns, phased) = (draining.t0_ns(), draining.is_phased());
        for key in self.instances.ports(&instance) {
            let port = Port::new(&key, &instance, t0_ns, phased, &self.instances, known);
            draining.ports.insert(key, port);
        }
        if draining.is_stop() {
            self.absorb_deaths(&mut draining);
        }
        self.wanted.remove(&Want::EndPhase { instance });
        self.drainings.insert(self.next, draining);
        self.next += 1;
    }

    /// Workers that died in the second before their instance was ended belong to its end.
    fn absorb_deaths(&mut self, draining: &mut Draining) {
        let t0_ns = draining.t0_ns();
        let instance = draining.instance;
        let belongs = |e: &Draining| {
            is_of_one(e)
                && e.since.contains_key(&instance)
                && t0_ns.saturating_sub(e.t0_ns()) < timing::ONE_HAND_NS
        };
        let ids = self.drainings.iter().filter(|(_, e)| belongs(e));
        let ids: Vec<u64> = ids.map(|(id, _)| *id).collect();
        for id in ids {
            let Some(death) = self.drainings.remove(&id) else {
                continue;
            };
            self.lingering.hand_over(id, self.next);
            if let (Some(mine), Some(earlier)) = (
                draining.since.get_mut(&instance),
                death.since.get(&instance),
            ) && earlier.mono_ns < mine.mono_ns
            {
                *mine = *earlier;
            }
            draining.old.extend(death.old);
            draining.lost_before = draining.lost_before.min(death.lost_before);
            for (key, port) in death.ports {
                if let Some(mine) = draining.ports.get_mut(&key) {
                    mine.absorb(port);
                }
            }
        }
    }
}

fn meaning(signal: &SignalRecord) -> Meaning {
    let fatal = signal.disposition == Disposition::Default as u8;
    let fault = FAULTS.contains(&signal.signal) && fatal;
    match signal.intent() {
        Intent::Stop if signal.signal == KILL => Meaning::Begin(DrainKind::Kill),
        Intent::Stop if fault => Meaning::Begin(DrainKind::Crash),
        _ if signal.signal == KILL => Meaning::Further,
        Intent::Stop => Meaning::Begin(DrainKind::Stop),
        Intent::Reload | Intent::Unclear => Meaning::Begin(DrainKind::Reload),
        Intent::Nothing => Meaning::Nothing,
    }
}

fn since(mono_ns: u64, known: &Known<'_>) -> Since {
    let boot_ns = known.boot_ns(mono_ns);
    Since {
        mono_ns,
        boot_ns: boot_ns - boot_ns % timing::CLOCK_TICK_NS,
    }
}

/// A drain that lasts, or whose processes ended and only settles: not one after which the instance went on.
fn is_not_over(draining: &Draining) -> bool {
    matches!(draining.gone, None | Some((_, Over::Ended)))
}

fn is_of_one(draining: &Draining) -> bool {
    matches!(draining.scope, Scope::Process(_))
}
