//! How drains begin: signals that mean something, and deaths without one. What begins is handed back; it knows neither how
//! a drain goes on nor when it is over.

use std::collections::BTreeSet;

use finwatch_common::{
    Disposition, ExitRecord, Intent, Kinship, Process, SignalRecord,
    signal::{FAULTS, KILL},
};

use super::{
    cause::{Cause, kind_of_exit},
    deaths::Deaths,
};
use crate::{
    drains::{
        draining::Draining,
        lasting::Lasting,
        membership::{
            instances::Instances,
            members::{Members, Scope, Since},
        },
    },
    known::Known,
    model::DrainKind,
    timing,
};

/// Most reloads of one instance whose old workers live at once; the oldest is told as it stands.
const RELOADS_MAX: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    deaths: Deaths,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// A reload may be doubtful: see [`Intent::Unclear`].
    Begin(DrainKind),
    /// It only counts as a further one.
    Further,
    Nothing,
}

// === impl Detector ===

impl Detector {
    /// Takes a signal; what it begins.
    pub(in crate::drains) fn signal(
        &mut self,
        record: &SignalRecord,
        lasting: &mut Lasting,
        instances: &Instances,
        known: &Known<'_>,
    ) -> Option<Draining> {
        let signal = SignalRecord {
            instance: instances.resolve(record.instance),
            ..*record
        };
        // The kernel kills who dies already once more, and keeps a kill from a process 1: nobody is ended by either.
        if signal.signal == KILL && signal.disposition == Disposition::Ignored as u8 {
            return None;
        }
        let concerns = |d: &&mut Draining| d.members.has(&signal.instance);
        match meaning(&signal) {
            Meaning::Nothing => {
                for draining in lasting.iter_mut().filter(concerns) {
                    draining.cause.others_hear(&signal);
                }
                self.deaths.signal(signal);
                None
            }
            Meaning::Further => {
                let running = |d: &&mut Draining| d.members.is_running() && !d.members.is_of_one();
                let mut drains = lasting.iter_mut().filter(concerns);
                if let Some(youngest) = drains.rfind(running) {
                    youngest.also(&signal);
                }
                self.deaths.signal(signal);
                None
            }
            Meaning::Begin(DrainKind::Reload) => begin_reload(&signal, lasting, instances, known),
            Meaning::Begin(kind) => begin_stop(kind, &signal, lasting, instances, known),
        }
    }

    /// Takes the end of a process of an instance; what it begins.
    pub(in crate::drains) fn exit(
        &mut self,
        exit: &ExitRecord,
        instance: Process,
        lasting: &mut Lasting,
        instances: &Instances,
        now_ns: u64,
        known: &Known<'_>,
    ) -> Option<Draining> {
        let mut inside = false;
        for draining in lasting.iter_mut() {
            if !draining.exited(exit, &instance) {
                continue;
            }
            inside = true;
            if draining.members.living().next().is_none() {
                for port in draining.ports.values_mut() {
                    port.counted.refused_mut().processes_ended(now_ns);
                }
            }
        }
        if inside || exit.kinship == Kinship::Controller as u8 {
            return None;
        }
        let owner = exit.kinship == Kinship::Owner as u8;
        let others = instances
            .processes(&instance)
            .any(|(_, kin)| kin.kinship != Kinship::Controller);
        if !owner && (others || !instances.owner_gone(&instance)) {
            if exit.status != 0 {
                self.deaths.exit(ExitRecord { instance, ..*exit });
            }
            return None;
        }
        let since = since(exit.header.at_ns, known);
        let mut draining = Draining::new(
            Cause::died(kind_of_exit(exit.status), exit.process).in_doubt(true),
            Members::new(Scope::Instance, false, instance, since),
        );
        draining.exited(exit, &instance);
        supersede(&instance, exit.header.at_ns, lasting, instances);
        Some(draining)
    }

    /// Whether a dead worker's connections may still come.
    pub(in crate::drains) fn expects_deaths(&self) -> bool {
        !self.deaths.is_empty()
    }

    /// A connection ended by the hand of a process that had died: its death is a drain of its own.
    pub(in crate::drains) fn death(
        &mut self,
        closer: u32,
        at_ns: u64,
        known: &Known<'_>,
    ) -> Option<Draining> {
        let (exit, signal) = self.deaths.take(closer, at_ns)?;
        let t0_ns = signal.map_or(exit.header.at_ns, |s| s.header.at_ns);
        let scope = Scope::Process(closer);
        let mut draining = Draining::new(
            Cause::died(kind_of_exit(exit.status), exit.process).killed_by(signal),
            Members::new(scope, false, exit.instance, since(t0_ns, known)),
        );
        draining.exited(&exit, &exit.instance);
        Some(draining)
    }
}

fn begin_stop(
    kind: DrainKind,
    signal: &SignalRecord,
    lasting: &mut Lasting,
    instances: &Instances,
    known: &Known<'_>,
) -> Option<Draining> {
    let at_ns = signal.header.at_ns;
    let goes_on = |d: &Draining| {
        let stop = d.members.is_stop() && d.members.is_not_over();
        stop || d.members.is_running() && d.cause.is_of_reload(signal)
    };
    let earlier = lasting
        .iter_mut()
        .find(|d| d.members.has(&signal.instance) && goes_on(d));
    if let Some(draining) = earlier {
        draining.also(signal);
        return None;
    }
    if join_siblings(kind, signal, lasting, instances, known) {
        return None;
    }
    let successors = successors(signal, lasting);
    let scope = match successors {
        Some(_) => Scope::OldWorkers,
        None => Scope::Instance,
    };
    let doubtful = kind != DrainKind::Stop && scope == Scope::Instance;
    let mut members = Members::new(scope, false, signal.instance, since(at_ns, known));
    members.exclude(successors.unwrap_or_default());
    supersede(&signal.instance, at_ns, lasting, instances);
    let cause = Cause::signalled(kind, *signal).in_doubt(doubtful);
    Some(Draining::new(cause, members))
}

fn begin_reload(
    signal: &SignalRecord,
    lasting: &mut Lasting,
    instances: &Instances,
    known: &Known<'_>,
) -> Option<Draining> {
    let at_ns = signal.header.at_ns;
    let doubtful = signal.intent() == Intent::Unclear;
    if goes_on_with_doubtful(signal, lasting, instances) {
        return None;
    }
    let (mut stops, mut reloads) = (Vec::new(), Vec::new());
    for draining in lasting.iter_mut() {
        let members = &draining.members;
        if !members.has(&signal.instance) || !members.is_not_over() {
            continue;
        }
        if members.is_stop() {
            stops.push(draining);
        } else if draining.cause.kind() == DrainKind::Reload {
            reloads.push(draining);
        }
    }
    if let Some(stop) = stops.first_mut() {
        stop.also(signal);
        return None;
    }
    if let Some(last) = reloads.last_mut() {
        // Another signal goes on with what the first began: USR2, WINCH, QUIT replace a running nginx.
        if is_soon(signal, last) || !last.cause.began_with(signal.signal) {
            last.also(signal);
            return None;
        }
        if last.members.is_single() && !doubtful {
            last.supersede(at_ns);
        }
    }
    if reloads.len() >= RELOADS_MAX
        && let Some(oldest) = reloads.first_mut()
    {
        oldest.supersede(at_ns);
    }
    let earlier = reloads
        .iter()
        .map(|d| &d.members)
        .filter(|m| m.is_running());
    let excluded: BTreeSet<u32> = earlier.clone().flat_map(Members::living).collect();
    let floor_ns = earlier.map(Members::t0_ns).max().unwrap_or(0);
    if join_siblings(DrainKind::Reload, signal, lasting, instances, known) {
        return None;
    }
    let since = since(at_ns, known);
    let mut members = Members::new(Scope::OldWorkers, true, signal.instance, since);
    members.exclude(excluded);
    members.leave_older_than(floor_ns);
    let cause = Cause::signalled(DrainKind::Reload, *signal).in_doubt(doubtful);
    Some(Draining::new(cause, members))
}

/// Takes a signal into the doubtful reload that it goes on with, and says so; one that it has no part in gives way to it, unless
/// it is certain by now.
fn goes_on_with_doubtful(
    signal: &SignalRecord,
    lasting: &mut Lasting,
    instances: &Instances,
) -> bool {
    let of_instance =
        |d: &Draining| d.cause.is_doubtful_reload() && d.members.has(&signal.instance);
    let earlier = lasting.iter().find(|(_, d)| of_instance(d));
    let Some(id) = earlier.map(|(id, _)| id) else {
        return false;
    };
    let Some(draining) = lasting.get_mut(id) else {
        return false;
    };
    if draining.is_shown_to_reload(instances) {
        draining.cause.is_clear_now();
        return false;
    }
    let same = draining.cause.began_with(signal.signal);
    if signal.intent() == Intent::Unclear && (is_soon(signal, draining) || same) {
        draining.also(signal);
        return true;
    }
    lasting.forget(id);
    false
}

/// Siblings that serve one port and are signalled by one hand within a second are one drain.
fn join_siblings(
    kind: DrainKind,
    signal: &SignalRecord,
    lasting: &mut Lasting,
    instances: &Instances,
    known: &Known<'_>,
) -> bool {
    let at_ns = signal.header.at_ns;
    let ports = instances.ports(&signal.instance);
    let sibling = |d: &&mut Draining| {
        let shares = ports.iter().any(|key| d.ports.contains_key(key));
        let soon = at_ns.saturating_sub(d.members.t0_ns()) <= timing::ONE_HAND_NS;
        let of_instances = |tgid: u32| {
            instances
                .of_process(tgid)
                .is_some_and(|i| d.members.has(&i))
        };
        let one_hand = d.cause.signal().is_some_and(|first| {
            first.sender_tgid == signal.sender_tgid
                || first.target.tgid == signal.sender_tgid
                || of_instances(signal.sender_tgid)
        });
        let as_certain = !d.cause.is_doubtful_reload() || signal.intent() == Intent::Unclear;
        let joinable = as_certain && !d.members.is_of_one() && d.members.is_running();
        d.cause.kind() == kind && shares && soon && one_hand && joinable
    };
    let joined = lasting
        .iter_mut()
        .find(sibling)
        .is_some_and(|d| d.join(signal.instance, since(at_ns, known), instances, known));
    if joined {
        lasting.phase_goes_on(&signal.instance);
    }
    joined
}

/// Processes that an earlier SIGUSR2 started to take over, when those before them are told to stop.
fn successors(signal: &SignalRecord, lasting: &Lasting) -> Option<BTreeSet<u32>> {
    let upgrade = lasting.iter().map(|(_, d)| d).rfind(|d| {
        let running = d.members.has(&signal.instance) && d.members.is_running();
        running && d.cause.is_upgrade()
    })?;
    let successors = upgrade.members.new_ones();
    (!successors.is_empty() && !successors.contains(&signal.target.tgid))
        .then(|| successors.clone())
}

/// A stop ends every reload of the instance; what might have been one was none.
fn supersede(instance: &Process, at_ns: u64, lasting: &mut Lasting, instances: &Instances) {
    let no_reload = |d: &Draining| {
        let doubtful = d.cause.is_doubtful_reload() && !d.is_shown_to_reload(instances);
        doubtful && d.members.has(instance)
    };
    let ids = lasting.iter().filter(|(_, d)| no_reload(d));
    for id in ids.map(|(id, _)| id).collect::<Vec<_>>() {
        lasting.forget(id);
    }
    for draining in lasting.iter_mut() {
        let reload = draining.cause.kind() == DrainKind::Reload && !draining.members.is_of_one();
        if reload && draining.members.has(instance) {
            draining.cause.is_clear_now();
            draining.supersede(at_ns);
        }
    }
}

/// Whether a signal came so soon that it belongs to what began a drain.
fn is_soon(signal: &SignalRecord, draining: &Draining) -> bool {
    let after_ns = signal.header.at_ns.saturating_sub(draining.members.t0_ns());
    after_ns < timing::ONE_HAND_NS
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
