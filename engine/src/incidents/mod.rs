//! Incidents: bursts of requests that a service lost with nobody stopping, reloading or changing it. What a drain or a rollout
//! tells is none of them.
//!
//! Lost requests come from the drains, which know what they took; SYNs that were refused while somebody lived who had listened
//! come from the readings of the rows. Three within a minute are an incident, and a single one is where a process ended
//! with it: a request that meets a close by chance is ordinary, a process that drops its clients is not. A worker that crashes
//! among its siblings has a drain, and is shown here with what that counts.

mod burst;
mod crashes;
mod judge;

use std::collections::{BTreeMap, HashMap};

use finwatch_common::{Cut, ExitRecord, Kinship, Phase, ServiceKey};

use jiff::Timestamp;

use self::{
    burst::{Around, Burst, Ended, Mark, What},
    crashes::Crashes,
};
use crate::{
    bounded::Queue,
    drains::{Drains, Loss},
    ids::Ids,
    known::Known,
    model::{Drain, Incident, IncidentEnd, Service},
    timing,
};

/// Most services that are followed at once.
const SERVICES_MAX: usize = 1_024;
/// Most requests that wait until it is known whether a drain or a name comes.
const WAITING_MAX: usize = 8_192;
/// Most processes remembered that ended a moment ago.
const ENDED_MAX: usize = 256;
/// Most incidents that wait to be taken.
const TOLD_MAX: usize = 256;

/// Where requests are lost: of a service whose instances run in several network namespaces, as pods do, one may lose them and
/// the others not, and each for a reason of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    service: Service,
    /// Cookie of the network namespace.
    netns: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    waiting: Queue<Loss, WAITING_MAX>,
    ended: Queue<Ended, ENDED_MAX>,
    /// What each service had refused in its ordinary time when that was last looked at.
    refused: HashMap<ServiceKey, u64>,
    bursts: BTreeMap<Place, Burst>,
    crashes: Crashes,
    ids: Ids,
    /// Those that drains tell of, that last, and of which something changed.
    changed: Queue<Incident, TOLD_MAX>,
    over: Queue<Incident, TOLD_MAX>,
    left_out: u64,
}

// === impl Incidents ===

impl Incidents {
    /// A process of an instance with these services ended.
    pub(crate) fn exit(&mut self, exit: &ExitRecord, services: Vec<ServiceKey>) {
        if exit.kinship == Kinship::Controller as u8 || services.is_empty() {
            return;
        }
        let ended = Ended::of(exit, services);
        for burst in self.bursts.values_mut() {
            burst.ended(&ended);
        }
        self.ended.push(ended);
    }

    /// Takes a drain as it was told; `is_of_change`: it belongs to a change of its workload.
    pub(crate) fn drain(&mut self, drain: &Drain, is_of_change: bool, now: Timestamp) {
        let told = self.crashes.take(drain, is_of_change, now, &mut self.ids);
        if let Some(incident) = told {
            let told = match incident.is_over() {
                true => &mut self.over,
                false => &mut self.changed,
            };
            told.push(incident);
        }
    }

    /// Takes what was lost, and lets time pass; `is_told`: a rollout tells what was lost then of a service in the network namespace
    /// with this cookie.
    pub(crate) fn tick(
        &mut self,
        now_ns: u64,
        drains: &mut Drains,
        is_told: impl Fn(&Service, u64, Timestamp) -> bool,
        known: &Known<'_>,
    ) {
        let is_told =
            |place: &Place, at_ns| is_told(&place.service, place.netns, known.wall(at_ns));
        for loss in drains.lost_outside() {
            self.left_out += u64::from(self.waiting.push(loss).is_some());
        }
        let is_clear = |loss: &Loss| {
            let is_old = loss.at_ns.saturating_add(timing::ACCOUNT_NS) <= now_ns;
            !known.names.is_pending(&loss.key) && (is_old || !drains.concern(&loss.key))
        };
        for loss in self.waiting.take_all(is_clear) {
            let is_judged =
                loss.cut != Cut::Unanswered || known.ordinary_shape(&loss.key).waits_for_answers();
            let place = Place::of(&loss.key, known);
            if is_judged && !is_told(&place, loss.at_ns) {
                self.lose(place, Mark::of_loss(loss), drains);
            }
        }
        self.take_refused(drains, is_told, known);
        self.pass(now_ns, is_told, known);
    }

    /// Incidents that last and of which something changed.
    pub(crate) fn changed(&mut self, known: &Known<'_>) -> Vec<Incident> {
        let tell = |(place, burst): (&Place, &mut Burst)| {
            let is_due = burst.is_incident() && burst.take_change();
            is_due.then(|| judge::tell(&place.service, burst, None, known))
        };
        let mut changed = self.changed.take_all(|_| true);
        changed.extend(self.bursts.iter_mut().filter_map(tell));
        changed
    }

    /// Incidents that were over since the last call.
    pub(crate) fn over(&mut self) -> Vec<Incident> {
        self.over.take_all(|_| true)
    }

    /// How often a bound kept something out.
    pub(crate) fn bitten(&self) -> u64 {
        let told = self.changed.bitten() + self.over.bitten();
        self.left_out + self.crashes.bitten() + told
    }

    fn lose(&mut self, place: Place, mark: Mark, drains: &Drains) {
        if !self.bursts.contains_key(&place) && self.bursts.len() >= SERVICES_MAX {
            self.left_out += 1;
            return;
        }
        let around = Around {
            listened: drains.is_listened(&mark.key),
            netns_inum: drains.netns_inum(place.netns),
        };
        let burst = self
            .bursts
            .entry(place)
            .or_insert_with(|| Burst::new(&mark.key));
        burst.lose(mark, &self.ended, around);
    }

    /// What was refused since the last look counts where one lives who had listened: after an end there is nobody to ask, and the
    /// drain has told of it.
    fn take_refused(
        &mut self,
        drains: &Drains,
        is_told: impl Fn(&Place, u64) -> bool,
        known: &Known<'_>,
    ) {
        let mut looked_at = HashMap::new();
        for key in known.refusals.services() {
            let before = self.refused.get(key).copied().unwrap_or(0);
            let Some(refused) = known.refused(key) else {
                continue;
            };
            let now = refused.by_phase[Phase::Steady as usize];
            if now > before && (known.names.is_pending(key) || drains.concern(key)) {
                looked_at.insert(*key, before);
                continue;
            }
            looked_at.insert(*key, now);
            let place = Place::of(key, known);
            if now > before && drains.is_served(key) && !is_told(&place, refused.read_ns) {
                let what = What::Refused(now - before);
                self.lose(place, Mark::new(*key, refused.read_ns, what), drains);
            }
        }
        self.refused = looked_at;
    }

    /// Begins what has become an incident, and ends what is over.
    fn pass(&mut self, now_ns: u64, is_told: impl Fn(&Place, u64) -> bool, known: &Known<'_>) {
        let Self {
            bursts, ids, over, ..
        } = self;
        let since = |at_ns: u64| now_ns.saturating_sub(at_ns);
        bursts.retain(|place, burst| {
            if !burst.is_incident() {
                // What a drain gave back may be older.
                burst.forget_before(burst.last_ns().saturating_sub(timing::INCIDENT_NS));
                if burst.is_enough() {
                    let Service { workload, port, .. } = &place.service;
                    let whose = format!("{workload}-{port}");
                    burst.begin(ids.fresh(&whose, known.wall(burst.began_ns())));
                    return true;
                }
                return since(burst.last_ns()) <= timing::INCIDENT_NS;
            }
            let ending = if is_told(place, now_ns) {
                IncidentEnd::Rollout
            } else if since(burst.last_ns()) >= timing::INCIDENT_QUIET_NS {
                IncidentEnd::Quiet
            } else if since(burst.began_ns()) >= timing::INCIDENT_LONGEST_NS {
                IncidentEnd::GoesOn
            } else {
                return true;
            };
            over.push(judge::tell(&place.service, burst, Some(ending), known));
            false
        });
    }
}

// === impl Place ===

impl Place {
    fn of(key: &ServiceKey, known: &Known<'_>) -> Self {
        Self {
            service: known.service(key),
            netns: key.netns,
        }
    }
}
